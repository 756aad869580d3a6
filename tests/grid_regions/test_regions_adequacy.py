"""Adequacy: published indices, enumeration of all outage states, sampling, ELCC."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from adequacy_cases import rts79_load, rts79_units
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError, UnknownNameError
from sim.grid.adequacy.areas import Area, Tie, simulate_areas
from sim.grid.adequacy.elcc import elcc_mw, with_battery, with_flexible_load, with_profile
from sim.grid.adequacy.indices import assess, daily_peaks, load_room_mw
from sim.grid.adequacy.monte_carlo import Store, available_mw, simulate
from sim.grid.adequacy.outage_table import outage_table
from sim.grid.adequacy.units import Unit, read_load, read_units
from sim.grid.network import FloatArray
from sim.randomness import stream


def states(unit: Unit) -> list[tuple[float, float]]:
    out, derated = unit.forced_outage_rate, unit.derated_probability
    return [
        (unit.capacity_mw, 1 - out - derated),
        (unit.derated_mw, derated),
        (0.0, out),
    ]


def enumerate_all(units: list[Unit], load: FloatArray) -> tuple[float, float]:
    """Oracle: probability of loss and expected shortfall, summed over hours, state by state."""
    lolh = eue = 0.0
    for combination in itertools.product(*(states(unit) for unit in units)):
        chance = float(np.prod([p for _, p in combination]))
        short = np.maximum(load - sum(mw for mw, _ in combination), 0.0)
        lolh += chance * float((short > 1e-9).sum())
        eue += chance * float(short.sum())
    return lolh, eue


# Loads to a hundredth: the table counts a load within a watt of the capacity as met.
HUNDREDTHS = st.integers(0, 20000).map(lambda k: k / 100)
UNIT = st.builds(
    lambda mw, left, out, derated: Unit("u", mw, out, round(mw * left), derated),
    st.integers(1, 60).map(float),
    st.sampled_from([0.0, 0.5, 0.8]),
    st.sampled_from([0.0, 0.02, 0.3]),
    st.sampled_from([0.0, 0.1]),
)


def test_rts79_to_the_printed_digits(facts: Path) -> None:
    found = assess(rts79_units(facts), rts79_load(facts))
    assert round(found.lole_d_per_y, 5) == 1.36886
    assert round(found.lolh_h_per_y, 5) == 9.39418
    assert round(found.eue_mwh) == 1176
    assert found.exact
    assert found.reserve_margin_frac == pytest.approx(3405 / 2850 - 1)
    assert (found.hours, found.days) == (8736, 364)


def test_rts79_load_forecast_uncertainty_of_2_percent(facts: Path) -> None:
    """Published as 1.45110 d/y (Allan, Billinton, Abdel-Gawad 1986, seven steps)."""
    found = assess(rts79_units(facts), rts79_load(facts), 0.02)
    assert round(found.lole_d_per_y, 4) == 1.4511


def test_rts79_monte_carlo_agrees_within_four_standard_errors(facts: Path) -> None:
    units, load = rts79_units(facts), rts79_load(facts)
    exact, drawn = assess(units, load), simulate(units, load, years=1500, seed=3)
    assert abs(drawn.lolh_h_per_y - exact.lolh_h_per_y) < 4 * drawn.lolh_error
    assert abs(drawn.lole_d_per_y - exact.lole_d_per_y) < 4 * drawn.lole_error
    assert abs(drawn.eue_mwh - exact.eue_mwh) < 4 * drawn.eue_error
    assert drawn.lolh_error < 1.0


@settings(max_examples=40, deadline=None)
@given(st.lists(UNIT, min_size=1, max_size=5), st.lists(HUNDREDTHS, min_size=1, max_size=5))
def test_convolution_equals_enumeration(units: list[Unit], hours: list[float]) -> None:
    load = np.array(hours)
    found = assess(units, load)
    lolh, eue = enumerate_all(units, load)
    assert found.lolh_h_per_y == pytest.approx(lolh, abs=1e-9)
    assert found.eue_mwh == pytest.approx(eue, abs=1e-7)
    assert found.lole_d_per_y <= found.lolh_h_per_y + 1e-12


def test_enumeration_would_notice_a_wrong_outage_rate() -> None:
    units, load = [Unit("a", 50, 0.1), Unit("b", 30, 0.2)], np.array([40.0])
    wrong = [Unit("a", 50, 0.11), Unit("b", 30, 0.2)]
    assert assess(units, load).lolh_h_per_y != pytest.approx(enumerate_all(wrong, load)[0])


def test_table_sums_to_one_and_keeps_the_mean_off_the_grid() -> None:
    units = [Unit("a", 33.337, 0.1), Unit("b", 12.123456, 0.05, 6.1, 0.2)]
    table = outage_table(units)
    assert not table.exact
    assert table.probability.sum() == pytest.approx(1.0)
    assert table.moment[-1] == pytest.approx(sum(u.mean_mw for u in units))
    assert outage_table([Unit("a", 30.4, 0.1)]).exact


def test_equality_of_load_and_capacity_is_no_loss() -> None:
    assert assess([Unit("a", 100, 0.0)], np.array([100.0])).lolh_h_per_y == 0.0
    assert assess([Unit("a", 100, 0.0)], np.array([100.5])).eue_mwh == pytest.approx(0.5)


def test_lole_counts_days_at_their_peak_and_a_rest_is_a_day() -> None:
    load = np.zeros(50)
    load[[3, 30, 31, 49]] = 10.0
    assert list(daily_peaks(load)) == [10.0, 10.0, 10.0]
    found = assess([Unit("a", 5, 0.25)], load)
    assert found.lole_d_per_y == pytest.approx(3.0)
    assert found.lolh_h_per_y == pytest.approx(4.0)


def test_load_room_brings_lole_to_its_target(facts: Path) -> None:
    units, load = rts79_units(facts), rts79_load(facts) * 0.8
    room = load_room_mw(units, load, 0.1)
    assert assess(units, load + room).lole_d_per_y == pytest.approx(0.1, rel=1e-2)
    assert assess(units, load + room + 5).lole_d_per_y > 0.1
    assert load_room_mw(units, load / 0.8, 0.1) == 0.0


def test_outages_have_the_stationary_probabilities_and_lengths() -> None:
    unit = Unit("a", 100, 0.1, 40, 0.2, mttr_h=30)
    mw = available_mw([unit], 8760, 200, stream(1, "test"))
    assert (mw == 0).mean() == pytest.approx(0.1, abs=0.01)
    assert (mw == 40).mean() == pytest.approx(0.2, abs=0.01)
    flat = (mw.ravel() < 100).astype(int)
    starts = (np.diff(flat) == 1).sum()
    assert flat.sum() / starts == pytest.approx(30, rel=0.06)


def test_a_store_takes_short_outages_but_not_long_ones() -> None:
    load = np.full(8760, 90.0)
    short = [Unit("a", 100, 0.02, mttr_h=2)]
    long = [Unit("a", 100, 0.02, mttr_h=200)]
    store = Store(90, 360)
    gain = [
        1 - simulate(u, load, 100, 1, store=store).eue_mwh / simulate(u, load, 100, 1).eue_mwh
        for u in (short, long)
    ]
    assert gain[0] > 0.6
    assert gain[1] < 0.1


def test_same_seed_same_answer_and_zero_rates_are_never_short() -> None:
    units, load = [Unit("a", 50, 0.1), Unit("b", 50, 0.1)], np.full(100, 60.0)
    assert simulate(units, load, 20, 7) == simulate(units, load, 20, 7)
    assert simulate([Unit("a", 60, 0.0)], load, 20, 7).eue_mwh == 0.0


def test_two_areas_without_a_tie_are_two_single_areas_and_a_tie_helps() -> None:
    load = np.full(24 * 20, 80.0)
    units = tuple(Unit(f"u{i}", 30, 0.1) for i in range(4))
    areas = [Area("a", units, load), Area("b", units, load)]
    alone = assess(units, load).lolh_h_per_y
    apart = simulate_areas(areas, [], years=60, seed=2)
    assert abs(apart["a"].lolh_h_per_y - alone) < 4 * apart["a"].lolh_error
    tied = simulate_areas(areas, [Tie("a", "b", 1e4, 1e4)], years=60, seed=2)
    joint = assess([*units, *units], 2 * load)
    total = tied["a"].eue_mwh + tied["b"].eue_mwh
    error = tied["a"].eue_error + tied["b"].eue_error
    assert abs(total - joint.eue_mwh) < 4 * error
    assert total < apart["a"].eue_mwh + apart["b"].eue_mwh


def test_a_store_in_one_area_helps_the_other_over_the_tie() -> None:
    load = np.full(24 * 30, 55.0)
    a = Area("a", (Unit("u", 60, 0.05, mttr_h=2),), load)
    b = Area("b", (Unit("v", 60, 0.0),), load, Store(60, 240))
    bare = Area("b", b.units, load)
    tie = [Tie("a", "b", 100, 100)]
    with_store = simulate_areas([a, b], tie, 20, 1)["a"].eue_mwh
    assert with_store < 0.5 * simulate_areas([a, bare], tie, 20, 1)["a"].eue_mwh
    none = simulate_areas([a, b], [Tie("a", "b", 0, 0)], 20, 1)["a"].eue_mwh
    assert none == pytest.approx(simulate_areas([a, bare], [], 20, 1)["a"].eue_mwh)


def test_elcc_of_perfect_capacity_is_its_capacity(facts: Path) -> None:
    units, load = rts79_units(facts), rts79_load(facts)
    firm = with_profile(load, np.full(len(load), 100.0))
    assert elcc_mw(units, load, firm) == pytest.approx(100, abs=0.1)
    night = np.where(np.arange(len(load)) % 24 < 6, 100.0, 0.0)
    assert elcc_mw(units, load, with_profile(load, night)) < 5


def test_elcc_of_battery_grows_with_its_hours_and_flexible_load_with_its_hours(
    facts: Path,
) -> None:
    units, load = rts79_units(facts), rts79_load(facts)
    two, eight = (elcc_mw(units, load, with_battery(load, 100, 100 * h)) for h in (2, 8))
    assert 10 < two < eight <= 100
    few, many = (elcc_mw(units, load, with_flexible_load(load, 100, n)) for n in (50, 2000))
    assert 0 < few < many <= 100.1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 100), min_size=24, max_size=24), st.floats(0, 50), st.floats(0, 200))
def test_a_battery_lowers_the_peak_and_never_makes_energy(
    hours: list[float], power: float, energy: float
) -> None:
    load = np.array(hours)
    after = with_battery(load, power, energy)
    assert after.max() <= load.max() + 1e-6
    assert after.sum() >= load.sum() - 1e-6
    assert np.abs(after - load).max() <= power + 1e-6
    assert np.maximum(load - after, 0).sum() <= energy + 1e-6


def test_files_are_read_and_their_faults_named(tmp_path: Path) -> None:
    units, load = tmp_path / "units.csv", tmp_path / "load.csv"
    units.write_text(
        "# note\nname,capacity_mw,forced_outage_rate,derated_mw,derated_probability\n"
        "a,100,0.1,50,0.05\nb,50,0.02,,\n"
    )
    load.write_text("hour,load_mw\n1,90\n2,100\n")
    assert read_units(units)[0] == Unit("a", 100, 0.1, 50, 0.05)
    assert read_units(units)[1].derated_probability == 0
    assert list(read_load(load)) == [90, 100]
    load.write_text("load_mw\n90\nx\n")
    with pytest.raises(InputError, match=r"load.csv:3: load_mw 'x' is no number"):
        read_load(load)
    units.write_text("name,capacity_mw\na,100\n")
    with pytest.raises(InputError, match="no column 'forced_outage_rate'"):
        read_units(units)
    units.write_text("name,capacity_mw,forced_outage_rate\na,100,1.5\n")
    with pytest.raises(InputError, match=r"units.csv:2: unit a: outage rate 1.5"):
        read_units(units)
    with pytest.raises(InputError, match="cannot read"):
        read_units(tmp_path / "none.csv")


def test_bad_figures_are_refused() -> None:
    one = [Unit("a", 10, 0.1)]
    with pytest.raises(InputError, match="load -1 MW at hour 2"):
        assess(one, np.array([1.0, -1.0]))
    with pytest.raises(InputError, match=r"load uncertainty 0\.5"):
        assess(one, np.array([1.0]), 0.5)
    with pytest.raises(InputError, match="years: 0"):
        simulate(one, np.array([1.0]), 0)
    with pytest.raises(InputError, match="derated to 20 of 10 MW"):
        Unit("a", 10, 0.1, 20, 0.1)
    with pytest.raises(UnknownNameError, match="unknown area 'c'"):
        simulate_areas([Area("a", tuple(one), np.ones(2))], [Tie("a", "c", 1, 1)], 1)
    with pytest.raises(InputError, match="LOLE is 0"):
        elcc_mw([Unit("a", 10, 0.0)], np.ones(24), np.zeros(24))
