"""Rows with any keys as one table, made piece by piece so that memory stays flat."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sim.scenario.canonical import to_flow
from sim.scenario.yamlfile import Plain

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Plain]
PIECE_ROWS: Final = 256
LONGEST_TEXT: Final = 60
_LABELS: Final = ("limit", "name", "id", "kind")
_INT64: Final = 2**63


def to_table(rows: Iterable[Row], first: Sequence[str] = ()) -> pa.Table:
    """The rows as a table; columns in order of first appearance.

    A column is boolean, whole number or number where all its values are, else text.

    Args:
        first: names of columns that come first, whether or not a row has them.
    """
    import pyarrow as pa

    names: dict[str, None] = dict.fromkeys(first)
    pieces: list[dict[str, pa.Array]] = []
    lengths: list[int] = []
    for piece in _pieces(rows):
        names |= dict.fromkeys(name for row in piece for name in row)
        own = dict.fromkeys(name for row in piece for name in row)
        pieces.append({name: _array([row.get(name) for row in piece]) for name in own})
        lengths.append(len(piece))
    return pa.table({name: _joined(name, pieces, lengths) for name in names})


def csv_lines(table: pa.Table) -> Iterator[str]:
    """The table as CSV, some rows at a time: Unix line ends, floats as `repr`, nothing for null."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.column_names)
    for start in range(0, table.num_rows, PIECE_ROWS):
        piece = table.slice(start, PIECE_ROWS)
        columns = [piece.column(name).to_pylist() for name in piece.column_names]
        for row in zip(*columns, strict=True):
            writer.writerow([_cell(value) for value in row])
        yield stream.getvalue()
        stream.seek(0)
        stream.truncate()
    yield stream.getvalue()


def csv_text(table: pa.Table) -> str:
    """The whole table as CSV."""
    return "".join(csv_lines(table))


def flatten(data: Plain, name: str = "") -> Iterator[tuple[str, Plain]]:
    """The figures of a summary by dotted name: `power_w.chip.mean`, `grid.verdicts[reserve].binds`.

    Elements of a list are named by their `limit`, `name`, `id` or `kind` where that tells
    them apart, else by index. Null, long text and lists of text are left out.
    """
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from flatten(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, list):
        for label, value in zip(_element_labels(data), data, strict=True):
            if not isinstance(value, str):
                yield from flatten(value, f"{name}[{label}]")
    elif isinstance(data, bool | int | float) or (
        isinstance(data, str) and len(data) <= LONGEST_TEXT
    ):
        yield name, data


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == PIECE_ROWS:
            yield piece
            piece = []
    if piece:
        yield piece


def _array(values: Sequence[Plain]) -> pa.Array:
    """Values of one type: booleans, whole numbers or numbers as they are, all else as text."""
    import pyarrow as pa

    types = {type(value) for value in values if value is not None}
    if not types:
        return pa.nulls(len(values))
    if types <= {bool}:
        return pa.array(values, pa.bool_())
    if types <= {int} and all(v is None or abs(v) < _INT64 for v in values):
        return pa.array(values, pa.int64())
    if types <= {int, float}:
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return _texts(values)


def _texts(values: Sequence[Plain]) -> pa.Array:
    import pyarrow as pa

    texts = [v if v is None or isinstance(v, str) else to_flow(v) for v in values]
    return pa.array(texts, pa.string())


def _joined(
    name: str, pieces: Sequence[Mapping[str, pa.Array]], lengths: Sequence[int]
) -> pa.ChunkedArray:
    """One column over all pieces, of the type that all of them share."""
    import pyarrow as pa

    found = [piece.get(name) for piece in pieces]
    arrays = [
        pa.nulls(n) if array is None else array for array, n in zip(found, lengths, strict=True)
    ]
    types = {array.type for array in arrays} - {pa.null()}
    if types == {pa.int64(), pa.float64()}:
        arrays = [array.cast(pa.float64()) for array in arrays]
    elif len(types) > 1:
        arrays = [_texts(array.to_pylist()) for array in arrays]
    kind = next((array.type for array in arrays if array.type != pa.null()), pa.string())
    return pa.chunked_array([array.cast(kind) for array in arrays], kind).combine_chunks()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_flow(value)


def _element_labels(items: Sequence[Any]) -> Sequence[str | int]:
    """Distinct names for the elements of a list."""
    if all(isinstance(item, dict) for item in items):
        for key in _LABELS:
            labels = [item.get(key) for item in items]
            if len(set(map(str, labels))) == len(items) and all(isinstance(x, str) for x in labels):
                return labels
    return range(len(items))
