"""Step costs: one at a time, many at once, and the time to compile a model.

    python benchmarks/step_cost.py [--json]

Prints microseconds of `ReplicaCost.cost` for a decode step of 64 sequences and for a mixed
one, evaluations per second of `StepModel.evaluate`, and milliseconds to build the costs of
one (architecture, layout, device) after import.
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


def seconds(work: Callable[[], object], repeats: int, tries: int = 5) -> float:
    """Best time of one call."""
    best = np.inf
    for _ in range(tries):
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        best = min(best, (time.perf_counter() - start) / repeats)
    return best


def measure(name: str, layout: Layout) -> dict[str, float]:
    """All figures of one model."""
    model, node = arch.load(name), load_node()
    start = time.perf_counter()
    cost = ReplicaCost(model, layout, node)
    build_s = time.perf_counter() - start
    features = compile_step(model).uniform_features(np.full(POINTS, 64), 1, np.arange(POINTS))
    return {
        "build_ms": build_s * 1e3,
        "decode_us": seconds(lambda: cost.cost([], CONTEXTS), 300) * 1e6,
        "mixed_us": seconds(lambda: cost.cost([(512, 0)], CONTEXTS), 300) * 1e6,
        "points_per_s": POINTS / seconds(lambda: cost.model.evaluate(features), 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {name: measure(name, layout) for name, layout in MODELS.items()}
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(name, " ".join(f"{key} {value:.3g}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
