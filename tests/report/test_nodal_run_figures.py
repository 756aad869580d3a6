"""Prices and full branches of a grid of buses, what each outage costs, and what captions say."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from sim.grid.nodal.cases import load_case
from sim.grid.nodal.hosting import FixedDispatch
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.report.figure_html import finding
from sim.report.nodal_contingency_figure import draw_contingencies
from sim.report.nodal_outage_figure import draw_outages, screened
from sim.report.nodal_price_figure import draw_nodal_prices, priced

SUSCEPTANCE = "1/(x tap)"
CASE = "activsg2000"
CASCADES = [
    {"cascade": "no outage", "depth": 1, "branches_lost": 0, "lost_mw": 0.0,
     "lost_without_the_load_mw": 0.0},
    {"cascade": "1-2 #1", "depth": 3, "branches_lost": 7, "lost_mw": 900.0,
     "lost_without_the_load_mw": 100.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prices")
    grid = {
        "case": CASE,
        "conventions": {"susceptance": SUSCEPTANCE, "security": "n1"},
        "sites": [{"bus": 7095, "peak_load_mw": 60.0}, {"bus": 7095, "peak_load_mw": 40.0}],
    }
    for name in ("one", "two"):
        draw_nodal_prices(grid, folder / f"{name}.svg")
    return folder


def test_prices_repeat_to_the_byte_and_say_what_they_find(drawn: Path) -> None:
    for suffix in ("svg", "csv"):
        one, two = ((drawn / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two
    told = finding((drawn / "one.svg").read_text("utf-8"))
    assert "with 100.0 MW at 1 bus the mean over the load is" in told


def test_the_numbers_beside_are_those_of_the_dispatch(drawn: Path) -> None:
    with (drawn / "one.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = priced(CASE, SUSCEPTANCE, ((7095, 100.0),), secure=True)
    buses = [row for row in rows if row["kind"] == "bus"]
    shown = [float(row["price_usd_per_mwh"]) for row in buses]
    np.testing.assert_allclose(shown, found.price_usd_per_mwh, atol=1e-4)
    assert sum(float(row["load_mw"]) for row in buses) == pytest.approx(found.load_mw.sum())
    full = [row for row in rows if row["kind"] == "branch"]
    shown = (found.loading_frac >= 0.9) | (found.shadow_usd_per_mwh > 0)
    assert len(full) == int(shown.sum()) > 0


def test_no_branch_is_over_its_limit_and_more_load_is_no_cheaper() -> None:
    none: tuple[tuple[int, float], ...] = ()
    before, after = (
        priced(CASE, SUSCEPTANCE, sites, secure=False) for sites in (none, ((7095, 2000.0),))
    )
    assert max(before.loading_frac.max(), after.loading_frac.max()) < 1 + 1e-6
    assert after.mean_usd_per_mwh >= before.mean_usd_per_mwh - 1e-9
    assert after.load_mw.sum() == pytest.approx(before.load_mw.sum() + 2000)


def test_a_contingency_figure_shows_the_worst_first(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    draw_contingencies({"load_mw": 1000.0, "cascades": CASCADES}, path)
    told = finding(path.read_text("utf-8"))
    assert "1 of 2 cascades lose more load than without it; worst: 1-2 #1, 900 MW" in told
    rows = path.with_suffix(".csv").read_text("utf-8").splitlines()
    assert rows[1].startswith("1-2 #1,3,7,900.0,100.0")


def test_outages_overload_a_branch_exactly_beyond_what_the_bus_hosts() -> None:
    study = Study(load_case(CASE), Settings(security="n1"))
    bus = study.network.bus_index(5049)
    (hosted,) = FixedDispatch(study).at_buses(np.array([bus]))
    assert hosted.binding.kind == "n1"
    at, over = (screened(study, {5049: hosted.hosting_mw + mw}) for mw in (-0.01, 0.01))
    assert (at.new_outages, over.new_outages) == (0, 1)
    first = int(np.argmax(np.where(over.without_frac < 1, over.with_frac, 0.0)))
    assert over.pairs.branch[first] == hosted.binding.branch
    assert over.pairs.outage[first] == hosted.binding.outage


def test_loadings_after_outages_are_those_of_the_grid_without_the_branch() -> None:
    study = Study(load_case(CASE), Settings(security="n1"))
    found = screened(study, {5049: 1000.0})
    for row in range(3):
        outage = np.array([found.pairs.outage[row]])
        flow = study.grid.after_outages(study.base.flow_mw, outage)
        branch = found.pairs.branch[row]
        loading = abs(flow[branch]) / study.emergency_limit_mw[branch]
        assert found.without_frac[row] == pytest.approx(loading)


def test_pairs_over_before_are_counted_one_by_one() -> None:
    """With tighter limits, against the whole matrix; a branch may be over after many outages."""
    study = Study(load_case(CASE), Settings(security="n1", emergency_factor=0.9))
    found = screened(study, {5049: 1.0})
    outages, base = study.grid.outages, study.base.flow_mw
    flows = base[:, None] + study.grid.lodf_columns(outages) * base[outages]
    over = np.abs(flows) > study.emergency_limit_mw[:, None]
    assert found.before == over.sum() > over.any(axis=1).sum() > 0


def test_an_outage_figure_tells_those_over_their_limit_first(tmp_path: Path) -> None:
    told = {"emergency_factor": 1.0, "emergency_rating": "a", "susceptance": SUSCEPTANCE}
    sites = [{"bus": 5049, "peak_load_mw": 1000.0}]
    draw_outages({"case": CASE, "conventions": told, "sites": sites}, tmp_path / "a.svg")
    text = finding((tmp_path / "a.svg").read_text("utf-8"))
    assert "With 1,000.0 MW more at a fixed dispatch, 8 single outages overload a branch" in text
    assert "of these moved most: " in text
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    over = [float(row["with_load_frac"]) > 1 for row in rows]
    assert over == sorted(over, reverse=True)
    assert over[0]
    assert not any(float(row["without_load_frac"]) > 1 for row in rows)
    sites = [{"bus": 5049, "peak_load_mw": 0.1}]
    draw_outages({"case": CASE, "conventions": told, "sites": sites}, tmp_path / "c.svg")
    text = finding((tmp_path / "c.svg").read_text("utf-8"))
    assert "With 0.1 MW more at a fixed dispatch, no single outage overloads a branch" in text
    assert "; moved most: " in text
    draw_outages({"case": CASE, "conventions": told, "sites": []}, tmp_path / "b.svg")
    assert not (tmp_path / "b.svg").exists()
