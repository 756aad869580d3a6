"""The error of the chip power model acts once: in the device, or in the range of the meter."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.datum import figure_at, figures_set
from sim.facility.building import Building
from sim.facility.meter import SitePlant
from sim.hardware.node import load_node
from sim.scenario.run import load_scenario, run_scenario
from sim.scenario.uncertainty import Range, meter_range_w

KEY = "hardware/h100-sxm.yaml:power.model_error_frac"
ROOT = Path(__file__).resolve().parents[2]
CHIP_W = 1250 * 8 * 500.0
TINY = ["horizon_h=0.1", "grid.samples=8", "grid.hosting=false"]


def chip_range(error_frac: float, chip_w: float) -> Range:
    """The range with every figure of the chain but the error left as it is."""
    with figures_set({KEY: error_frac}):
        return meter_range_w(plant(), chip_w, seed=1)


def plant() -> SitePlant:
    return SitePlant("campus", 1250, load_node("dgx-h100"), Building(0.9, 1.2))


@pytest.mark.parametrize("error_frac", [-0.081, 0.05, 0.081])
def test_a_drawn_error_is_not_put_on_top_of_itself(error_frac: float) -> None:
    """The chip power that comes in has the error already: the range is that of no error."""
    found, wanted = chip_range(error_frac, CHIP_W), chip_range(0.0, CHIP_W)
    assert found.low == pytest.approx(wanted.low, rel=1e-7)
    assert found.high == pytest.approx(wanted.high, rel=1e-7)


def test_an_error_that_is_not_drawn_widens_the_range() -> None:
    free, fixed = meter_range_w(plant(), CHIP_W, seed=1), chip_range(0.0, CHIP_W)
    assert free.high - free.low > 1.05 * (fixed.high - fixed.low)


def test_in_a_run_the_peak_follows_the_error_once_and_stays_in_its_range() -> None:
    _, scenario = load_scenario(ROOT / "scenarios" / "100k-h100-one-state.yaml", TINY)
    found = {}
    for error_frac in (0.0, -0.081):  # downwards, away from the limit of 700 W
        with figures_set({KEY: error_frac}):
            summary = run_scenario(scenario, seed=1).summary
        site = summary["sites"]["campus"]
        assert site["peak_load_low_mw"] <= site["peak_load_mw"] <= site["peak_load_high_mw"]
        found[error_frac] = site
    chip_w = {e: site["power_w"]["chip"]["max"] for e, site in found.items()}
    assert 0.919 <= chip_w[-0.081] / chip_w[0.0] < 0.995  # most phases stand at the limit
    above_mw = {e: s["peak_load_high_mw"] - s["peak_load_mw"] for e, s in found.items()}
    assert above_mw[-0.081] == pytest.approx(above_mw[0.0], rel=0.03)


def test_the_study_of_the_hundred_thousand_draws_it() -> None:
    text = (ROOT / "scenarios" / "claim-100k-uncertainty.yaml").read_text()
    assert "model_error_frac" not in text
    assert figure_at(KEY).is_assumption
