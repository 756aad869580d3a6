"""A fleet under control: a cap and an admitted share change in the middle of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest
import simpy
from test_serving_fleet import COSTER, SPEC

from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.observe import Integral
from sim.cluster.serving.protocol import PowerFleet
from sim.errors import InputError
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals

BUSY = replace(SPEC, arrivals=PoissonArrivals(60.0), warmup_s=0.0)


def capped(cap_w: float | None) -> LinearCoster:
    """A cap slows steps and lowers the power."""
    return COSTER if cap_w is None else replace(COSTER, step_s=0.016, power_w=4 * cap_w)


def run(change: object, until_s: int = 25) -> tuple[ServingFleet, Integral]:
    env = simpy.Environment()
    fleet = ServingFleet(env, BUSY, COSTER, 1, capped=capped)
    late = Integral(fleet.power_w, 10 * PS_PER_S)
    if change:
        change(fleet)  # type: ignore[operator]
    env.run(until_s * PS_PER_S)
    fleet.check_laws()
    return fleet, late


def test_a_cap_slows_and_saves_from_its_instant_on() -> None:
    free, free_power = run(None)
    held, held_power = run(lambda f: f.set_cap(10 * PS_PER_S, 300.0))
    first = [(r.request.request_id, r.end_ps) for r in free.log.completed]
    same = [(r.request.request_id, r.end_ps) for r in held.log.completed]
    cut = sum(end <= 10 * PS_PER_S for _, end in first)
    assert cut > 100
    assert first[:cut] == same[:cut]
    assert len(same) < len(first)
    end_ps = 25 * PS_PER_S
    assert held_power.at(end_ps) < 0.7 * free_power.at(end_ps)
    assert held_power.at(end_ps) == pytest.approx(12 * 4 * 300.0 * 15, rel=0.02)  # always busy


def test_a_lifted_cap_leaves_no_trace_on_the_cost() -> None:
    def change(fleet: PowerFleet) -> None:
        fleet.set_cap(0, 300.0)
        fleet.set_cap(0, None)

    free, held = run(None)[0], run(change)[0]
    assert free.log.completed == held.log.completed


def test_a_share_of_the_arrivals_is_shed_and_counted() -> None:
    fleet, _ = run(lambda f: f.set_admission(0, 0.25))
    result, whole = fleet.result(), run(None)[0].result()
    assert result.requests.value == whole.requests.value
    assert result.shed.value == pytest.approx(0.75 * result.requests.value, rel=0.1)
    assert whole.shed.value == 0
    assert len(fleet.requests) * 4 == result.requests.value


def test_who_is_admitted_at_a_small_share_is_admitted_at_a_larger_one() -> None:
    served = []
    for frac in (0.2, 0.6):
        fleet = run(lambda f, frac=frac: f.set_admission(0, frac), 60)[0]
        served.append({r.request.request_id for r in fleet.log.completed})
    assert served[0] < served[1]


def test_bad_changes_are_refused() -> None:
    fleet, _ = run(None)
    with pytest.raises(InputError, match=r"share 1\.5"):
        fleet.set_admission(25 * PS_PER_S, 1.5)
    with pytest.raises(InputError, match=r"a change at 1\.0 s asked after 25\.0 s"):
        fleet.set_cap(PS_PER_S, None)
    plain = ServingFleet(simpy.Environment(), BUSY, COSTER, 1)
    with pytest.raises(InputError, match="without costs under a power cap"):
        plain.set_cap(0, 300.0)
