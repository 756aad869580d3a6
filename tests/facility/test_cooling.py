"""Cooling, power chain, and the building in its weather: laws and published figures."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import CapacityError, InputError, LawViolation, UnknownNameError
from sim.facility.building import Building
from sim.facility.chain import ChainPlan, build_chain
from sim.facility.cooling import (
    PLANTS,
    air_flow_kg_per_s,
    cooling_buffer,
    cooling_figures,
    cooling_year,
)
from sim.facility.meter import SiteMeter, SitePlant, check_boundary_laws, energy_by_cause_j
from sim.facility.weather import Weather, climate, climates
from sim.facility.year import facility_year, overhead
from sim.hardware.node import load_node
from sim.record.integral import Integrator
from sim.signals import StepSignal
from sim.units import to_ps

DESIGN_W = 144e6
CHAIN = build_chain(ChainPlan(DESIGN_W, racks=3125, rows=250, ups_blocks=60, transformers=30))
NODE = load_node()


def weather(dry_c: float, wet_c: float) -> Weather:
    """One hour of air."""
    one = [np.array([v]) for v in (dry_c, wet_c, 101_325.0, 0.0, 0.0, 0.0, 3.0)]
    return Weather("air", 40.0, -100.0, -7.0, 0.0, *one)


def pue(kind: str, dry_c: float, wet_c: float, load_frac: float = 1.0) -> float:
    air = weather(dry_c, wet_c)
    over = overhead(CHAIN, cooling_year(kind, air), air, DESIGN_W)
    return float(facility_year(np.array([load_frac * DESIGN_W]), [over]).pue[0, 0])


@given(
    st.sampled_from(sorted(PLANTS)), st.floats(-20, 45), st.floats(0, 20), st.floats(0, 20),
    st.floats(0.1, 1),
)  # fmt: skip
def test_pue_never_falls_with_the_wet_bulb(
    kind: str, dry_c: float, below_k: float, more_k: float, load_frac: float
) -> None:
    """The rule that a known open simulator has the wrong way round."""
    wet_c = dry_c - below_k
    assert pue(kind, dry_c, wet_c, load_frac) >= pue(kind, dry_c, wet_c - more_k, load_frac) - 1e-12


@given(st.sampled_from(sorted(PLANTS)), st.floats(-20, 40), st.floats(0, 10))
def test_pue_never_falls_in_warmer_air_as_moist(kind: str, wet_c: float, more_k: float) -> None:
    assert pue(kind, wet_c + 5 + more_k, wet_c + more_k) >= pue(kind, wet_c + 5, wet_c) - 1e-12


@pytest.mark.parametrize("kind", sorted(PLANTS))
def test_pue_rises_as_the_load_falls(kind: str) -> None:
    rising = [pue(kind, 25, 18, load) for load in (1.0, 0.7, 0.4, 0.2, 0.05)]
    assert rising == sorted(rising)
    assert rising[-1] > rising[0] + 0.3


@pytest.mark.parametrize("kind", ["chilled-water", "chilled-water-no-economiser", "direct-liquid"])
def test_pue_does_rise_with_the_wet_bulb(kind: str) -> None:
    assert pue(kind, 30, 27) > pue(kind, 30, 20) + 0.005


def test_published_fleets_are_bracketed() -> None:
    """1.09, the best published fleet, and 1.45, the mean of recent builds, are within reach.

    What each is made of was not published: climate, set points, fan share, chiller, redundancy
    and load below were chosen by us until the two figures came out (assumption). So this says
    that plausible settings span the published range, not that the model predicts either.
    """
    figures = cooling_figures()
    lean = {"air.supply_c": 27.0, "air.fan_frac": 0.025}
    air = climate("seattle")
    chain = build_chain(ChainPlan(DESIGN_W, 3125, 250, 60, 30, "N"))
    best = cooling_year("economiser", air, _set(figures, lean))
    found = facility_year(np.full(8760, DESIGN_W), [overhead(chain, best, air, DESIGN_W)])
    assert found.mean_pue[0] == pytest.approx(1.09, abs=0.02)
    old = {"water.supply_c": 7.0, "chiller.carnot_frac": 0.5, "plant.fixed_frac": 0.5}
    chain = build_chain(ChainPlan(DESIGN_W, 3125, 250, 60, 30, "2N"))
    common = cooling_year("chilled-water-no-economiser", climate("virginia"), _set(figures, old))
    over = overhead(chain, common, climate("virginia"), DESIGN_W)
    found = facility_year(np.full(8760, 0.45 * DESIGN_W), [over])
    assert found.mean_pue[0] == pytest.approx(1.45, abs=0.08)


def _set(figures, values):  # type: ignore[no-untyped-def]
    return {n: replace(d, value=values.get(n, d.value)) for n, d in figures.items()}


def test_water_follows_the_plant() -> None:
    """Towers evaporate all year, an economiser only in warm hours, a dry desert the most."""
    litres = {}
    for kind in PLANTS:
        for name in ("phoenix", "seattle"):
            air = climate(name)
            over = overhead(CHAIN, cooling_year(kind, air), air, DESIGN_W)
            year = facility_year(np.full(8760, DESIGN_W), [over])
            litres[kind, name] = float(year.wue_l_per_kwh[0])
    assert 1.5 < litres["chilled-water", "seattle"] < 2.2  # 1.8 L/kWh is the common figure
    assert litres["economiser", "phoenix"] > 10 * litres["economiser", "seattle"]
    assert {kind for (kind, _), value in litres.items() if value == 0} == {"dry-liquid"}
    assert all(value >= 0 for value in litres.values())


def test_coolers_without_water_are_the_same_in_the_cold_and_take_more_in_the_heat() -> None:
    """No drop in any hour; above the reach of dry coolers, air-cooled chillers take over."""
    for name in ("phoenix", "seattle"):
        dry, wetted = (cooling_year(k, climate(name)) for k in ("dry-liquid", "direct-liquid"))
        assert not dry.water_kg_per_j.any()
        cold = climate(name).dry_bulb_c <= 5
        assert not dry.chilled_frac[cold].any()
        warm = climate(name).dry_bulb_c >= 25
        if name == "phoenix":  # the year, as docs/facility.md says
            assert (1 + dry.share.mean()) / (1 + wetted.share.mean()) == pytest.approx(
                1.05, abs=0.01
            )
        assert np.all(dry.share[warm] > wetted.share[warm])
    more = {n: pue("dry-liquid", n, 15) / pue("direct-liquid", n, 15) for n in (40, 25)}
    assert more[40] > more[25] > 1
    # 75 % of the heat leaves at 32 C by chillers that condense at 40 + 14 C, 25 % at 18 C.
    hot = cooling_year("dry-liquid", weather(40, 15))
    f = {name: datum.value for name, datum in cooling_figures().items()}
    moved = 0.75 * (0.012 + 0.012) + 0.25 * (0.035 + 0.015 + 0.012)
    chillers = 0.75 * (54 - 30) / 303.15 + 0.25 * (54 - 16) / 289.15
    assert hot.share[0] == pytest.approx((1 - f["plant.fixed_frac"]) * moved + chillers / 0.6)
    assert hot.chilled_frac[0] == 1


def test_a_year_of_many_sites_is_each_site_alone() -> None:
    names = climates()
    overs = [
        overhead(CHAIN, cooling_year("chilled-water", climate(n)), climate(n), DESIGN_W)
        for n in names
    ]
    load_w = np.linspace(0.3, 1, 8760) * DESIGN_W
    together = facility_year(load_w, overs)
    alone = facility_year(load_w, [overs[2]])
    np.testing.assert_array_equal(together.facility_w[2], alone.facility_w[0])
    parts = together.it_w + together.power_train_loss_w + together.cooling_w
    np.testing.assert_allclose(parts, together.facility_w, rtol=1e-12)


def test_gaps_in_a_load_are_refused() -> None:
    over = overhead(CHAIN, cooling_year("economiser", climate("dallas")), climate("dallas"), 1e6)
    with pytest.raises(InputError, match="negative or has gaps"):
        facility_year(np.full(8760, np.nan), [over])
    with pytest.raises(UnknownNameError, match="cooling"):
        cooling_year("ice", climate("dallas"))


def test_the_buffer_of_the_plant_lasts_longer_at_less_heat() -> None:
    buffer = cooling_buffer(100e6)
    assert buffer.hold_s(100e6) == pytest.approx(300)
    assert buffer.hold_s(50e6) == pytest.approx(600)
    assert buffer.hold_s(0) == float("inf")
    assert air_flow_kg_per_s(1006.0, 1.0) == pytest.approx(1.0)


# --- the chain


@given(
    st.floats(0, 200e6), st.sampled_from(["N", "N+1", "2N"]), st.floats(0, 1),
    st.integers(1, 300), st.integers(1, 60),
)  # fmt: skip
def test_at_every_level_in_is_out_plus_loss(
    it_w: float, redundancy: str, over_frac: float, rows: int, blocks: int
) -> None:
    chain = build_chain(
        ChainPlan(DESIGN_W, 3125, rows, blocks, 3, redundancy, over_frac)  # type: ignore[arg-type]
    )
    flows = chain.flows(it_w)
    before_w = it_w
    for flow in flows:
        assert flow.out_w == pytest.approx(before_w, rel=1e-12)
        assert flow.in_w == pytest.approx(flow.out_w + flow.loss_w, rel=1e-12)
        assert flow.loss_w >= 0
        before_w = flow.in_w
    assert before_w - it_w == pytest.approx(chain.loss_w(it_w), rel=1e-9, abs=1e-3)


def test_redundancy_costs_losses_and_oversubscription_overloads() -> None:
    def chain(redundancy: str, over: float = 0.0):  # type: ignore[no-untyped-def]
        return build_chain(ChainPlan(DESIGN_W, 3125, 250, 60, 30, redundancy, over))  # type: ignore[arg-type]

    losses = [chain(r).loss_w(DESIGN_W / 2) for r in ("N", "N+1", "2N")]
    assert losses == sorted(losses)
    assert losses[0] < losses[2]
    assert chain("N+1").tightest(DESIGN_W).used_frac <= 1 + 1e-9
    assert chain("N+1", 0.3).tightest(DESIGN_W).used_frac == pytest.approx(1.3, rel=1e-6)
    with pytest.raises(CapacityError, match="a chain for 0 MW"):
        build_chain(ChainPlan(0.0, 1))


# --- the run in its weather


def test_the_meter_follows_the_hours_and_the_law_holds_by_the_hour() -> None:
    air = climate("phoenix")
    over = overhead(CHAIN, cooling_year("chilled-water", air), air, DESIGN_W, start_h=2016)
    plant = SitePlant("campus", 12_500, NODE, Building(0.945, 1.2, over))
    job = StepSignal("job.chip_w", 60e6)
    meter = SiteMeter(plant, 0, [job])
    recorders = {
        name: Integrator.of(getattr(meter, name)) for name in ("chip_w", "it_w", "facility_w")
    }
    changes = {0.4: 66e6, 1.2: 30e6, 1.9: 64e6, 2.5: 10e6}
    for hour in sorted([*range(1, 4), *changes]):
        if hour in changes:
            job.set(to_ps(hour * 3600), changes[hour])
        else:
            meter.refresh(to_ps(hour * 3600))
    end_ps = to_ps(3.5 * 3600)
    energy = [r.integral(0, end_ps) for r in recorders.values()]
    edges = [to_ps(h * 3600) for h in range(4)] + [end_ps]
    hours = [recorders["chip_w"].integral(a, b) for a, b in itertools.pairwise(edges)]
    check_boundary_laws(plant, 3.5 * 3600, *energy, hours)
    with pytest.raises(LawViolation, match="recorded facility energy"):
        check_boundary_laws(plant, 3.5 * 3600, energy[0], energy[1], energy[2] * 1.001, hours)
    with pytest.raises(LawViolation, match="recorded facility energy"):
        check_boundary_laws(plant, 3.5 * 3600, *energy)  # the mean of the run is not enough
    causes = energy_by_cause_j(plant, 3.5 * 3600, hours)
    assert sum(causes.values()) == pytest.approx(energy[2], rel=1e-9)
