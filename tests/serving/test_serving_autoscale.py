"""The autoscaler: both fleets alike, the analytic size at constant load, bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_serving_compiled_fleet import FREE, RULES, WHOLE, run
from test_serving_fleet import COSTER, SPEC

from sim.cluster.serving.autoscale import Autoscale, Autoscaler
from sim.cluster.serving.cell_scaler import CellScaler
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.observe import Integral
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas
from sim.control.serving import router
from sim.cost.tables import TableCoster, build_tables
from sim.errors import InputError
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths
from sim.workload.requests import draw_requests

SCALE = Autoscale(1, 6, 3, interval_s=0.5, load_s=0.7, slots=16, patience=2)


@settings(max_examples=10, deadline=None)
@given(
    st.integers(1, 10_000),
    st.floats(5.0, 120.0),
    st.sampled_from(["utilisation", "slo"]),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.25, 0.7, 1.3]),
    st.sampled_from(["round-robin", "join-shortest-queue"]),
)
def test_both_fleets_switch_alike(
    seed: int, rate: float, kind: str, start: int, load_s: float, route: str
) -> None:
    """The story, the counts and the energy, at any load, ticks and decisions out of step."""
    scale = replace(SCALE, kind=kind, start_replicas=start, load_s=load_s, slo_e2e_s=2.0)  # type: ignore[arg-type]
    table = draw_requests(PoissonArrivals(rate), WHOLE.lengths, 5.0, seed, "same")
    common = {"horizon_s": 5.0, "warmup_s": 1.5, "router": route, "autoscale": scale}
    spec = replace(WHOLE, replicas=6, cell_replicas=6, tick_s=0.3, **common)
    fast, meter, _ = run(spec, recorded=table)
    env = simpy.Environment()
    small = replace(SPEC, n_replicas=6, simulated_replicas=6, rules=RULES, **common)
    slow = ServingFleet(env, small, TableCoster(FREE), 1, recorded=table)
    slow_meter = Integral(slow.power_w, *(int(t * PS_PER_S) for t in (1.5, 5.0)))
    env.run(5 * PS_PER_S)
    slow.check_laws()
    assert fast.scaler is not None
    assert slow.scaler is not None
    assert fast.scaler.story == slow.scaler.story
    for name in ("requests", "completed", "tokens_out"):
        found, true = (getattr(fleet.result(), name).value for fleet in (fast, slow))
        assert found == true, name
    assert meter.at(5 * PS_PER_S) == pytest.approx(slow_meter.at(5 * PS_PER_S), rel=1e-9)


def settled(start: int, rate: float, **changes: float) -> tuple[list[tuple[int, int]], float]:
    """The story of a fleet under constant load, and the replicas of Little's law."""
    scale = replace(
        Autoscale(2, 12, start, interval_s=10.0, load_s=15.0, slots=32),
        **changes,  # type: ignore[arg-type]
    )
    spec = replace(
        WHOLE,
        arrivals=PoissonArrivals(rate),
        lengths=ConstantLengths(100, 100),
        horizon_s=300.0,
        warmup_s=150.0,
        autoscale=scale,
        cell_replicas=12,
        router="join-shortest-queue",
    )
    fleet, _, _ = run(spec)
    result = fleet.result()
    assert result.e2e_s is not None
    assert fleet.scaler is not None
    return fleet.scaler.story, rate * result.e2e_s.mean.value / (32 * 0.5)


@pytest.mark.parametrize("start", [2, 12])
@pytest.mark.parametrize("rate", [30.0, 90.0])
def test_constant_load_settles_at_the_analytic_size(start: int, rate: float) -> None:
    """Little: N = rate x stay, so ceil(N / (slots x target)) replicas; then nothing changes."""
    story, exact = settled(start, rate)
    last_ps, ready = story[-1]
    assert ready == math.ceil(exact)
    assert last_ps < 150 * PS_PER_S


def test_without_tolerance_and_patience_it_flaps() -> None:
    """At a whole number of replicas the noise of arrivals crosses it: the check can fail."""
    late = {}
    for tolerance_frac, patience in ((0.0, 1), (0.1, 3)):
        story, exact = settled(5, 92.2, tolerance_frac=tolerance_frac, patience=patience)
        assert exact == pytest.approx(5.0, abs=0.05)
        late[patience] = sum(time_ps > 150 * PS_PER_S for time_ps, _ in story)
    assert late[1] >= 2
    assert late[3] == 0


