"""Rows of `requests.parquet` from the logs of the compiled engine, converted in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.cell_log import CellRows, shares
from sim.cluster.serving.fleet_cells import held_by
from sim.cluster.serving.kernels import layout as at
from sim.units import PS_PER_S

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.cluster.serving.compiled_fleet import CompiledFleet
    from sim.record.table_stream import TableStream

IntArray = NDArray[np.int64]

PIECE_ROWS: Final = 16_384
"""Rows that are converted at once: each conversion costs as much as some thousand rows."""
STATUSES: Final = ("completed", "dropped", "unfinished")
REASONS: Final = {
    at.TOO_LONG: "exceeds-kv-cache",
    at.OVER_BUDGET: "exceeds-token-budget",
    at.QUEUE_FULL: "queue-full",
}
"""As the step-by-step engine says them."""


class CellPieces:
    """Collects what the cells of one fleet are done with, and writes it.

    A request's number is that of its arrival at its cell's router, times the cells, plus the
    cell; replicas are numbered through the cells.

    Args:
        name: of the fleet. parts: its simulated parts, each of one or more cells.
        classes: names of the classes of requests; none where there are none.
        schema: of the rows. stream: where they go.
    """

    def __init__(
        self,
        name: str,
        parts: Sequence[CompiledFleet],
        classes: Sequence[str],
        schema: pa.Schema,
        stream: TableStream,
    ):
        self._name, self._classes = name, classes
        self._schema, self._stream = schema, stream
        self._cells = [cell for part in parts for cell in part.cells]
        sizes = [len(cell.cell.due) for cell in self._cells]
        self._first = np.cumsum([0, *sizes[:-1]])
        self._waiting: list[CellRows] = []
        self._rows = 0
        offset = 0
        for part in parts:
            part.ended.subscribe(lambda piece, offset=offset: self._take(piece, offset))  # type: ignore[misc]
            offset += len(part.cells)

    def finish(self) -> None:
        """Write what waits, and the requests that are still there."""
        for number, cell in enumerate(self._cells):
            self._take(CellRows(number, held_by(cell)), 0)
        self._flush()

    def _take(self, piece: CellRows, offset: int) -> None:
        if len(piece.rows):
            self._waiting.append(CellRows(piece.cell + offset, piece.rows))
            self._rows += len(piece.rows)
        if self._rows >= PIECE_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows = np.concatenate([piece.rows for piece in self._waiting])
        counts = [len(piece.rows) for piece in self._waiting]
        cells = np.repeat([piece.cell for piece in self._waiting], counts)
        self._waiting, self._rows = [], 0
        self._stream.write(self._table(rows, cells))

    def _table(self, rows: IntArray, cells: IntArray) -> pa.Table:
        """Rows of the log, columns `L_`, each with its cell."""
        import pyarrow as pa

        reason = rows[:, at.L_REASON]
        status = np.where(reason == at.SERVED, 0, np.where(reason == at.HELD, 2, 1))
        found: dict[str, Any] = {
            "fleet": _words(np.zeros(len(rows), dtype=np.int64), [self._name]),
            "replica": self._first[cells] + rows[:, at.L_REPLICA],
            "request": rows[:, at.L_ID] * len(self._cells) + cells,
            "status": _words(status, STATUSES),
            "arrival_s": rows[:, at.L_ARRIVAL] / PS_PER_S,
            "input_tokens": rows[:, at.L_INPUT],
            "output_tokens": rows[:, at.L_OUTPUT],
            "preemptions": pa.array(rows[:, at.L_PREEMPTIONS], mask=status == 1),
            "reason": _words(reason - 1, [REASONS[code] for code in sorted(REASONS)]),
            **_times(rows, status > 0),
            **_shares(rows, status == 1),
        }
        if self._classes:
            found["class"] = _words(rows[:, at.L_CLASS], self._classes)
        nulls = {f.name: pa.nulls(len(rows), f.type) for f in self._schema}
        return pa.table(nulls | found, self._schema)


def _times(rows: IntArray, absent: NDArray[np.bool_]) -> dict[str, Any]:
    """Times and latencies of the completed [s]; null for the others."""
    import pyarrow as pa

    arrival, first, end = (rows[:, c] for c in (at.L_ARRIVAL, at.L_FIRST, at.L_END))
    later = rows[:, at.L_OUTPUT] - 1
    found = {
        "start_s": rows[:, at.L_START],
        "first_token_s": first,
        "end_s": end,
        "ttft_s": first - arrival,
        "tpot_s": (end - first) / np.maximum(later, 1),
        "e2e_s": end - arrival,
    }
    masks = dict.fromkeys(found, absent) | {"tpot_s": absent | (later == 0)}
    return {name: pa.array(ps / PS_PER_S, mask=masks[name]) for name, ps in found.items()}


def _shares(rows: IntArray, absent: NDArray[np.bool_]) -> dict[str, Any]:
    """Shares of the work; null for the refused."""
    import pyarrow as pa

    names = ("time_s", "flops", "hbm_bytes", "energy_chip_j")
    each = zip(names, shares(rows).T, strict=True)
    return {name: pa.array(values, mask=absent) for name, values in each}


def _words(codes: IntArray, words: Sequence[str]) -> pa.Array:
    """Words by their number; null where there is none."""
    import pyarrow as pa

    known = pa.array(codes.astype(np.int32), mask=(codes < 0) | (codes >= len(words)))
    return pa.DictionaryArray.from_arrays(known, pa.array(words, pa.string())).cast(pa.string())
