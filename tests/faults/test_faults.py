"""Disks, folders, clocks, memory, solvers and damaged files that are not as they should be.

What is finished stays; what is not is marked; the message says what to do; no traceback.
"""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sim.cli.main import main
from sim.errors import FlopgridError
from sim.record import atomic
from sim.record.store import file_hashes, find_runs
from sim.sweep.index import CLOCK_TOLERANCE_NS, is_current

ROOT = Path(__file__).resolve().parents[2]
SCENARIO = ROOT / "scenarios" / "100k-h100-one-state.yaml"
TINY = ("horizon_h=0.1", "grid.samples=8", "grid.hosting=false")
RUN = ["run", str(SCENARIO), *(word for text in TINY for word in ("--set", text))]
SWEEP = f"""
name: faults
base: {SCENARIO}
set: {{horizon_h: 0.1, grid.samples: 8, grid.hosting: false}}
axes:
  sites.campus.facility.pue_design: [1.2, 1.3]
seeds: [1]
"""

Capture = pytest.CaptureFixture[str]


def limited(args: list[str], limits: Callable[[], None]) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, under limits."""
    return subprocess.run(
        [sys.executable, "-m", "sim", *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limits,
        timeout=120,
    )


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep: the folder in which `sweep-faults` and its file stand."""
    place = tmp_path_factory.mktemp("swept")
    (place / "faults.yaml").write_text(SWEEP)
    assert sweep(place) == 0
    return place


def sweep(place: Path, *more: str) -> int:
    words = ["sweep", str(place / "faults.yaml"), "--workers", "0", "--out", str(place)]
    return main([*words, "--resume", *more])


def query(place: Path, capsys: Capture) -> str:
    capsys.readouterr()
    assert main(["query", str(place / "sweep-faults"), "select count(*) as n from runs"]) == 0
    return capsys.readouterr().out


def test_a_file_that_grows_too_large_leaves_no_run(tmp_path: Path) -> None:
    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

    told = limited([*RUN, "--out", str(tmp_path)], small_files)
    assert told.returncode == 2
    assert "cannot be written: File too large; make room there, or give another" in told.stderr
    assert "Traceback" not in told.stderr
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_refuses_any_write_leaves_no_half_run(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main([*RUN, "--out", str(tmp_path)]) == 0
    (before,) = find_runs(tmp_path)
    hashes, write = file_hashes(before.path), Path.write_bytes
    for allowed in (0, 1, 3):
        left = [allowed]

        def refuse(self: Path, data: bytes, left: list[int] = left) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(code, os.strerror(code), str(self))
            return write(self, data)

        monkeypatch.setattr(Path, "write_bytes", refuse)
        capsys.readouterr()
        assert main([*RUN, "--out", str(tmp_path)]) == 2
        err = capsys.readouterr().err
        assert f"cannot be written: {os.strerror(code)}" in err
        assert "another folder with --out" in err
        assert file_hashes(before.path) == hashes
        assert not list(tmp_path.rglob(".*"))


def test_a_place_where_no_folder_can_be_made_is_told_at_once(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "file").write_text("")
    for out, why in (("/proc/x", "No such file"), (str(tmp_path / "file"), "Not a directory")):
        assert main([*RUN, "--out", out]) == 2
        assert f"cannot be written: {why}" in capsys.readouterr().err


def test_a_parent_that_goes_for_ever_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_try_lock", lambda _: False)
    with pytest.raises(FileNotFoundError):
        atomic.start(tmp_path / "seed-1")


def test_a_full_standard_output_is_one_line(tmp_path: Path) -> None:
    del tmp_path
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "sim", "arch", "list"], stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, cwd=ROOT,
        )  # fmt: skip
    assert told.returncode == 2
    assert told.stderr.startswith("flopgrid: No space left on device")