def test_counted_by_hand() -> None:
    """Two wanted more, one loads at a time until its time; then patience before fewer."""
    scaler = Autoscaler(replace(SCALE, start_replicas=1, interval_s=1.0, load_s=1.5))
    second = PS_PER_S
    assert scaler.next_ps == second
    area = 24 * second  # 24 requests for 1 s: 24 / (16 x 0.5) = 3 replicas
    switched = scaler.act(second, area, 0)
    assert [(s.place, s.to) for s in switched] == [(1, "loading"), (2, "loading")]
    assert scaler.act(2 * second, 2 * area, 0) == []
    assert scaler.next_ps == 5 * second // 2
    switched = scaler.act(5 * second // 2, 0, 0)
    assert [(s.place, s.to) for s in switched] == [(1, "on"), (2, "on")]
    assert scaler.act(3 * second, 2 * area, 0) == []  # nothing to do, but for the first time
    switched = scaler.act(4 * second, 2 * area, 0)
    assert [(s.place, s.to) for s in switched] == [(2, "off"), (1, "off")]
    assert [n for _, n in scaler.story] == [1, 3, 1]


def test_a_full_fleet_over_a_long_interval_is_summed_exactly() -> None:
    """30,000 requests at each replica for an hour are above 2**64 request-ps, each alone."""
    cells = [CompiledReplicas(FREE, RULES, 4) for _ in range(2)]
    spec = Autoscale(2, 8, 8, interval_s=3600.0, load_s=0.0, slots=120_000, patience=1)
    switches = CellScaler(spec, cells)
    for part in cells:
        part.cell.load[:] = 30_000
    while switches.scaler.next_ps <= 3600 * PS_PER_S:
        switches.act(switches.next_ps)
    assert switches.scaler.ready == 4  # 8 x 30,000 / (120,000 x 0.5)


def test_what_is_off_draws_what_gpus_without_a_model_draw() -> None:
    scale = replace(SCALE, start_replicas=1, max_replicas=1)
    fleet, meter, _ = run(
        replace(WHOLE, arrivals=PoissonArrivals(1e-9), autoscale=scale, cell_replicas=12)
    )
    assert fleet.power_w.value == pytest.approx(480.0 + 11 * 70.0)
    assert meter.at(20 * PS_PER_S) == pytest.approx((480.0 + 11 * 70.0) * 15.5)


@settings(max_examples=5, deadline=None)
@given(st.integers(1, 1000), st.floats(0.1, 3.9), st.booleans())
def test_what_loads_fails_and_is_off_draws_its_own_power(
    seed: int, load_s: float, stopped: bool
) -> None:
    """One replica loads from 1 s on and another has failed; in both engines, by hand."""
    coster = replace(COSTER, unloaded_power_w=33.0, loading_power_w=777.0)
    env = simpy.Environment()
    replicas = [ReferenceReplica(env, f"r{i}", i, coster, RULES, ServingEvents()) for i in range(3)]
    routed = RoutedReplicas(replicas, router("random"), np.random.default_rng(seed))
    meters = [Integral(replica.power_w) for replica in replicas]
    fast = CompiledReplicas(build_tables(coster, 64, 512), RULES, 3, "random")
    for at_s, change in (
        (0.0, "drain"),
        (1.0, "load"),
        (1.0 + load_s, "drain" if stopped else "join"),
    ):
        if at_s:
            env.run(int(at_s * PS_PER_S))
        fast.settle(int(at_s * PS_PER_S))
        getattr(routed, change)(1)
        getattr(fast, change)(1, int(at_s * PS_PER_S))
        if at_s == 1.0:
            routed.fail(2)
            fast.fail(2, PS_PER_S)
    env.run(6 * PS_PER_S)
    fast.settle(6 * PS_PER_S)
    last_w = 33.0 if stopped else 480.0
    by_hand = 480 * 6 + 33 + 777 * load_s + last_w * (5 - load_s) + 480 + 33 * 5
    assert sum(meter.at(6 * PS_PER_S) for meter in meters) == pytest.approx(by_hand, rel=1e-9)
    assert fast.totals(6 * PS_PER_S).energy_j == pytest.approx(by_hand, rel=1e-9)
    assert sum(r.idle_j + r.dark_j for r in replicas) == pytest.approx(by_hand, rel=1e-9)


def test_bad_input_is_refused() -> None:
    for bad in (
        {"min_replicas": 0},
        {"start_replicas": 9},
        {"interval_s": 0.0},
        {"patience": 0},
        {"target_frac": 0.0},
    ):
        with pytest.raises(InputError, match="autoscaler"):
            replace(SCALE, **bad)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="routing cells"):
        replace(WHOLE, autoscale=SCALE)
    with pytest.raises(InputError, match="all simulated"):
        replace(SPEC, autoscale=replace(SCALE, max_replicas=999))
