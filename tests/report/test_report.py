"""The pages: valid HTML, nothing from the net, the numbers of the run, the same bytes again."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sim.claims import answer_claims
from sim.cli.main import main
from sim.report.claims_page import render_claims
from sim.report.hosting_figure import TILES
from sim.report.style import CAUSE_COLOURS, LIMIT_COLOURS

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
VOID = {"meta", "br", "link", "img", "input", "hr"}
LOADS = {"src", "href", "xlink:href", "action", "poster", "data"}


class Checker(HTMLParser):
    """Collects what is wrong: unclosed tags, ids used twice, anything loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in LOADS:
                self.links.append(value or "")
            if name == "style" and "url(http" in (value or ""):
                self.faults.append(f"style loads {value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


def faults_of(page: str) -> list[str]:
    checker = Checker()
    checker.feed(page)
    found = checker.faults + [f"<{tag}> is not closed" for tag in checker.open]
    found += [f"id {i} twice" for i in set(checker.ids) if checker.ids.count(i) > 1]
    found += [f"loads {link}" for link in checker.links if not link.startswith("#")]
    found += [f"loads by {m}" for m in re.findall(r"@import|<script|<iframe", page)]
    if not page.startswith("<!DOCTYPE html>"):
        found.append("no doctype")
    return found


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    args = ["run", str(CASES / "training-and-serving.yaml"), "--set", "grid.samples=8"]
    assert main([*args, "--set", "record.requests=all", "--out", str(out)]) == 0
    (folder,) = out.glob("*/seed-1")
    return folder


def test_the_report_is_valid_and_loads_nothing(run_folder: Path) -> None:
    assert faults_of((run_folder / "report.html").read_text("utf-8")) == []


@pytest.mark.parametrize(
    "fault",
    [
        "<!DOCTYPE html><p>",
        "<!DOCTYPE html></p>",
        "<!DOCTYPE html><img src='https://elsewhere/x.png'>",
        "<!DOCTYPE html><p id='a'></p><p id='a'></p>",
        "<!DOCTYPE html><script></script>",
        "<p></p>",
    ],
)
def test_the_checker_finds_each_fault(fault: str) -> None:
    assert faults_of(fault)


def test_the_report_shows_question_verdict_assumptions_and_hashes(run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text("utf-8")
    summary = json.loads((run_folder / "summary.json").read_text())
    for word in ("Key figures", "What the grid says", "Training", "Serving", "Assumptions"):
        assert word in page
    assert f"Assumptions ({len(summary['assumptions'])})" in page
    assert "sha256 hardware/h100-sxm.yaml" in page
    for name in ("power", "power_time", "load_duration", "latency", "hosting"):
        assert f'<figure id="{name}">' in page
    manifest = json.loads((run_folder / "manifest.json").read_text())
    assert manifest["started_utc"] not in page


def test_the_report_can_be_made_again_to_the_byte(run_folder: Path) -> None:
    page = run_folder / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert main(["report", str(run_folder)]) == 0
    assert page.read_bytes() == before


def test_a_folder_that_is_no_run_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "summary.json" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_shares_of_all_requests_and_idle_make_up_the_replicas_energy(run_folder: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(run_folder / "requests.parquet")
    rows = table.to_pylist()
    summary = json.loads((run_folder / "summary.json").read_text())
    (fleet,) = summary["serving"]["fleets"].values()
    assert {r["status"] for r in rows} <= {"completed", "dropped", "unfinished"}
    assert [r["request"] for r in rows] == sorted(r["request"] for r in rows)
    shares_j = sum(r["energy_chip_j"] or 0.0 for r in rows)
    whole_j = fleet["mean_power_w"]["value"] * summary["horizon_s"]
    assert 0 < shares_j < whole_j


def test_the_claims_page_is_valid_and_has_every_claim_asked() -> None:
    page = render_claims(answer_claims(["A30", "A41"], lambda _: None))
    assert faults_of(page) == []
    assert "1,504" in page or "1504" in page


def test_every_tile_stands_alone_and_every_colour_differs() -> None:
    assert len(set(TILES.values())) == len(TILES) == 52
    assert len(set(LIMIT_COLOURS.values())) == len(LIMIT_COLOURS)
    assert len(set(CAUSE_COLOURS.values())) == len(CAUSE_COLOURS)


def test_the_committed_schema_is_current_and_accepts_the_scenarios() -> None:
    import jsonschema

    from sim.datum import data_file
    from sim.scenario.load import load_tree
    from sim.scenario.schema_file import SCHEMA_FILE, scenario_schema

    committed = json.loads(data_file(SCHEMA_FILE).read_text("utf-8"))
    assert committed == scenario_schema(), "run: flopgrid schema > sim/data/schema/..."
    validator = jsonschema.Draft7Validator(committed)
    for path in CASES.glob("*.yaml"):
        assert list(validator.iter_errors(load_tree(path).tree)) == [], path
    assert list(validator.iter_errors({"horizont_h": 1}))


def test_every_figure_has_an_alternative_text_and_every_table_a_caption(run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text("utf-8")
    assert page.count("<figure ") == page.count('role="img" aria-label="Figure ')
    assert page.count("<table") == page.count("<caption>")
    assert len(page.encode()) < 1_000_000
    assert "How the MW is made up" in page
    assert "How far the models were off" in page
