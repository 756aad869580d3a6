"""Searching an edge: found to the tolerance, with few runs, resumable."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_work import Fake
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sim.record.store import RunFolder, RunId
from sim.sweep.expand import Sweep
from sim.sweep.point import Point
from sim.sweep.refine import Search, most_runs
from sim.sweep.run import local, run_sweep
from sim.sweep.schema import Refine, SweepFile


def refine(low: float, high: float, tolerance: float, step: float = 1) -> Refine:
    return Refine(path="size", low=low, high=high, holds="ok", tolerance_frac=tolerance, step=step)


def walk(search: Search, edge: float) -> list[float]:
    asked = []
    while (point := search.next()) is not None:
        value = float(dict(point.values)["size"])
        asked.append(value)
        search.tell({"ok": value <= edge})
    return asked


@given(st.floats(1, 1e6), st.sampled_from([0.001, 0.01, 0.1, 0.5]), st.sampled_from([1, 8]))
def test_the_edge_is_between_and_within_the_tolerance(
    edge: float, tolerance: float, step: float
) -> None:
    given_ = refine(8, 1_000_000, tolerance, step)
    search = Search(given_, Point(0, (), 1))
    asked = walk(search, edge)
    found = search.found
    assert len(asked) == len(set(asked)) <= most_runs(given_)
    assert all(value % step == 0 for value in asked)
    if edge < 8:
        assert (found.holds_at, found.fails_at) == (None, 8)
    elif edge >= 1_000_000:
        assert (found.holds_at, found.fails_at) == (1_000_000, None)
    else:
        assert found.holds_at is not None
        assert found.fails_at is not None
        assert found.holds_at <= edge < found.fails_at
        assert found.fails_at <= max(found.holds_at * (1 + tolerance), found.holds_at + step)


def test_a_run_that_failed_ends_the_search() -> None:
    search = Search(refine(1, 100, 0.1), Point(0, (), 1))
    assert search.next()
    search.tell(None)
    assert search.next() is None
    assert search.found.error == "a run of the search failed"


def test_a_column_that_is_not_there_ends_the_search() -> None:
    search = Search(refine(1, 100, 0.1), Point(0, (), 1))
    assert search.next()
    search.tell({"other": 1})
    assert search.next() is None
    assert "unknown column 'ok'" in search.found.error


def test_a_range_without_an_inside_is_refused() -> None:
    with pytest.raises(ValidationError, match="low 5 and high 5 are no range above 0"):
        refine(5, 5, 0.1)


@dataclass(frozen=True)
class Edge(Fake):
    """Holds up to a size that depends on the zone."""

    def run(self, point: Point, out: Path) -> Path:
        values = dict(point.values)
        edge = {"VA": 700, "MA": 30, "AK": 0, "TX": 10**9}[str(values["zone"])]
        if self.log:
            with self.log.open("a") as lines:
                lines.write(f"{values['size']} {point.seed}\n")
        with RunFolder.open(RunId("fake", self.identify(point).hash8, point.seed), out, {}) as run:
            run.write_json("summary.json", {"margin_mw": edge - int(values["size"])})
        return run.final


FILE = SweepFile(
    name="study",
    base="base.yaml",
    refine=Refine(path="size", low=10, high=10_000, holds="margin_mw >= 0", tolerance_frac=0.05),
)
ANCHORS = tuple(Point(n, (("zone", zone),), 1) for n, zone in enumerate(("VA", "MA", "AK", "TX")))
SWEEP = Sweep("study", Path("base.yaml"), ANCHORS, FILE)


def test_a_sweep_finds_an_edge_for_each_combination(tmp_path: Path) -> None:
    outcome = run_sweep(SWEEP, tmp_path / "a", Edge(log=tmp_path / "log"))
    va, ma, ak, tx = outcome.found
    assert va.holds_at is not None
    assert va.fails_at is not None
    assert va.holds_at <= 700 < va.fails_at <= va.holds_at * 1.05 + 1
    assert ma.holds_at is not None
    assert ma.holds_at <= 30
    assert (ak.holds_at, ak.fails_at) == (None, 10)
    assert (tx.holds_at, tx.fails_at) == (10_000, None)
    runs = len(Edge(log=tmp_path / "log").ran())
    assert runs == outcome.done <= 4 * most_runs(FILE.refine)  # type: ignore[arg-type]
    with (outcome.folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    order = [(row["zone"], int(row["size"])) for row in rows]
    zones = ["VA", "MA", "AK", "TX"]
    assert order == sorted(order, key=lambda pair: (zones.index(pair[0]), pair[1]))
    assert [int(row["point"]) for row in rows] == list(range(len(rows)))

    again = run_sweep(SWEEP, tmp_path / "a", Edge(log=tmp_path / "again"), resume=True)
    assert Edge(log=tmp_path / "again").ran() == []
    assert again.found == outcome.found
    two = run_sweep(SWEEP, tmp_path / "b", Edge(), local(2))
    for name in ("results.parquet", "points.jsonl", "boundaries.csv"):
        assert (two.folder / name).read_bytes() == (outcome.folder / name).read_bytes()
