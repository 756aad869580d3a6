"""The search of serving fleets: against brute force, by laws, and what it says when it fails."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_serving_jobs import LENGTHS, LOOSE, job

from sim import arch
from sim.cluster.serving.observe import Integral, RequestLog
from sim.cluster.serving.records import ServingEvents
from sim.cluster.serving.reference import ReferenceReplica
from sim.cluster.serving.routing import RoutedReplicas, bring_requests
from sim.control.serving import BatchRules, round_robin
from sim.cost.capacity import cache_tokens
from sim.cost.fit import check_serving
from sim.cost.layout import Layout
from sim.cost.plan_serving import layouts, meets, plan_serving
from sim.cost.plan_serving_job import OBJECTIVES, Job, Offer, Slo
from sim.cost.plan_serving_load import Lengths, batch_grid, full_house, load_curve
from sim.cost.plan_serving_result import Plan, why_worse
from sim.cost.serving import ReplicaCost
from sim.cost.steps import StepModel
from sim.errors import CapacityError, InputError
from sim.flops import Precision, precision
from sim.hardware.node import node_of
from sim.randomness import stream
from sim.validation import load as validated
from sim.workload.requests import Request


@cache
def plan(name: str = "llama-3.1-8b", per_s: float | None = 50.0, gpus: int | None = None) -> Plan:
    return plan_serving(job(name, per_s=per_s, gpus=gpus))


def brute_force(asked: Job) -> dict[str, float]:
    """The least values over all layouts and batches, each costed alone, nothing left out early."""
    best = dict.fromkeys(OBJECTIVES, math.inf)
    ways = (1, 2, 4, 8, 16, 32)
    for offer, chosen in itertools.product(asked.offers, asked.precisions):
        for tp, pp, dp, ep in itertools.product(ways, ways, ways, ways):
            layout = Layout(tp=tp, pp=pp, dp=dp, ep=ep)
            if layout.gpus <= min(asked.gpus or 32, 32) and _serves(asked, layout, offer):
                for fleet in _fleets(asked, offer, chosen, layout):
                    best = {name: min(best[name], fleet[name]) for name in best}
    return best


def _serves(asked: Job, layout: Layout, offer: Offer) -> bool:
    if layout.dp > 1:
        return False  # a dense replica with dp > 1 is two replicas
    try:
        check_serving(asked.arch, layout, offer.node)
    except InputError:
        return False
    return True


def _fleets(
    asked: Job, offer: Offer, chosen: Precision, layout: Layout
) -> Iterator[dict[str, float]]:
    model = StepModel(asked.arch, layout, offer.node, precision=chosen)
    curve = load_curve(model, asked.lengths, batch_grid(asked.max_batch))
    rate = asked.per_s or 0.0
    for i in range(len(curve.batch)):
        sequences = full_house(int(curve.batch[i]))
        try:
            room = cache_tokens(model.program, layout, offer.node.device, sequences)
        except CapacityError:
            continue
        late = curve.tpot_s[i] > asked.slo.tpot_s or curve.ttft_s[i] > asked.slo.ttft_s
        if sequences * asked.lengths.held_tokens > room or late or curve.saturated[i]:
            continue
        replicas = math.ceil(rate / float(curve.requests_per_s[i]) - 1e-12)
        gpus = replicas * layout.gpus
        if asked.gpus is not None and gpus > asked.gpus:
            continue
        watts = np.interp(
            rate / replicas,
            [0, *curve.requests_per_s[: i + 1]],
            [offer.node.device.idle_w, *curve.power_w[: i + 1]],
        )
        tokens_per_s = rate * asked.lengths.osl
        yield {
            "gpus": gpus / rate,
            "usd": 3.0 * gpus / 3600 / tokens_per_s * 1e6,
            "j-per-token": float(watts) * gpus / tokens_per_s,
        }


@pytest.mark.parametrize(
    ("slo", "per_s", "gpus"),
    [(LOOSE, 50.0, None), (Slo(0.2, 0.012), 7.0, 8), (Slo(tpot_s=0.02), 200.0, 24)],
)
def test_the_search_equals_brute_force(slo: Slo, per_s: float, gpus: int | None) -> None:
    asked = job(slo=slo, per_s=per_s, gpus=gpus, max_batch=128)
    found = plan_serving(asked)
    for objective, value in brute_force(asked).items():
        assert found.best(objective).value(objective) == pytest.approx(value, rel=1e-9)


def test_every_fleet_meets_the_slo_and_the_rate() -> None:
    found = plan("qwen3-30b-a3b", 80.0, 32)
    for c in found.candidates:
        assert c.tpot_s <= LOOSE.tpot_s
        assert c.ttft_s <= LOOSE.ttft_s
        assert c.per_s == pytest.approx(80)
        assert c.gpus == c.replicas * c.layout.gpus <= 32
        assert 0 < c.power_w <= 700
        assert c.j_per_token == pytest.approx(c.power_w * c.gpus / (80 * 256))
        assert c.usd_per_million_tokens == pytest.approx(3 * c.gpus / 3600 / (80 * 256) * 1e6)


def test_a_looser_slo_never_needs_more() -> None:
    values = [
        plan_serving(job(slo=Slo(1.0, tpot))).best("gpus").gpus for tpot in (0.01, 0.02, 0.04, 0.08)
    ]
    assert values == sorted(values, reverse=True)


def test_more_rate_never_needs_fewer_gpus() -> None:
    values = [plan_serving(job(per_s=per_s)).best("gpus").gpus for per_s in (1, 10, 40, 160)]
    assert values == sorted(values)
    assert values[0] == 1


def test_without_a_rate_the_gpus_serve_as_much_as_they_can() -> None:
    most = plan("llama-3.1-8b", None, 8).best("gpus")
    assert most.gpus <= 8
    served = plan("llama-3.1-8b", most.per_s * 0.999, 8).best("gpus")
    assert served.gpus <= 8
    with pytest.raises(InputError, match="requests per second need"):
        plan("llama-3.1-8b", most.per_s * 1.05, 8)


def test_pareto_front_is_what_brute_force_says() -> None:
    found = plan("llama-3.1-8b", None, 8)
    values = np.array([(c.tpot_s, c.value("gpus"), c.j_per_token) for c in found.candidates])
    front = {(c.tpot_s, c.value("gpus"), c.j_per_token) for c in found.front()}
    for row in values:
        beaten = ((values <= row).all(axis=1) & (values < row).any(axis=1)).any()
        assert (tuple(row.tolist()) in front) != beaten
    fast, slow = found.front()[0], found.front()[-1]
    assert fast.tpot_s < slow.tpot_s
    assert fast.value("gpus") > slow.value("gpus")


def test_reasons_name_what_costs() -> None:
    found = plan("llama-3.1-70b", 20.0)
    best = found.best("gpus")
    ranked = found.by_layout("gpus")
    assert ranked[0] is best
    reasons = {c.name: why_worse(c, best, "gpus") for c in ranked[1:]}
    assert all(reasons.values())
    wide = next(text for name, text in reasons.items() if name.startswith("tp8 fp8"))
    assert "GPUs more" in wide
    assert "links take" in wide
    tight = next(text for name, text in reasons.items() if name.startswith("tp1 fp8"))
    assert "memory stops the batch at" in tight
    assert why_worse(best, best, "gpus").startswith("as good")


def test_what_is_left_out_is_counted_by_reason() -> None:
    rejected = plan("llama-3.1-70b", 20.0).rejected
    assert rejected["weights and a sequence do not fit"] == 1  # bf16 on one GPU
    assert plan("gemma-3-1b", 1.0).rejected["tp cannot split the model"] > 0  # 4 heads
    assert plan("gemma-3-1b", 1.0).rejected["pp cannot split the model"] > 0  # 26 layers


def test_stages_need_not_be_even() -> None:
    """DeepSeek-V3 has 61 layers: 31 in the fuller of two stages."""
    layout = Layout(tp=8, pp=2, ep=8)
    found = plan_serving(job("deepseek-v3", per_s=1.0, offers=("h200-sxm",), formats=("fp8",)))
    assert any(curve.layout == layout for curve in found.curves)


def test_layouts_of_a_mixture_hold_each_expert_once() -> None:
    asked = job("qwen3-30b-a3b")
    good = [layout for layout, why in layouts(asked, node_of("h100-sxm")) if not why]
    assert all(x.ep == x.tp * x.dp for x in good if x.dp > 1)
    assert {x.ep for x in good if x.dp == 1 and x.tp == 4} == {1, 4}
    assert max(x.gpus for x in good) == 32


def test_an_slo_out_of_reach_says_what_is_in_reach() -> None:
    with pytest.raises(InputError, match=r"nearest is tp .* the least ttft of all is .* tpot") as e:
        plan_serving(job(slo=Slo(ttft_s=0.001, tpot_s=0.0001)))
    said = str(e.value)
    least = float(said.split("the least tpot ")[1].split(" s", maxsplit=1)[0])
    found = plan_serving(job(slo=Slo(tpot_s=least * 1.01)))
    assert found.best("gpus").tpot_s <= least * 1.01


def test_a_model_that_fits_nowhere_says_how_much_is_missing() -> None:
    with pytest.raises(CapacityError, match=r"nearest \(tp 2, .*fp8\) lacks .* GiB \(\d+ bytes\)"):
        plan_serving(job("deepseek-v3", gpus=2))


def test_prompts_too_long_for_any_layout() -> None:
    with pytest.raises(CapacityError, match=r"lacks .* bytes|no room to run"):
        plan_serving(job(gpus=1, lengths=Lengths(2_000_000, 10)))


def test_cheaper_gpus_win_by_price_and_are_marked() -> None:
    asked = job(offers=("h100-sxm", "b200-sxm"))
    cheap = Job(**{f: getattr(asked, f) for f in asked.__slots__} | {
        "offers": (asked.offers[0], Offer(node_of("b200-sxm"), 0.1))})  # fmt: skip
    best = plan_serving(cheap).best("usd")
    assert best.gpu == "b200-sxm"
    assert not best.calibrated
    unknown = Job(**{f: getattr(asked, f) for f in asked.__slots__} | {
        "offers": (Offer(node_of("h100-sxm"), None),)})  # fmt: skip
    assert math.isinf(plan_serving(unknown).best("usd").value("usd"))


# The load model


@settings(max_examples=25)
@given(
    st.sampled_from(["llama-3.1-8b", "qwen3-30b-a3b", "nemotron-nano-9b-v2"]),
    st.integers(2, 200),
    st.integers(16, 4000),
    st.integers(16, 2000),
)
def test_the_load_is_that_of_the_validated_model(name: str, b: int, isl: int, osl: int) -> None:
    """`sim.validation.load` holds the same steady state against measured rows."""
    model = StepModel(arch.load(name), Layout(), node_of("h100-sxm"))
    curve = load_curve(model, Lengths(isl, osl), np.array([b]))
    if curve.saturated[0]:
        return
    theirs = validated.steady_state(model, validated.Requests(isl, osl), float(b))
    assert float(curve.tpot_s[0]) == pytest.approx(theirs.step_s, rel=1e-6)
    assert float(curve.power_w[0]) == pytest.approx(theirs.power_w, rel=1e-6)
    # They leave out the prompts that share a pass, and say "half a step" for the wait.
    ttft_s = validated.open_first_token_s(model, validated.Requests(isl, osl), theirs)
    assert float(curve.ttft_s[0]) > 0.9 * ttft_s


@pytest.mark.parametrize(
    ("name", "layout", "dtype", "per_s"),
    [
        ("llama-3.1-8b", Layout(), "bf16", 14.0),
        ("llama-3.1-70b", Layout(tp=2), "fp8", 4.0),
    ],
)
def test_requests_served_one_by_one_take_as_long_as_the_plan_says(
    name: str, layout: Layout, dtype: str, per_s: float
) -> None:
    """The reference replica under random arrivals: means of 500 requests after 100 to warm up."""
    node, chosen = node_of("h100-sxm"), precision(dtype)
    model = StepModel(arch.load(name), layout, node, precision=chosen)
    curve = load_curve(model, LENGTHS, batch_grid(256))
    arrivals_s = np.cumsum(np.random.default_rng(7).exponential(1 / per_s, 700))
    rows = [Request(i, round(t * 1e12), LENGTHS.isl, LENGTHS.osl) for i, t in enumerate(arrivals_s)]
    env, events = simpy.Environment(), ServingEvents()
    coster = ReplicaCost(arch.load(name), layout, node, 1024, precision=chosen)
    replica = ReferenceReplica(env, "r", 0, coster, BatchRules(watermark_frac=0.0), events)
    log, meter = RequestLog(events), Integral(replica.power_w)
    env.process(bring_requests(env, rows, RoutedReplicas([replica], round_robin, stream(7, "r"))))
    env.run()
    served = log.completed[100:600]
    ttft_s = np.mean([(r.first_token_ps - r.request.arrival_ps) / 1e12 for r in served])
    tpot_s = np.mean([(r.end_ps - r.first_token_ps) / 1e12 / (LENGTHS.osl - 1) for r in served])
    # The rate that was drawn, not the one that was asked for: 500 draws differ by some percent.
    came_per_s = 500 / float(arrivals_s[600] - arrivals_s[100])
    rates = curve.requests_per_s
    said_s = float(np.interp(came_per_s, rates, curve.ttft_s)) - model.engine.request_s
    assert said_s == pytest.approx(ttft_s, rel=0.1)
    assert float(np.interp(came_per_s, rates, curve.tpot_s)) == pytest.approx(tpot_s, rel=0.05)
    whole_s = float(env.now) / 1e12
    power_w = meter.at(int(env.now)) / whole_s / layout.gpus
    said_w = float(np.interp(700 / whole_s, rates, curve.power_w))
    assert said_w == pytest.approx(power_w, rel=0.05)


def test_a_larger_batch_is_slower_and_serves_more() -> None:
    model = StepModel(arch.load("llama-3.1-8b"), Layout(), node_of("h100-sxm"))
    curve = load_curve(model, LENGTHS, batch_grid(512))
    assert (np.diff(curve.tpot_s) > 0).all()
    assert (np.diff(curve.requests_per_s) > 0).all()
    good = meets(curve, Slo(tpot_s=0.02))
    assert good[0]
    assert not good[-1]
    fits = curve.fits
    assert (np.diff(fits.astype(int)) <= 0).all()


def test_batch_grid_and_full_house() -> None:
    assert batch_grid(3).tolist() == [1, 2, 3]
    grid = batch_grid(1024)
    assert grid[:16].tolist() == list(range(1, 17))
    assert grid[-1] == 1024
    assert (np.diff(grid) > 0).all()
    assert (grid[17:] / grid[16:-1] <= 1.13).all()
    assert full_house(100) == 124  # 100 + 2.33 * 10
