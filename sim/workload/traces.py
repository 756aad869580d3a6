"""Reading request traces.

Forms are known by their columns, in any order:

- `TIMESTAMP,ContextTokens,GeneratedTokens`: the published Azure LLM inference traces of 2023
  and 2024 [1]; the timestamp is a date and time, in UTC where no offset is given;
- `Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`, from version 2 on
  with `Session ID` and `Elapsed time`: BurstGPT [2]; seconds. Its failed requests have 0
  response tokens, and are malformed here;
- JSON lines with `timestamp` (ms), `input_length`, `output_length`: Mooncake [3]; the file
  name ends in `.jsonl`. Its `hash_ids` number the blocks of 512 tokens of the prompt, the last
  one perhaps not full; equal numbers are equal prefixes;
- `arrival_s,input_tokens,output_tokens` as CSV, or as Parquet (the name ends in `.parquet`).

A row is malformed when a length is missing, not a whole number, or below 1, when its time
cannot be read, or when it is earlier than the row before. Malformed rows stop the reading
with `file:line`, or, with `on_bad_rows="skip"`, are left out and counted.

References: [1] github.com/Azure/AzurePublicDataset, AzureLLMInferenceDataset2023.md and
2024.md; [2] github.com/HPMLL/BurstGPT, releases 1.1 and 2.0; [3] Qin et al., "Mooncake",
arXiv:2407.00079.
"""

from __future__ import annotations

import csv
import math
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import numpy as np

from sim.errors import InputError, Place
from sim.files import bounded_lines, check_regular, parse_json
from sim.units import PS_PER_S
from sim.workload.requests import RequestTable

OnBadRows = Literal["stop", "skip"]


@dataclass(frozen=True, slots=True)
class Form:
    """Which columns of a trace say what.

    Attributes:
        clock: `date` (date and time), `s` or `ms`.
        others: columns that are not read.
        session: column of the session, "" for none. blocks: of the prompt's blocks, likewise.
        absolute: whether arrivals count from the first good row.
    """

    time: str
    input: str
    output: str
    clock: str
    others: tuple[str, ...] = ()
    session: str = ""
    absolute: bool = False
    blocks: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """All columns that it must have."""
        named = (self.time, self.input, self.output, self.session, self.blocks, *self.others)
        return frozenset(name for name in named if name)


_BURST: Final = ("Timestamp", "Request tokens", "Response tokens", "s")
_BURST_REST: Final = ("Model", "Total tokens", "Log Type")
FORMS: Final = (
    Form("TIMESTAMP", "ContextTokens", "GeneratedTokens", "date", absolute=True),
    Form("arrival_s", "input_tokens", "output_tokens", "s"),
    Form(*_BURST, _BURST_REST, absolute=True),
    Form(*_BURST, (*_BURST_REST, "Elapsed time"), "Session ID", absolute=True),
    Form("timestamp", "input_length", "output_length", "ms", blocks="hash_ids"),
    Form("timestamp", "input_length", "output_length", "ms"),
)
KNOWN_FORMS: Final = "known columns: " + " or ".join(
    f"{f.time},{f.input},{f.output}" for f in (FORMS[0], FORMS[1], FORMS[2], FORMS[4])
)

BLOCK_TOKENS: Final = 512
"""Tokens of a block of a Mooncake trace [3]."""
MAX_TOKENS: Final = 2**31 - 1
MAX_BLOCK: Final = 2**62
MAX_ARRIVAL_S: Final = 9_000_000.0
"""The clock counts picoseconds in 64 bits: 106 days."""
_FARTHEST_S: Final = 1e12
"""No clock counts so many seconds; larger ones have no exact picoseconds."""

