"""The command line as a user meets it: output, exit codes, one-line errors, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim.cli.main import main
from sim.record.store import file_hashes

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests" / "cases"
SMALL = str(CASES / "valid" / "training-least.yaml")
FAST = ("--set", "grid.samples=8", "--set", "grid.hosting=false")
Capture = pytest.CaptureFixture[str]


def run_command(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sim", *args], capture_output=True, text=True, check=False,
        cwd=cwd or ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_help_names_every_command(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for command in ("run", "whatif", "sweep", "claims", "arch", "grid"):
        assert command in text


def test_help_imports_nothing_heavy() -> None:
    """What makes --help answer at once; the time itself is benchmarked."""
    code = (
        "import sys, contextlib, io\n"
        "from sim.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])\n"
        "heavy = {'numpy', 'scipy', 'simpy', 'networkx', 'matplotlib', 'pydantic', 'ruamel'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_a_run_leaves_a_complete_folder_and_a_verdict(tmp_path: Path, capsys: Capture) -> None:
    assert main(["run", SMALL, "--set", "grid.samples=8", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "Verdict" in out
    assert len(out.strip().splitlines()) <= 12
    (folder,) = tmp_path.glob("*/seed-1")
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert names >= {
        "manifest.json", "scenario.resolved.yaml", "summary.json", "signals.parquet",
        "figures/power.svg", "figures/power.csv", "figures/hosting.svg", "figures/hosting.csv",
    }  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "done"


def test_the_resolved_scenario_of_a_run_gives_the_same_run(tmp_path: Path) -> None:
    assert main(["run", SMALL, *FAST, "--out", str(tmp_path)]) == 0
    (folder,) = tmp_path.glob("*/seed-1")
    again = tmp_path / "again"
    assert main(["run", str(folder / "scenario.resolved.yaml"), "--out", str(again)]) == 0
    (other,) = again.glob("*/seed-1")
    assert other.parent.name == folder.parent.name
    assert (other / "summary.json").read_bytes() == (folder / "summary.json").read_bytes()


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: Capture) -> None:
    assert main(["run", SMALL, "-n", "--out", str(tmp_path)]) == 0
    assert "is to do" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ("{tp: 1, pp: 1, dp: 64}", "does not fit: a GPU lacks"),
        ("{tp: 16, pp: 1, dp: 4}", "tp 16 spans more than the 8 GPUs"),
        ("{tp: 8, pp: 200, dp: 1}", "is more than the"),
    ],
)
def test_a_dry_run_refuses_a_training_job_as_the_run_does(
    tmp_path: Path, capsys: Capture, layout: str, message: str
) -> None:
    job = f"workloads=[{{kind: training, arch: llama-3-70b, tokens: 1e9, layout: {layout}}}]"
    args = ["run", SMALL, "--out", str(tmp_path)]
    args += ["--set", f"sites.campus.{job}", "--set", "sites.campus.cluster.gpus=2048"]
    said = []
    for more in (["-n"], []):
        assert main([*args, *more]) == 2
        told = capsys.readouterr()
        assert not told.out
        said.append(told.err)
    assert said[0] == said[1]
    assert message in said[0]
    assert said[0].count("\n") == 1
    assert not list(tmp_path.glob("*/seed-*"))


def test_every_seed_of_the_scenario_is_run(tmp_path: Path) -> None:
    case = str(CASES / "valid" / "several-seeds.yaml")
    assert main(["run", case, *FAST, "--out", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.glob("*/seed-*")) == ["seed-1", "seed-2", "seed-3"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml"),
        (["run", SMALL, "--set", "sites.campus.at.zone=Texass"], "unknown zone 'Texass'"),
        (["run", SMALL, "--set", "sites.campus.cluster.gpus=-8"], "is below"),
        (["run", SMALL, "--set", "sites.campus.clutser.gpus=8"], "clutser"),
        (["run", SMALL, "--set", "horizon_h"], "horizon_h"),
        (["arch", "show", "llama-3-9b"], "did you mean 'llama-3-8b'?"),
        (["arch", "show", "llama-3-8b", "--dtype", "bf17"], "unknown precision 'bf17'"),
        (["arch", "compare", "llama-3-8b"], "name two or more"),
        (["grid", "show", "us-statess"], "did you mean 'us-states'?"),
        (["whatif", SMALL, "--policy", "spred:states=2"], "did you mean 'spread'?"),
        (["sweep", "nowhere.yaml"], "nowhere.yaml"),
        (["claims", "A99"], "A99"),
        (["run"], "no scenario is named"),
        (["run", "--from", "nowhere/manifest.json"], "nowhere/manifest.json"),
        (["run", SMALL, "--from", "nowhere/manifest.json"], "--from takes no scenario"),
        (["check", "nowhere"], "nowhere/manifest.json"),
        (["compare", "nowhere"], "nowhere/summary.json"),
    ],
)
def test_wrong_input_gives_one_clear_line_and_code_2(
    args: list[str], message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(args) == 2
    caught = capsys.readouterr()
    assert caught.out == ""
    assert caught.err.startswith("flopgrid: ")
    assert message in caught.err.splitlines()[0]
    assert "Traceback" not in caught.err
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_line_is_shown_with_a_caret(capsys: Capture) -> None:
    assert main(["run", str(CASES / "invalid" / "scenario-gpus-negative.yaml")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "scenario-gpus-negative.yaml:7:21:" in lines[0]
    assert lines[-1].strip("| ") == "^"


def test_a_run_that_cannot_be_built_leaves_nothing(tmp_path: Path, capsys: Capture) -> None:
    case = str(CASES / "invalid" / "scenario-does-not-fit-memory.yaml")
    assert main(["run", case, "--out", str(tmp_path / "out")]) == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert "scenario-does-not-fit-memory.yaml:" in first
    assert "bytes) of" in first
    assert not (tmp_path / "out").exists()


def test_usage_errors_leave_with_code_2(capsys: Capture) -> None:
    for args in ([], ["fly"], ["run", SMALL, "--seed", "-1"], ["arch", "show"]):
        with pytest.raises(SystemExit) as left:
            main(args)
        assert left.value.code == 2
        assert "usage:" in capsys.readouterr().err


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(  # noqa: S602 - the pipe is what is tested
        f"{sys.executable} -m sim grid show us-states --json | head -1",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout == "[\n"


def test_arch_show_as_json_has_the_contract_keys(capsys: Capture) -> None:
    assert main(["arch", "show", "meta-llama/Meta-Llama-3-8B", "--context", "2048", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params_total"] == 8_030_261_248
    assert found["kv_bytes_per_token"] == 131_072
    keys = {"name", "layers", "flops", "weight_bytes", "activation_bytes", "cache_bytes"}
    assert all(keys <= op.keys() for op in found["operations"])


def test_arch_diff_gives_the_known_mebibytes(capsys: Capture) -> None:
    assert main(["arch", "diff", "llama-2-7b", "llama-3-8b", "--json"]) == 0
    rows = {r["component"]: r["mib_delta_bf16"] for r in json.loads(capsys.readouterr().out)}
    assert (rows["vocabulary"], rows["attention"], rows["ffn"]) == (1504, -1536, 2496)
    assert rows["total"] == 2464


def test_arch_tables_print(capsys: Capture, tmp_path: Path) -> None:
    assert main(["arch", "list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) > 40
    figure = tmp_path / "compare.svg"
    args = ["arch", "compare", "llama-2-7b", "jamba-v0.1", "--figure", str(figure)]
    assert main(args) == 0
    assert "is below" in capsys.readouterr().out
    assert figure.exists()
    assert figure.with_suffix(".csv").exists()


def test_grid_tables_print(capsys: Capture) -> None:
    for args in (["list"], ["show", "us-states"], ["show", "us-states", "--gaps"]):
        assert main(["grid", *args]) == 0
        assert capsys.readouterr().out


def test_whatif_prints_a_table(capsys: Capture) -> None:
    assert main(["whatif", SMALL, *FAST, "--policy", "power-cap:gpu_w=500"]) == 0
    out = capsys.readouterr().out
    assert "power-cap:gpu_w=500" in out
    assert "margin_reserve_mw" in out


def test_a_sweep_runs_resumes_and_collects(tmp_path: Path, capsys: Capture) -> None:
    sweep = tmp_path / "sweep.yaml"
    sweep.write_text(
        f"name: places\nbase: {SMALL}\n"
        "set: {grid.samples: 8, grid.hosting: false}\n"
        "axes: {sites.campus.at.zone: [TX-ERCOT, MA, Texass]}\n"
    )
    args = ["sweep", str(sweep), "--out", str(tmp_path / "out")]
    assert main([*args, "-n"]) == 0
    assert "3  runs" in capsys.readouterr().out
    assert main(args) == 3
    assert "2 done, 0 finished before, 1 failed" in capsys.readouterr().out
    assert main([*args, "--resume"]) == 3
    assert "0 done, 2 finished before, 1 failed" in capsys.readouterr().out
    rows = (tmp_path / "out" / "sweep-places" / "results.csv").read_text().splitlines()
    assert len(rows) == 4


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    args = ["run", SMALL, *FAST, "--out", str(out)]
    assert main(args) == 0
    (folder,) = out.glob("*/seed-1")
    return folder


def copy_of(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / finished.parent.name / finished.name))


def test_a_finished_run_is_verified_from_its_files(finished: Path, capsys: Capture) -> None:
    assert main(["check", str(finished)]) == 0
    out = capsys.readouterr().out
    for word in ("status: done", "hashes agree", "energy:", "causes:", "signals:", "same run"):
        assert word in out


@pytest.mark.parametrize(
    ("name", "message"),
    [("summary.json", "was changed"), ("figures/power.csv", "was changed"), ("extra", "was added")],
)
def test_a_changed_file_is_found(
    name: str, message: str, finished: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = copy_of(finished, tmp_path)
    with (folder / name).open("a") as file:
        file.write(" ")
    assert main(["check", str(folder)]) == 1
    assert f"files: {name} {message}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "message"),
    [("energy_j", "energy"), ("sites", "causes of campus"), ("signal", "signal")],
)
def test_a_broken_law_is_found_even_where_the_hashes_agree(
    key: str, message: str, finished: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = copy_of(finished, tmp_path)
    summary = json.loads((folder / "summary.json").read_text())
    site = summary["sites"]["campus"]
    if key == "energy_j":
        summary["energy_j"]["it"] *= 1.001
    elif key == "sites":
        site["causes_w"]["fans"] += 1.0
    else:
        for found in (summary, site):
            found["energy_j"]["chip"] *= 0.999
            found["power_w"]["chip"]["mean"] *= 0.999
    (folder / "summary.json").write_text(json.dumps(summary))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = file_hashes(folder)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert main(["check", str(folder)]) == 1
    assert message in capsys.readouterr().err


def test_a_run_is_made_again_from_its_manifest(
    finished: Path, tmp_path: Path, capsys: Capture
) -> None:
    args = ["run", "--from", str(finished / "manifest.json"), "--out", str(tmp_path)]
    assert main(args) == 0
    assert "byte for byte" in capsys.readouterr().out


def test_a_run_that_comes_out_otherwise_is_told(
    finished: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = copy_of(finished, tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["summary.json"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(manifest))
    args = ["run", "--from", str(folder / "manifest.json"), "--out", str(tmp_path / "again")]
    assert main(args) == 1
    assert "differs in summary.json" in capsys.readouterr().out


def test_runs_stand_side_by_side(finished: Path, capsys: Capture) -> None:
    assert main(["compare", str(finished), str(finished), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[str(finished)]["gpus"] == 1024
    assert main(["compare", str(finished)]) == 0
    assert "mean_load_mw" in capsys.readouterr().out


def test_plan_training_prints_layouts_and_why_others_lose(capsys: Capture) -> None:
    args = ["plan", "training", "llama-3-8b", "--gpus", "32", "--batch-tokens", "1e6"]
    assert main([*args, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"][0]["loses_by"] == "best"
    assert found["best"][0]["gpus"] <= 32
    assert main(args) == 0
    assert "layouts fit" in capsys.readouterr().out


def test_plan_training_refuses_what_cannot_be(capsys: Capture) -> None:
    assert main(["plan", "training", "llama-3.1-405b", "--gpus", "8"]) == 2
    assert "no layout of llama-3.1-405b fits on 8 GPUs" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["plan", "training", "llama-3-8b", "--gpus", "none"])
