"""Figures of a sweep: the numbers beside them are those of the runs, and bytes repeat."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from page_faults import faults_of

from sim.errors import InputError
from sim.record.store import RunFolder, RunId
from sim.report.sweep_figures import draw_shown
from sim.report.sweep_page import write_sweep_page
from sim.report.sweep_parts import Answer, axis_label, extremes
from sim.report.sweep_tables import result_table, sweep_warnings
from sim.results.store import SweepResults
from sim.scenario.canonical import digest, hash8
from sim.sweep.expand import Sweep
from sim.sweep.identity import Identity
from sim.sweep.point import Point
from sim.sweep.run import run_sweep
from sim.sweep.samples import sample_rows
from sim.sweep.schema import SweepFile

HOSTILE = "</p><script>alert('$')</script> $\\frac{"


class Work:
    """margin = 100 a - 40 (in VA: - 10) + b; nothing else matters."""

    def identify(self, point: Point) -> Identity:
        values = dict(point.values)
        return Identity("fake", hash8(values, {}, "1"), {"scenario": digest(values)})

    def run(self, point: Point, out: Path) -> Path:
        v: dict[str, Any] = dict(point.values)
        margin = 100 * v["a"] - {"VA": 10, "MA": 40}[v["zone"]] + v["b"]
        with RunFolder.open(RunId("fake", self.identify(point).hash8, point.seed), out, {}) as run:
            run.write_json("summary.json", {"margin_mw": margin, "cost": v["b"], "size": v["a"]})
        return run.final


def study(method: str, show: list[dict[str, Any]]) -> SweepFile:
    over = {name: {"low": 0, "high": 1} for name in ("a", "b", "c")}
    samples = {"method": method, "count": 64, "over": over}
    return SweepFile.model_validate(
        {"name": "study", "base": "b.yaml", "samples": samples, "show": show, "question": "Why?"}
    )


def run(out: Path, file: SweepFile) -> Sweep:
    assert file.samples is not None
    rows = sample_rows(file.samples, dict)
    points = tuple(
        Point(len(rows) * z + n, (("zone", zone), *row), 1, n)
        for z, zone in enumerate(("VA", "MA"))
        for n, row in enumerate(rows)
    )
    sweep = Sweep("study", Path("b.yaml"), points, file)
    run_sweep(sweep, out, Work())
    return sweep


SHOW: list[dict[str, Any]] = [
    {"kind": "verdict", "holds": "margin_mw > 0", "says": "room", "by": "zone",
     "margin": "margin_mw"},
    {"kind": "effects", "value": "margin_mw", "by": "zone"},
    {"kind": "response", "value": "margin_mw", "x": "zone"},
    {"kind": "response", "value": "cost", "x": "a", "by": "zone"},
    {"kind": "heat-map", "value": "margin_mw", "x": "zone", "y": "seed"},
    {"kind": "pareto", "minimise": ["cost"], "maximise": ["margin_mw"], "by": "zone"},
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Sweep, list[Answer]]:
    out = tmp_path_factory.mktemp("out")
    sweep = run(out, study("latin-hypercube", SHOW))
    assert sweep.file is not None
    return out, sweep, draw_shown(sweep.file, SweepResults(out / "sweep-study"), [])


def rows_of(out: Path, answer: Answer) -> list[dict[str, str]]:
    path = (out / "sweep-study" / "figures" / answer.file).with_suffix(".csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_verdict_has_its_probability_and_what_decides(
    drawn: tuple[Path, Sweep, list[Answer]],
) -> None:
    out, _, answers = drawn
    va, ma = rows_of(out, answers[0])
    assert (va["group"], ma["group"]) == ("VA", "MA")
    assert float(va["probability"]) == pytest.approx(0.905, abs=0.03)  # a > 0.1 - b / 100
    assert float(ma["probability"]) == pytest.approx(0.605, abs=0.03)
    assert va["decided_by"] == ma["decided_by"] == "a"
    first = answers[0].text.splitlines()[0]
    assert first.startswith("VA: room: probability 0.9")
    assert "decided by a (rank correlation +" in first


def test_effects_are_told_apart_by_group(drawn: tuple[Path, Sweep, list[Answer]]) -> None:
    out, _, answers = drawn
    rows = rows_of(out, answers[1])
    assert [(row["group"], row["factor"]) for row in rows if row["factor"] == "a"] == [
        ("VA", "a"), ("MA", "a"),
    ]  # fmt: skip
    assert rows[0]["factor"] == "a"
    assert float(rows[0]["rank_correlation"]) > 0.95
    assert "VA: what moves margin_mw: most by a (rank correlation +" in answers[1].text


def test_curves_fronts_and_maps_have_their_rows(drawn: tuple[Path, Sweep, list[Answer]]) -> None:
    out, _, answers = drawn
    by_zone = rows_of(out, answers[2])
    assert [row["zone"] for row in by_zone] == ["VA", "MA"]
    assert float(by_zone[0]["mean"]) - float(by_zone[1]["mean"]) == pytest.approx(30)
    assert float(by_zone[0]["low"]) < float(by_zone[0]["mean"]) < float(by_zone[0]["high"])
    assert len(rows_of(out, answers[3])) == 128
    assert len(rows_of(out, answers[4])) == 2
    front = [row for row in rows_of(out, answers[5]) if row["on front"] == "1"]
    assert front
    assert {row["zone"] for row in front} == {"VA"}  # MA has less margin at the same cost
    costs = [float(row["cost"]) for row in front]
    margins = [float(row["margin_mw"]) for row in front]
    assert costs == sorted(costs)
    assert margins == sorted(margins)


def test_total_indices_come_with_their_design(tmp_path: Path) -> None:
    file = study("saltelli", [{"kind": "effects", "value": "margin_mw", "by": "zone"}])
    run(tmp_path, file)
    (answer,) = draw_shown(file, SweepResults(tmp_path / "sweep-study"), [])
    rows = {(row["group"], row["factor"]): row for row in rows_of(tmp_path, answer)}
    assert float(rows["VA", "a"]["total"]) == pytest.approx(1.0, abs=0.05)
    assert float(rows["VA", "c"]["total"]) == pytest.approx(0.0, abs=1e-9)
    assert "most by a (total index " in answer.text


def test_the_page_is_the_same_bytes_each_time_and_says_what_cannot_be_shown(
    tmp_path: Path,
) -> None:
    show = [*SHOW[:1], {"kind": "response", "value": "nothing", "x": "zone"},
            {"kind": "boundary", "by": "zone"}]  # fmt: skip
    sweep = run(tmp_path, study("latin-hypercube", show))
    folder = tmp_path / "sweep-study"
    answers = write_sweep_page(sweep, folder)
    page = (folder / "report.html").read_bytes()
    write_sweep_page(sweep, folder)
    assert (folder / "report.html").read_bytes() == page
    assert [answer["kind"] for answer in answers] == ["verdict", "response", "boundary"]
    assert "unknown column 'nothing'" in answers[1]["text"]
    assert "there is no search to show" in answers[2]["text"]
    assert b"Why?" in page


def test_the_page_is_valid_small_and_has_every_part(
    drawn: tuple[Path, Sweep, list[Answer]],
) -> None:
    out, sweep, _ = drawn
    folder = out / "sweep-study"
    write_sweep_page(sweep, folder)
    page = (folder / "report.html").read_text("utf-8")
    assert faults_of(page) == []
    assert len(page.encode()) < 1_000_000
    for part in ("What came out", "What differs in the inputs", "What it rests on",
                 "base scenario", "Every run"):  # fmt: skip
        assert part in page
    assert '<p class="answer">VA: room: probability 0.9' in page
    assert page.count("<figure ") == page.count('role="img" aria-label="Figure ') == len(SHOW)
    assert page.count("<table") == page.count("<caption>")


def test_changes_are_those_of_the_means(drawn: tuple[Path, Sweep, list[Answer]]) -> None:
    out, sweep, _ = drawn
    found = SweepResults(out / "sweep-study")
    table = result_table(sweep, found, found.columns())
    assert table["header"][:4] == ["zone", "runs", "margin [MW]", "change"]
    va, ma = table["rows"]
    assert (va[0], va[1], va[3]) == ("VA", "64", "=")
    before, after = float(va[2]), float(ma[2])
    assert before - after == pytest.approx(30, abs=0.02)
    wanted = (after - before) / before
    assert float(ma[3].replace("−", "-").rstrip("%")) == pytest.approx(100 * wanted, abs=0.06)


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    show = [{"kind": "verdict", "holds": "margin_mw > 0", "says": HOSTILE, "by": "zone"}]
    file = study("latin-hypercube", show).model_copy(update={"question": HOSTILE})
    sweep = run(tmp_path, file)
    named = Sweep("study", Path(f"{HOSTILE}.yaml"), sweep.points, file)
    write_sweep_page(named, tmp_path / "sweep-study")
    page = (tmp_path / "sweep-study" / "report.html").read_text("utf-8")
    assert faults_of(page) == []
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_few_samples_and_missing_runs_are_warned_of(
    drawn: tuple[Path, Sweep, list[Answer]], tmp_path: Path
) -> None:
    out, _, _ = drawn
    assert sweep_warnings(SweepResults(out / "sweep-study"), []) == []
    few = study("latin-hypercube", SHOW[:1])
    assert few.samples is not None
    few = few.model_copy(update={"samples": few.samples.model_copy(update={"count": 4})})
    run(tmp_path, few)
    (told,) = sweep_warnings(SweepResults(tmp_path / "sweep-study"), [])
    assert told.startswith("Only 4 samples")


def test_extremes_are_told_in_words() -> None:
    assert extremes("x_mw", [("a", 1.0), ("b", 3.0), ("c", float("nan"))]) == (
        "x [MW]: highest 3 (b), lowest 1 (a)."
    )
    assert extremes("x_mw", [("a", 2.0)]) == "x [MW] is 2 everywhere."
    assert extremes("x_mw", []) == ""


def test_a_sweep_without_a_finished_run_has_a_page_too(tmp_path: Path) -> None:
    class Failing(Work):
        def run(self, *_: object) -> Path:
            raise ValueError("<no power>")

    sweep = Sweep("study", Path("b.yaml"), (Point(0, (), 1),), study("sobol", SHOW))
    run_sweep(sweep, tmp_path, Failing())
    answers = write_sweep_page(sweep, tmp_path / "sweep-study")
    assert answers[0]["text"] == "no run is finished: nothing to show"
    page = (tmp_path / "sweep-study" / "report.html").read_text("utf-8")
    assert "ValueError: &lt;no power&gt;" in page


def test_an_entry_that_names_no_column_is_an_error(
    drawn: tuple[Path, Sweep, list[Answer]],
) -> None:
    out, _, _ = drawn
    file = study("sobol", [{"kind": "heat-map", "value": "zone", "x": "a", "y": "b"}])
    with pytest.raises(InputError, match="column 'zone' holds text"):
        draw_shown(file, SweepResults(out / "sweep-study"), [])


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("grid.margin_mw", "grid.margin [MW]"),
        ("power_w.chip.mean", "power_w.chip.mean [W]"),
        ("training.mfu", "training.mfu"),
        ("x_j_per_output_token.chip", "x_j_per_output_token.chip [J/token]"),
    ],
)  # fmt: skip
def test_axis_labels_have_their_unit(column: str, label: str) -> None:
    assert axis_label(column) == label
