"""Finished runs and sweeps with one file damaged, and every command that reads them."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fuzz_mutate import mutated
from fuzz_runs import told

from sim.errors import InputError

ROOT: Final = Path(__file__).resolve().parents[1]
CASES: Final = ROOT / "tests" / "cases" / "valid"
LITTLE: Final = ("horizon_h=0.1", "grid.samples=8")
BASES: Final[dict[str, tuple[str, ...]]] = {
    "training-and-serving.yaml": (*LITTLE, "grid.hosting=false", "record.requests=all"),
    "facility-full.yaml": (*LITTLE, "grid.hosting=false"),
    "grid-regions-areas.yaml": ("horizon_h=0.1",),
    "grid-dynamic-site.yaml": ("horizon_h=0.1",),
    "grid-nodal-emergency.yaml": ("horizon_h=0.1",),
}
"""Runs whose folders hold every kind of file, with what makes them small."""

SWEEP: Final = """
name: damaged
base: {base}
set: {{horizon_h: 0.1, grid.samples: 8, grid.hosting: false}}
axes: {{sites.campus.facility.pue_design: [1.2, 1.3]}}
seeds: [1]
"""
REBUILT: Final = ("results.parquet", "results.csv", "journal.jsonl")
"""Files of a sweep that follow from the others: damage to them may not even be told."""


def bases(place: Path) -> Path:
    """A folder with the finished runs and the sweep; made once."""
    if not place.is_dir():
        draft = place.with_name("draft")
        for name, changes in BASES.items():
            words = [word for change in changes for word in ("--set", change)]
            told("run", str(CASES / name), *words, "--seed", "1", "--out", str(draft))
        (draft / "damaged.yaml").write_text(SWEEP.format(base=CASES / "training-least.yaml"))
        told("sweep", str(draft / "damaged.yaml"), "--workers", "0", "--out", str(draft))
        draft.rename(place)
    return place


def load_folder(path: Path) -> object:
    """Damage a file, as the bytes choose, and let every command read what is left."""
    warnings.simplefilter("ignore", RuntimeWarning)  # of figures that cannot be
    rng = random.Random(path.read_bytes())  # noqa: S311 - repeatable on purpose
    place = bases(path.parent / "bases")
    runs = sorted(place.glob("*/seed-1"))
    return _sweep(place, path.parent, rng) if rng.random() < 0.2 else _run(runs, path.parent, rng)


def _run(runs: list[Path], work: Path, rng: random.Random) -> int:
    first, other = rng.choice(runs), rng.choice(runs)
    folder = work / first.parent.name / first.name
    shutil.rmtree(folder.parent, ignore_errors=True)
    shutil.copytree(first, folder)
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".json", ".parquet", ".yaml"))
    file = rng.choice(files)
    _damage(file, rng)
    if rng.random() < 0.7 and file.name != "manifest.json":
        _sign(folder, file)
    manifest, page = folder / "manifest.json", work / "page.html"
    return _each(
        ("check", str(folder)),
        ("report", str(folder)),
        ("compare", str(folder), str(other)),
        ("compare", str(other), str(folder), "--html", str(page)),
        ("run", "--from", str(manifest), *(["-n"] if rng.random() < 0.8 else []),
         "--out", str(work / "again")),
    )  # fmt: skip


def _sweep(place: Path, work: Path, rng: random.Random) -> int:
    folder = work / "sweep-damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place / "sweep-damaged", folder)
    kinds = (".json", ".jsonl", ".parquet", ".yaml", ".csv")
    _damage(rng.choice(sorted(f for f in folder.rglob("*") if f.suffix in kinds)), rng)
    return _each(
        ("query", str(folder), "select * from runs"),
        ("query", str(folder), "select count(*) from series"),
        ("report", str(folder)),
        ("sweep", str(place / "damaged.yaml"), "--workers", "0", "--resume", "--out", str(work)),
    )


def _each(*commands: tuple[str, ...]) -> int:
    """How many commands were content; each of the others must have refused in one line."""
    content = 0
    for command in commands:
        try:
            told(*command, may_fail=True)
        except InputError:
            continue
        content += 1
    return content


def _damage(file: Path, rng: random.Random) -> None:
    data = file.read_bytes()
    if file.suffix == ".parquet" and rng.random() < 0.6:
        _reshape(file, rng)
    elif file.suffix == ".json" and rng.random() < 0.5:
        tree = json.loads(data)
        _odd(tree, rng)
        file.write_text(json.dumps(tree), "utf-8")
    else:
        file.write_bytes(mutated(data, rng, [data]))


def _sign(folder: Path, file: Path) -> None:
    """Let the manifest agree with the damaged file, so that its contents are looked at."""
    manifest = folder / "manifest.json"
    known = json.loads(manifest.read_text("utf-8"))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    known["files"][file.relative_to(folder).as_posix()] = digest
    manifest.write_text(json.dumps(known), "utf-8")


ODD: Final[tuple[Any, ...]] = (
    None, True, False, -1, 0, 1.5, 10**400, 1e308, -1e308, 5e-324, float("nan"), float("inf"),
    "", "x", "\x1b[31m\n", "a/../b", [], {}, [None], {"a": {}}, [[1]],
)  # fmt: skip


def _odd(tree: Any, rng: random.Random) -> None:
    """One value somewhere in a tree becomes odd, goes, or is one of another place."""
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        pairs = part.items() if isinstance(part, dict) else enumerate(part)
        for key, value in list(pairs):
            places.append((part, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(tree)
    for _ in range(rng.choice((1, 1, 2))):
        part, key = rng.choice(places)
        other, there = rng.choice(places)
        chosen = rng.randrange(4)
        if chosen == 0 and isinstance(part, dict):
            part.pop(key, None)
        elif chosen == 1 and (isinstance(other, list) or there in other):
            part[key] = json.loads(json.dumps(other[there]))
        else:
            part[key] = rng.choice(ODD)


STRANGE: Final = (-1e308, float("nan"), float("inf"), 1e300)


def _reshape(file: Path, rng: random.Random) -> None:
    """A table with columns that are swapped, missing, of another type, or without rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    names = table.column_names
    name = rng.choice(names)
    column = table.column(name)
    changes: list[Callable[[], Any]] = [
        lambda: table.drop_columns([name]),
        lambda: table.rename_columns(rng.sample(names, len(names))),
        lambda: table.slice(0, rng.choice((0, 1, max(0, table.num_rows - 1)))),
        lambda: _with(table, name, pa.nulls(table.num_rows, column.type)),
        lambda: _with(table, name, pa.nulls(table.num_rows)),
        lambda: _with(table, name, pa.array(["x"] * table.num_rows)),
        lambda: _with(table, name, pa.array([[1.0]] * table.num_rows)),
        lambda: _with(table, name, pa.array([True] * table.num_rows)),
        lambda: _with(table, name, pa.array([rng.choice(STRANGE)] * table.num_rows)),
        lambda: _with(table, name, pa.array([b"\xff"] * table.num_rows)),
        lambda: table.take(pa.array(rng.choices(range(max(1, table.num_rows)), k=table.num_rows))),
        lambda: table.append_column(name, column),
    ]  # fmt: skip
    pq.write_table(rng.choice(changes)(), file)


def _with(table: Any, name: str, values: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, values)
