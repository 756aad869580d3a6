"""The serving engine against Vidur, request by request, on the same step table.

    python benchmarks/vidur/compare.py --vidur PYTHON [--write]

PYTHON is the interpreter of an environment with PyPI's `vidur` 0.0.26 (Microsoft's simulator
of LLM inference, MIT licence): `python -m venv V && V/bin/pip install vidur==0.0.26`. It needs
no network. Both simulate one replica of Llama-3-70B on 4 H100, Azure conversation lengths,
Poisson arrivals, Sarathi's scheduler with chunks of 512 tokens, 256 sequences, blocks of 16
tokens, and the times of one step table. `--write` replaces `results.csv`.

The cache is the replica's own, which these loads never fill. Preemption cannot be compared: when
the cache runs full Vidur 0.0.26 stops with an AssertionError (`Request.restart` leaves
`_num_stage_processed_tokens` as it was).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sim import arch
from sim.cluster.serving.compiled import CompiledReplicas, warm_up
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.state import Watch
from sim.control.serving import BatchRules, replica_limits
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.cost.tables import TIME, StepTables, build_tables
from sim.hardware.node import load_node
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import trace_lengths
from sim.workload.requests import RequestTable, draw_requests

RULES = BatchRules(max_num_seqs=256, max_num_batched_tokens=512)
SATURATION_PER_S = 6.9
"""Of the replica, as `benchmarks/serving_engine.py` measures it."""
REQUESTS = 2000
LOADS = (0.3, 0.6, 0.9, 1.2)
"""Shares of saturation."""
LEVELS = (0.5, 0.9, 0.99)
OUT = Path(__file__).with_name("results.csv")
HEADER = """\
# One replica in Vidur 0.0.26 (PyPI) and in the compiled engine, on one step table.
# source: made by benchmarks/vidur/compare.py; as_of: {date}
# llama-3-70b on 4 H100 (tp 4), Sarathi chunks of 512 tokens, Azure conversation lengths, Poisson
# arrivals, {requests} requests at each load; nothing is preempted.
"""
Latencies = dict[str, np.ndarray]


def own(tables: StepTables, table: RequestTable) -> tuple[Latencies, int, float]:
    """Latencies by request, preemptions and processor time of the compiled engine."""
    began_s = time.process_time()
    replica = CompiledReplicas(tables, RULES, 1, watch=Watch(log=True))
    replica.bring(table, np.zeros((len(table), 2)))
    replica.settle(int(table.arrival_ps[-1]) + 10**16)
    log = replica.log()
    cpu_s = time.process_time() - began_s
    log = log[np.argsort(log[:, at.L_ID])]
    times = (log[:, c] / PS_PER_S for c in (at.L_ARRIVAL, at.L_FIRST, at.L_END))
    return latencies(*times, log[:, at.L_OUTPUT]), int(log[:, at.L_PREEMPTIONS].sum()), cpu_s


def vidur(python: str, tables: StepTables, table: RequestTable) -> tuple[Latencies, int, float]:
    """The same of Vidur."""
    with tempfile.TemporaryDirectory() as folder:
        world, out = Path(folder) / "world.npz", Path(folder) / "out.npz"
        np.savez(
            world,
            arrival_s=table.arrival_ps / PS_PER_S,
            input=table.input_tokens,
            output=table.output_tokens,
            edge=tables.edge,
            **{name: getattr(tables, name)[TIME] for name in ("base", "slope", "alone", "token")},
            **{name: getattr(tables, name)[TIME] for name in ("sequence", "pair", "read")},
            blocks=replica_limits(RULES, tables.kv_capacity_tokens, 256).total_blocks,
            max_seqs=RULES.max_num_seqs,
            max_tokens=RULES.max_num_batched_tokens,
        )
        side = Path(__file__).with_name("vidur_side.py")
        subprocess.run([python, side, world, out], check=True, cwd=folder)
        found = dict(np.load(out))
    arrival_s = table.arrival_ps / PS_PER_S
    times = latencies(arrival_s, found["first_s"], found["end_s"], table.output_tokens)
    return times, int(found["restarts"].sum()), float(found["cpu_s"])


def latencies(
    arrival_s: np.ndarray, first_s: np.ndarray, end_s: np.ndarray, output: np.ndarray
) -> Latencies:
    """TTFT, TPOT and E2E of each request; TPOT is nan for a single token."""
    gaps = np.where(output > 1, output - 1, np.nan)
    return {
        "ttft_s": first_s - arrival_s,
        "tpot_s": (end_s - first_s) / gaps,
        "e2e_s": end_s - arrival_s,
    }


def rows(python: str) -> Iterator[str]:
    """Lines of the table."""
    cost = ReplicaCost(arch.load("llama-3-70b"), Layout(tp=4), load_node("dgx-h100"), 256)
    tables = build_tables(cost, RULES.max_num_seqs, RULES.max_num_batched_tokens)
    for load in LOADS:
        rate = load * SATURATION_PER_S
        table = draw_requests(
            PoissonArrivals(rate), trace_lengths("azure-conv-2023"), REQUESTS / rate, 1, "vidur"
        )
        (ours, evicted, cpu_s), (theirs, restarts, their_cpu_s) = (
            own(tables, table),
            vidur(python, tables, table),
        )
        for key, value in theirs.items():
            mine = ours[key]
            apart = float(np.nanmax(np.abs(mine - value)))
            for level in LEVELS:
                pair = [float(np.nanquantile(x, level)) for x in (value, mine)]
                error = pair[1] / pair[0] - 1
                yield f"{load},{key}_p{100 * level:g},{pair[0]:.6g},{pair[1]:.6g},{error:.5f}"
            yield f"{load},{key}_largest_difference,,{apart:.3g},"
        yield f"{load},preemptions,{restarts},{evicted},"
        speeds = (len(table) / their_cpu_s, len(table) / cpu_s)
        print(f"{load:.0%}: {speeds[0]:,.0f} and {speeds[1]:,.0f} requests/CPU-s", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Print the table, and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vidur", required=True, help="interpreter with vidur installed")
    parser.add_argument("--write", action="store_true", help=f"replace {OUT.name}")
    options = parser.parse_args(argv)
    warm_up()
    head = HEADER.format(date=datetime.now(UTC).date(), requests=REQUESTS)
    columns = "load_frac,measure,vidur,compiled,error_frac"
    text = head + "\n".join([columns, *rows(options.vidur)]) + "\n"
    print(text)
    if options.write:
        OUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