_TIMESTAMP: Final = re.compile(
    r"(?P<whole>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.(?P<part>\d{1,12}))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?"
)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A malformed row: its line in the file and what is wrong with it."""

    line: int
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """A trace as read.

    Attributes:
        file: where it came from.
        requests: the good rows; with timestamps, arrivals count from the first of them.
        bad_rows: the rows left out.
    """

    file: str
    requests: RequestTable
    bad_rows: tuple[BadRow, ...]

    @property
    def rate_per_s(self) -> float:
        """Mean arrivals per second between the first and the last."""
        span_s = float(self.requests.arrival_ps[-1]) / PS_PER_S
        return (len(self.requests) - 1) / span_s if span_s else math.inf


Row = tuple[int, list[str]]
"""Line in the file, cells."""


def read_trace(path: str | Path, on_bad_rows: OnBadRows = "stop") -> Trace:
    """Read a trace file.

    Args:
        path: a CSV or Parquet file.
        on_bad_rows: `stop` at the first malformed row, or `skip` and count them.

    Raises:
        InputError: the file cannot be read, its columns are not known, a row is malformed
            (with `stop`), or no good row is left.
    """
    path = Path(path)
    if on_bad_rows not in ("stop", "skip"):
        raise InputError(f"on_bad_rows = {on_bad_rows!r}, must be 'stop' or 'skip'")
    check_regular(path, "a trace", (".csv", ".jsonl", ".parquet"))
    readers = {".parquet": _parquet_rows, ".jsonl": _json_rows}
    rows = readers.get(path.suffix, _csv_rows)(path)
    header = next(rows, (1, []))[1]
    columns = tuple(cell.strip() for cell in header)
    form = next((f for f in FORMS if f.columns == set(columns)), None)
    if form is None or len(set(columns)) != len(columns):
        raise InputError(f"columns {','.join(columns)!r} are not those of a trace", KNOWN_FORMS).at(
            Place(str(path), 1)
        )
    return _collect(str(path), rows, _RowParser(form, columns), on_bad_rows)


def _collect(file: str, rows: Iterable[Row], parser: _RowParser, on_bad_rows: OnBadRows) -> Trace:
    good = array("q")  # four numbers a row: a trace may have many millions
    blocks: list[tuple[int, ...]] = []  # of a form that has them, one a row
    bad: list[BadRow] = []
    for line, cells in rows:
        try:
            good.extend(parser.parse(cells))
            if parser.blocks:
                blocks.append(parser.blocks)
        except ValueError as error:
            if on_bad_rows == "stop":
                raise InputError(f"malformed row: {error}", "mend it, or set on_bad_rows: skip").at(
                    Place(file, line)
                ) from None
            bad.append(BadRow(line, str(error)))
    if not good:
        raise InputError(f"no good row among {len(bad)}").at(Place(file))
    arrival, tokens_in, tokens_out, session = np.array(good, dtype=np.int64).reshape(-1, 4).T.copy()
    table = RequestTable(arrival, tokens_in, tokens_out, session=session, blocks=blocks or None)
    return Trace(file, table, tuple(bad))


class _RowParser:
    """Judges one row after the other; ValueError says what is wrong with one.

    Timestamps are counted from the first good row: 64 bits of picoseconds hold 106 days.

    Attributes:
        blocks: numbers of the prompt's blocks of the row that was parsed last.
    """

    def __init__(self, form: Form, columns: tuple[str, ...]):
        self._form = form
        self._places = {name: place for place, name in enumerate(columns)}
        self._time_ps = {"date": _timestamp_ps, "s": _seconds_ps, "ms": _milliseconds_ps}[
            form.clock
        ]
        self._start_ps: int | None = None if form.absolute else 0
        self._last_ps = 0
        self.blocks: tuple[int, ...] = ()
        self._sessions: dict[str, int] = {}

    def parse(self, cells: list[str]) -> tuple[int, int, int, int]:
        """(arrival in ps, input tokens, output tokens, session)."""
        if len(cells) != len(self._places):
            raise ValueError(f"{len(cells)} cells, must be {len(self._places)}")
        form = self._form
        time, tokens_in, tokens_out = (
            cells[self._places[name]] for name in (form.time, form.input, form.output)
        )
        absolute_ps = self._time_ps(time)
        start_ps = absolute_ps if self._start_ps is None else self._start_ps
        arrival_ps = absolute_ps - start_ps
        if arrival_ps < self._last_ps:
            raise ValueError(f"time {time!r} is earlier than the row before")
        if arrival_ps > MAX_ARRIVAL_S * PS_PER_S:
            raise ValueError(f"time {time!r} is more than {MAX_ARRIVAL_S:.0f} s from the start")
        lengths = _tokens(tokens_in, form.input), _tokens(tokens_out, form.output)
        self.blocks = self._blocks(cells, lengths[0])
        self._start_ps, self._last_ps = start_ps, arrival_ps
        return arrival_ps, *lengths, self._session(cells)

    def _session(self, cells: list[str]) -> int:
        """Sessions are numbered from 1 as they come; 0 is none."""
        name = cells[self._places[self._form.session]].strip() if self._form.session else ""
        return self._sessions.setdefault(name, len(self._sessions) + 1) if name else 0

    def _blocks(self, cells: list[str], input_tokens: int) -> tuple[int, ...]:
        """One number for each block of the prompt."""
        name = self._form.blocks
        if not name:
            return ()
        try:
            numbers = parse_json(cells[self._places[name]], Place(name))
        except InputError:
            numbers = None
        if not isinstance(numbers, list) or not all(
            type(n) is int and 0 <= n < MAX_BLOCK for n in numbers
        ):
            raise ValueError(f"{name} is not a list of whole numbers from 0 to 2**62")
        wanted = -(-input_tokens // BLOCK_TOKENS)
        if len(numbers) != wanted:
            raise ValueError(
                f"{len(numbers)} {name}, must be {wanted} for {input_tokens} tokens in blocks "
                f"of {BLOCK_TOKENS}"
            )
        return tuple(numbers)


def _tokens(cell: str, name: str) -> int:
    text = cell.strip()
    if not text:
        raise ValueError(f"{name} is missing")
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ValueError(f"{name} = {text!r} is not a whole number")
    tokens = int(text) if len(text) < 20 else MAX_TOKENS + 1
    if not 1 <= tokens <= MAX_TOKENS:
        raise ValueError(f"{name} = {text}, must be from 1 to {MAX_TOKENS}")
    return tokens


def _seconds_ps(cell: str) -> int:
    try:
        time_s = float(cell)
    except ValueError:
        raise ValueError(f"arrival_s = {cell!r} is not a number") from None
    if not 0 <= time_s < _FARTHEST_S:
        raise ValueError(f"arrival_s = {cell}, must be at least 0 and below {_FARTHEST_S:g}")
    return round(time_s * PS_PER_S)


def _milliseconds_ps(cell: str) -> int:
    try:
        return _seconds_ps(str(float(cell) / 1000))
    except ValueError:
        raise ValueError(f"timestamp = {cell!r} is not a number of ms of at least 0") from None


def _timestamp_ps(cell: str) -> int:
    """Picoseconds since 1970; the fraction is read exactly (the Azure traces give 100 ns)."""
    match = _TIMESTAMP.fullmatch(cell.strip())
    if match is None:
        raise ValueError(f"TIMESTAMP {cell!r} is not a date and time")
    whole = match["whole"] + (match["zone"] or "+00:00").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(whole).astimezone(UTC)
    except (ValueError, OverflowError) as error:  # the second: a zone beyond the year 1 or 9999
        raise ValueError(f"TIMESTAMP {cell!r}: {error}") from None
    seconds = round((moment - _EPOCH).total_seconds())
    return seconds * PS_PER_S + int((match["part"] or "").ljust(12, "0"))


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _csv_rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(bounded_lines(file, str(path)))
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except OSError as error:
        raise InputError(f"cannot read the trace: {error.strerror}").at(Place(str(path))) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"not a CSV file in UTF-8: {error}").at(Place(str(path))) from None


def _json_rows(path: Path) -> Iterator[Row]:
    """Rows of JSON lines; the header is the keys of the first."""
    names: list[str] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line, text in enumerate(bounded_lines(file, str(path)), start=1):
                if not text.strip():
                    continue
                found = _json_object(text)
                if not names:
                    names = list(found) if found else ["(not a JSON object)"]
                    yield line, names
                cells = [_cell_text(found.get(name)) for name in names] if found else []
                yield line, cells
    except OSError as error:
        raise InputError(f"cannot read the trace: {error.strerror}").at(Place(str(path))) from None
    except UnicodeDecodeError as error:
        raise InputError(f"not JSON lines in UTF-8: {error}").at(Place(str(path))) from None


def _json_object(text: str) -> dict[str, object]:
    """The object of a line; empty if it is none."""
    try:
        found = parse_json(text, Place(""))
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def _parquet_rows(path: Path) -> Iterator[Row]:
    """Rows as text, so that both forms are judged by the same rules; the line is the row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        columns = [column.to_pylist() for column in table.columns]
    except (OSError, ValueError, OverflowError, pa.ArrowException) as error:
        raise InputError(f"cannot read the Parquet file: {error}").at(Place(str(path))) from None
    yield 0, list(table.column_names)
    for line, row in enumerate(zip(*columns, strict=True), start=1):
        yield line, [_cell_text(value) for value in row]


def _cell_text(value: object) -> str:
    """A Parquet value as a CSV cell: null is empty, a whole float is a whole number."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
