"""Time of what `make run` simulates, by stage, and SimPy events per second.

Run with `make bench` or `python benchmarks/one_state.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sim.grid.hosting import hosting_by_zone
from sim.grid.us_states import us_states
from sim.grid.verdict import assess
from sim.scenario.build import build
from sim.scenario.run import load_scenario
from sim.scenario.simulate import simulate

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "100k-h100-one-state.yaml"


def main(argv: Sequence[str] = ()) -> int:
    """Print one line a stage."""
    path = Path(argv[0]) if argv else SCENARIO
    started_s = time.perf_counter()
    _, scenario = load_scenario(path)
    loaded_s = time.perf_counter()
    simulate(scenario, seed=1)
    simulated_s = time.perf_counter()
    network = us_states()
    assess(network, {"TX-ERCOT": 120.0}, samples=scenario.grid.samples)
    assessed_s = time.perf_counter()
    hosting_by_zone(network, swing_frac=0.3, samples=64)
    hosted_s = time.perf_counter()
    print(f"load and resolve          {loaded_s - started_s:8.3f} s")
    print(f"simulate {scenario.horizon_h:g} h            {simulated_s - loaded_s:8.3f} s")
    print(f"assess one zone           {assessed_s - simulated_s:8.3f} s")
    print(f"hosting, every zone       {hosted_s - assessed_s:8.3f} s")
    print(f"SimPy events              {_events_per_s(path):8,.0f} /s (bare run, no recorder)")
    return 0


def _events_per_s(path: Path) -> float:
    """Events that the environment steps through per second."""
    _, scenario = load_scenario(path)
    simulation = build(scenario, seed=1)
    events = 0
    started_s = time.perf_counter()
    while simulation.env.peek() < simulation.horizon_ps:
        simulation.env.step()
        events += 1
    return events / (time.perf_counter() - started_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
