"""`run --from`: any finished run comes out again byte for byte, and never replaces itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sim.cli.main import main
from sim.record.store import file_hashes, find_runs
from sim.scenario.again import FIGURES_FILE, figures_of

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases"
ERROR = "hardware/h100-sxm.yaml:power.model_error_frac"
PEAK = "grid/assumptions.yaml:peak_derived_factor"
TINY = ("--set", "grid.samples=8", "--set", "grid.hosting=false")

SWEEP = f"""
name: drawn
base: {ROOT / "scenarios" / "100k-h100-one-state.yaml"}
set: {{horizon_h: 0.1, grid.samples: 8, grid.hosting: false}}
policies: [none, "power-cap:gpu_w=500"]
samples: {{method: latin-hypercube, count: 2, assumptions: ["{ERROR}", "{PEAK}"]}}
seeds: [3]
"""

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep with drawn figures and policies, finished."""
    place = tmp_path_factory.mktemp("swept")
    (place / "drawn.yaml").write_text(SWEEP)
    args = ["sweep", str(place / "drawn.yaml"), "--workers", "0", "--out", str(place / "out")]
    assert main(args) == 0
    return place / "out" / "sweep-drawn" / "runs"


@pytest.fixture
def traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a trace that its scenario names by a relative path."""
    for name in ("valid", "traces"):
        shutil.copytree(CASES / name, tmp_path / "work" / name)
    monkeypatch.chdir(tmp_path / "work" / "valid")
    assert main(["run", "serving-trace.yaml", *TINY, "--out", str(tmp_path / "out")]) == 0
    (run,) = find_runs(tmp_path / "out")
    return run.path


def test_runs_of_a_sweep_with_drawn_figures_come_out_again(
    swept: Path, tmp_path: Path, capsys: Capture
) -> None:
    runs = find_runs(swept)
    assert len(runs) == 4
    drawn = {tuple(figures_of(run.path).items()) for run in runs}
    assert len(drawn) == 2
    for run in runs:
        assert set(figures_of(run.path)) == {ERROR, PEAK}
        args = ["run", "--from", str(run.path / "manifest.json"), "--out", str(tmp_path)]
        assert main(args) == 0
        assert "byte for byte" in capsys.readouterr().out
        assert main(["check", str(run.path)]) == 0
        assert f"resolves to the same run, {run.id.hash8}" in capsys.readouterr().out
    assert [r.id for r in find_runs(tmp_path)] == [r.id for r in runs]


def test_without_its_figures_it_would_be_another_run(
    swept: Path, tmp_path: Path, capsys: Capture
) -> None:
    first = find_runs(swept)[0].path
    shutil.copytree(first, tmp_path / "seed-3")
    (tmp_path / "seed-3" / FIGURES_FILE).unlink()
    args = ["run", "--from", str(tmp_path / "seed-3" / "manifest.json"), "--out", str(tmp_path)]
    assert main(args) == 1
    told = capsys.readouterr().out
    assert "summary.json" in told
    assert "grid/assumptions.yaml has changed" in told


@pytest.mark.parametrize("text", ['{"a.yaml:b": 1.0}', '{"a.yaml:b": {"value": true}}', "{", "[]"])
def test_damaged_figures_are_one_clear_error(
    swept: Path, tmp_path: Path, text: str, capsys: Capture
) -> None:
    shutil.copytree(find_runs(swept)[0].path, tmp_path / "seed-3")
    (tmp_path / "seed-3" / FIGURES_FILE).write_text(text)
    assert main(["run", "--from", str(tmp_path / "seed-3" / "manifest.json")]) == 2
    assert f"{FIGURES_FILE}: is damaged" in capsys.readouterr().err


def test_a_trace_is_found_where_the_run_found_it(
    traced: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    args = ["run", "--from", str(traced / "manifest.json"), "--out", str(tmp_path / "again")]
    assert main(args) == 0
    assert main(["check", str(traced)]) == 0
    assert "resolves to the same run" in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["check", str(traced)]) == 0
    assert (
        "its name cannot be found again: ../traces/tiny.csv: a file that the run reads"
        in capsys.readouterr().out
    )
    assert main(args) == 2
    assert "../traces/tiny.csv" in capsys.readouterr().err


def test_a_run_made_again_in_its_own_place_is_not_replaced(traced: Path, capsys: Capture) -> None:
    manifest, out = traced / "manifest.json", traced.parents[1]
    told, stood = json.loads(manifest.read_text()), traced.stat().st_ino
    assert main(["run", "--from", str(manifest), "--out", str(out)]) == 0
    assert traced.stat().st_ino == stood
    (traced / "summary.json").write_text("{}")
    told["files"]["summary.json"] = file_hashes(traced)["summary.json"]
    manifest.write_text(json.dumps(told))
    capsys.readouterr()
    assert main(["run", "--from", str(manifest), "--out", str(out)]) == 1
    found = capsys.readouterr()
    assert "differs in summary.json" in found.out
    assert "the first run still stands" in found.err
    assert (traced / "summary.json").read_text() == "{}"


def test_another_version_is_named_as_the_reason(traced: Path, capsys: Capture) -> None:
    manifest = traced / "manifest.json"
    told = json.loads(manifest.read_text())
    told["version"], told["files"]["summary.json"] = "0.0.1", "0" * 64
    manifest.write_text(json.dumps(told))
    assert main(["run", "--from", str(manifest), "--out", "elsewhere"]) == 1
    assert "(flopgrid 0.0.1 then, " in capsys.readouterr().out


def test_a_dry_run_from_a_manifest_writes_nothing(traced: Path, capsys: Capture) -> None:
    args = ["run", "--from", str(traced / "manifest.json"), "-n", "--out", "nowhere"]
    assert main(args) == 0
    assert "would be made again below nowhere" in capsys.readouterr().out
    assert not Path("nowhere").exists()


def test_something_else_is_no_manifest(traced: Path, capsys: Capture) -> None:
    manifest = traced / "manifest.json"
    whole = json.loads(manifest.read_text())
    for key in ("seed", "files", "hash", "inputs", "version"):
        manifest.write_text(json.dumps({k: v for k, v in whole.items() if k != key}))
        assert main(["run", "--from", str(manifest)]) == 2
        assert f"is no manifest of a run: {key} is None" in capsys.readouterr().err
