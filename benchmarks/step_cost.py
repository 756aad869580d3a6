"""Step costs: one at a time, many at once, and the time to compile a model.

    python benchmarks/step_cost.py [--json]

All in CPU time, so that a busy machine does not matter. Prints microseconds of
`ReplicaCost.cost` for a decode step of 64 sequences and for a mixed one; steps per second of the
exact laws (`StepModel.evaluate`) and of the tables (`StepTables.decode_steps`, all quantities);
milliseconds to build the full table of one (architecture, layout, device) after import, for 256
sequences and 8,192 tokens, its parts and a second time.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from sim import arch
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.cost.tables import build_tables
from sim.flops.program import compile_step
from sim.hardware.node import load_node

MODELS = {
    "llama-3.1-8b": Layout(),
    "llama-3.1-70b": Layout(tp=4),
    "qwen3-30b-a3b": Layout(tp=2, ep=2),
    "nemotron-nano-9b-v2": Layout(),
}
CONTEXTS = [500] * 64
POINTS = 2000
STEPS = 200_000
SEQUENCES, TOKENS = 256, 8192


def seconds(work: Callable[[], object], repeats: int, tries: int = 5) -> float:
    """Best time of one call."""
    best = np.inf
    for _ in range(tries):
        start = time.process_time()
        for _ in range(repeats):
            work()
        best = min(best, (time.process_time() - start) / repeats)
    return best


def measure(name: str, layout: Layout) -> dict[str, float]:
    """All figures of one model."""
    model, node = arch.load(name), load_node()
    start = time.process_time()
    cost = ReplicaCost(model, layout, node)
    built = time.process_time()
    tables = build_tables(cost, SEQUENCES, TOKENS)
    done = time.process_time()
    rng = np.random.default_rng(1)
    decodes = rng.integers(1, SEQUENCES, STEPS)
    cached = decodes * rng.integers(1, 8000, STEPS)
    features = compile_step(model).uniform_features(np.full(POINTS, 64), 1, np.arange(POINTS))
    return {
        "build_ms": (done - start) * 1e3,
        "cost_ms": (built - start) * 1e3,
        "table_ms": seconds(lambda: build_tables(cost, SEQUENCES, TOKENS), 1) * 1e3,
        "decode_us": seconds(lambda: cost.cost([], CONTEXTS), 300) * 1e6,
        "mixed_us": seconds(lambda: cost.cost([(512, 0)], CONTEXTS), 300) * 1e6,
        "exact_steps_per_s": POINTS / seconds(lambda: cost.model.evaluate(features), 1),
        "table_steps_per_s": STEPS / seconds(lambda: tables.decode_steps(decodes, cached), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measure("llama-3.1-8b", Layout())  # reads the data files
    compile_step.__globals__["_compile"].cache_clear()
    found = {name: measure(name, layout) for name, layout in MODELS.items()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(name, " ".join(f"{key} {value:.3g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
