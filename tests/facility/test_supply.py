"""Behind the meter: balance, limits, no free energy, rules, the identity without equipment."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import CapacityError, InputError, LawViolation
from sim.facility.battery import Battery
from sim.facility.building import load_building
from sim.facility.generator import Generator
from sim.facility.meter import SiteMeter, SitePlant
from sim.facility.profile import Profile, constant
from sim.facility.rules import (
    Arbitrage,
    BatteryRule,
    PeakShaving,
    RideThrough,
    SelfConsumption,
    Smoothing,
)
from sim.facility.supply import (
    NO_ORDER,
    SiteSupply,
    Source,
    SupplyOrder,
    SupplyPlant,
    SupplyState,
    first_state,
    plan,
    settle,
)
from sim.hardware.node import load_node
from sim.signals import StepSignal
from sim.units import to_ps

MW = 1e6
MWH = 3.6e9
H = 3600.0

RULES: list[BatteryRule] = [
    SelfConsumption(),
    RideThrough(),
    PeakShaving(50 * MW),
    Smoothing(60.0),
    Arbitrage(20.0, 60.0),
]


@st.composite
def plants(draw: st.DrawFn) -> SupplyPlant:
    power_mw = draw(st.floats(0.1, 100))
    hours = draw(st.floats(0.3, 8))
    battery = Battery(
        power_mw * MW,
        power_mw * hours * MWH,
        round_trip_frac=draw(st.floats(0.5, 1)),
        initial_frac=draw(st.floats(0.05, 0.95)),
        fade_frac_per_cycle=draw(st.sampled_from([0.0, 1e-3])),
    )
    shape = np.array(draw(st.lists(st.floats(0, 1), min_size=1, max_size=5)))
    generators = tuple(
        Generator(
            f"g{k}",
            draw(st.floats(0, 80)) * MW,
            min_load_frac=draw(st.floats(0, 0.6)),
            ramp_frac_per_s=draw(st.sampled_from([1.0, 1e-3])),
            start_s=draw(st.sampled_from([0.0, 10.0, 600.0])),
            fuel_usd_per_mwh=15,
            rule=draw(st.sampled_from(["backup", "baseload", "price"])),
        )
        for k in range(draw(st.integers(0, 2)))
    )
    return SupplyPlant(
        battery=battery,
        rule=draw(st.sampled_from(RULES)),
        pv=Source(draw(st.floats(0, 300)) * MW, Profile(shape)),
        wind=Source(draw(st.floats(0, 100)) * MW, Profile(shape[::-1].copy())),
        generators=generators,
        import_limit_w=draw(st.sampled_from([math.inf, 80 * MW, 0.0])),
        export_limit_w=draw(st.sampled_from([0.0, 50 * MW])),
        ramp_limit_w_per_s=draw(st.sampled_from([math.inf, 0.01 * MW])),
    )


orders = st.builds(
    SupplyOrder,
    import_limit_w=st.sampled_from([None, 0.0, 60 * MW]),
    price_usd_per_mwh=st.sampled_from([None, -10.0, 40.0, 500.0]),
    discharge=st.booleans(),
    battery_w=st.sampled_from([None, -30 * MW, 30 * MW]),
)
intervals = st.lists(
    st.tuples(st.floats(0.01, 7200), st.floats(0, 200 * MW), orders, st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


@given(plants(), intervals)
def test_energy_is_conserved_and_the_battery_keeps_its_limits(
    plant: SupplyPlant, story: list[tuple[float, float, SupplyOrder, float]]
) -> None:
    supply, time_s, battery = SiteSupply(plant), 0.0, plant.battery
    start_j, lost_j, charged_j, given_j = supply.state.stored_j, 0.0, 0.0, 0.0
    for dt_s, load_w, order, share in story:
        step = supply.step(time_s, dt_s, load_w, order)
        scale_w = max(load_w, battery.power_w, step.pv_w + step.wind_w, 1.0)
        assert abs(step.balance_w) <= 1e-9 * scale_w
        for part in (step.import_w, step.export_w, step.pv_w, step.wind_w, step.generation_w):
            assert part >= 0
        assert min(step.curtailed_pv_w, step.curtailed_wind_w, step.unserved_w) >= -1e-9 * scale_w
        assert step.unserved_w <= load_w * (1 + 1e-9)
        limit_w = min(plant.import_limit_w, order.import_limit_w or math.inf)
        assert step.import_w <= limit_w * (1 + 1e-9)
        assert not (step.import_w > 0 and step.export_w > 0)
        assert abs(step.battery_w) <= battery.power_w * (1 + 1e-9)
        assert step.fuel_w >= step.generation_w
        charged_j += max(step.battery_w, 0) * dt_s * share
        given_j += max(-step.battery_w, 0) * dt_s * share
        time_s += dt_s * share
        stored_j = supply.settle(time_s).stored_j
        slack_j = 1e-9 * battery.energy_j
        assert battery.floor_j() - slack_j <= stored_j
        assert stored_j <= battery.max_frac * battery.energy_j + slack_j
    lost_j = charged_j - given_j - (supply.state.stored_j - start_j)
    assert lost_j >= -1e-6 * battery.energy_j  # no free energy: what came out went in


@given(st.floats(0, 1e9), st.floats(0.1, 1e4))
def test_without_equipment_the_grid_sees_the_building(load_w: float, dt_s: float) -> None:
    supply = SiteSupply()
    assert supply.plant.is_bare
    step = supply.step(0.0, dt_s, load_w)
    assert step.import_w == load_w
    assert (step.export_w, step.battery_w, step.unserved_w, step.generation_w) == (0, 0, 0, 0)


def test_a_full_cycle_loses_what_the_round_trip_says() -> None:
    battery = Battery(10 * MW, 20 * MWH, round_trip_frac=0.81, min_frac=0, initial_frac=0)
    plant = SupplyPlant(battery=battery)
    state = first_state(plant)
    charged = plan(plant, state, H, 50 * MW, SupplyOrder(battery_w=10 * MW))
    state = settle(plant, state, charged, H)
    assert state.stored_j == pytest.approx(9 * MWH)
    back = plan(plant, state, H, 50 * MW, SupplyOrder(battery_w=-10 * MW))
    assert -back.battery_w == pytest.approx(8.1 * MW)
    assert settle(plant, state, back, H).stored_j == pytest.approx(0, abs=1)


def test_peak_shaving_holds_its_target_while_it_lasts() -> None:
    battery = Battery(20 * MW, 30 * MWH, round_trip_frac=1, min_frac=0, max_frac=1, initial_frac=1)
    supply = SiteSupply(SupplyPlant(battery=battery, rule=PeakShaving(100 * MW)))
    steps = [supply.step(k * H, H, 115 * MW) for k in range(3)]
    assert [s.import_w for s in steps] == pytest.approx([100 * MW, 100 * MW, 115 * MW])


def test_a_lost_grid_is_bridged_until_the_diesel_is_up() -> None:
    """Battery first, at once; the set starts in time; nothing is unserved."""
    battery = Battery(60 * MW, 30 * MWH, initial_frac=0.9)
    diesel = Generator("diesel", 60 * MW, 0.3, ramp_frac_per_s=0.1, start_s=600)
    supply = SiteSupply(SupplyPlant(battery=battery, rule=RideThrough(), generators=(diesel,)))
    lost = SupplyOrder(import_limit_w=0.0)
    steps = [supply.step(k * 60.0, 60.0, 50 * MW, lost) for k in range(120)]
    assert max(s.unserved_w for s in steps) == 0
    assert steps[0].generation_w == 0
    assert -steps[0].battery_w == pytest.approx(50 * MW)
    assert steps[-1].generation_w == pytest.approx(50 * MW, rel=0.01)


def test_without_battery_the_start_time_is_dark() -> None:
    diesel = Generator("diesel", 60 * MW, 0.3, ramp_frac_per_s=1, start_s=30)
    supply = SiteSupply(SupplyPlant(generators=(diesel,)))
    steps = [
        supply.step(k * 10.0, 10.0, 50 * MW, SupplyOrder(import_limit_w=0.0)) for k in range(6)
    ]
    assert [round(s.unserved_w / MW) for s in steps] == [50, 50, 50, 0, 0, 0]


def test_ramps_of_the_import_are_kept_by_the_battery_and_told_where_it_cannot() -> None:
    battery = Battery(50 * MW, 50 * MWH)
    plant = SupplyPlant(battery=battery, rule=RideThrough(0.0), ramp_limit_w_per_s=0.1 * MW)
    supply = SiteSupply(plant)
    loads = [100, 100, 140, 140, 60]
    steps = [supply.step(k * 10.0, 10.0, mw * MW) for k, mw in enumerate(loads)]
    assert [s.import_w / MW for s in steps[:4]] == pytest.approx([100, 100, 101, 102])
    assert steps[4].import_w / MW == pytest.approx(101)
    bare = SiteSupply(SupplyPlant(ramp_limit_w_per_s=0.1 * MW))
    first, second = (bare.step(k * 10.0, 10.0, mw * MW) for k, mw in enumerate((100, 140)))
    assert (first.ramp_excess_w, second.ramp_excess_w) == pytest.approx((0, 39 * MW))
    assert second.import_w == 140 * MW


def test_smoothing_takes_the_swing_of_training_off_the_grid() -> None:
    battery = Battery(60 * MW, 30 * MWH, round_trip_frac=1)
    supply = SiteSupply(SupplyPlant(battery=battery, rule=Smoothing(300.0)))
    imports = [
        supply.step(k * 2.0, 2.0, (140 if k % 2 else 80) * MW).import_w for k in range(2000)
    ][1000:]
    assert max(imports) - min(imports) < 2 * MW
    assert np.mean(imports) == pytest.approx(110 * MW, rel=0.02)


def test_arbitrage_follows_the_price() -> None:
    supply = SiteSupply(SupplyPlant(battery=Battery(10 * MW, 40 * MWH), rule=Arbitrage(20, 60)))
    powers = [
        supply.step(k * H, H, 50 * MW, SupplyOrder(price_usd_per_mwh=price)).battery_w
        for k, price in enumerate((10, 40, 100, None))
    ]
    assert powers == [10 * MW, 0, -10 * MW, 0]


def test_a_price_rule_runs_the_set_only_above_its_fuel() -> None:
    gas = Generator("gas", 20 * MW, efficiency_frac=0.4, fuel_usd_per_mwh=12, rule="price")
    supply = SiteSupply(SupplyPlant(generators=(gas,)))
    outputs = [
        supply.step(k * H, H, 50 * MW, SupplyOrder(price_usd_per_mwh=price)).generation_w
        for k, price in enumerate((25, 35, 29))
    ]
    assert outputs == [0, 20 * MW, 0]
    assert supply.step(3 * H, H, 50 * MW, NO_ORDER).fuel_w == 0


def test_surplus_is_curtailed_without_export_and_sold_with_it() -> None:
    sun = Source(100 * MW, constant(0.8))
    kept = SiteSupply(SupplyPlant(pv=sun)).step(0, H, 30 * MW)
    assert (kept.pv_w, kept.curtailed_pv_w, kept.export_w) == (30 * MW, 50 * MW, 0)
    sold = SiteSupply(SupplyPlant(pv=sun, export_limit_w=20 * MW)).step(0, H, 30 * MW)
    assert (sold.pv_w, sold.curtailed_pv_w, sold.export_w) == (50 * MW, 30 * MW, 20 * MW)


def test_a_supply_is_not_asked_beyond_its_interval() -> None:
    supply = SiteSupply(SupplyPlant(battery=Battery(1 * MW, 1 * MWH)))
    supply.step(0, 10, 5 * MW)
    with pytest.raises(LawViolation, match="elapsed of an interval planned for"):
        supply.step(20, 10, 5 * MW)


def test_an_interval_may_be_broken_off_without_a_difference() -> None:
    plant = SupplyPlant(battery=Battery(10 * MW, 10 * MWH), rule=PeakShaving(40 * MW))
    once, twice = SiteSupply(plant), SiteSupply(plant)
    once.step(0, 600, 45 * MW)
    twice.step(0, 600, 45 * MW)
    twice.step(123.4, 476.6, 45 * MW)
    assert once.settle(600).stored_j == pytest.approx(twice.settle(600).stored_j, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Battery(10 * MW, 40 * MWH, inverter_w=5 * MW), "10 MW exceed its inverter of 5"),
        (lambda: Battery(100 * MW, 10 * MWH), "10 C, above the limit of 4 C"),
        (lambda: Battery(1 * MW, 0), "inf C"),
        (lambda: Battery(1 * MW, 1 * MWH, min_frac=0.6), "not in order"),
        (lambda: Battery(1 * MW, 1 * MWH, round_trip_frac=1.2), "outside 0 to 1"),
        (lambda: Battery(-1, 1), "cannot be negative"),
        (lambda: Generator("g", 1, efficiency_frac=0), "efficiency 0"),
        (lambda: Generator("g", -1), "capacity -1"),
        (lambda: SupplyPlant(import_limit_w=-1), "import limit -1 W"),
        (lambda: PeakShaving(-1), "negative"),
        (lambda: Smoothing(0), "above 0"),
        (lambda: Arbitrage(60, 20), "lose on each cycle"),
        (lambda: Profile(np.array([1.0, math.nan])), "hour 1 of a profile has no value"),
        (lambda: Profile(np.zeros(0)), "at least one hour"),
        (lambda: SiteSupply().step(0, 0, 1), "an interval of 0 s"),
        (lambda: SiteSupply().step(0, 1, math.nan), "load of nan"),
    ],
)
def test_nonsense_is_refused_with_its_numbers(make: object, message: str) -> None:
    with pytest.raises((CapacityError, InputError), match=message):
        make()  # type: ignore[operator]


@given(st.floats(0, 1e5), st.floats(0.1, 1e5))
def test_the_mean_of_a_profile_is_its_integral(time_s: float, duration_s: float) -> None:
    profile = Profile(np.array([1.0, 3.0, 2.0, 0.0]), start_h=1)
    grid = np.linspace(time_s, time_s + duration_s, 20_001)
    middle = (grid[1:] + grid[:-1]) / 2
    values = profile.hourly[(np.floor(middle / H).astype(int) + 1) % 4]
    assert profile.mean(time_s, duration_s) == pytest.approx(float(values.mean()), abs=2e-3)


def test_a_state_is_never_changed_in_place() -> None:
    plant = SupplyPlant(battery=Battery(10 * MW, 10 * MWH))
    state = first_state(plant)
    settle(plant, state, plan(plant, state, H, 5 * MW, SupplyOrder(battery_w=1 * MW)), H)
    assert state == SupplyState(0.0, 0.5 * 10 * MWH)


def test_the_meter_shows_the_grid_what_is_left() -> None:
    """Without a supply the import is the building; with one the storage follows exactly."""
    job = StepSignal("job.chip_w", 60e6)
    building = SitePlant("campus", 12_500, load_node(), load_building(1.2))
    bare = SiteMeter(building, 0, [job])
    battery = Battery(30 * MW, 60 * MWH, round_trip_frac=1)
    supply = SiteSupply(SupplyPlant(battery=battery, rule=PeakShaving(120 * MW)))
    shaved = SiteMeter(building, 0, [job], supply)
    seen: list[tuple[int, float]] = []
    shaved.import_w.subscribe(lambda t, w: seen.append((t, w)))
    start_j = supply.state.stored_j
    shaved.tick(0, 600.0)
    job.set(to_ps(300), 68e6)
    step = shaved.tick(to_ps(600), 600.0, SupplyOrder(import_limit_w=110 * MW))
    assert bare.import_w.value == bare.facility_w.value == shaved.facility_w.value
    powers = [(building.parts(w).facility_w - 120 * MW) * 300 for w in (60e6, 68e6)]
    assert supply.state.stored_j == pytest.approx(start_j - sum(powers))
    assert [t for t, _ in seen] == [0, 0, to_ps(600)]
    assert shaved.import_w.value == pytest.approx(110 * MW)
    assert step.unserved_w == 0
