"""The cheaper fidelities against the simulation of every replica.

    python benchmarks/serving_fidelity.py [--write]

One fleet (2,500 replicas of Llama-3-70B on 4 H100, Azure conversation lengths, Poisson
arrivals) at 30, 60 and 90 % of its saturation, four minutes after one of warm-up: `request`
(all replicas, compiled), `cells` (four of its twenty routing cells, compiled), `sampled` (4
replicas, the reference) and `fluid`. The figures of `cells` and `sampled` hold their sampling
error, with one seed. Those of `sampled` differ for two more reasons: four replicas behind a
router pool worse than 125, and the reference asks the cost model itself where the compiled
engine reads step tables, which are up to 1.4 % low in steps that mix prompts and decodes.
`--write` replaces the table that the product ships.
"""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import simpy

from sim.cluster.serving.fidelity import TABLE
from sim.cluster.serving.fleet_result import FleetResult
from sim.hardware.node import load_node
from sim.scenario.fleets import build_fleet
from sim.scenario.schema import ServingSpec
from sim.units import PS_PER_S

LOADS = (0.3, 0.6, 0.9)
SATURATION_PER_S = 6.9
"""Of one replica, as `benchmarks/serving_engine.py` measures it."""
REPLICAS = 2500
HORIZON_S, WARMUP_S = 300.0, 60.0
OUT = Path(__file__).resolve().parents[1] / "sim" / "data" / TABLE
HEADER = """\
# Errors of the cheaper fidelities of a serving fleet against the simulation of every replica.
# source: made by benchmarks/serving_fidelity.py; as_of: {date}
# 2,500 replicas of llama-3-70b on 4 H100 (tp 4), 512-token chunks, Azure conversation lengths,
# Poisson arrivals, 240 s after 60 s of warm-up, seed 1; cells: 4 of 20 cells of 125 replicas;
# sampled: 4 replicas.
"""


def measures(result: FleetResult) -> dict[str, float]:
    """What is compared."""
    found = {
        "completed": result.completed.value,
        "tokens_out": result.tokens_out.value,
        "mean_power_w": result.mean_power_w.value,
    }
    if result.energy_j_per_output_token is not None:
        found["energy_j_per_output_token"] = result.energy_j_per_output_token.value
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        latency = getattr(result, name)
        if latency is not None:
            found |= {f"{name}_{q}": getattr(latency, q).value for q in ("p50", "p99", "mean")}
    return found


def run(load: float, fidelity: str) -> dict[str, float]:
    """One fleet at one load."""
    spec = ServingSpec.model_validate(
        {
            "kind": "serving",
            "arch": "llama-3-70b",
            "gpus": 4 * REPLICAS,
            "layout": {"tp": 4, "pp": 1, "dp": 1, "ep": 1},
            "requests": {"kind": "poisson", "rate_per_s": load * SATURATION_PER_S * REPLICAS},
            "max_num_batched_tokens": 512,
            "fidelity": fidelity,
            "warmup_s": WARMUP_S,
        }
    )
    env = simpy.Environment()
    fleet = build_fleet(env, "fleet", spec, load_node("dgx-h100"), HORIZON_S, None, 1).fleet
    env.run(int(HORIZON_S * PS_PER_S))
    fleet.check_laws()
    return measures(fleet.result())


def main(argv: list[str] | None = None) -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"replace {OUT.name}")
    options = parser.parse_args(argv)
    lines = ["load_frac,fidelity,measure,request,value,error_frac"]
    for load in LOADS:
        exact = run(load, "request")
        for fidelity in ("cells", "sampled", "fluid"):
            began_s = time.process_time()
            found = run(load, fidelity)
            print(
                f"{fidelity} at {load:.0%}: {time.process_time() - began_s:.1f} s", file=sys.stderr
            )
            for name, value in found.items():
                error = value / exact[name] - 1
                lines.append(f"{load},{fidelity},{name},{exact[name]:.6g},{value:.6g},{error:.4f}")
    text = HEADER.format(date=datetime.now(UTC).date()) + "\n".join(lines) + "\n"
    print(text)
    if options.write:
        OUT.parent.mkdir(exist_ok=True)
        OUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
