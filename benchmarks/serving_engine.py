"""Both serving engines side by side: `python benchmarks/serving_engine.py`."""

from __future__ import annotations

import json
import sys

from sim.validation.bench_serving import bench_serving

LOADS = ((200_000, 1.6, 1), (200_000, 400.0, 100))
"""(requests, requests per second, replicas)."""


def main() -> int:
    """Print one JSON line a load."""
    for load in LOADS:
        print(json.dumps({"load": load, **bench_serving(*load)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
