"""Small stories, told in full: (what, request, when)."""

from __future__ import annotations

import pytest
from serving_helpers import MS, requests, rules, tick_coster, world

from sim.cluster.serving.coster import LinearCoster
from sim.cluster.serving.records import record_columns
from sim.errors import CapacityError, InputError


def test_one_request_alone() -> None:
    """Rules 2 and 3: the prompt's last chunk gives the first token, each decode one more."""
    told = world(requests((5 * MS, 10, 3)), tick_coster()).run().story
    assert told == [
        ("arrived", 0, 5 * MS),
        ("started", 0, 5 * MS),
        ("first_token", 0, 6 * MS),
        ("completed", 0, 8 * MS),
    ]


def test_a_single_output_token_ends_with_the_prompt() -> None:
    told = world(requests((0, 4, 1)), tick_coster()).run().story
    assert told[-2:] == [("first_token", 0, MS), ("completed", 0, MS)]


def test_an_arrival_during_a_step_waits_for_its_end() -> None:
    told = world(requests((0, 4, 3), (MS // 2, 4, 1)), tick_coster()).run().story
    assert told == [
        ("arrived", 0, 0),
        ("started", 0, 0),
        ("arrived", 1, MS // 2),
        ("first_token", 0, MS),
        ("started", 1, MS),
        ("first_token", 1, 2 * MS),
        ("completed", 1, 2 * MS),
        ("completed", 0, 3 * MS),
    ]


def test_an_arrival_exactly_on_a_step_edge_joins_the_next_step() -> None:
    """At one instant: steps end, requests arrive, steps begin."""
    told = world(requests((0, 4, 2), (MS, 4, 1)), tick_coster()).run().story
    assert told[3:] == [
        ("arrived", 1, MS),
        ("started", 1, MS),
        ("first_token", 1, 2 * MS),
        ("completed", 0, 2 * MS),
        ("completed", 1, 2 * MS),
    ]


def test_simultaneous_arrivals_share_the_first_step() -> None:
    ran = world(requests((0, 4, 1), (0, 4, 1), (0, 4, 1)), tick_coster()).run()
    assert [record.end_ps for record in ran.log.completed] == [MS] * 3
    assert len(ran.steps.steps) == 1


def test_chunked_prefill_mixes_decodes_and_chunks_within_the_budget() -> None:
    """Rule 8: the decode takes one token of the budget of 8, the long prompt the rest."""
    ran = world(
        requests((0, 2, 4), (MS // 2, 20, 1)),
        tick_coster(),
        rules(max_num_batched_tokens=8, max_num_seqs=8),
    ).run()
    assert [(step.prefill, step.decode_contexts) for step in ran.steps.steps] == [
        (((2, 0),), ()),
        (((7, 0),), (2,)),
        (((7, 7),), (3,)),
        (((6, 14),), (4,)),
    ]


def test_a_short_prompt_does_not_overtake_a_long_one() -> None:
    """Rule 1: the second request starts when the first one's chunks leave budget."""
    ran = world(
        requests((0, 20, 1), (0, 2, 1)),
        tick_coster(),
        rules(max_num_batched_tokens=8, max_num_seqs=8),
    ).run()
    assert ran.story[2:] == [
        ("started", 0, 0),
        ("started", 1, 2 * MS),
        ("first_token", 0, 3 * MS),
        ("first_token", 1, 3 * MS),
        ("completed", 0, 3 * MS),
        ("completed", 1, 3 * MS),
    ]


def test_prefill_priority_lets_the_running_sit_out() -> None:
    """Rule 9: the prompt that arrives stops the decode for one step."""
    ran = world(
        requests((0, 4, 4), (3 * MS // 2, 6, 2)), tick_coster(), rules("prefill-priority")
    ).run()
    assert [(step.prefill, step.decode_contexts) for step in ran.steps.steps] == [
        (((4, 0),), ()),
        ((), (4,)),
        (((6, 0),), ()),
        ((), (5, 6)),
        ((), (6,)),
    ]


def test_max_num_seqs_holds_requests_back() -> None:
    ran = world(
        requests((0, 1, 2), (0, 1, 2), (0, 1, 2)), tick_coster(), rules(max_num_seqs=2)
    ).run()
    assert [(r.request.request_id, r.start_ps, r.end_ps) for r in ran.log.completed] == [
        (0, 0, 2 * MS),
        (1, 0, 2 * MS),
        (2, 2 * MS, 4 * MS),
    ]


def test_preemption_takes_the_newest_and_recomputes_it() -> None:
    """Rule 7: 4 blocks of 2 tokens. Request 1 loses its cache, keeps its tokens."""
    ran = world(
        requests((0, 3, 4), (0, 3, 4)),
        tick_coster(kv_capacity_tokens=8),
        rules(block_size_tokens=2),
    ).run()
    assert ran.story[4:] == [
        ("first_token", 0, MS),
        ("first_token", 1, MS),
        ("preempted", 1, 2 * MS),
        ("completed", 0, 4 * MS),
        ("completed", 1, 6 * MS),
    ]
    assert [(step.prefill, step.decode_contexts) for step in ran.steps.steps] == [
        (((3, 0), (3, 0)), ()),
        ((), (3, 3)),
        ((), (4,)),
        ((), (5,)),
        (((5, 0),), ()),  # 3 of the prompt and 2 generated, then one more token
        ((), (5,)),
    ]
    record = ran.log.completed[1]
    assert (record.preemptions, record.recomputed_tokens) == (1, 4)
    ran.check_laws()


def test_the_watermark_keeps_blocks_free_on_admission() -> None:
    """Rule 6: of 10 blocks one stays free, so the second prompt of 5 blocks must wait."""
    coster = tick_coster(kv_capacity_tokens=10)
    held = rules(block_size_tokens=1, watermark_frac=0.1)
    ran = world(requests((0, 4, 2), (0, 5, 1)), coster, held).run()
    assert ran.log.completed[1].start_ps == 0
    ran = world(requests((0, 5, 2), (0, 5, 1)), coster, held).run()
    assert ran.log.completed[1].start_ps == 2 * MS


def test_what_can_never_fit_is_dropped_with_its_reason() -> None:
    """Rule 5."""
    small = tick_coster(kv_capacity_tokens=160)
    told = world(requests((0, 160, 2), (0, 160, 1)), small).run().story
    assert told[1] == ("exceeds-kv-cache", 0, 0)
    assert told[-1] == ("completed", 1, MS)
    told = (
        world(
            requests((0, 65, 1), (0, 60, 6), (0, 60, 5)),
            tick_coster(),
            rules("prefill-priority", max_num_batched_tokens=64),
        )
        .run()
        .story
    )
    assert [name for name, _, _ in told].count("exceeds-token-budget") == 2
    assert told[-1][:2] == ("completed", 2)


def test_a_cache_without_a_block_is_refused() -> None:
    with pytest.raises(CapacityError, match="15 tokens"):
        world([], tick_coster(kv_capacity_tokens=15))


def test_power_follows_the_steps_and_idles_between() -> None:
    seen: list[tuple[int, float]] = []
    told = world(
        requests((2 * MS, 4, 2), (9 * MS, 4, 1)), tick_coster(power_w=500.0, idle_power_w=90.0)
    )
    told.replicas[0].power_w.subscribe(lambda time_ps, value: seen.append((time_ps, value)))
    told.run(12 * MS)
    assert seen == [
        (0, 90.0),
        (2 * MS, 500.0),
        (4 * MS, 90.0),
        (9 * MS, 500.0),
        (10 * MS, 90.0),
    ]
    told.check_laws()


def test_signals_of_the_queue() -> None:
    seen: list[tuple[str, int, float]] = []
    told = world(requests((0, 40, 2), (0, 1, 1)), tick_coster(), rules(max_num_seqs=1))
    for signal in ("running_requests", "waiting_requests", "kv_blocks"):
        getattr(told.replicas[0], signal).subscribe(
            lambda time_ps, value, signal=signal: seen.append((signal, time_ps, value))
        )
    told.run()
    assert [row for row in seen if row[0] == "running_requests"] == [
        ("running_requests", 0, 0),
        ("running_requests", 0, 1),
        ("running_requests", 2 * MS, 0),
        ("running_requests", 2 * MS, 1),
        ("running_requests", 3 * MS, 0),
    ]
    assert ("waiting_requests", 0, 2) in seen
    assert [value for name, _, value in seen if name == "kv_blocks"] == [0, 3, 0, 1, 0]


def test_step_time_is_rounded_to_picoseconds_and_at_least_one() -> None:
    ran = world(requests((0, 1, 1)), LinearCoster(step_s=1e-13)).run()
    assert ran.log.completed[0].end_ps == 1
    ran = world(requests((0, 1, 1)), LinearCoster(step_s=0.0234567890123456)).run()
    assert ran.log.completed[0].end_ps == 23_456_789_012


def test_latencies_of_a_record() -> None:
    ran = world(requests((0, 4, 1), (MS // 2, 10, 3)), tick_coster()).run()
    one, three = ran.log.completed
    assert one.tpot_s is None
    assert (three.ttft_s, three.tpot_s, three.e2e_s) == (0.0015, 0.001, 0.0035)


def test_records_as_columns() -> None:
    ran = world(requests((0, 4, 1), (MS // 2, 10, 3)), tick_coster()).run()
    columns = record_columns(ran.log.completed)
    assert columns["arrival_s"] == [0.0, 0.0005]
    assert columns["end_s"] == [0.001, 0.004]
    assert columns["output_tokens"] == [1, 3]
    assert sum(columns["share_time_s"]) == pytest.approx(0.004)
    assert len({len(column) for column in columns.values()}) == 1


def test_an_arrival_in_the_past_is_refused() -> None:
    with pytest.raises(InputError, match="request 1 arrives at 3 ps, which is past at 5 ps"):
        world(requests((5, 1, 1), (3, 1, 1)), tick_coster()).run()
