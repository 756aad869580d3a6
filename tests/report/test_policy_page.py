"""Policies as a page: what it says of each, and that nothing in it can act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from page_faults import faults_of

from sim.report.policy_page import write_policies

EVIL = '<script>alert("x")</script> & $1 {{ 7 * 7 }}'


def row(label: str, delta: dict[str, float], **more: Any) -> dict[str, Any]:
    figures = {key: 100.0 + change for key, change in delta.items()}
    base = {"label": label, "kind": label, "metric": "mean_load_mw", "why": "", "assumes": []}
    return base | {"delta": delta, "figures": figures, "interval": {}} | more


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("policies") / "new"
    cap = row("cap", {"mean_load_mw": -12.5, "training_tokens": -1.0}, assumes=[EVIL])
    cap["interval"] = {"mean_load_mw": [-13.0, -12.0]}
    idle = row(EVIL, {"mean_load_mw": 0.0, "training_tokens": 0.0}, why="nothing is left to move")
    found = {
        "question": EVIL,
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
