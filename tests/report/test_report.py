"""The pages: valid HTML, nothing from the net, the numbers of the run, the same bytes again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from page_faults import faults_of

from sim.claims import answer_claims
from sim.cli.main import main
from sim.report.claims_page import render_claims
from sim.report.hosting_figure import TILES
from sim.report.style import CAUSE_COLOURS, LIMIT_COLOURS

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    args = ["run", str(CASES / "training-and-serving.yaml"), "--set", "grid.samples=8"]
    args += ["--set", "horizon_h=0.1", "--set", "sites.campus.workloads[1].fidelity=sampled"]
    assert main([*args, "--set", "record.requests=all", "--out", str(out)]) == 0
    (folder,) = out.glob("*/seed-1")
    return folder


def test_the_report_is_valid_and_loads_nothing(run_folder: Path) -> None:
    assert faults_of((run_folder / "report.html").read_text("utf-8")) == []


@pytest.mark.parametrize(
    "fault",
    [
        "<p>",
        "</p>",
        "<p><div>in a paragraph</div></p>",
        "<table><p>in a table</p></table>",
        "<b><i></b></i>",
        "<img src='https://elsewhere/x.png' alt=''>",
        "<p id='a'></p><p id='a'></p>",
        "<script></script>",
        "<p style='background: url(http://elsewhere/x.png)'></p>",
    ],
)
def test_the_checker_finds_each_fault(fault: str) -> None:
    whole = "<!DOCTYPE html><html><head><title>t</title></head><body>{}</body></html>"
    assert faults_of(whole.format("<p>sound</p>")) == []
    assert faults_of(whole.format(fault))


def test_a_page_without_a_doctype_is_at_fault() -> None:
    assert "no doctype" in faults_of("<html><head><title>t</title></head><body></body></html>")


def test_the_report_shows_question_verdict_assumptions_and_hashes(run_folder: Path) -> None:
    page = (run_folder / "report.html").read_text("utf-8")
    summary = json.loads((run_folder / "summary.json").read_text())
    for word in ("Key figures", "What the grid says", "Training", "Serving", "Assumptions"):
        assert word in page
    assert f"Assumptions ({len(summary['assumptions'])})" in page
    assert "sha256 hardware/h100-sxm.yaml" in page
    for name in ("power", "power_time", "load_duration", "latency", "hosting"):
        assert f'<figure id="{name}" class="' in page
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
    assert len({r["request"] for r in rows}) == len(rows), "each once, as it ends"
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


def test_every_caption_says_what_its_figure_shows(run_folder: Path) -> None:
    from sim.report.figure_html import finding
    from sim.report.html import caption
    from sim.report.run_figures import figure_texts

    summary = json.loads((run_folder / "summary.json").read_text())
    texts = figure_texts(run_folder)
    told = {name: finding(svg) or caption(name, summary) for name, svg in texts.items()}
    assert {"power", "power_causes", "training", "training_power", "hosting"} <= told.keys()
    for name, text in told.items():
        assert len(text) > 30, name
        assert text.endswith("."), name
    assert len(set(told.values())) == len(told)
