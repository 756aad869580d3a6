"""Shares of a step: what is a sequence's own, what is shared by tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_helpers import MS, requests, rules, tick_coster, world

from sim.arch import load
from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.request_cost import (
    NOTHING,
    Amounts,
    amounts,
    chunk_pairs,
    own_prices,
    step_prices,
)
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.hardware.node import load_node

COSTER = LinearCoster(
    step_s=0.01,
    token_s=1e-5,
    cached_s=1e-7,
    power_w=500.0,
    token_flops=1e10,
    pair_flops=1e6,
    weight_bytes=1e9,
    cached_bytes=1e5,
)


def test_own_prices_are_the_slopes_of_the_coster() -> None:
    own = own_prices(COSTER)
    for decodes, cached in ((1, 1), (1, 8193), (7, 7000)):
        assert own.decode(decodes, cached) == pytest.approx((1e-7, 1e6, 1e5, 500 * 1e-7))
    assert own.decode(0, 0) == NOTHING
    assert own.pair == pytest.approx((0.0, 1e6, 0.0, 0.0), abs=1e-9)
    assert own.read == pytest.approx((1e-7, 0.0, 1e5, 500 * 1e-7))


def test_what_comes_with_the_first_cached_token_is_not_priced_per_token() -> None:
    """A recurrent state is read once a sequence has any context, however long."""

    class WithState(LinearCoster):
        def cost(self, prefill, decode_contexts):  # type: ignore[no-untyped-def]
            plain = COSTER.cost(prefill, decode_contexts)
            states = sum(context > 0 for context in decode_contexts)
            return replace(plain, hbm_bytes=plain.hbm_bytes + 1e9 * states)

    own = own_prices(WithState(0.01))
    assert own.decode(3, 900) == pytest.approx((1e-7, 1e6, 1e5, 500 * 1e-7))


def test_prices_of_a_real_model_are_its_cache_and_its_scores() -> None:
    """Llama-3-8B: 2 x 32 layers x 8 heads x 128 x 2 bytes; 4 x 32 layers x 32 heads x 128."""
    coster = ReplicaCost(load("llama-3-8b"), Layout(), load_node("dgx-h100"))
    own = own_prices(coster)
    for flops, hbm_bytes in (own.decode(4, 4000)[1:3], (own.pair[1], own.read[2])):
        assert flops == pytest.approx(4 * 32 * 32 * 128)
        assert hbm_bytes == pytest.approx(2 * 32 * 8 * 128 * 2)


def test_weight_bytes_go_by_tokens_and_cache_bytes_to_their_owner() -> None:
    """Two decodes, 100 and 300 cached tokens: 1 GB of weights in halves, caches apart."""
    own = own_prices(COSTER)
    prices = step_prices(COSTER.cost((), (100, 300)), (), (100, 300), own)
    assert prices.decode_share(100)[2] == pytest.approx(5e8 + 100 * 1e5)
    assert prices.decode_share(300)[2] == pytest.approx(5e8 + 300 * 1e5)


def test_a_prefill_chunk_pays_for_its_tokens() -> None:
    own = own_prices(COSTER)
    prices = step_prices(COSTER.cost(((9, 0),), (100,)), ((9, 0),), (100,), own)
    assert prices.prefill_share(9, 0)[2] == pytest.approx(0.9e9)
    assert prices.decode_share(100)[2] == pytest.approx(0.1e9 + 100 * 1e5)


def test_pairs_of_a_chunk_add_up_over_its_parts() -> None:
    assert chunk_pairs(10, 5) == chunk_pairs(4, 5) + chunk_pairs(6, 9)


@dataclass
class Fixed:
    """Own prices, the same at any step."""

    each: Amounts
    pair: Amounts
    read: Amounts

    def decode(self, *_: int) -> Amounts:
        return self.each


batches = st.tuples(
    st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 50_000)), max_size=6),
    st.lists(st.integers(0, 100_000), max_size=20),
).filter(lambda batch: batch[0] or batch[1])
prices = st.tuples(*(st.floats(0, 1e-3) for _ in range(4)))


@given(batches, prices, prices)
def test_shares_sum_to_the_step_whatever_the_own_prices(
    batch: tuple[list[tuple[int, int]], list[int]],
    decode: Amounts,
    prefill: Amounts,
) -> None:
    """Even where the own parts would exceed the step: tokens alone count then."""
    chunks, contexts = batch
    cost = COSTER.cost(chunks, contexts)
    step = step_prices(cost, chunks, contexts, Fixed(decode, prefill, decode))
    shares = [step.prefill_share(*chunk) for chunk in chunks]
    shares += [step.decode_share(context) for context in contexts]
    total = [sum(column) for column in zip(*shares, strict=True)]
    assert total == pytest.approx(amounts(cost), rel=1e-9)
    assert all(part >= -1e-9 * whole for part, whole in zip(total, amounts(cost), strict=True))


def test_equal_requests_pay_alike_and_all_pay_the_meter() -> None:
    ran = world(requests(*[(0, 50, 8)] * 4), COSTER).run(40 * MS * 10)
    energy_j = [record.cost.energy_j for record in ran.log.completed]
    assert energy_j == pytest.approx([energy_j[0]] * 4)
    idle_j = COSTER.idle_power_w * ran.replicas[0].rested.idle_ps / 1e12
    metered_j = ran.meters[0].at(400 * MS)
    assert sum(energy_j) + idle_j == pytest.approx(metered_j, rel=1e-12)


def test_flops_and_time_of_all_requests_are_those_of_all_steps() -> None:
    ran = world(requests((0, 50, 8), (3 * MS, 700, 4), (4 * MS, 5, 30)), COSTER).run()
    steps = ran.steps.steps
    records = ran.log.completed
    for name in ("flops", "hbm_bytes", "time_s", "energy_j"):
        shared = sum(getattr(record.cost, name) for record in records)
        assert shared == pytest.approx(sum(getattr(step.cost, name) for step in steps), rel=1e-12)


def test_a_preempted_request_pays_for_its_recomputation() -> None:
    tight = tick_coster(kv_capacity_tokens=8)
    ran = world(requests((0, 3, 4), (0, 3, 4)), tight, rules(block_size_tokens=2)).run()
    first, second = ran.log.completed
    assert (first.cost.flops, second.cost.flops) == (6.0, 10.0)
    assert first.cost.time_s + second.cost.time_s == pytest.approx(0.006)
