"""The published forms of traces, on small made files with their columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.errors import InputError
from sim.workload.traces import read_trace

TRACES = Path(__file__).resolve().parents[1] / "cases" / "traces"
S = 10**12


def test_azure_2024_has_an_offset_in_its_timestamps() -> None:
    table = read_trace(TRACES / "azure-2024.csv").requests
    assert table.arrival_ps.tolist() == [0, 249_900_000_000, 1_500_000_000_000]
    assert table.input_tokens.tolist() == [1000, 2000, 30]
    assert table.output_tokens.tolist() == [5, 60, 15]


def test_burstgpt_names_its_failed_requests() -> None:
    with pytest.raises(InputError, match=r"burstgpt-1\.csv:3: .*Response tokens = 0"):
        read_trace(TRACES / "burstgpt-1.csv")
    trace = read_trace(TRACES / "burstgpt-1.csv", "skip")
    assert [bad.line for bad in trace.bad_rows] == [3]
    assert trace.requests.arrival_ps.tolist() == [0, 19 * S]
    assert trace.requests.input_tokens.tolist() == [300, 1200]


def test_burstgpt_2_numbers_its_sessions() -> None:
    table = read_trace(TRACES / "burstgpt-2.csv").requests
    assert table.session is not None
    assert table.session.tolist() == [1, 0, 2, 1]
    assert table.arrival_ps.tolist() == [0, 2 * S, 33 * S, 48 * S]


def test_mooncake_counts_milliseconds() -> None:
    table = read_trace(TRACES / "mooncake.jsonl").requests
    assert table.arrival_ps.tolist() == [0, 27_482_000_000_000]
    assert table.output_tokens.tolist() == [500, 16]
    assert table.blocks == [(0, 1), (0, 5)]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{bad", "cells, must be"),
        ("[1, 2]", "cells, must be"),
        ('{"timestamp": -5, "input_length": 3, "output_length": 2}', "at least 0"),
        ('{"timestamp": "x", "input_length": 3, "output_length": 2}', "not a number of ms"),
        ('{"timestamp": 5, "input_length": 2.5, "output_length": 2}', "not a whole number"),
        ('{"timestamp": 5, "input_length": 3}', "output_length is missing"),
    ],
)
def test_bad_json_lines_are_named(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "t.jsonl"
    good = '{"timestamp": 0, "input_length": 3, "output_length": 2}'
    path.write_text(f"{good}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"t\.jsonl:3: .*{why}"):
        read_trace(path)


def test_columns_may_stand_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("output_tokens,arrival_s,input_tokens\n7,0.5,100\n", encoding="utf-8")
    table = read_trace(path).requests
    assert (table.arrival_ps[0], table.input_tokens[0], table.output_tokens[0]) == (S // 2, 100, 7)


@pytest.mark.parametrize(
    ("hashes", "why"),
    [
        ("[1]", "1 hash_ids, must be 2 for 600 tokens"),
        ("[1, 2, 3]", "3 hash_ids, must be 2"),
        ("[1, 2.5]", "whole numbers"),
        ("[1, true]", "whole numbers"),
        ("[1, -2]", "whole numbers"),
        ('"12"', "whole numbers"),
        ("7", "whole numbers"),
    ],
)
def test_bad_block_numbers_are_named(tmp_path: Path, hashes: str, why: str) -> None:
    path = tmp_path / "t.jsonl"
    row = '{"timestamp": 0, "input_length": 600, "output_length": 2, "hash_ids": '
    path.write_text(f"{row}[4, 5]}}\n{row}{hashes}}}\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"t\.jsonl:2: .*{why}"):
        read_trace(path)
    kept = read_trace(path, "skip")
    assert kept.requests.blocks == [(4, 5)]
    assert len(kept.bad_rows) == 1


@pytest.mark.facts
def test_the_published_mooncake_sample_reads_whole(facts: Path) -> None:
    trace = read_trace(facts / "traces" / "mooncake_conversation_trace.jsonl", "skip")
    assert len(trace.requests) > 10_000
    assert not trace.bad_rows
    assert np.all(np.diff(trace.requests.arrival_ps) >= 0)
    assert sum(map(len, trace.requests.blocks or [])) == 288_500