def test_a_run_without_memory_ends_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    def eat(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("sim.scenario.run.simulate", eat)
    assert main([*RUN, "--out", str(tmp_path)]) == 2
    assert "there is not enough memory; ask for less" in capsys.readouterr().err


def test_a_worker_without_memory_is_a_failure_of_its_run(swept: Path, tmp_path: Path) -> None:
    words = ["sweep", str(swept / "faults.yaml"), "--workers", "1", "--out", str(tmp_path)]
    told = limited([*words, "--memory-limit-mib", "40", "--retries", "0"], lambda: None)
    assert told.returncode == 3
    assert "Traceback" not in told.stdout
    assert "2 failed" in told.stdout


def test_a_solver_that_fails_ends_the_run_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    def fail(*_: object) -> None:
        raise FlopgridError("power balance not solved: the solver ended with 'Time limit'")

    monkeypatch.setattr("sim.scenario.run.grid_view", fail)
    assert main([*RUN, "--out", str(tmp_path)]) == 1
    assert "not solved: the solver ended with 'Time limit'" in capsys.readouterr().err
    (left,) = tmp_path.glob("*/*")
    assert left.name == "seed-1.failed"
    assert "solver ended with 'Time limit'" in (left / "manifest.json").read_text("utf-8")


@pytest.mark.parametrize("keep", [0, 60, -9])
def test_a_damaged_index_is_made_again(swept: Path, capsys: Capture, keep: int) -> None:
    path = swept / "sweep-faults" / "results.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert "2" in query(swept, capsys)
    assert path.read_bytes() == whole


def test_damaged_points_say_what_to_do_and_resume_does_it(swept: Path, capsys: Capture) -> None:
    path = swept / "sweep-faults" / "points.jsonl"
    whole = path.read_bytes()
    for bad in (b'{"point": 1', b"\xff\xfe\n", b"[]\n", b"3\n"):
        path.write_bytes(bad)
        assert main(["query", str(swept / "sweep-faults"), "select 1"]) == 2
        assert "is damaged: " in capsys.readouterr().err
    path.unlink()
    assert main(["query", str(swept / "sweep-faults"), "select 1"]) == 2
    assert sweep(swept) == 0
    assert "0 done, 2 finished before" in capsys.readouterr().out
    assert path.read_bytes() == whole


def test_a_damaged_journal_costs_reasons_not_runs(swept: Path, capsys: Capture) -> None:
    (swept / "sweep-faults" / "journal.jsonl").write_bytes(bytes(range(256)) * 4)
    capsys.readouterr()
    assert sweep(swept) == 0
    assert "0 done, 2 finished before" in capsys.readouterr().out


def test_an_index_of_the_future_is_not_believed(swept: Path, capsys: Capture) -> None:
    """The clock was a day ahead when the index was made, and has been set back since."""
    folder = swept / "sweep-faults"
    assert is_current(folder)
    later_ns = time.time_ns() + 86_400 * 10**9
    os.utime(folder / "results.parquet", ns=(later_ns, later_ns))
    assert not is_current(folder)
    query(swept, capsys)
    assert is_current(folder)
    soon_ns = time.time_ns() + CLOCK_TOLERANCE_NS // 2
    os.utime(folder / "results.parquet", ns=(soon_ns, soon_ns))
    assert is_current(folder)


@pytest.mark.parametrize("jump_s", [-1e9, 1e9])
def test_a_clock_that_jumps_changes_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    assert main([*RUN, "--out", str(tmp_path / "calm")]) == 0
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump_s)
    assert main([*RUN, "--out", str(tmp_path / "jumped")]) == 0
    (calm,), (jumped,) = find_runs(tmp_path / "calm"), find_runs(tmp_path / "jumped")
    assert file_hashes(calm.path) == file_hashes(jumped.path)
    assert jumped.manifest["wall_s"] >= 0


def test_a_report_of_a_damaged_summary_is_one_line(swept: Path, capsys: Capture) -> None:
    run = find_runs(swept / "sweep-faults" / "runs")[0].path
    whole = (run / "summary.json").read_bytes()
    try:
        for bad in ("{}", "{", "[]"):
            (run / "summary.json").write_text(bad)
            assert main(["report", str(run)]) in (1, 2)
            err = capsys.readouterr().err
            assert "lacks 'name'" in err or "is damaged" in err
    finally:
        (run / "summary.json").write_bytes(whole)
