"""Strategies for request traces."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import strategies as st

from sim.workload.traces import FORMS, MAX_TOKENS, Form, Trace, read_trace

ODD = ("", " ", "-1", "0", "1.5", "1e999", "nan", "inf", "x", "9" * 30, "\x00", '"', "1_0", "٣")
"""Cells that no row may have."""


@st.composite
def trace_text(draw: st.DrawFn, max_rows: int = 20, odd: bool = True) -> str:
    """The text of a trace file in CSV, in one of the forms that are known by their columns.

    Args:
        max_rows: the largest number of rows; there is at least one.
        odd: also rows that are malformed.
    """
    form = draw(st.sampled_from([form for form in FORMS if form.clock in ("s", "date")]))
    columns = draw(st.permutations(sorted(form.columns)))
    gaps_ms = draw(st.lists(st.integers(0, 100_000), min_size=1, max_size=max_rows))
    lines, now_ms = [",".join(columns)], 0
    for gap_ms in gaps_ms:
        now_ms += gap_ms
        cells = [draw(_cell(form, column, now_ms)) for column in columns]
        if odd and draw(st.integers(0, 9)) == 0:
            cells[draw(st.integers(0, len(cells) - 1))] = draw(st.sampled_from(ODD))
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def _cell(form: Form, column: str, now_ms: int) -> st.SearchStrategy[str]:
    if column == form.time:
        return st.just(_moment(now_ms) if form.clock == "date" else f"{now_ms / 1000:.3f}")
    if column in (form.input, form.output):
        return (st.integers(1, 4000) | st.integers(1, MAX_TOKENS)).map(str)
    return st.sampled_from(["a", "b", ""])


def _moment(now_ms: int) -> str:
    """A date and time, as the published traces write it."""
    seconds, ms = divmod(now_ms, 1000)
    hours, rest = divmod(seconds, 3600)
    days, hour = divmod(hours, 24)
    return f"2024-05-{1 + days:02d} {hour:02d}:{rest // 60:02d}:{rest % 60:02d}.{ms:03d}"


def _read(text: str) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        path.write_text(text, "utf-8")
        return read_trace(path)


def traces(max_rows: int = 20) -> st.SearchStrategy[Trace]:
    """Traces as read: at least one row, arrivals in order.

    Args:
        max_rows: the largest number of rows.
    """
    return trace_text(max_rows, odd=False).map(_read)
