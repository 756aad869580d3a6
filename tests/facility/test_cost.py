"""Bills, capital, what a budget buys, and carbon with its gaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError, UnknownNameError
from sim.facility.budget import Served, budget_answer
from sim.facility.carbon import areas, embodied, grid_carbon, import_kg
from sim.facility.cost import (
    SiteSize,
    Tariff,
    annuity_frac,
    bill,
    capital_figures,
    gpu_cost,
    months,
    purchase,
)

MW = 1e6
FLAT = np.full(8760, 50.0)
SIZE = SiteSize(it_kw_per_gpu=1.44, meter_kw_per_gpu=1.5, mean_meter_kw_per_gpu=1.2)


def test_a_flat_load_costs_price_times_energy() -> None:
    found = bill(Tariff(FLAT), np.full(8760, 100 * MW), np.zeros(8760))
    assert found.energy_usd == pytest.approx(100 * 8760 * 50)
    assert found.total_usd == found.energy_usd


def test_demand_is_paid_for_the_highest_hour_of_each_month() -> None:
    load = np.full(8760, 10 * MW)
    load[100] = 30 * MW
    tariff = Tariff(FLAT, demand_usd_per_kw_month=5)
    assert bill(tariff, load, np.zeros(8760)).demand_usd == pytest.approx(5 * (11 * 10e3 + 30e3))
    assert [m.stop - m.start for m in months(8760)][1] == 28 * 24


def test_peak_hours_are_local_and_on_weekdays() -> None:
    """2024 began on a Monday; 16 h in UTC-6 is 22 h UTC."""
    tariff = Tariff(FLAT, peak_usd_per_mwh=100, peak_hours=(16,), utc_offset_h=-6)
    extra = tariff.prices() - FLAT
    assert np.flatnonzero(extra)[0] == 22
    days = np.flatnonzero(extra) // 24
    assert len(days) == 261  # weekdays of 365 days that begin on a Monday
    assert set((days) % 7) == {0, 1, 2, 3, 4}


def test_a_minimum_take_is_paid_without_being_taken() -> None:
    load = np.full(8760, 20 * MW)
    tariff = Tariff(FLAT, minimum_take_frac=0.8, contract_w=50 * MW)
    found = bill(tariff, load, np.zeros(8760))
    assert found.minimum_take_usd == pytest.approx((40 - 20) * 8760 * 50)
    assert bill(Tariff(FLAT, minimum_take_frac=0.8), load, np.zeros(8760)).minimum_take_usd == 0


def test_an_export_is_earned_and_lengths_must_fit() -> None:
    sold = bill(Tariff(FLAT, export_usd_per_mwh=20), np.zeros(8760), np.full(8760, MW))
    assert sold.total_usd == pytest.approx(-20 * 8760)
    with pytest.raises(InputError, match="3 hours of import, 8760 hours of prices"):
        bill(Tariff(FLAT), np.zeros(3), np.zeros(3))


@given(st.floats(0, 0.2), st.floats(1, 40))
def test_an_annuity_pays_the_sum_back(rate: float, life_y: float) -> None:
    whole = int(life_y)
    payment, debt = annuity_frac(rate, whole), 1.0
    for _ in range(whole):
        debt = debt * (1 + rate) - payment
    assert debt == pytest.approx(0, abs=1e-9)
    with pytest.raises(InputError, match="a life of"):
        annuity_frac(rate, 0)


def test_a_hundred_billion_buys_about_what_others_say() -> None:
    """38 billion USD for a GW of IT power (Epoch AI, 2026): 2.6 GW for 100 billion."""
    found = purchase(100e9, SIZE, tokens_per_gpu_s=100)
    assert found.it_mw.value == pytest.approx(100 / 38 * 1000, rel=0.25)
    assert found.gpus.low < found.gpus.value < found.gpus.high
    assert found.gpus.value * sum(found.parts_usd_per_gpu.values()) == pytest.approx(100e9)
    assert found.usd_per_million_tokens is not None
    assert purchase(100e9, SIZE).usd_per_million_tokens is None
    twice = purchase(200e9, SIZE)
    assert twice.gpus.value == pytest.approx(2 * found.gpus.value)
    with pytest.raises(InputError, match="a budget of 0"):
        purchase(0, SIZE)


def test_tokens_cost_what_a_gpu_year_costs() -> None:
    figures = capital_figures()
    year_usd = gpu_cost(SIZE, figures).yearly_total_usd
    found = purchase(1e9, SIZE, tokens_per_gpu_s=50).usd_per_million_tokens
    assert found is not None
    assert found.value == pytest.approx(year_usd / (50 * 8760 * 3600 / 1e6))
    dear = gpu_cost(SIZE, figures, energy_usd_per_mwh=130).yearly_usd["energy"]
    assert dear == pytest.approx(1.2e-3 * 8760 * 130)


# --- carbon


def test_gaps_are_told_and_never_zero(facts: Path) -> None:
    """The source has hours without figures, and hours in which fuels are missing."""
    pjm = grid_carbon("PJM")
    assert pjm.gap_hours >= 28
    assert np.isnan(pjm.g_per_kwh).sum() == pjm.gap_hours
    assert np.nanmin(pjm.g_per_kwh) > 200  # the partial hours of the source say 43
    filled = pjm.filled()
    assert np.isfinite(filled).all()
    assert filled.min() >= np.nanmin(pjm.g_per_kwh)
    rows = np.genfromtxt(
        facts / "carbon" / "eia_mix_PJM_2022.csv", delimiter=",", skip_header=1, usecols=9
    )
    both = np.isfinite(pjm.g_per_kwh) & np.isfinite(rows)
    assert pjm.g_per_kwh[both] == pytest.approx(rows[both], rel=0.005)


def test_areas_differ_as_their_mix_does() -> None:
    assert len(areas()) == 8
    assert grid_carbon("BPAT").mean_g_per_kwh < 60 < grid_carbon("AZPS").mean_g_per_kwh
    with pytest.raises(UnknownNameError, match="area"):
        grid_carbon("XXXX")


def test_emissions_of_an_import_are_hourly() -> None:
    carbon = grid_carbon("CISO")
    load = np.zeros(8760)
    load[5000] = 1000 * 1e3
    assert import_kg(carbon, load) == pytest.approx(carbon.filled()[5000])
    assert import_kg(carbon, load, start_h=10) == pytest.approx(carbon.filled()[5010])


def test_embodied_emissions_by_part_and_year() -> None:
    lives = {"it": 5, "facility": 14, "pv": 30, "battery": 15}
    found = embodied(12_500, 100_000, 144, lives, pv_kw=1e5, battery_kwh=4e5)
    assert found.kg["servers"] == pytest.approx(12_500 * (1312 + 2500))
    assert found.yearly_kg["servers"] == pytest.approx(found.kg["servers"] / 5)
    assert found.yearly_kg["battery"] == pytest.approx(found.kg["battery"] / 15)


def test_the_answer_for_a_hundred_billion_dollars() -> None:
    """Published plans: 100 billion for one data centre; about 2.6 GW of IT at 38 billion a GW."""
    answer = budget_answer()
    assert "100 billion USD buy" in answer.sentence
    assert 1.0e6 < answer.found.gpus.value < 2.5e6
    assert answer.found.meter_mw.value == pytest.approx(
        answer.found.gpus.value * answer.size.meter_kw_per_gpu / 1e3
    )
    idle_fleet = budget_answer(served=Served(busy_frac=0.1)).found.usd_per_million_tokens
    busy_fleet = budget_answer(served=Served(busy_frac=0.9)).found.usd_per_million_tokens
    assert idle_fleet is not None
    assert busy_fleet is not None
    assert idle_fleet.value > 5 * busy_fleet.value
    with pytest.raises(InputError, match="busy 2 of the year"):
        budget_answer(served=Served(busy_frac=2.0))
