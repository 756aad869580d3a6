"""A fleet as a fluid of rates: requests conserved, saturation kept, equal to the exact one."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.fleet import FleetSpec, ServingFleet
from sim.cluster.serving.fluid import FluidFleet, FluidSpec
from sim.cluster.serving.split import split_curve
from sim.cluster.serving.steady import steady_curve
from sim.control.serving import BatchRules
from sim.errors import CapacityError, InputError, LawViolation
from sim.units import to_ps
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths

COST = LinearCoster(step_s=0.01, token_s=1e-5, cached_s=1e-8, power_w=700, idle_power_w=120)
MEAN = (400.0, 100.0)
CURVE = steady_curve(COST, MEAN, 64, 8192)


def fleet(env, rate_per_s, replicas=10, horizon_s=3600.0):
    rate = rate_per_s if callable(rate_per_s) else lambda _time_s: rate_per_s
    spec = FluidSpec("fleet", replicas, replicas, rate, MEAN, horizon_s)
    return FluidFleet(env, spec, lambda _cap: CURVE)


def run(made, env, seconds):
    env.run(until=to_ps(seconds))
    made.check_laws()
    return made


def test_the_curve_rises_from_idle_to_saturation():
    assert CURVE.rate_per_s[0] == 0
    assert CURVE.power_w[0] == COST.idle_power_w
    assert np.all(np.diff(CURVE.rate_per_s) > 0)
    assert np.all(np.diff(CURVE.power_w) >= 0)
    assert np.all(np.diff(CURVE.tpot_s) >= 0)
    assert CURVE.power_w[-1] <= COST.power_w * (1 + 1e-12)


def test_little_s_law_holds_along_the_curve():
    """Present = rate x time in decode: the mean batch while busy, times the share busy."""
    rate, tpot = CURVE.rate_per_s[1:], CURVE.tpot_s[1:]
    present = rate * tpot * MEAN[1]
    batch = CURVE.batch[1:]
    assert batch == pytest.approx(present / -np.expm1(-present), rel=1e-9)


def test_a_request_that_cannot_fit_is_refused():
    small = LinearCoster(step_s=0.01, kv_capacity_tokens=400)
    with pytest.raises(CapacityError, match="does not fit"):
        steady_curve(small, MEAN, 64, 8192)


def test_prompts_found_in_a_cache_serve_more_and_draw_less():
    curves = [steady_curve(COST, MEAN, 64, 8192, read) for read in (1.0, 0.6, 0.0)]
    most = [c.saturation_per_s for c in curves]
    assert most == sorted(most)
    same = 0.5 * most[0]
    powers = [c.power_at_w(same) for c in curves]
    assert powers == sorted(powers, reverse=True)


def test_a_split_fleet_saturates_in_both_kinds_together():
    """By hand: the share of prefill is that at which both kinds reach their most.

    The first token is the prefill replica's, and the others are left to decode.
    """
    found = split_curve(COST, MEAN, 64, 8192)
    decode = steady_curve(COST, (MEAN[0] + 1, MEAN[1] - 1), 64, 8192, 0.0)
    together = 8192 // 400
    prompt_s = COST.cost([(400, 0)] * together, []).time_s / together
    share = found.prefill_frac
    assert share / prompt_s == pytest.approx((1 - share) * decode.saturation_per_s)
    assert found.curve.saturation_per_s == pytest.approx(share / prompt_s)
    full_w = share * COST.power_w + (1 - share) * decode.power_w[-1]
    assert found.curve.power_w[-1] == pytest.approx(full_w)
    assert found.curve.power_w[0] == pytest.approx(COST.idle_power_w)


def test_a_split_fleet_has_whole_replicas_of_both_kinds():
    found = split_curve(COST, MEAN, 64, 8192, replicas=3)
    assert found.prefill_frac * 3 == pytest.approx(1.0)
    with pytest.raises(CapacityError, match="cannot be split"):
        split_curve(COST, MEAN, 64, 8192, replicas=1)


def test_long_prompts_are_read_in_parts():
    short = split_curve(COST, (8192.0, 100.0), 64, 8192)
    long = split_curve(COST, (16384.0, 100.0), 64, 8192)
    assert long.prefill_frac > short.prefill_frac


@given(
    st.floats(0, 3),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 20),
    st.lists(st.floats(1, 3000), max_size=3),
)
def test_requests_are_conserved_whatever_is_ordered(load, admit, move, received, moments):
    env = simpy.Environment(0)
    made = fleet(env, load * 10 * CURVE.saturation_per_s)
    for moment in moments:
        made.set_admission(to_ps(moment), admit)
        made.set_moved(to_ps(moment), move)
        made.set_received(to_ps(moment), received)
    run(made, env, 3600)
    book = made.ledger
    assert book.arrived + book.received == pytest.approx(
        book.served + book.shed + book.moved + made.backlog
    )
    assert book.served <= 3600 * 10 * CURVE.saturation_per_s * (1 + 1e-9)
    assert min(book.arrived, book.served, book.shed, book.moved, made.backlog) >= 0


def test_what_waits_is_served_later():
    """An hour beyond saturation, and then nothing new: the backlog is worked off."""
    most = 10 * CURVE.saturation_per_s
    env = simpy.Environment(0)
    made = fleet(env, lambda t: 1.5 * most if t < 600 else 0.2 * most, horizon_s=3600)
    run(made, env, 600)
    assert made.backlog == pytest.approx(0.5 * most * 600, rel=1e-6)
    run(made, env, 3600)
    assert made.backlog == pytest.approx(0, abs=1e-6)
    assert made.ledger.served == pytest.approx(made.ledger.arrived)


def test_energy_is_the_integral_of_the_signal():
    env = simpy.Environment(0)
    made = fleet(env, 0.5 * 10 * CURVE.saturation_per_s)
    changes: list[tuple[int, float]] = []
    made.power_w.subscribe(lambda t, v: changes.append((t, v)))
    made.set_admission(to_ps(1000), 0.3)
    run(made, env, 3600)
    ends = [t for t, _ in changes[1:]] + [to_ps(3600)]
    joules = math.fsum(v * (e - t) / 1e12 for (t, v), e in zip(changes, ends, strict=True))
    assert made.result().energy_j.value == pytest.approx(joules, rel=1e-9)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_power_and_time_per_token_are_those_of_the_exact_fleet(share):
    rate = 4 * share * CURVE.saturation_per_s
    env = simpy.Environment(0)
    exact = ServingFleet(
        env,
        FleetSpec(
            name="exact",
            n_replicas=4,
            simulated_replicas=4,
            arrivals=PoissonArrivals(rate),
            lengths=ConstantLengths(400, 100),
            horizon_s=160.0,
            warmup_s=30.0,
            rules=BatchRules(batcher="chunked-prefill", max_num_seqs=64),
            router="round-robin",
        ),
        COST,
        seed=1,
    )
    env.run(until=to_ps(160.0))
    found = exact.result()
    per_replica = rate / 4
    assert CURVE.power_at_w(per_replica) == pytest.approx(found.mean_power_w.value / 4, rel=0.03)
    assert CURVE.tpot_at_s(per_replica) == pytest.approx(found.tpot_s.mean.value, rel=0.08)


def test_the_warm_up_is_left_out():
    env = simpy.Environment(0)
    spec = FluidSpec("fleet", 10, 10, lambda _t: 5.0, MEAN, 3600.0, warmup_s=90.0)
    made = FluidFleet(env, spec, lambda _cap: CURVE)
    env.run(until=to_ps(3600))
    assert made.result().requests.value == pytest.approx(5.0 * 3510)


def test_a_broken_book_is_told():
    env = simpy.Environment(0)
    made = fleet(env, 5.0)
    env.run(until=to_ps(100))
    made.ledger.served += 1
    with pytest.raises(LawViolation, match="requests came"):
        made.check_laws()


def test_power_that_the_replicas_did_not_draw_is_told(monkeypatch):
    """A wrong power is in the signal, the ledger and the meter: only the other book knows."""
    real = FluidFleet._power_w
    monkeypatch.setattr(FluidFleet, "_power_w", lambda *args: 1.001 * real(*args))
    env = simpy.Environment(0)
    made = fleet(env, 5.0)
    env.run(until=to_ps(100))
    with pytest.raises(LawViolation, match=r"joules, but .* by what its replicas did"):
        made.check_laws()


def test_requests_that_no_replica_served_are_told():
    env = simpy.Environment(0)
    made = fleet(env, 5.0)
    env.run(until=to_ps(100))
    made.ledger.served += 1
    made.ledger.arrived += 1
    with pytest.raises(LawViolation, match="served requests, but"):
        made.check_laws()


def test_replicas_that_are_nowhere_are_told(monkeypatch):
    monkeypatch.setattr(FluidFleet, "_up", property(lambda self: self.spec.n_replicas - 1.0))
    env = simpy.Environment(0)
    made = fleet(env, 5.0)
    env.run(until=to_ps(100))
    with pytest.raises(LawViolation, match="replica-seconds, but"):
        made.check_laws()


@pytest.mark.parametrize("loading_power_w", [None, 333.0])
def test_both_books_agree_while_replicas_go_dark_and_a_cap_changes_the_curve(loading_power_w):
    capped = steady_curve(
        LinearCoster(step_s=0.02, token_s=2e-5, cached_s=1e-8, power_w=400, idle_power_w=120),
        MEAN,
        64,
        8192,
    )
    env = simpy.Environment(0)
    spec = FluidSpec("fleet", 10, 10, lambda t: 5.0 + t / 300, MEAN, 3600.0)
    spec = replace(spec, loading_power_w=loading_power_w)
    made = FluidFleet(env, spec, lambda cap: CURVE if cap is None else capped)
    made.set_power(to_ps(500), 0.3, 0.2)
    made.set_cap(to_ps(900), 400.0)
    made.set_power(to_ps(1500), 0.0, 0.1)
    made.set_cap(to_ps(2000), None)
    run(made, env, 3600)
    assert made.ledger.requeued > 0
    assert made.book.energy_j == pytest.approx(made.ledger.energy_j, rel=1e-12)
    assert made.book.dark_s == pytest.approx(3 * 1000)


def test_orders_that_cannot_be_are_refused():
    env = simpy.Environment(0)
    made = fleet(env, 5.0)
    with pytest.raises(InputError, match="share"):
        made.set_admission(0, 1.5)
    with pytest.raises(InputError, match="received"):
        made.set_received(0, -1.0)
    env.run(until=to_ps(10))
    with pytest.raises(InputError, match="after its time"):
        made.set_admission(0, 0.5)
