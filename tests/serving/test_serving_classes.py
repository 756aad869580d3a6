"""Classes in fleets: who is of which, the same on both engines, and bad shares."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from test_serving_compiled_fleet import FREE, RULES, WHOLE, run
from test_serving_fleet import SPEC

from sim.cluster.serving.classes import ClassResult, kinds, with_classes
from sim.cluster.serving.fleet import ServingFleet
from sim.control.serving import ClassRule
from sim.cost.tables import TableCoster
from sim.errors import InputError
from sim.units import PS_PER_S
from sim.workload.arrivals import PoissonArrivals
from sim.workload.lengths import ConstantLengths
from sim.workload.requests import draw_requests

SHARES = (0.6, 0.4)
TWO = replace(
    RULES,
    classes=(ClassRule(slo_ttft_s=0.3, slo_tpot_s=0.02), ClassRule(2000, slo_ttft_s=5.0)),
)
CLASSED = replace(WHOLE, rules=TWO, class_shares=SHARES, arrivals=PoissonArrivals(400.0))


def test_a_class_depends_on_the_number_only() -> None:
    whole = kinds(SHARES, 7, 0, 10_000)
    assert np.array_equal(whole[3000:], kinds(SHARES, 7, 3000, 7000))
    assert whole.mean() == pytest.approx(0.4, abs=4 * (0.24 / 10_000) ** 0.5)
    assert set(kinds((1.0,), 7, 0, 100).tolist()) == {0}


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 2000), st.sampled_from([50.0, 200.0, 400.0]), st.floats(0.1, 0.9))
def test_both_fleets_tell_the_same_of_each_class(seed: int, rate: float, share: float) -> None:
    """One cell and the reference on the same requests; a sum over classes is the whole."""
    shares = (share, 1 - share)
    table = draw_requests(PoissonArrivals(rate / 4), WHOLE.lengths, 10.0, seed, "same")
    spec = replace(CLASSED, replicas=3, cell_replicas=3, router="round-robin", horizon_s=10.0)
    fast = run(replace(spec, class_shares=shares), recorded=table)[0].result()
    env = simpy.Environment()
    small = replace(
        SPEC,
        n_replicas=3,
        horizon_s=10.0,
        warmup_s=4.5,
        rules=TWO,
        router="round-robin",
        class_shares=shares,
    )
    fleet = ServingFleet(env, small, TableCoster(FREE), 1, recorded=table)
    env.run(10 * PS_PER_S)
    fleet.check_laws()
    slow = fleet.result()
    assert len(fast.classes) == 2
    for one, other in zip(fast.classes, slow.classes, strict=True):
        for name in ("requests", "completed", "shed", "dropped", "tokens_out", "met"):
            assert getattr(one, name).value == getattr(other, name).value, name
        check_latencies(one, other, float(one.completed.value))
    for result in (fast, slow):
        for name in ("requests", "completed", "shed", "dropped", "tokens_out"):
            parts = sum(getattr(kind, name).value for kind in result.classes)
            assert parts == getattr(result, name).value, name


def check_latencies(fast: ClassResult, slow: ClassResult, count: float) -> None:
    """Means exactly; quantiles within the histogram's error and the ranks beside them."""
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        one, other = getattr(fast, name), getattr(slow, name)
        assert (one is None) == (other is None), name
        if one is None:
            continue
        assert one.mean.value == pytest.approx(other.mean.value, rel=1e-9), name
        if count >= 200:  # else the quantile of the one definition is far from the other's
            assert one.p50.value == pytest.approx(other.p50.value, rel=0.1), name
            assert one.p90.value == pytest.approx(other.p90.value, rel=0.1), name


def test_the_first_class_is_served_and_the_second_shed() -> None:
    """Far above saturation; drawn by the engine, and drawn ahead."""
    for lengths in (WHOLE.lengths, ConstantLengths(1000, 100)):
        first, second = run(replace(CLASSED, lengths=lengths))[0].result().classes
        assert first.shed.value == 0
        assert second.shed.value > 0.3 * second.requests.value
        assert first.requests.value > second.requests.value


def test_without_shares_there_are_no_classes() -> None:
    assert run(WHOLE)[0].result().classes == ()
    table = draw_requests(WHOLE.arrivals, WHOLE.lengths, 5.0, 3, "same")
    assert with_classes(table, (), 1) is table


def test_bad_shares_are_refused() -> None:
    for shares in ((1.0,), (0.5, 0.4), (1.5, -0.5)):
        with pytest.raises(InputError, match="shares"):
            replace(CLASSED, class_shares=shares)
        with pytest.raises(InputError, match="shares"):
            replace(SPEC, rules=TWO, class_shares=shares)
