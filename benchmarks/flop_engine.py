"""Speed of the FLOP engine: 10,000 (batch, context) points of one architecture; `arch show`.

Run with `make bench` or `python benchmarks/flop_engine.py [ARCH ...]`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

import numpy as np

from sim import arch
from sim.flops import compile_step

POINTS = 10_000
DEFAULT = ("llama-3-8b", "mixtral-8x7b", "jamba-v0.1", "deepseek-v3")


def main(argv: Sequence[str] = ()) -> int:
    """Print one line an architecture."""
    for name in argv or DEFAULT:
        started_s = time.perf_counter()
        model = arch.load(name)
        loaded_s = time.perf_counter()
        program = compile_step(model)
        compiled_s = time.perf_counter()
        batch = 1 + np.arange(POINTS) % 256
        context = 1 + np.arange(POINTS) * 13 % 131_072
        program.evaluate(program.uniform_features(batch, 1, context))
        done_s = time.perf_counter()
        print(
            f"{name:<16} load {loaded_s - started_s:6.3f} s  compile {compiled_s - loaded_s:6.3f} s"
            f"  {POINTS:,} points {done_s - compiled_s:6.3f} s"
        )
    for command in (["--help"], ["arch", "show", "llama-3-8b"]):
        started_s = time.perf_counter()
        subprocess.run([sys.executable, "-m", "sim", *command], check=True, capture_output=True)
        print(f"flopgrid {' '.join(command):<24} {time.perf_counter() - started_s:6.3f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
