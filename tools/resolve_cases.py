"""Write the resolved form of every valid case file beside it, in `resolved/`.

    python tools/resolve_cases.py            writes what has changed, and says so
    python tools/resolve_cases.py --check    writes nothing; exit code 1 if a form would change

The resolved form of a scenario is the one of its run; that of a sweep is its file with all
defaults, and its points.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from sim.scenario.canonical import to_flow, to_yaml
from sim.scenario.load import load_tree, validate
from sim.scenario.run import load_scenario, plain
from sim.sweep.expand import load_sweep
from sim.sweep.schema import SweepFile

CASES = Path(__file__).resolve().parents[1] / "tests" / "cases"
MOST_POINTS = 24


def resolved_scenario(path: Path) -> str:
    """The text of a resolved scenario."""
    return to_yaml(plain(load_scenario(path)[1]))


def resolved_sweep(path: Path) -> str:
    """The text of a sweep file with its defaults, and its first points."""
    file = validate(load_tree(path), SweepFile).model_dump(mode="json", by_alias=True)
    points = load_sweep(path).points
    told = [f"{to_flow(dict(point.values))} seed {point.seed}" for point in points[:MOST_POINTS]]
    return to_yaml({"file": file, "points": len(points), "first": told})


FORMS: dict[str, Callable[[Path], str]] = {"valid": resolved_scenario, "sweeps": resolved_sweep}


def stale(folder: Path = CASES) -> dict[Path, str | None]:
    """Resolved forms that are not as they should be: the right text, or None for one too many.

    Files are named from the folder of the cases, so that no path of this machine stands in them.
    """
    found: dict[Path, str | None] = {}
    with contextlib.chdir(folder):
        for kind, resolve in FORMS.items():
            names = sorted(path.name for path in Path(kind).glob("*.yaml"))
            for name in names:
                text, there = resolve(Path(kind, name)), Path(kind, "resolved", name)
                if not there.is_file() or there.read_text("utf-8") != text:
                    found[there] = text
            extra = [p for p in Path(kind, "resolved").glob("*") if p.name not in names]
            found |= dict.fromkeys(extra)
    return found


def main() -> int:
    """Write, or check."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    found = stale()
    for path, text in found.items():
        print(f"{'would change' if check else 'changed'}: {path}")
        target = CASES / path
        if not check and text is None:
            target.unlink()
        elif not check and text is not None:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text, "utf-8")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
