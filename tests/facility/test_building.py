"""The building: named terms, three boundaries, published node powers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import CapacityError, LawViolation
from sim.facility.building import load_building, power_parts
from sim.facility.meter import SiteMeter, SitePlant, check_boundary_laws
from sim.hardware.node import load_node
from sim.signals import StepSignal

NODE = load_node()
PLANT = SitePlant("campus", 12_500, NODE, load_building(1.2))


@given(st.floats(0, 70e6), st.floats(1.1, 2))
def test_terms_add_up_and_pue_is_facility_over_it(chip_w: float, pue: float) -> None:
    parts = power_parts(chip_w, 12_500, NODE, load_building(pue))
    assert sum(parts.causes().values()) == pytest.approx(parts.facility_w)
    assert parts.facility_w == pytest.approx(pue * parts.it_w)
    assert all(value >= -1e-6 for value in parts.causes().values())


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_the_chain_is_linear_in_chip_power(a_w: float, b_w: float) -> None:
    """So spreading a load over nodes changes nothing, and energies follow from means."""
    at_mean = PLANT.parts((a_w + b_w) / 2).facility_w
    assert at_mean == pytest.approx((PLANT.parts(a_w).facility_w + PLANT.parts(b_w).facility_w) / 2)


def test_a_training_node_draws_what_was_measured() -> None:
    """At 650 to 700 W a GPU: 7.75 kW typical of intense training, 8.4 kW the most measured."""
    low_w, high_w = (_node_w(gpu_w) for gpu_w in (650, 700))
    assert 7_250 < low_w < 8_480
    assert 7_250 < high_w < 8_480
    assert high_w < NODE.rated_w


def test_a_hundred_thousand_gpus_meet_the_published_site() -> None:
    """150 MW is allocated to a site of 100k H100; 115 to 165 MW is the accepted range."""
    assert 115e6 < PLANT.parts(100_000 * 650).facility_w < 165e6


def test_a_pue_below_the_power_train_is_refused() -> None:
    with pytest.raises(CapacityError, match=r"PUE of 1\.02 .* alone costs 1\.05"):
        load_building(1.02)


def test_meters_follow_the_chips_over_time() -> None:
    source = StepSignal("job.chip_w", 1e6)
    meter = SiteMeter(PLANT, 100, [source])
    seen: list[tuple[int, float]] = []
    meter.chip_w.subscribe(lambda t, w: seen.append((t, w)))
    source.set(5, 2e6)
    idle_w = 100 * NODE.device.idle_w
    assert seen == [(0, 1e6 + idle_w), (5, 2e6 + idle_w)]
    assert meter.facility_w.value == pytest.approx(PLANT.parts(2e6 + idle_w).facility_w)


def test_boundary_laws_hold_for_the_chain_and_fail_for_anything_else() -> None:
    parts = PLANT.parts(50e6)
    energies = [w * 3600 for w in (parts.chip_w, parts.it_w, parts.facility_w)]
    check_boundary_laws(PLANT, 3600, *energies)
    with pytest.raises(LawViolation, match="not in order"):
        check_boundary_laws(PLANT, 3600, energies[1], energies[0], energies[2])
    with pytest.raises(LawViolation, match="recorded facility energy"):
        check_boundary_laws(PLANT, 3600, energies[0], energies[1], energies[2] * 1.001)
    other = replace(PLANT, building=load_building(1.3))
    with pytest.raises(LawViolation, match="facility"):
        check_boundary_laws(other, 3600, *energies)


def _node_w(gpu_w: float) -> float:
    """AC power of one server, without network and storage."""
    parts = power_parts(8 * gpu_w, 1, NODE, load_building())
    return parts.chip_w + parts.host_w + parts.fans_w + parts.psu_loss_w


def test_supplies_lose_what_their_efficiency_says_at_the_rated_power_and_more_below() -> None:
    """Constant + proportional; at the rated AC power the two make up the whole loss."""
    dc_w = NODE.psu_efficiency_frac * NODE.rated_w
    assert NODE.psu_loss_w(dc_w) == pytest.approx((1 - NODE.psu_efficiency_frac) * NODE.rated_w)
    fixed_w = NODE.psu_loss_w(0.0)
    assert fixed_w == pytest.approx(0.2 * 0.05 * 10_200)
    lost = [NODE.psu_loss_w(share * dc_w) / (share * dc_w) for share in (1.0, 0.5, 0.2)]
    assert lost == sorted(lost)
    assert NODE.psu_loss_w(5 * dc_w, 5) == pytest.approx(5 * NODE.psu_loss_w(dc_w))
