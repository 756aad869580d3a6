"""Run folders: complete or not there, the same bytes for the same run, kills survived."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.errors import InputError, LawViolation
from sim.record import atomic
from sim.record.store import (
    RunFolder,
    RunId,
    clean_runs,
    damage,
    file_hashes,
    find_run,
    find_runs,
    json_text,
    read_json,
)

ID = RunId("one-state", "0a1b2c3d", 1)


def write(out: Path, value: float = 1.0, run_id: RunId = ID) -> Path:
    with RunFolder.open(run_id, out, {"command": "test"}) as run:
        run.write_json("summary.json", {"value": value})
        run.write_text("figures/a.svg", "<svg/>\n")
        run.write_table("signals.parquet", pa.table({"x": [1, 2], "y": ["a", "b"]}))
    return run.final


def break_off(out: Path, error: BaseException) -> None:
    """A run that ends with an error."""
    with RunFolder.open(ID, out, {}) as run:
        run.write_text("half.txt", "x")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_finished_run_stands_under_its_contracted_name(tmp_path: Path) -> None:
    path = write(tmp_path)
    assert path == tmp_path / "one-state-0a1b2c3d" / "seed-1"
    assert names(path) == ["figures", "figures/a.svg", "manifest.json", "signals.parquet",
                           "summary.json"]  # fmt: skip
    manifest = read_json(path / "manifest.json")
    assert (manifest["status"], manifest["command"], manifest["seed"]) == ("done", "test", 1)
    assert manifest["wall_s"] >= 0
    assert manifest["started_utc"].endswith("+00:00")
    assert (path / "summary.json").read_text() == '{\n  "value": 1.0\n}\n'
    assert pq.read_table(path / "signals.parquet").to_pydict() == {"x": [1, 2], "y": ["a", "b"]}
    assert names(tmp_path)[0] == "one-state-0a1b2c3d"
    assert not list(path.parent.glob(".*"))


def test_bytes_are_the_same_but_for_the_manifest(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a"), write(tmp_path / "b")
    assert file_hashes(one) == file_hashes(two)
    assert set(file_hashes(one)) == {"figures/a.svg", "signals.parquet", "summary.json"}


def test_while_it_runs_it_does_not_look_finished(tmp_path: Path) -> None:
    with RunFolder.open(ID, tmp_path, {}) as run:
        assert read_json(run.path / "manifest.json")["status"] == "running"
        assert find_run(ID, tmp_path) is None
        assert find_runs(tmp_path) == []
        assert clean_runs(tmp_path) == []
        assert run.path.is_dir()
    found = find_run(ID, tmp_path)
    assert found is not None
    assert [run.id for run in find_runs(tmp_path)] == [ID]


def test_a_second_run_replaces_the_first_and_others_stay(tmp_path: Path) -> None:
    other = RunId("one-state", "0a1b2c3d", 2)
    write(tmp_path, run_id=other)
    write(tmp_path, 1.0)
    write(tmp_path, 2.0)
    runs = find_runs(tmp_path)
    assert [run.id for run in runs] == [ID, other]
    assert [run.summary()["value"] for run in runs] == [2.0, 1.0]
    assert len(list(runs[0].path.parent.iterdir())) == 2


def test_replacing_works_where_the_system_cannot_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    write(tmp_path, 1.0)
    path = write(tmp_path, 2.0)
    assert read_json(path / "summary.json") == {"value": 2.0}
    assert len(list(path.parent.iterdir())) == 1


def test_a_crash_between_the_two_renames_is_put_right(tmp_path: Path) -> None:
    path = write(tmp_path, 1.0)
    path.rename(path.with_name(".seed-1.old-00ff"))
    assert find_runs(tmp_path) == []
    assert clean_runs(tmp_path) == []
    assert [run.summary()["value"] for run in find_runs(tmp_path)] == [1.0]
    (path.with_name(".seed-1.old-00fe")).mkdir()
    clean_runs(tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["seed-1"]


def test_when_the_second_rename_fails_the_first_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, 1.0)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if ".tmp-" in self.name and not path.exists():
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_exchange", lambda *_: False)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InputError, match="cannot be written: Input/output error"):
        write(tmp_path, 2.0)
    assert [run.summary()["value"] for run in find_runs(tmp_path)] == [1.0]
    assert [p.name for p in path.parent.iterdir()] == ["seed-1"]


@pytest.mark.parametrize("error", [InputError("bad"), KeyboardInterrupt()])
def test_wrong_input_and_interrupt_leave_nothing(tmp_path: Path, error: BaseException) -> None:
    out = tmp_path / "out"
    with pytest.raises(type(error)):
        break_off(out, error)
    assert names(out) == []


def test_a_failed_run_is_kept_apart_and_harms_no_finished_one(tmp_path: Path) -> None:
    path = write(tmp_path, 1.0)
    with pytest.raises(LawViolation):
        break_off(tmp_path, LawViolation("energy is lost"))
    assert [run.summary()["value"] for run in find_runs(tmp_path)] == [1.0]
    manifest = read_json(path.with_name("seed-1.failed") / "manifest.json")
    assert (manifest["status"], manifest["error"]) == ("failed", "LawViolation: energy is lost")
    write(tmp_path, 2.0)
    assert sorted(p.name for p in path.parent.iterdir()) == ["seed-1"]


def test_damage_is_seen(tmp_path: Path) -> None:
    write(tmp_path)
    (run,) = find_runs(tmp_path)
    assert damage(run) == []
    (run.path / "summary.json").write_text("{}")
    (run.path / "new.txt").write_text("")
    (run.path / "signals.parquet").unlink()
    assert damage(run) == ["new.txt", "signals.parquet", "summary.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"status": "running"}', '{"status": "done", "hash": "ffffffff"}', "\0"]
)
def test_a_damaged_or_foreign_manifest_is_not_a_finished_run(tmp_path: Path, text: str) -> None:
    path = write(tmp_path)
    (path / "manifest.json").write_text(text)
    assert find_run(ID, tmp_path) is None
    assert find_runs(tmp_path) == []


def test_foreign_folders_are_not_runs(tmp_path: Path) -> None:
    path = write(tmp_path)
    for name in ("seed-01", "seed-x", "seed-1.failed"):
        (path.with_name(name)).mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "seed-1").mkdir()
    (tmp_path / "file").write_text("")
    assert [run.path for run in find_runs(tmp_path)] == [path]
    assert find_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("scenario", "hash8", "seed", "message"),
    [
        ("../a", "0a1b2c3d", 1, "scenario name '../a' is no file name"),
        ("", "0a1b2c3d", 1, "scenario name '' is no"),
        (".a", "0a1b2c3d", 1, "is no file name"),
        ("a/b", "0a1b2c3d", 1, "is no file name"),
        ("a" * 101, "0a1b2c3d", 1, "at most 100"),
        ("a", "0A1B2C3D", 1, "is not 8 hex digits"),
        ("a", "0a1b2c3d", -1, "seed -1 is below 0"),
    ],
)
def test_names_are_checked(scenario: str, hash8: str, seed: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        RunId(scenario, hash8, seed)


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", "manifest.json"])
def test_files_stay_inside_the_run(tmp_path: Path, name: str) -> None:
    with RunFolder.open(ID, tmp_path, {}) as run, pytest.raises(ValueError, match="no file name"):
        run.write_text(name, "x")


def test_an_unwritable_place_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"seed-1: cannot be written: Not a directory; make room"):
        RunFolder.open(ID, tmp_path / "file", {})


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1.0)

    write_bytes = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "signals.parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"seed-1/signals\.parquet: cannot be written: No space"):
        write(tmp_path, 2.0)
    monkeypatch.undo()
    assert [run.summary()["value"] for run in find_runs(tmp_path)] == [1.0]
    assert not list(tmp_path.glob("*/.*"))


def test_json_is_sorted_exact_and_knows_numpy() -> None:
    data = {"b": np.float64(0.1), "a": np.arange(2), "c": [np.int64(3), True, None, "é", 1e-300]}
    assert json.loads(json_text(data)) == {"a": [0, 1], "b": 0.1, "c": [3, True, None, "é", 1e-300]}
    assert json_text({"b": 1, "a": 2}) == '{\n  "a": 2,\n  "b": 1\n}\n'


def test_a_number_that_is_not_finite_is_a_defect_with_its_place() -> None:
    with pytest.raises(LawViolation, match=r"power_w\.chip\[1\] is nan, not a finite number"):
        json_text({"power_w": {"chip": [1.0, math_nan()]}})


def math_nan() -> float:
    return float(np.float64("nan"))


def test_many_writers_of_one_run_leave_one_whole_run(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def work(value: float) -> None:
        try:
            for _ in range(5):
                write(tmp_path, value)
        except BaseException as error:  # noqa: BLE001 - a thread's error must reach the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(float(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    (run,) = find_runs(tmp_path)
    assert damage(run) == []
    assert [p.name for p in run.path.parent.iterdir()] == ["seed-1"]


CHILD = """
import sys
from pathlib import Path
from sim.record.store import RunFolder, RunId
out, n = Path(sys.argv[1]), 0
while True:
    with RunFolder.open(RunId("one-state", "0a1b2c3d", n % 3), out, {}) as run:
        for name in "abcdefgh":
            run.write_text(f"{name}.txt", f"{n}" * 2000)
        run.write_json("summary.json", {"n": n})
    if n == 0:
        print("one is finished", flush=True)
    n += 1
"""


@pytest.mark.parametrize("exchange", [True, False])
def test_a_kill_at_any_moment_loses_nothing_finished(tmp_path: Path, exchange: bool) -> None:
    """Once a seed has a finished run it has one after every kill, whole."""
    setup = "" if exchange else "import sim.record.atomic as a\na._exchange = lambda *_: False\n"
    moments, known = random.Random(7), 1  # noqa: S311 - moments, not secrets
    for _ in range(4):
        command = [sys.executable, "-c", setup + CHILD, str(tmp_path)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ})
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moments.uniform(0.0, 0.1))
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        clean_runs(tmp_path)
        runs = find_runs(tmp_path)
        assert len(runs) >= known
        known = len(runs)
        for run in runs:
            assert damage(run) == []
            number: Any = run.summary()["n"]
            assert (run.path / "h.txt").read_text() == f"{number}" * 2000
        assert not list(tmp_path.glob("*/.*"))
