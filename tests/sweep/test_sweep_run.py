"""Running a sweep: failures recorded, crashes survived, results the same either way."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fake_work import POINTS, Fake

from sim.errors import InputError
from sim.record import atomic
from sim.record.store import RunFolder, RunId, find_runs
from sim.sweep.child import Result
from sim.sweep.executor import Limits
from sim.sweep.expand import Sweep
from sim.sweep.index import is_current, read_points, rebuild
from sim.sweep.journal import JOURNAL, Entry, append, read_journal
from sim.sweep.plan import Planned, plan
from sim.sweep.point import Point
from sim.sweep.run import SweepStoppedError, local, run_sweep

SWEEP = Sweep("study", Path("base.yaml"), POINTS)


def go(fake: Fake, out: Path, sweep: Sweep = SWEEP, *, resume: bool = True) -> int:
    return run_sweep(sweep, out, fake, resume=resume).exit_code


def states(fake: Fake, out: Path, sweep: Sweep = SWEEP) -> list[tuple[str, str]]:
    return [(item.state, item.reason) for item in plan(sweep, out, fake)]


def results(out: Path) -> tuple[bytes, ...]:
    folder = out / "sweep-study"
    names = ("results.parquet", "results.csv", "points.jsonl")
    return tuple((folder / name).read_bytes() for name in names)


def test_all_points_run_once_and_the_results_have_a_row_for_each(tmp_path: Path) -> None:
    fake = Fake(log=tmp_path / "log")
    outcome = run_sweep(SWEEP, tmp_path, fake)
    assert (outcome.done, outcome.skipped, outcome.failures, outcome.exit_code) == (6, 0, (), 0)
    assert fake.ran() == [(10, 1), (10, 2), (20, 1), (20, 2), (30, 1), (30, 2)]
    table = pq.read_table(outcome.folder / "results.parquet")
    assert table.column_names == [
        "point", "seed", "run", "status", "error", "size", "zone", "power_w.chip",
    ]  # fmt: skip
    assert table.column("power_w.chip").to_pylist() == [s * k / 3 for s, k in fake.ran()]
    first = (outcome.folder / "results.csv").read_text().splitlines()[1]
    name = fake.identify(POINTS[0]).hash8
    assert first == f"0,1,runs/fake-{name}/seed-1,done,,10,VA,3.3333333333333335"


def test_resume_runs_nothing_twice_and_without_it_all_again(tmp_path: Path) -> None:
    go(Fake(), tmp_path)
    before, again = results(tmp_path), Fake(log=tmp_path / "again")
    assert go(again, tmp_path) == 0
    assert again.ran() == []
    anew = Fake(log=tmp_path / "anew")
    assert go(anew, tmp_path, resume=False) == 0
    assert len(anew.ran()) == 6
    assert results(tmp_path) == before


@pytest.mark.parametrize("moment", [(10, 1), (20, 2), (30, 2)])
def test_an_interrupt_then_resume_equals_an_undisturbed_sweep(
    tmp_path: Path, moment: tuple[int, int]
) -> None:
    crashed = Fake(faults={moment: KeyboardInterrupt()}, log=tmp_path / "first")
    with pytest.raises(KeyboardInterrupt):
        go(crashed, tmp_path / "a")
    rows = pq.read_table(tmp_path / "a" / "sweep-study" / "results.parquet").to_pylist()
    assert [row["status"] for row in rows].count("done") == len(crashed.ran()) - 1
    second = Fake(log=tmp_path / "second")
    assert go(second, tmp_path / "a") == 0
    assert second.ran()[0] == moment
    assert len(crashed.ran()) - 1 + len(second.ran()) == 6
    go(Fake(), tmp_path / "b")
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert len(find_runs(tmp_path / "a" / "sweep-study" / "runs")) == 6


def test_a_failing_run_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    fake = Fake(faults={(20, 1): ZeroDivisionError("no power")})
    outcome = run_sweep(SWEEP, tmp_path, fake)
    assert (outcome.done, outcome.exit_code) == (5, 3)
    assert outcome.failures == (("size=20 zone=VA seed=1", "ZeroDivisionError: no power"),)
    table = pq.read_table(outcome.folder / "results.parquet").to_pylist()
    assert table[2] == {
        "point": 2, "seed": 1, "run": None, "status": "failed",
        "error": "ZeroDivisionError: no power", "size": 20, "zone": "VA", "power_w.chip": None,
    }  # fmt: skip
    assert states(fake, tmp_path)[2] == ("to do", "failed: ZeroDivisionError: no power")
    mended = Fake(log=tmp_path / "log")
    assert go(mended, tmp_path) == 0
    assert mended.ran() == [(20, 1)]
    go(Fake(), tmp_path / "b")
    assert results(tmp_path) == results(tmp_path / "b")


def test_a_point_that_does_not_resolve_is_a_failure_of_its_own(tmp_path: Path) -> None:
    bad = Point(6, (("size", 666), ("zone", "VA")), 1)
    sweep = replace(SWEEP, points=(*SWEEP.points, bad))
    fake = Fake(log=tmp_path / "log")
    assert states(fake, tmp_path, sweep)[-1] == (
        "invalid", "size: 666 is above the largest value 100",
    )  # fmt: skip
    assert go(fake, tmp_path, sweep) == 3
    assert len(fake.ran()) == 6


class Elsewhere(Fake):
    """Leaves its folder where nobody looks for it."""

    def run(self, point: Point, out: Path) -> Path:
        return super().run(point, out / "elsewhere")


def test_a_run_that_leaves_no_folder_is_a_failure(tmp_path: Path) -> None:
    outcome = run_sweep(SWEEP, tmp_path, Elsewhere())
    assert outcome.exit_code == 3
    assert outcome.failures[0][1].startswith("left no finished run at runs/fake-")


def test_the_plan_says_why(tmp_path: Path) -> None:
    assert set(states(Fake(), tmp_path)) == {("to do", "never run")}
    go(Fake(), tmp_path)
    assert set(states(Fake(), tmp_path)) == {("done", "finished")}
    assert set(states(Fake("2"), tmp_path)) == {("stale", "changed since: version (1 then, 2 now)")}
    changed = (("grid/zones.csv", "b"),)
    assert set(states(Fake(files=changed), tmp_path)) == {
        ("stale", "changed since: data (grid/zones.csv)")
    }
    reseeded = replace(SWEEP, points=tuple(replace(p, seed=p.seed + 5) for p in POINTS))
    assert set(states(Fake(), tmp_path, reseeded)) == {("stale", "changed since: seed (was 1, 2)")}
    more = replace(SWEEP, points=(*POINTS, replace(POINTS[0], index=6, seed=9)))
    assert states(Fake(), tmp_path, more)[-1] == ("to do", "never run")
    folder = tmp_path / "sweep-study"
    run = find_runs(folder / "runs")[0]
    (run.path / "manifest.json").write_text("{")
    assert states(Fake(), tmp_path).count(("to do", "its folder is missing or damaged")) == 1
    (folder / JOURNAL).unlink()
    assert states(Fake(), tmp_path).count(("done", "finished")) == 5
    assert states(Fake("2"), tmp_path).count(("to do", "never run")) == 6


def test_a_changed_scenario_is_told(tmp_path: Path) -> None:
    go(Fake(), tmp_path)

    class Other(Fake):
        def _values(self, point: Point) -> dict[str, object]:
            return {**super()._values(point), "added": 1}

    assert set(states(Other(), tmp_path)) == {("stale", "changed since: scenario")}


def test_a_folder_with_a_changed_file_is_not_counted(tmp_path: Path) -> None:
    go(Fake(), tmp_path)
    before = results(tmp_path)
    run = find_runs(tmp_path / "sweep-study" / "runs")[0]
    (run.path / "summary.json").write_text('{"power_w": {"chip": 1')
    assert states(Fake(), tmp_path).count(("to do", "its folder is missing or damaged")) == 1
    again = Fake(log=tmp_path / "log")
    assert go(again, tmp_path) == 0
    assert len(again.ran()) == 1
    assert results(tmp_path) == before


def test_planning_writes_nothing_and_identifies_each_scenario_once(tmp_path: Path) -> None:
    calls = []

    class Counted(Fake):
        def identify(self, point: Point) -> object:  # type: ignore[override]
            calls.append(point)
            return super().identify(point)

    plan(SWEEP, tmp_path / "out", Counted())  # type: ignore[arg-type]
    assert len(calls) == 3
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_of_each_point(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []

    def note(_item: Planned, status: str, result: Result | None) -> None:
        seen.append((status, result is not None and result.wall_s > 0))

    fake = Fake(faults={(10, 2): ValueError("x")})
    run_sweep(SWEEP, tmp_path, fake, progress=note)
    run_sweep(SWEEP, tmp_path, fake, progress=note, resume=True)
    assert seen[:3] == [("done", True), ("failed", True), ("done", True)]
    assert [status for status, _ in seen[6:]] == ["skipped", "failed", *["skipped"] * 4]


def test_two_sweeps_do_not_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sim.sweep.run.LOCK_WAIT_S", 0.05)
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


def test_a_full_disk_stops_the_sweep_and_loses_nothing(tmp_path: Path) -> None:
    full = InputError("cannot be written: No space left on device")
    full.__cause__ = OSError(28, "No space left on device")
    with pytest.raises(SweepStoppedError, match=r"No space left.*--resume; finished runs are kept"):
        go(Fake(faults={(20, 2): full}), tmp_path)
    rows = pq.read_table(tmp_path / "sweep-study" / "results.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["done"] * 3 + ["to do"] * 3
    again = Fake(log=tmp_path / "log")
    assert go(again, tmp_path) == 0
    assert again.ran() == [(20, 2), (30, 1), (30, 2)]


def test_a_journal_on_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "sweep-study"
    folder.mkdir()
    (folder / JOURNAL).symlink_to("/dev/full")
    with pytest.raises(InputError, match="sweep-study: cannot be written: No space left on device"):
        go(Fake(), tmp_path)
    (folder / JOURNAL).unlink()
    again = Fake(log=tmp_path / "log")
    assert go(again, tmp_path) == 0
    assert len(again.ran()) == 5  # the first run was finished when its line did not fit


def test_the_journal_skips_torn_lines_and_keeps_the_last_attempt(tmp_path: Path) -> None:
    append(tmp_path, Entry("a", "failed", error="x"))
    with (tmp_path / JOURNAL).open("ab") as stream:
        stream.write(b'{"key": "b", "sta')
    append(tmp_path, Entry("a", "done", "0a1b2c3d", {"version": "1"}))
    with (tmp_path / JOURNAL).open("ab") as stream:
        stream.write(b'[1]\n{"other": 1}\n\xff\n')
    assert read_journal(tmp_path).last == {"a": Entry("a", "done", "0a1b2c3d", {"version": "1"})}
    assert read_journal(tmp_path / "nowhere").last == {}


def test_names_that_collide_are_told_apart(tmp_path: Path) -> None:
    class Colliding(Fake):
        def run(self, point: Point, out: Path) -> Path:
            run_id = RunId("fake", self.identify(point).hash8, point.seed)
            with RunFolder.open(run_id, out, {}) as run:
                run.write_json("summary.json", {"size": 3})
            return run.final

    points = (Point(0, (("size", 10), ("zone", "VA"), ("status", 5)), 1),)
    run_sweep(replace(SWEEP, points=points), tmp_path, Colliding())
    (row,) = pq.read_table(tmp_path / "sweep-study" / "results.parquet").to_pylist()
    assert (row["status"], row["set.status"]) == ("done", 5)
    assert (row["size"], row["summary.size"]) == (10, 3)


def test_the_index_is_made_again_from_the_folders(tmp_path: Path) -> None:
    go(Fake(), tmp_path)
    before, folder = results(tmp_path), tmp_path / "sweep-study"
    assert is_current(folder)
    for name in ("results.parquet", "results.csv", JOURNAL):
        (folder / name).unlink()
    assert not is_current(folder)
    rebuild(folder)
    assert results(tmp_path) == before


def test_while_a_sweep_is_at_work_the_journal_tells_what_is_finished(tmp_path: Path) -> None:
    fake = Fake(faults={(20, 1): KeyboardInterrupt()})
    with contextlib.suppress(KeyboardInterrupt):
        go(fake, tmp_path)
    folder = tmp_path / "sweep-study"
    bare = [replace(line, run="") for line in read_points(folder)]
    text = "".join(json.dumps(asdict(line)) + "\n" for line in bare)
    (folder / "points.jsonl").write_text(text)
    assert [bool(line.run) for line in read_points(folder)] == [True, True, *[False] * 4]


def test_no_sweep_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no sweep's folder: points.jsonl: No such file"):
        rebuild(tmp_path)


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_sweep_run as t
print("at work", flush=True)
work = t.Fake(pause_s=0.03)
t.run_sweep(t.SWEEP, Path(sys.argv[1]), work, t.local(2), resume=True)
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
    last = Fake(log=tmp_path / "last")
    before = len(find_runs(killed / "sweep-study" / "runs"))
    assert go(last, killed) == 0
    assert before + len(last.ran()) == 6
    go(Fake(), tmp_path / "calm")
    assert results(killed) == results(tmp_path / "calm")
    assert not list(killed.rglob(".*"))


def pooled(fake: Fake, out: Path, limits: Limits | None = None, memory: int | None = None):  # type: ignore[no-untyped-def]
    make = local(2, limits)
    return run_sweep(SWEEP, out, fake, make, memory_bytes=memory)


def test_two_processes_give_the_same_bytes_as_one(tmp_path: Path) -> None:
    assert pooled(Fake(), tmp_path / "two").exit_code == 0
    go(Fake(), tmp_path / "one")
    assert results(tmp_path / "two") == results(tmp_path / "one")


class Telling(Fake):
    """Writes down what the libraries of its process are told about threads."""

    def run(self, point: Point, out: Path) -> Path:
        with RunFolder.open(RunId("fake", self.identify(point).hash8, point.seed), out, {}) as run:
            names = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")]
            run.write_json("summary.json", {name: os.environ.get(name) for name in names})
        return run.final


def test_the_libraries_of_a_worker_have_one_thread_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    outcome = run_sweep(SWEEP, tmp_path, Telling(), local(2))
    (told, *_) = [run.summary() for run in find_runs(outcome.folder / "runs")]
    assert set(told.values()) == {"1"}
    assert len(told) == 4


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    fake = Fake(faults={(20, 1): tmp_path / "died"})
    assert pooled(fake, tmp_path / "a").exit_code == 0
    go(Fake(), tmp_path / "b")
    assert results(tmp_path / "a") == results(tmp_path / "b")


def test_what_goes_wrong_in_a_worker_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    faults: dict[tuple[int, int], object] = {
        (10, 1): "die", (20, 2): "hang", (30, 1): "eat", (30, 2): ValueError("no")
    }  # fmt: skip
    limits = Limits(retries=1, time_s=1.5)
    outcome = pooled(Fake(faults=faults), tmp_path, limits, 2**31)
    assert outcome.exit_code == 3
    assert dict(outcome.failures) == {
        "size=10 zone=VA seed=1": "its worker died (signal 9), 2 times",
        "size=20 zone=VA seed=2": "took longer than the limit of 1.5 s",
        "size=30 zone=VA seed=1": "needs more memory than the limit of 2,048 MiB: ",
        "size=30 zone=VA seed=2": "ValueError: no",
    }
    assert outcome.done == 2
