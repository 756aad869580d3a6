"""The trace reader: Azure and plain forms, and every kind of malformed row with its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.workload.traces import read_trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
PLAIN = "arrival_s,input_tokens,output_tokens\n"


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, name: str = "trace.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def test_azure_form_keeps_every_digit_of_the_time(write) -> None:
    path = write(
        AZURE + "2023-11-16 23:59:59.9799600,374,44\n"
        "2023-11-16 23:59:59.9799601,396,109\n"
        "2023-11-17 00:00:01,7,1\n"
    )
    trace = read_trace(path)
    assert trace.requests.arrival_ps.tolist() == [0, 100_000, 1_020_040_000_000]
    assert trace.requests.input_tokens.tolist() == [374, 396, 7]
    assert trace.requests.output_tokens.tolist() == [44, 109, 1]
    assert trace.bad_rows == ()


def test_timestamps_with_a_zone(write) -> None:
    rows = "2024-05-10 00:00:00.5+00:00,1,1\n2024-05-10T02:00:01.5+02:00,1,1\n"
    trace = read_trace(write(AZURE + rows + "2024-05-10T00:00:02.5Z,1,1\n"))
    assert trace.requests.arrival_ps.tolist() == [0, 10**12, 2 * 10**12]


def test_plain_form_counts_from_its_own_zero(write) -> None:
    trace = read_trace(write(PLAIN + "0.25,10,20\n1e1,11,21\n\n10.0,12,22\n"))
    assert trace.requests.arrival_ps.tolist() == [250_000_000_000, 10**13, 10**13]
    assert [request.request_id for request in trace.requests] == [0, 1, 2]
    assert trace.rate_per_s == pytest.approx(0.2)


def test_a_byte_order_mark_and_spaces_do_no_harm(write) -> None:
    trace = read_trace(write("\ufeff" + PLAIN.replace(",", ", ") + "1.0, 5 ,6\n"))
    assert len(trace.requests) == 1


GOOD = "2023-11-16 18:17:03.97,5,6\n"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("2023-11-16 18:17:04,-5,6", "ContextTokens = -5, must be from 1"),
        ("2023-11-16 18:17:04,5,-1", "GeneratedTokens = -1, must be from 1"),
        ("2023-11-16 18:17:04,0,6", "ContextTokens = 0, must be from 1"),
        ("2023-11-16 18:17:04,,6", "ContextTokens is missing"),
        ("2023-11-16 18:17:04,5, ", "GeneratedTokens is missing"),
        ("2023-11-16 18:17:04,5", "2 cells, must be 3"),
        ("2023-11-16 18:17:04,5,6,7", "4 cells, must be 3"),
        ("2023-11-16 18:17:04,5.5,6", "'5.5' is not a whole number"),
        ("2023-11-16 18:17:04,many,6", "'many' is not a whole number"),
        ("2023-11-16 18:17:04,99999999999999999999999,6", "must be from 1 to 2147483647"),
        ("2023-11-16 18:17:02,5,6", "is earlier than the row before"),
        ("2023-13-16 18:17:04,5,6", "month must be in 1..12"),
        ("2023-02-30 18:17:04,5,6", "day is out of range"),
        ("16/11/2023 18:17,5,6", "is not a date and time"),
        (",5,6", "is not a date and time"),
        ("2024-11-16 18:17:04,5,6", "more than 9000000 s from the start"),
    ],
)
def test_malformed_azure_rows(write, row: str, why: str) -> None:
    """They stop with file and line; with skip they are counted and the rest is read."""
    path = write(AZURE + GOOD + row + "\n2023-11-16 18:17:05,7,8\n")
    with pytest.raises(InputError, match=r"trace\.csv:3: malformed row") as caught:
        read_trace(path)
    assert why in str(caught.value)
    assert "on_bad_rows: skip" in str(caught.value)
    trace = read_trace(path, on_bad_rows="skip")
    assert trace.requests.input_tokens.tolist() == [5, 7]
    assert [bad.line for bad in trace.bad_rows] == [3]
    assert why in trace.bad_rows[0].why


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("-1,5,6", "arrival_s = -1, must be at least 0"),
        ("nan,5,6", "arrival_s = nan"),
        ("inf,5,6", "arrival_s = inf"),
        ("soon,5,6", "'soon' is not a number"),
        ("0.5,5,6", "earlier than the row before"),
        ("1e7,5,6", "more than 9000000 s"),
    ],
)
def test_malformed_plain_rows(write, row: str, why: str) -> None:
    with pytest.raises(InputError, match=r"trace\.csv:3") as caught:
        read_trace(write(PLAIN + "1.0,5,6\n" + row + "\n"))
    assert why in str(caught.value)


def test_a_skipped_row_does_not_move_the_clock(write) -> None:
    path = write(PLAIN + "1,5,6\n100,-5,6\n2,5,6\n")
    assert read_trace(path, on_bad_rows="skip").requests.arrival_ps.tolist() == [10**12, 2 * 10**12]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "columns '' are not those of a trace"),
        ("a,b,c\n1,2,3\n", "known columns: TIMESTAMP,ContextTokens,GeneratedTokens"),
        (PLAIN, "no good row among 0"),
        ("arrival_s,output_tokens,prompt_tokens\n1,2,3\n", "are not those of a trace"),
    ],
)
def test_files_that_are_no_trace(write, text: str, why: str) -> None:
    with pytest.raises(InputError, match=r"trace\.csv") as caught:
        read_trace(write(text))
    assert why in str(caught.value)


def test_all_rows_bad_is_an_error_even_when_skipping(write) -> None:
    with pytest.raises(InputError, match="no good row among 2"):
        read_trace(write(PLAIN + "x,1,1\n1,0,1\n"), on_bad_rows="skip")


def test_a_missing_or_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read_trace(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"none\.parquet: no such file"):
        read_trace(tmp_path / "none.parquet")
    (tmp_path / "latin.csv").write_bytes(PLAIN.encode() + b"1,2,\xff\n")
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        read_trace(tmp_path / "latin.csv")
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot read the Parquet file"):
        read_trace(tmp_path / "text.parquet")


def test_an_unknown_rule_for_bad_rows(write) -> None:
    with pytest.raises(InputError, match="on_bad_rows = 'ignore'"):
        read_trace(write(PLAIN), on_bad_rows="ignore")  # type: ignore[arg-type]


def test_parquet_is_judged_by_the_same_rules(tmp_path: Path) -> None:
    path = tmp_path / "trace.parquet"
    columns = {
        "arrival_s": [0.5, 1.0, 2.0],
        "input_tokens": [10, 20, None],
        "output_tokens": [1.0, 2.0, 3.0],
    }
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=r"trace\.parquet:3: malformed row: input_tokens is miss"):
        read_trace(path)
    trace = read_trace(path, on_bad_rows="skip")
    assert trace.requests.arrival_ps.tolist() == [500_000_000_000, 10**12]
    assert trace.requests.output_tokens.tolist() == [1, 2]


@given(
    st.lists(
        st.tuples(st.integers(0, 10**9), st.integers(1, 10**6), st.integers(1, 10**5)),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_written_is_read(tmp_path_factory, rows: list[tuple[int, int, int]]) -> None:
    rows.sort(key=lambda row: row[0])
    path = tmp_path_factory.mktemp("trace") / "t.csv"
    path.write_text(PLAIN + "".join(f"{t / 1e6:.6f},{i},{o}\n" for t, i, o in rows))
    trace = read_trace(path)
    assert trace.requests.arrival_ps.tolist() == [t * 10**6 for t, _, _ in rows]
    assert [(r.input_tokens, r.output_tokens) for r in trace.requests] == [r[1:] for r in rows]


@pytest.mark.parametrize(
    ("kind", "count", "tokens_in"), [("conv", 19366, 1155), ("code", 8819, 2048)]
)
def test_the_published_traces(facts: Path, kind: str, count: int, tokens_in: int) -> None:
    trace = read_trace(facts / "traces" / f"AzureLLMInferenceTrace_{kind}_2023.csv")
    assert len(trace.requests) == count
    assert round(float(np.mean(trace.requests.input_tokens))) == tokens_in
    assert 3400 < trace.requests.arrival_ps[-1] / 1e12 < 3600
