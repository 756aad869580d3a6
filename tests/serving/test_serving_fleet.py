"""The fleet stand-in: k replicas speak for n."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy

from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.fleet import FleetSpec, ServingFleet
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.observe import Integral
from sim.control.serving import BatchRules
from sim.errors import InputError, LawViolation, UnknownNameError
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths, trace_lengths
from sim.workload.requests import RequestTable, draw_requests

COSTER = LinearCoster(
    step_s=0.008, token_s=2e-5, cached_s=2e-9, gpus=4, power_w=2400.0, idle_power_w=480.0
)
SPEC = FleetSpec(
    name="chat",
    n_replicas=12,
    simulated_replicas=3,
    arrivals=PoissonArrivals(6.0),
    lengths=trace_lengths("azure-conv-2023"),
    horizon_s=25.0,
    warmup_s=5.0,
)


def simulate(spec: FleetSpec, seed: int = 1) -> tuple[ServingFleet, float, FleetResult]:
    """The fleet after its horizon, the integral of its power, and its result."""
    env = simpy.Environment()
    fleet = ServingFleet(env, spec, COSTER, seed)
    start_ps, end_ps = (int(t * PS_PER_S) for t in (spec.warmup_s, spec.horizon_s))
    meter = Integral(fleet.power_w, start_ps, end_ps)
    env.run(end_ps)
    fleet.check_laws()
    return fleet, meter.at(end_ps), fleet.result()


def test_the_result_is_the_simulated_part_scaled() -> None:
    fleet, metered_j, result = simulate(SPEC)
    window = [r for r in fleet.log.completed if r.end_ps >= 5 * PS_PER_S]
    assert fleet.gpus == 48
    assert result.completed.value == pytest.approx(4 * len(window))
    assert result.tokens_out.value == pytest.approx(
        4 * sum(r.request.output_tokens for r in window)
    )
    assert result.energy_j.value == pytest.approx(metered_j, rel=1e-9)
    assert result.mean_power_w.value == pytest.approx(metered_j / 20, rel=1e-9)
    assert result.ttft_s is not None
    assert result.ttft_s.p50.value == pytest.approx(np.median([r.ttft_s for r in window]))
    assert result.energy_j_per_output_token is not None
    assert result.energy_j_per_output_token.value == pytest.approx(
        result.energy_j.value / result.tokens_out.value
    )
    assert result.basis == "3 of 12 replicas simulated and scaled; 95% t-interval across them"


def test_power_before_any_request_is_the_fleets_idle_power() -> None:
    fleet = ServingFleet(simpy.Environment(), SPEC, COSTER, 1)
    assert fleet.power_w.name == "chat.chip_w"
    assert fleet.power_w.value == 12 * 480.0


def test_the_interval_holds_the_fleet_simulated_in_full() -> None:
    """k = 4 of 12 against all 12, both with their own randomness.

    The difference of two independent estimates is judged by the 99.9 % interval of the
    sample; the full fleet's own spread is within it.
    """
    _, _, part = simulate(replace(SPEC, simulated_replicas=4, confidence=0.999))
    _, _, whole = simulate(replace(SPEC, simulated_replicas=12), seed=2)
    for name in ("energy_j", "tokens_out", "tokens_in", "completed"):
        estimate, truth = getattr(part, name), getattr(whole, name)
        assert estimate.low <= truth.value <= estimate.high, name
        assert truth.low == truth.high == truth.value


def test_a_single_replica_has_no_interval_and_says_so() -> None:
    _, _, result = simulate(replace(SPEC, simulated_replicas=1))
    assert result.energy_j.low is None
    assert result.basis.endswith("no interval from a single one")


def test_more_arrivals_use_more_energy_and_less_per_token() -> None:
    _, _, light = simulate(SPEC)
    _, _, heavy = simulate(replace(SPEC, arrivals=PoissonArrivals(60.0)))
    assert heavy.energy_j.value > light.energy_j.value
    assert heavy.energy_j_per_output_token is not None
    assert light.energy_j_per_output_token is not None
    assert heavy.energy_j_per_output_token.value < light.energy_j_per_output_token.value


def test_same_seed_same_result_and_another_seed_another() -> None:
    _, first_j, first = simulate(SPEC)
    _, again_j, again = simulate(SPEC)
    _, other_j, _ = simulate(SPEC, seed=2)
    assert (first_j, first) == (again_j, again)
    assert other_j != first_j


def test_dropped_requests_are_counted_apart() -> None:
    spec = replace(
        SPEC,
        lengths=ConstantLengths(3000, 10),
        rules=BatchRules("prefill-priority", max_num_seqs=64, max_num_batched_tokens=2048),
    )
    fleet, _, result = simulate(spec)
    assert fleet.log.dropped[0].reason == "exceeds-token-budget"
    assert result.dropped.value == result.requests.value > 0
    assert result.completed.value == 0
    assert result.energy_j_per_output_token is None
    assert result.ttft_s is None


def test_the_laws_of_a_fleet_fail_when_they_must() -> None:
    fleet, _, _ = simulate(SPEC)
    fleet.replicas[1].free_blocks -= 1
    with pytest.raises(LawViolation, match=r"KV blocks fails at chat\.replica1"):
        fleet.check_laws()


def test_no_result_before_the_window() -> None:
    env = simpy.Environment()
    fleet = ServingFleet(env, SPEC, COSTER, 1)
    env.run(4 * PS_PER_S)
    with pytest.raises(InputError, match="before the window"):
        fleet.result()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"simulated_replicas": 13}, "must be from 1 to the 12"),
        ({"simulated_replicas": 0}, "simulated_replicas = 0"),
        ({"warmup_s": 25.0}, "warmup_s = 25.0"),
        ({"warmup_s": -1.0}, "warmup_s = -1.0"),
        ({"horizon_s": float("nan")}, "warmup_s"),
        ({"confidence": 1.0}, "confidence = 1.0"),
    ],
)
def test_a_wrong_spec_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(SPEC, **changes)


def test_an_unknown_router_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="power-of-two"):
        replace(SPEC, router="power-of-too")


def test_the_split_of_energy_sums_to_the_meter() -> None:
    fleet, _, _ = simulate(replace(SPEC, warmup_s=0.0))
    split_j = fleet.energy_split_j()
    assert split_j["unfinished"] > 0
    assert split_j["idle"] > 0
    metered_j = sum(meter.at(int(fleet.env.now)) for meter in fleet._meters)
    assert sum(split_j.values()) == pytest.approx(metered_j, rel=1e-9)
    held = sum(replica.load for replica in fleet.replicas)
    assert len(fleet.unfinished()) == held > 0


def test_a_fleet_without_requests_idles() -> None:
    _, _, result = simulate(replace(SPEC, arrivals=PoissonArrivals(1e-9)))
    assert result.requests.value == 0
    assert result.energy_j.value == pytest.approx(12 * 480.0 * 20.0)
    assert result.e2e_s is None


def test_the_scaled_power_stays_between_idle_and_busy() -> None:
    env = simpy.Environment()
    fleet = ServingFleet(env, SPEC, COSTER, 1)
    seen: list[float] = []
    fleet.power_w.subscribe(lambda _, value: seen.append(value))
    env.run(int(SPEC.horizon_s * PS_PER_S))
    assert min(seen) == pytest.approx(12 * 480.0)
    assert max(seen) == pytest.approx(12 * 2400.0)


def test_a_recorded_trace_is_replayed_row_by_row() -> None:
    """With all replicas simulated every row comes; with a third, a coin decides."""
    drawn = draw_requests(PoissonArrivals(20.0), ConstantLengths(40, 5), 30.0, 1, "trace")
    tokens_in = np.arange(1, len(drawn) + 1)
    recorded = RequestTable(drawn.arrival_ps, tokens_in, drawn.output_tokens)
    spec = replace(SPEC, n_replicas=3)
    whole = ServingFleet(simpy.Environment(), spec, COSTER, 1, recorded)
    early = recorded.arrival_ps < 25 * PS_PER_S
    assert whole.requests.input_tokens.tolist() == tokens_in[early].tolist()
    part = ServingFleet(simpy.Environment(), replace(spec, n_replicas=9), COSTER, 1, recorded)
    kept = len(part.requests)
    count = int(early.sum())
    assert abs(kept - count / 3) < 4 * np.sqrt(count * 2 / 9)
    at = np.searchsorted(recorded.arrival_ps, part.requests.arrival_ps)
    assert part.requests.input_tokens.tolist() == tokens_in[at].tolist()
