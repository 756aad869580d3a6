"""Each conservation law holds, and fails when its count is tampered with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from serving_helpers import MS, World, requests, rules, world

from sim.cluster.serving.coster import LinearCoster
from sim.errors import LawViolation

COSTER = LinearCoster(0.001, 1e-6, 1e-8, kv_capacity_tokens=64, idle_power_w=77.0)


ROWS = [(i * MS // 3, 9 + i % 5, 9 + i % 7) for i in range(20)]


def busy_world() -> World:
    """Two replicas in the middle of a step, with a drop, a preemption, and a queue."""
    rows = [*ROWS]
    rows[4] = (rows[4][0], 900, 5)
    built = world(requests(*rows), COSTER, rules(block_size_tokens=4), replicas=2).run(
        17 * MS + MS // 2
    )
    assert built.counter.preempted
    assert built.counter.dropped
    assert built.counter.completed
    assert built.replicas[0].waiting
    assert built.replicas[0].step
    return built


def test_all_laws_hold_at_any_moment() -> None:
    built = world(requests(*ROWS), COSTER, rules(block_size_tokens=4), replicas=2)
    for moment in range(1, 150):
        built.run(moment * MS * 7 // 9)
        built.check_laws()
    assert built.counter.completed == 20


def lose_a_request(built: World) -> None:
    built.replicas[0].waiting.pop()


def leak_a_block(built: World) -> None:
    built.replicas[1].free_blocks -= 1


def hold_too_many_blocks(built: World) -> None:
    built.replicas[1].free_blocks -= 1
    built.replicas[1].running[0].blocks += 1
    built.replicas[1].kv_blocks.value += 1


def freeze_the_block_signal(built: World) -> None:
    built.replicas[0].kv_blocks.value += 1


def count_a_token_twice(built: World) -> None:
    built.counter.tokens_stepped += 1


def generate_a_token_from_nothing(built: World) -> None:
    built.replicas[0].running[0].generated += 1


def lose_idle_time(built: World) -> None:
    built.replicas[0].lost_ps -= 1


def pay_too_little(built: World) -> None:
    sequence = built.replicas[0].running[0]
    paid = sequence.paid
    sequence.paid = (paid[0], paid[1], paid[2], paid[3] * (1 - 1e-6))


def draw_power_that_nobody_pays(built: World) -> None:
    power = built.replicas[0].power_w
    power.set(int(built.env.now), power.value + 1.0)
    built.env.run(int(built.env.now) + MS // 100)


@pytest.mark.parametrize(
    ("tamper", "law"),
    [
        (lose_a_request, r"law of requests fails at r0, .*20 arrived, but .* = 19"),
        (leak_a_block, r"law of KV blocks fails at r1, .*but there are 16"),
        (hold_too_many_blocks, r"law of KV blocks fails at r1, request \d+, .*blocks for"),
        (freeze_the_block_signal, r"law of KV blocks fails at r0, .*signal"),
        (count_a_token_twice, r"law of tokens fails at r0, .*steps computed"),
        (generate_a_token_from_nothing, r"law of tokens fails at r0, .*steps generated"),
        (lose_idle_time, r"law of time fails at r0, .*2 replicas"),
        (pay_too_little, r"law of energy of steps fails at r0"),
        (draw_power_that_nobody_pays, r"law of energy fails at r0, .*metered"),
    ],
)
def test_a_law_fails_when_it_must(tamper: Callable[[World], None], law: str) -> None:
    built = busy_world()
    built.check_laws()
    tamper(built)
    with pytest.raises(LawViolation, match=law):
        built.check_laws()
