"""Run every benchmark of this folder, one after another; `make bench` calls it."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

LONG = ("day_100k",)
"""Half an hour and more: run them by hand."""


def main() -> int:
    """Run each `benchmarks/*.py` but this one as a program of its own."""
    here = Path(__file__).resolve()
    for path in sorted(here.parent.glob("*.py")):
        if path != here and path.stem not in LONG:
            print(f"== {path.stem}", flush=True)
            sys.argv = [str(path)]
            try:
                runpy.run_path(str(path), run_name="__main__")
            except SystemExit as left:
                if left.code:
                    return int(left.code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
