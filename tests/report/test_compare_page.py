"""The page of runs side by side: its numbers are the runs', hostile names stay text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from page_faults import faults_of

from sim.cli.main import main
from sim.policy.figures import figures
from sim.report.compare_inputs import changed_inputs, changed_lines, paths
from sim.report.compare_page import changes, delta_table
from sim.report.compare_sides import read_sides
from sim.report.words import FIGURES, label_of, name_and_unit

CASE = Path(__file__).resolve().parents[1] / "cases" / "valid" / "training-least.yaml"
HOSTILE = "</title><script>alert('\"&')</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("out")
    args = ["run", str(CASE), "--set", "grid.samples=8", "--set", "horizon_h=0.1"]
    small, large = out / "small", out / "large"
    assert main([*args, "--out", str(small)]) == 0
    more = ["--set", "sites.campus.cluster.gpus=2048", "--set", "sites.campus.at.zone=MA"]
    assert main([*args, *more, "--out", str(large)]) == 0
    return [*small.glob("*/seed-1"), *large.glob("*/seed-1")]


@pytest.fixture
def page(folders: list[Path], tmp_path: Path) -> str:
    path = tmp_path / "both.html"
    assert main(["compare", *map(str, folders), "--html", str(path)]) == 0
    return path.read_text("utf-8")


def test_the_page_is_valid_loads_nothing_and_is_small(page: str) -> None:
    assert faults_of(page) == []
    assert len(page.encode()) < 1_000_000


def test_the_page_shows_verdicts_inputs_figures_and_manifest(
    page: str, folders: list[Path]
) -> None:
    for word in ("What was asked differently", "What the grid says", "Run and inputs"):
        assert word in page
    assert "<td>sites.campus.at.zone</td>" in page
    for name in ("changes", "power", "margins"):
        assert f'<figure id="{name}" class="' in page
    for folder in folders:
        assert json.loads((folder / "manifest.json").read_text())["hash"] in page


def test_every_delta_is_the_difference_of_the_runs_figures(folders: list[Path]) -> None:
    base, other = (figures(json.loads((f / "summary.json").read_text())) for f in folders)
    rows = {row[0]: row for row in delta_table(read_sides(folders))["rows"]}
    assert rows["GPUs"][2:] == ["1,024", "2,048", "+1,024", "+100.0%"]
    name, unit = name_and_unit("peak_load_mw")
    told = rows[name]
    assert told[1] == unit == "MW"
    assert float(told[2]) == pytest.approx(base["peak_load_mw"], rel=1e-3)
    wanted = other["peak_load_mw"] - base["peak_load_mw"]
    assert float(told[4].lstrip("+")) == pytest.approx(wanted, rel=1e-3)
    assert len(rows) == len(base.keys() | other.keys())


def test_a_run_beside_itself_differs_in_nothing(folders: list[Path], tmp_path: Path) -> None:
    path = tmp_path / "same.html"
    assert main(["compare", str(folders[0]), str(folders[0]), "--html", str(path)]) == 0
    page = path.read_text("utf-8")
    assert faults_of(page) == []
    assert "Nothing: the scenarios are the same." in page
    assert "B and A have the same figures." in page
    assert not (tmp_path / "same-figures" / "changes.svg").exists()


def test_the_page_is_the_same_to_the_byte(page: str, folders: list[Path], tmp_path: Path) -> None:
    again = tmp_path / "again.html"
    assert main(["compare", *map(str, folders), "--html", str(again)]) == 0
    assert again.read_text("utf-8") == page


def test_hostile_names_stay_text(folders: list[Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(folders[0], bad)
    summary = json.loads((bad / "summary.json").read_text())
    summary["name"] = summary["question"] = HOSTILE
    summary["assumptions"].append(HOSTILE)
    summary["sources"].append(HOSTILE)
    for verdict in summary["grid"]["verdicts"]:
        verdict["zone"] = verdict["limit"] = HOSTILE
    (bad / "summary.json").write_text(json.dumps(summary))
    manifest = json.loads((bad / "manifest.json").read_text())
    manifest["inputs"][HOSTILE] = manifest["scenario"] = HOSTILE
    (bad / "manifest.json").write_text(json.dumps(manifest))
    text = (bad / "scenario.resolved.yaml").read_text()
    (bad / "scenario.resolved.yaml").write_text(
        text.replace("name: campus", f"name: {json.dumps(HOSTILE)}")
    )
    path = tmp_path / "bad.html"
    assert main(["compare", str(bad), str(folders[1]), "--html", str(path)]) == 0
    page = path.read_text("utf-8")
    assert faults_of(page) == []
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_a_changed_verdict_is_told(folders: list[Path], tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(folders[0], changed)
    summary = json.loads((changed / "summary.json").read_text())
    reading = next(v for v in summary["grid"]["verdicts"] if v["margin_mw"] is not None)
    reading |= {"verdict": "binds", "margin_mw": -5.0}
    (changed / "summary.json").write_text(json.dumps(summary))
    base, other = read_sides([folders[0], changed])
    told = changes(base, other)
    assert any("goes from" in line and "to binds in B" in line for line in told)


@pytest.mark.parametrize(
    ("count", "says"), [(1, "name 2 to 6 run folders"), (7, "name 2 to 6 run folders")]
)
def test_too_few_or_too_many_runs(folders, tmp_path, capsys, count, says):
    named = [str(folders[0])] * count
    assert main(["compare", *named, "--html", str(tmp_path / "x.html")]) == 2
    assert says in capsys.readouterr().err


def test_a_page_that_cannot_be_written(folders, tmp_path, capsys):
    assert main(["compare", *map(str, folders), "--html", str(tmp_path)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_paths_name_elements_of_lists() -> None:
    tree = {"a": [{"name": "x", "v": 1}, {"v": None}], "b": [1, 2], "c": True}
    assert dict(paths(tree)) == {
        "a.x.name": "x", "a.x.v": "1", "a[1].v": "–", "b": "[1, 2]", "c": "true",
    }  # fmt: skip


def test_only_what_differs_is_listed() -> None:
    found = changed_inputs({"A": {"x": 1, "y": 2}, "B": {"x": 1, "y": 3, "z": 4}})
    assert found == {"header": ["field", "A", "B"], "rows": [["y", "2", "3"], ["z", "–", "4"]]}
    assert changed_lines({"A": ["p", "q"], "B": ["q", "r"]}) == [("A", "p"), ("B", "r")]


def test_a_figure_has_words_and_a_unit() -> None:
    assert label_of("hosted_mw") == "load that the place hosts [MW]"
    assert name_and_unit("margin_reserve_mw") == ("margin reserve", "MW")
    assert name_and_unit("suspended_gpu_h") == ("suspended", "GPU h")
    assert name_and_unit("strange") == ("strange", "")
    assert len({name for name, _ in FIGURES.values()}) == len(FIGURES)
