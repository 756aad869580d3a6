"""Running a sweep: failures recorded, crashes survived, results the same either way."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sim.errors import InputError
from sim.record import atomic
from sim.record.store import RunFolder, RunId, find_runs
from sim.scenario.canonical import digest, hash8
from sim.scenario.override import parse_override
from sim.sweep.expand import Point, Sweep
from sim.sweep.journal import JOURNAL, Entry, append, last_entries
from sim.sweep.plan import Identity, Planned, plan, plan_text
from sim.sweep.results import csv_text, flatten, results_table
from sim.sweep.run import run_sweep

SWEEP = Sweep(
    "study",
    Path("base.yaml"),
    tuple(
        Point(2 * n + s, (("size", size), ("zone", "VA")), s + 1)
        for n, size in enumerate((10, 20, 30))
        for s in range(2)
    ),
)


class Fake:
    """Stands for the simulator: a scenario of two fields, and a summary computed from them."""

    def __init__(self, version: str = "1", fail: Callable[[int, int], None] = lambda *_: None):
        self.version = version
        self.fail = fail
        self.ran: list[tuple[int, int]] = []

    def resolve(self, overrides: Sequence[str]) -> dict[str, int]:
        parsed = [parse_override(text) for text in overrides]
        values = {str(item.path[0]): item.value.plain() for item in parsed}
        if values["size"] == 666:
            raise InputError("666 is above the largest value 100", path="size")
        return values

    def identify(self, base: Path, overrides: Sequence[str]) -> Identity:
        values = self.resolve(overrides)
        name = hash8(values, {"base": base.name}, self.version)
        return Identity("fake", name, {"scenario": digest(values), "version": self.version})

    def run_one(self, base: Path, overrides: Sequence[str], seed: int, out: Path) -> Path:
        values = self.resolve(overrides)
        self.ran.append((values["size"], seed))
        identity = self.identify(base, overrides)
        with RunFolder.open(RunId("fake", identity.hash8, seed), out, {}) as run:
            run.write_text("half.txt", "x")
            self.fail(values["size"], seed)
            run.write_json("summary.json", {"power_w": {"chip": values["size"] * seed / 3}})
        return run.final


def go(fake: Fake, out: Path, sweep: Sweep = SWEEP, *, resume: bool = True) -> int:
    return run_sweep(sweep, out, fake.run_one, fake.identify, resume=resume).exit_code


def states(fake: Fake, out: Path, sweep: Sweep = SWEEP) -> list[tuple[str, str]]:
    return [(item.state, item.reason) for item in plan(sweep, out, fake.identify)]


def results(out: Path) -> tuple[bytes, bytes]:
    folder = out / "sweep-study"
    return (folder / "results.parquet").read_bytes(), (folder / "results.csv").read_bytes()


def fail_at(size: int, seed: int, error: BaseException) -> Callable[[int, int], None]:
    def fail(a: int, b: int) -> None:
        if (a, b) == (size, seed):
            raise error

    return fail


def test_all_points_run_once_and_the_results_have_a_row_for_each(tmp_path: Path) -> None:
    fake = Fake()
    outcome = run_sweep(SWEEP, tmp_path, fake.run_one, fake.identify)
    assert (outcome.done, outcome.skipped, outcome.failures, outcome.exit_code) == (6, 0, (), 0)
    assert fake.ran == [(10, 1), (10, 2), (20, 1), (20, 2), (30, 1), (30, 2)]
    table = pq.read_table(outcome.folder / "results.parquet")
    assert table.column_names == [
        "point", "seed", "run", "status", "error", "size", "zone", "power_w.chip",
    ]  # fmt: skip
    assert table.column("power_w.chip").to_pylist() == [s * k / 3 for s, k in fake.ran]
    first = (outcome.folder / "results.csv").read_text().splitlines()[1]
    name = fake.identify(SWEEP.base, SWEEP.points[0].overrides).hash8
    assert first == f"0,1,runs/fake-{name}/seed-1,done,,10,VA,3.3333333333333335"


def test_resume_runs_nothing_twice_and_without_it_all_again(tmp_path: Path) -> None:
    go(Fake(), tmp_path)
    before, again, anew = results(tmp_path), Fake(), Fake()
    assert go(again, tmp_path) == 0
    assert again.ran == []
    assert go(anew, tmp_path, resume=False) == 0
    assert len(anew.ran) == 6
    assert results(tmp_path) == before


@pytest.mark.parametrize("moment", [(10, 1), (20, 2), (30, 2)])
def test_a_crash_in_the_middle_then_resume_equals_an_undisturbed_sweep(
    tmp_path: Path, moment: tuple[int, int]
) -> None:
    crashed = Fake(fail=fail_at(*moment, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        go(crashed, tmp_path / "a")
    second = Fake()
    assert go(second, tmp_path / "a") == 0
    assert second.ran[0] == moment
    assert len(crashed.ran) - 1 + len(second.ran) == 6
    go(Fake(), tmp_path / "b")
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert len(find_runs(tmp_path / "a" / "sweep-study" / "runs")) == 6


def test_a_failing_run_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    fake = Fake(fail=fail_at(20, 1, ZeroDivisionError("no power")))
    outcome = run_sweep(SWEEP, tmp_path, fake.run_one, fake.identify)
    assert (outcome.done, outcome.exit_code) == (5, 3)
    assert outcome.failures == (("size=20 zone=VA seed=1", "ZeroDivisionError: no power"),)
    table = pq.read_table(outcome.folder / "results.parquet").to_pylist()
    assert table[2] == {
        "point": 2, "seed": 1, "run": None, "status": "failed",
        "error": "ZeroDivisionError: no power", "size": 20, "zone": "VA", "power_w.chip": None,
    }  # fmt: skip
    assert states(fake, tmp_path)[2] == ("to do", "failed: ZeroDivisionError: no power")
    mended = Fake()
    assert go(mended, tmp_path) == 0
    assert mended.ran == [(20, 1)]
    go(Fake(), tmp_path / "b")
    assert results(tmp_path) == results(tmp_path / "b")


def test_a_point_that_does_not_resolve_is_a_failure_of_its_own(tmp_path: Path) -> None:
    bad = Point(6, (("size", 666), ("zone", "VA")), 1)
    sweep = replace(SWEEP, points=(*SWEEP.points, bad))
    fake = Fake()
    assert states(fake, tmp_path, sweep)[-1] == (
        "invalid", "size: 666 is above the largest value 100",
    )  # fmt: skip
    assert go(fake, tmp_path, sweep) == 3
    assert len(fake.ran) == 6


def test_a_run_that_leaves_no_folder_is_a_failure(tmp_path: Path) -> None:
    fake = Fake()
    outcome = run_sweep(SWEEP, tmp_path, lambda *_: tmp_path, fake.identify)
    assert outcome.exit_code == 3
    assert outcome.failures[0][1].startswith("left no finished run at runs/fake-")


def test_the_plan_says_why(tmp_path: Path) -> None:
    assert set(states(Fake(), tmp_path)) == {("to do", "never run")}
    go(Fake(), tmp_path)
    assert set(states(Fake(), tmp_path)) == {("done", "finished")}
    assert set(states(Fake("2"), tmp_path)) == {("stale", "changed since: version")}
    folder = tmp_path / "sweep-study"
    run = find_runs(folder / "runs")[0]
    (run.path / "manifest.json").write_text("{")
    assert states(Fake(), tmp_path).count(("to do", "its folder is missing or damaged")) == 1
    (folder / JOURNAL).unlink()
    assert states(Fake(), tmp_path).count(("done", "finished")) == 5
    assert states(Fake("2"), tmp_path).count(("to do", "never run")) == 6
    text = plan_text(plan(SWEEP, tmp_path, Fake().identify))
    assert text.splitlines() == [
        "     6  runs",
        "     5  done: finished",
        "     1  to do: never run",
    ]


def test_planning_writes_nothing_and_identifies_each_scenario_once(tmp_path: Path) -> None:
    calls = []
    fake = Fake()

    def identify(base: Path, overrides: Sequence[str]) -> Identity:
        calls.append(overrides)
        return fake.identify(base, overrides)

    plan(SWEEP, tmp_path / "out", identify)
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_of_each_point(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def note(_item: Planned, status: str, number: int, of: int) -> None:
        seen.append((status, number, of))

    fake = Fake(fail=fail_at(10, 2, ValueError("x")))
    run_sweep(SWEEP, tmp_path, fake.run_one, fake.identify, progress=note)
    run_sweep(SWEEP, tmp_path, fake.run_one, fake.identify, progress=note, resume=True)
    assert seen[:3] == [("done", 1, 6), ("failed", 2, 6), ("done", 3, 6)]
    assert [status for status, *_ in seen[6:]] == ["skipped", "failed", *["skipped"] * 4]


def test_two_sweeps_do_not_share_a_folder(tmp_path: Path) -> None:
    (tmp_path / "sweep-study").mkdir()
    with (
        atomic.alone(tmp_path / "sweep-study"),
        pytest.raises(InputError, match="another sweep is at work in this folder; wait for it"),
    ):
        go(Fake(), tmp_path)


def test_half_written_results_of_a_killed_sweep_are_removed(tmp_path: Path) -> None:
    go(Fake(), tmp_path)
    torn = tmp_path / "sweep-study" / ".results.csv.tmp-00ff"
    torn.write_text("point,se")
    go(Fake(), tmp_path)
    assert not torn.exists()


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="sweep-study: cannot be written: Not a directory"):
        go(Fake(), tmp_path / "file")


def test_the_journal_skips_torn_lines_and_keeps_the_last_attempt(tmp_path: Path) -> None:
    append(tmp_path, Entry("a", "failed", error="x"))
    with (tmp_path / JOURNAL).open("ab") as stream:
        stream.write(b'{"key": "b", "sta')
    append(tmp_path, Entry("a", "done", "0a1b2c3d", {"version": "1"}))
    with (tmp_path / JOURNAL).open("ab") as stream:
        stream.write(b'[1]\n{"other": 1}\n\xff\n')
    assert last_entries(tmp_path) == {"a": Entry("a", "done", "0a1b2c3d", {"version": "1"})}
    assert last_entries(tmp_path / "nowhere") == {}


def test_summaries_are_flattened_by_name() -> None:
    summary = {
        "power_w": {"chip": {"mean": 1.5}}, "text": "x", "none": None, "list": [1, 2],
        "grid": {"verdicts": [{"limit": "energy", "binds": True, "margin_mw": -3}]},
        "twins": [{"name": "a", "n": 1}, {"name": "a", "n": 2}],
    }  # fmt: skip
    assert dict(flatten(summary)) == {
        "power_w.chip.mean": 1.5, "list[0]": 1, "list[1]": 2,
        "grid.verdicts[energy].binds": True, "grid.verdicts[energy].margin_mw": -3,
        "twins[0].n": 1, "twins[1].n": 2,
    }  # fmt: skip


def test_columns_have_the_type_that_all_values_share() -> None:
    rows = [
        {
            "point": 0,
            "whole": 1,
            "mixed": 1,
            "flag": True,
            "text": "a, b",
            "big": 2**70,
            "any": [1],
        },
        {"point": 1, "whole": 2, "mixed": 0.5, "flag": None, "odd": True},
        {"point": 2, "odd": 3},
    ]
    table = results_table(rows)
    kinds = {name: str(table.schema.field(name).type) for name in table.column_names}
    assert kinds == {
        "point": "int64", "seed": "string", "run": "string", "status": "string", "error": "string",
        "whole": "int64", "mixed": "double", "flag": "bool", "text": "string", "big": "double",
        "any": "string", "odd": "string",
    }  # fmt: skip
    lines = csv_text(table).splitlines()
    assert lines[1] == '0,,,,,1,1.0,true,"a, b",1.1805916207174113e+21,[1],'
    assert lines[3] == "2,,,,,,,,,,,3"


def test_names_that_collide_are_told_apart(tmp_path: Path) -> None:
    fake = Fake()
    points = (Point(0, (("size", 10), ("zone", "VA"), ("status", 5)), 1),)
    folder = tmp_path / "sweep-study"

    def run_one(base: Path, overrides: Sequence[str], seed: int, out: Path) -> Path:
        identity = fake.identify(base, overrides)
        with RunFolder.open(RunId("fake", identity.hash8, seed), out, {}) as run:
            run.write_json("summary.json", {"size": 3})
        return run.final

    run_sweep(replace(SWEEP, points=points), tmp_path, run_one, fake.identify)
    (row,) = pq.read_table(folder / "results.parquet").to_pylist()
    assert (row["status"], row["set.status"]) == ("done", 5)
    assert (row["size"], row["summary.size"]) == (10, 3)


def test_a_journal_entry_is_plain_json(tmp_path: Path) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        go(Fake(fail=fail_at(10, 2, KeyboardInterrupt())), tmp_path)
    (line,) = (tmp_path / "sweep-study" / JOURNAL).read_text().splitlines()
    assert json.loads(line)["status"] == "done"


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_sweep_run as t
print("at work", flush=True)
t.go(t.Fake(fail=lambda *_: time.sleep(0.03)), Path(sys.argv[1]))
"""


def test_a_killed_sweep_resumed_equals_an_undisturbed_one(tmp_path: Path) -> None:
    moments = random.Random(3)  # noqa: S311 - moments, not secrets
    killed, here = tmp_path / "killed", str(Path(__file__).parent)
    for _ in range(3):
        command = [sys.executable, "-c", CHILD, str(killed), here]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moments.uniform(0.01, 0.15))
        child.kill()
        child.communicate()
    before = find_runs(killed / "sweep-study" / "runs")
    last = Fake()
    assert go(last, killed) == 0
    assert len(before) + len(last.ran) == 6
    go(Fake(), tmp_path / "calm")
    assert results(killed) == results(tmp_path / "calm")
    assert not list(killed.rglob(".*"))
