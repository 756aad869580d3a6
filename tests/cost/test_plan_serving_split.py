"""Prefill and decode in pools of their own, as planned and as simulated."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import simpy
from plan_serving_jobs import LENGTHS, LOOSE, job

from sim.cluster.serving.disaggregated import CacheLink, ReferenceHandover
from sim.cluster.serving.observe import RequestLog
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas, bring_requests
from sim.control.serving import ROUTERS, BatchRules
from sim.cost.layout import Layout
from sim.cost.plan_serving_job import Job, Slo
from sim.cost.plan_serving_load import Lengths
from sim.cost.plan_serving_split import best_split, cache_bytes, plan_split, transfer_s
from sim.cost.serving import ReplicaCost
from sim.errors import InputError
from sim.flops import precision
from sim.hardware.node import node_of
from sim.randomness import stream
from sim.workload.requests import Request


def test_pools_carry_the_rate_within_the_slo() -> None:
    asked = job("llama-3.1-70b", per_s=20.0)
    for split in plan_split(asked):
        assert split.ttft_s <= LOOSE.ttft_s * (1 + 1e-9)
        assert split.tpot_s <= LOOSE.tpot_s
        assert split.prefill_frac <= 0.95
        assert split.prefill_frac == pytest.approx(
            20 * split.prefill.pass_s / split.prefill_replicas
        )
        capacity = split.decode.replicas * split.decode.batch / (255 * split.decode.step_s)
        assert capacity == pytest.approx(20, rel=0.02)
        assert split.gpus >= split.prefill.layout.gpus + split.decode.layout.gpus


def test_one_replica_fewer_would_not_do() -> None:
    asked = job(per_s=100.0, slo=Slo(0.1, 0.03))
    split = best_split(plan_split(asked), "gpus")
    fewer = split.prefill_replicas - 1
    assert fewer >= 1
    busy = 100 * split.prefill.pass_s / fewer
    waited_s = busy * split.prefill.pass_s / (2 * (1 - busy)) if busy < 1 else math.inf
    assert busy > 0.95 or split.prefill.request_s + split.prefill.pass_s + waited_s > 0.1


def test_requests_served_in_two_pools_take_as_long_as_the_plan_says() -> None:
    """The reference under random arrivals: means of 2,000 requests after 100 to warm up."""
    asked = job("llama-3.1-8b", per_s=40.0, slo=Slo(0.2, 0.02), formats=("bf16",))
    arrivals_s = np.cumsum(np.random.default_rng(7).exponential(1 / 40.0, 2200))
    came_per_s = 2000 / float(arrivals_s[2100] - arrivals_s[100])
    split = best_split(plan_split(replace(asked, per_s=came_per_s)), "gpus")
    env, hooks = simpy.Environment(), (ServingEvents(), ServingEvents())
    pools = (
        _replicas(env, asked, split.prefill.layout, split.prefill_replicas, hooks[0]),
        _replicas(env, asked, split.decode.layout, split.decode.replicas, hooks[1]),
    )
    logs = [RequestLog(events) for events in hooks]
    link = CacheLink(0.0, split.transfer_s / LENGTHS.isl)
    handover = ReferenceHandover(env, pools[0], hooks[0], pools[1], link)
    rows = [Request(i, round(t * 1e12), LENGTHS.isl, LENGTHS.osl) for i, t in enumerate(arrivals_s)]
    env.process(bring_requests(env, rows, handover))
    env.run()
    served = [r for r in logs[1].completed if 100 <= r.request.request_id < 2100]
    ttft_s = np.mean([(r.first_token_ps / 1e12 - arrivals_s[r.request.request_id]) for r in served])
    tpot_s = np.mean([(r.end_ps - r.first_token_ps) / 1e12 / (LENGTHS.osl - 1) for r in served])
    assert split.ttft_s - split.prefill.request_s == pytest.approx(ttft_s, rel=0.1)
    assert split.tpot_s == pytest.approx(tpot_s, rel=0.05)


def _replicas(
    env: simpy.Environment, asked: Job, layout: Layout, count: int, events: ServingEvents
) -> RoutedReplicas:
    coster = ReplicaCost(asked.arch, layout, asked.offers[0].node, 1024)
    rules = BatchRules(watermark_frac=0.0)
    built = [ReferenceReplica(env, f"r{i}", i, coster, rules, events) for i in range(count)]
    return RoutedReplicas(built, ROUTERS["random"], stream(7, "r"))


def test_a_slow_link_is_between_the_first_two_tokens() -> None:
    """It lengthens the time per output token by its share, and no first token."""
    asked = job("llama-3.1-8b", per_s=20.0, slo=Slo(1.0, 0.05))
    prompts = plan_split(asked)[0]
    long = replace(asked, lengths=Lengths(asked.lengths.isl, 2))
    brief = plan_split(long)[0]
    assert brief.ttft_s == pytest.approx(prompts.ttft_s)
    assert brief.tpot_s == pytest.approx(brief.decode.step_s * 1.5 + brief.transfer_s)


def test_the_cache_of_a_prompt_crosses_the_network_once() -> None:
    asked = job("llama-3.1-8b")
    moved = cache_bytes(asked, precision("bf16"))
    assert moved == 1024 * 2 * 8 * 128 * 32 * 2
    split = plan_split(asked)[0]
    link = node_of("h100-sxm").network
    assert transfer_s(moved, split.prefill, split.decode) == pytest.approx(
        link.latency_s
        + moved / link.bytes_per_s / min(split.prefill.layout.tp, split.decode.layout.tp)
    )


def test_pools_need_a_rate_and_can_be_out_of_reach() -> None:
    with pytest.raises(InputError, match="give --rate"):
        plan_split(job(per_s=None))
    with pytest.raises(InputError, match="no pair of prefill and decode pools"):
        plan_split(job(slo=Slo(0.001, 0.05)))
    with pytest.raises(InputError, match="within 1 GPUs"):
        plan_split(job(gpus=1))


def test_one_output_token_leaves_nothing_to_decode() -> None:
    with pytest.raises(InputError, match="nothing to decode"):
        plan_split(job(lengths=Lengths(1024, 1)))
