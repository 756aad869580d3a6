"""What the benchmarks of single rooms share: run those that are named, a line each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence


def run_named(benchmarks: Mapping[str, Callable[[], str]], arguments: Sequence[str]) -> None:
    """Run the named benchmarks, all without names; `--json` prints an object a line.

    Args:
        benchmarks: by name; each returns what it found, in words.
    """
    as_json, width = "--json" in arguments, max(map(len, benchmarks))
    for name in [n for n in arguments if n in benchmarks] or list(benchmarks):
        wall, cpu = time.perf_counter(), time.process_time()
        note = benchmarks[name]()
        row = {
            "name": name,
            "wall_s": round(time.perf_counter() - wall, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
            "note": note,
        }
        line = f"{name:{width}} {row['wall_s']:8} {row['cpu_s']:8}  {note}"
        print(json.dumps(row) if as_json else line)
