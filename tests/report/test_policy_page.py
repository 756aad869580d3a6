"""Policies as a page: what it says of each, and that nothing in it can act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_faults import faults_of

from sim.report.figure_html import finding
from sim.report.policy_page import write_policies

EVIL = '<script>alert("x")</script> & $1 {{ 7 * 7 }}'

SCENARIO = {"name": "campus", "hash": "0a1b2c3d", "horizon_h": 24.0, "version": "9.9.9"}


def row(label: str, delta: dict[str, float], **more: Any) -> dict[str, Any]:
    figures = {key: 100.0 + change for key, change in delta.items()}
    base = {"label": label, "kind": label, "metric": "mean_load_mw", "why": "", "assumes": []}
    return base | {"delta": delta, "figures": figures, "interval": {}} | more


def study(policies: list[dict[str, Any]], **baseline: float) -> dict[str, Any]:
    return {"scenario": SCENARIO, "seeds": [1], "baseline": baseline, "policies": policies}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("policies") / "new"
    cap = row("cap", {"mean_load_mw": -12.5, "training_tokens": -1.0}, assumes=[EVIL])
    cap["interval"] = {"mean_load_mw": [-13.0, -12.0]}
    idle = row(EVIL, {"mean_load_mw": 0.0, "training_tokens": 0.0}, why="nothing is left to move")
    found = {
        "question": EVIL,
        "scenario": SCENARIO,
        "seeds": [1, 2],
        "baseline": {"mean_load_mw": 100.0, "training_tokens": 100.0},
        "policies": [cap, idle],
        "misses": ["cap: expected more"],
    }
    write_policies(found, folder)
    assert {"tornado-mean_load_mw.svg", "tornado-mean_load_mw.csv"} <= {
        path.name for path in folder.iterdir()
    }
    return Path(folder / "report.html").read_text("utf-8")


def test_no_figure_of_another_study_in_the_same_folder_is_shown(tmp_path: Path) -> None:
    for name in ("tornado-mean_load_mw", "tornado-water_m3", "frontier"):
        (tmp_path / f"{name}.svg").write_text("<svg>another study</svg>")
        (tmp_path / f"{name}.csv").write_text("policy\n")
    moved = row("moved", {"energy_mwh": -1.0})  # the figure that it is for is not known
    write_policies(study([moved], energy_mwh=9.0), tmp_path)
    assert "another study" not in (tmp_path / "report.html").read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_page_is_valid_and_what_comes_from_files_stays_text(page: str) -> None:
    assert faults_of(page) == []
    assert "<script" not in page
    assert "49" not in page.partition("<main>")[0]


def test_it_says_what_each_policy_changes(page: str) -> None:
    assert "cap: mean power at the meter −12.5 MW (−12.5 %), tokens trained −1 tokens" in page
    assert "no effect: nothing is left to move" in page
    assert "−12.5 [−13 to −12]" in page
    assert '<td class="n">=</td>' in page
    assert "cap: expected more" in page


def test_it_says_which_run_it_is_of(page: str) -> None:
    head = page.partition("<main>")[0]
    for words in ("campus", "0a1b2c3d", "24 h", "9.9.9"):
        assert words in head


def test_tokens_are_told_in_large_units(tmp_path: Path) -> None:
    cap = row("cap", {"training_tokens": -1.735e11}, metric="training_tokens")
    write_policies(study([cap], training_tokens=2.5e12), tmp_path)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "tokens trained −0.1735 T tokens (−6.94 %)" in text
    assert "e+1" not in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ([-13.56], "mean power at the meter: a changes it by −13.56 from 100 MW."),
        ([-13.56, 2], "mean power at the meter: a changes it most, by −13.56 from 100 MW."),
        ([0, 0], "mean power at the meter: no policy changes it."),
    ],
)
def test_the_caption_of_a_tornado_has_sign_and_unit(
    changes: list[float], told: str, tmp_path: Path
) -> None:
    rows = [row(name, {"mean_load_mw": mw}) for name, mw in zip("ab", changes, strict=False)]
    write_policies(study(rows, mean_load_mw=100.0), tmp_path)
    assert finding((tmp_path / "tornado-mean_load_mw.svg").read_text("utf-8")) == told
