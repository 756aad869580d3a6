"""A few kills of real commands; `tools/kills.py --kills 200` is the long form of this."""

from __future__ import annotations

import random
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.record.store import FinishedRun, RunFolder, RunId, find_runs

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
import kills  # noqa: E402 - found through the path above
import kills_serve  # noqa: E402

ID = RunId("fake", "0a1b2c3d", 1)


@pytest.mark.parametrize(("name", "times"), [("run", 1), ("sweep", 1), ("serve", 1)])
def test_nothing_finished_is_lost_and_nothing_half_written_counts(
    name: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "SEEDS", (1,))
    monkeypatch.setattr(kills, "PUES", (1.2, 1.3))
    text = kills.SWEEP_TEXT.replace("[1, 2, 3]", "[1]")
    text = text.replace("[1.2, 1.25, 1.3, 1.35, 1.4, 1.45]", "[1.2, 1.3]")
    monkeypatch.setattr(kills, "SWEEP_TEXT", text)
    told = kills.stress(tmp_path, times, 7, [name])
    assert told["faults"] == []
    assert told["landed"] == times


@pytest.fixture
def folders(tmp_path: Path) -> kills.Folders:
    """A finished run, checked once, and the calm one."""
    for place in ("calm", "out"):
        with RunFolder.open(ID, tmp_path / place, {}) as run:
            run.write_json("summary.json", {"a": 1})
    found = kills.Folders(tmp_path / "out", tmp_path / "calm")
    assert found.check() == []
    return found


def test_a_lost_run_is_found(folders: kills.Folders) -> None:
    shutil.rmtree(ID.folder(folders.out))
    assert folders.check() == ["('0a1b2c3d', 1) was finished and is gone"]


def test_a_half_written_run_is_found(folders: kills.Folders) -> None:
    (ID.folder(folders.out) / "summary.json").write_text('{"a"')
    found = folders.check()
    assert any("damaged" in fault for fault in found)
    assert any("differs from the calm run" in fault for fault in found)


def test_a_final_name_without_a_manifest_is_found(folders: kills.Folders) -> None:
    (ID.folder(folders.out) / "manifest.json").unlink()
    assert any("has a final name and is not finished" in fault for fault in folders.check())


def test_a_run_that_ends_during_the_check_is_no_fault(
    folders: kills.Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_then_end(place: Path) -> list[FinishedRun]:
        found = find_runs(place)
        late = RunId("fake", "0a1b2c3d", 2)
        if not late.folder(place).exists():
            with RunFolder.open(late, place, {}) as run:
                run.write_json("summary.json", {"a": 2})
        return found

    monkeypatch.setattr(kills, "find_runs", find_then_end)
    assert folders.check() == []


def test_a_draft_that_stays_is_found(folders: kills.Folders) -> None:
    (folders.out / "fake-0a1b2c3d" / ".seed-1.tmp-ff").mkdir()
    assert len(folders.drafts()) == 1


def test_a_row_that_counts_what_is_not_there_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    monkeypatch.setattr(kills, "call", lambda _: [])
    sweep = kills.Sweep(tmp_path, random.Random(1))  # noqa: S311 - moments
    place = tmp_path / "sweep-killed" / "sweep-kills"
    place.mkdir(parents=True)
    table = pa.table({"run": ["runs/a-0/seed-1"], "status": ["done"]})
    pq.write_table(table, place / "results.parquet")
    assert sweep.check() == ["runs/a-0/seed-1 is counted and not there"]


WHOLE: dict[str, Any] = {
    "drawn": True, "trouble": "", "answer": {"captions": {"power_time": "steady"}},
    "files": ["figures.csv", "power_time.csv", "power_time.svg", "report.html", "scenario.yaml"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "killed", "found"),
    [
        ({}, False, []),
        ({"drawn": False}, True, ["its figures do not come to an end: drawn False"]),
        ({"trouble": "the figures' worker died"}, True, []),
        ({"trouble": "the figures' worker died"}, False, ['trouble "the figures\' worker died"']),
        ({"trouble": "no tables"}, True, ["trouble 'no tables'"]),
        ({"files": WHOLE["files"][:-2]}, False, ["no trouble, but no report.html, scenario.yaml"]),
        ({"answer": {"captions": {"lost": "-"}}}, False, ["no trouble, but no lost.svg"]),
    ],
)
def test_figures_that_do_not_come_are_found(
    changes: dict[str, Any], killed: bool, found: list[str]
) -> None:
    assert kills_serve.figure_faults(WHOLE | changes, killed=killed) == found
