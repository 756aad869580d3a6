"""Queueing theory: the replica is a known queue when its steps are simple.

Each gate is a Student-t confidence interval over independent replications, and the
interval must be narrow enough to tell neighbouring theories apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import factorial

import numpy as np
import pytest
from scipy.special import stdtrit
from serving_helpers import World, rules, world

from sim.cluster.serving.coster import LinearCoster, PrefillChunk
from sim.cluster.serving.observe import Integral
from sim.control.serving import power_of_two
from sim.cost.step import StepCost
from sim.randomness import stream
from sim.units import to_s
from sim.workload.arrivals import PoissonArrivals
from sim.workload.requests import RequestTable

CONFIDENCE = 0.99
REPLICATIONS = 12
WARMUP = 200
MEASURED = 1000
SERVICE_S = 0.010


class ExponentialCoster:
    """A step takes an exponential time, whatever is in it."""

    gpus = 1
    idle_power_w = unloaded_power_w = loading_power_w = 120.0
    kv_capacity_tokens = max_sequences = 1_000_000

    def __init__(self, mean_s: float, rng: np.random.Generator):
        self.mean_s = mean_s
        self.rng = rng

    def cost(self, *_: Sequence[PrefillChunk] | Sequence[int]) -> StepCost:
        time_s = self.rng.exponential(self.mean_s)
        return StepCost(time_s, 700.0 * time_s, 1.0, 1.0, 1.0, 0.0, "time")


def arrivals(rate_per_s: float, seed: int, output: np.ndarray | None = None) -> RequestTable:
    count = WARMUP + MEASURED
    horizon_s = count / rate_per_s * 1.5
    times_s = PoissonArrivals(rate_per_s).times_s(horizon_s, stream(seed, "arrivals"))[:count]
    assert len(times_s) == count
    ones = np.ones(count, dtype=np.int64)
    return RequestTable(
        np.rint(times_s * 1e12).astype(np.int64), ones, ones if output is None else output
    )


def mean_sojourn_s(ran: World) -> float:
    records = sorted(ran.log.completed, key=lambda record: record.request.request_id)
    return float(np.mean([record.e2e_s for record in records[WARMUP:]]))


def interval(samples: list[float]) -> tuple[float, float]:
    """Mean and half-width of the confidence interval."""
    spread = float(np.std(samples, ddof=1)) / np.sqrt(len(samples))
    return float(np.mean(samples)), float(stdtrit(len(samples) - 1, (1 + CONFIDENCE) / 2) * spread)


@cache
def single_server(kind: str, rate_per_s: float) -> tuple[float, float]:
    samples = []
    for seed in range(REPLICATIONS):
        coster = (
            ExponentialCoster(SERVICE_S, stream(seed, "service"))
            if kind == "exponential"
            else LinearCoster(SERVICE_S)
        )
        samples.append(
            mean_sojourn_s(world(arrivals(rate_per_s, seed), coster, rules(max_num_seqs=1)).run())
        )
    return interval(samples)


def mm1_s(rate_per_s: float) -> float:
    """M/M/1: 1 / (mu - lambda)."""
    return 1 / (1 / SERVICE_S - rate_per_s)


def md1_s(rate_per_s: float) -> float:
    """M/D/1 (Pollaczek-Khinchine): s (1 + rho / (2 (1 - rho)))."""
    load = rate_per_s * SERVICE_S
    return SERVICE_S * (1 + load / (2 * (1 - load)))


@pytest.mark.parametrize("load", [0.3, 0.6])
def test_one_exponential_step_per_request_is_mm1(load: float) -> None:
    rate = load / SERVICE_S
    mean, half = single_server("exponential", rate)
    assert mean == pytest.approx(mm1_s(rate), abs=half)
    assert half < 0.15 * mm1_s(rate)


@pytest.mark.parametrize("load", [0.3, 0.6])
def test_one_constant_step_per_request_is_md1(load: float) -> None:
    rate = load / SERVICE_S
    mean, half = single_server("constant", rate)
    assert mean == pytest.approx(md1_s(rate), abs=half)
    assert half < 0.1 * md1_s(rate)


def test_the_gate_tells_md1_from_mm1() -> None:
    """The check can fail: constant service does not pass for exponential."""
    rate = 0.6 / SERVICE_S
    mean, half = single_server("constant", rate)
    assert mean + half < mm1_s(rate)


def erlang_c(servers: int, offered: float) -> float:
    """Probability of waiting in M/M/c."""
    last = offered**servers / factorial(servers) / (1 - offered / servers)
    return last / (sum(offered**k / factorial(k) for k in range(servers)) + last)


def test_batch_slots_with_geometric_outputs_are_mmc() -> None:
    """c seats, steps of constant time D, geometric outputs of mean m: M/M/c for small D / m.

    Steps make time discrete: a request that finds a seat waits up to one step for the next
    step to begin, and a geometric number of steps varies by 1 / m less than an exponential.
    Both move the mean by less than one step, which the gate adds to the interval.
    """
    servers, mean_steps, step_s, load = 3, 25, 0.001, 0.7
    rate = load * servers / (mean_steps * step_s)
    samples = []
    for seed in range(6):
        count = WARMUP + MEASURED
        output = stream(seed, "outputs").geometric(1 / mean_steps, count).astype(np.int64)
        ran = world(
            arrivals(rate, seed, output), LinearCoster(step_s), rules(max_num_seqs=servers)
        ).run()
        samples.append(mean_sojourn_s(ran))
    mean, half = interval(samples)
    service_s = mean_steps * step_s
    waits_s = erlang_c(servers, load * servers) * service_s / (servers * (1 - load))
    assert mean == pytest.approx(service_s + waits_s, abs=half + step_s)
    assert half < 0.25 * mean


@pytest.mark.parametrize("batcher", ["chunked-prefill", "prefill-priority"])
def test_littles_law_on_the_path(batcher: str) -> None:
    """From empty to empty, the integral of the number in the system is the sum of sojourns."""
    count = 400
    rng = stream(3, "lengths")
    table = RequestTable(
        np.sort(rng.integers(0, 10**13, count)),
        rng.integers(1, 300, count),
        rng.integers(1, 60, count),
    )
    coster = LinearCoster(0.004, 2e-5, 1e-7, kv_capacity_tokens=1_200)
    built = world(table, coster, rules(batcher, max_num_seqs=16))
    signals = (built.replicas[0].running_requests, built.replicas[0].waiting_requests)
    meters = [Integral(signal) for signal in signals]
    built.run()
    in_system_s = sum(meter.at(int(built.env.now)) for meter in meters)
    sojourns_ps = sum(r.end_ps - r.request.arrival_ps for r in built.log.completed)
    assert built.counter.preempted
    assert in_system_s == pytest.approx(to_s(sojourns_ps), rel=1e-9)


def test_littles_law_in_the_mean() -> None:
    """L = lambda W with the rate of the process, not of the sample: an interval decides."""
    rate, load = 60.0, 0.6
    gaps = []
    for seed in range(REPLICATIONS):
        built = world(arrivals(rate, seed), LinearCoster(load / rate), rules(max_num_seqs=1))
        meters = [
            Integral(built.replicas[0].running_requests),
            Integral(built.replicas[0].waiting_requests),
        ]
        built.run()
        in_system = sum(m.at(int(built.env.now)) for m in meters) / to_s(int(built.env.now))
        sojourn_s = float(np.mean([record.e2e_s for record in built.log.completed]))
        gaps.append(in_system - rate * sojourn_s)
    mean, half = interval(gaps)
    assert abs(mean) <= half
    assert half < 0.1


def test_power_of_two_lies_between_a_random_split_and_one_queue() -> None:
    """Two M/M/1 with a random split are worse, one M/M/2 queue for both is better."""
    rate, service_s = 120.0, 0.010
    samples = []
    for seed in range(8):
        coster = ExponentialCoster(service_s, stream(seed, "service"))
        ran = world(arrivals(rate, seed), coster, rules(max_num_seqs=1), 2, power_of_two).run()
        samples.append(mean_sojourn_s(ran))
    mean, half = interval(samples)
    split_s = 1 / (1 / service_s - rate / 2)
    one_queue_s = service_s + erlang_c(2, rate * service_s) * service_s / (2 - rate * service_s)
    assert one_queue_s - half < mean < split_s - half
