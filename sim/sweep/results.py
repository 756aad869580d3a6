"""The result table of a sweep: one row for each point, rebuilt from the run folders."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.record import atomic
from sim.record.store import find_run, parquet_bytes
from sim.scenario.canonical import to_flow
from sim.scenario.yamlfile import Plain
from sim.sweep.plan import RUNS, Planned

if TYPE_CHECKING:
    import pyarrow as pa

PARQUET: Final = "results.parquet"
CSV: Final = "results.csv"

_FIXED: Final = ("point", "seed", "run", "status", "error")
_LABELS: Final = ("limit", "name", "id", "kind")
_INT64: Final = 2**63

Row = dict[str, Plain]


def collect(folder: Path, planned: Sequence[Planned], errors: Mapping[str, str]) -> None:
    """Write `results.parquet` and `results.csv`.

    Args:
        folder: the sweep's folder.
        planned: its points, in order.
        errors: why a point failed, by `Point.key`.

    Raises:
        InputError: a file cannot be written.
    """
    table = results_table([_row(folder, item, errors) for item in planned])
    try:
        atomic.write_file(folder / PARQUET, parquet_bytes(table))
        atomic.write_file(folder / CSV, csv_text(table).encode())
    except OSError as error:
        what = f"the results cannot be written: {error.strerror}"
        raise InputError(what, f"make room in {folder}") from error


def results_table(rows: Sequence[Row]) -> pa.Table:
    """Rows with any keys as one table; columns in order of first appearance.

    A column is boolean, whole number or number where all its values are, else text.
    """
    import pyarrow as pa

    names = dict.fromkeys([*_FIXED, *(name for row in rows for name in row)])
    columns = {name: _typed([row.get(name) for row in rows]) for name in names}
    return pa.table({name: pa.array(values, _arrow(values)) for name, values in columns.items()})


def csv_text(table: pa.Table) -> str:
    """The table as CSV: Unix line ends, floats as `repr`, nothing for null."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.column_names)
    columns = [table.column(name).to_pylist() for name in table.column_names]
    for row in zip(*columns, strict=True):
        writer.writerow("" if v is None else v if isinstance(v, str) else to_flow(v) for v in row)
    return stream.getvalue()


def flatten(data: Plain, name: str = "") -> Iterator[tuple[str, float | bool]]:
    """The numbers of a summary by dotted name: `power_w.chip.mean`, `grid.verdicts[reserve].binds`.

    Elements of a list are named by their `limit`, `name`, `id` or `kind` where that tells
    them apart, else by index. Text and null are left out.
    """
    if isinstance(data, bool | int | float):
        yield name, data
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from flatten(value, f"{name}.{key}" if name else str(key))
    elif isinstance(data, list):
        for label, value in zip(_element_labels(data), data, strict=True):
            yield from flatten(value, f"{name}[{label}]")


def _row(folder: Path, item: Planned, errors: Mapping[str, str]) -> Row:
    """The row of one point."""
    point, run = item.point, item.run
    found = find_run(run, folder / RUNS) if run else None
    row: Row = {"point": point.index, "seed": point.seed, "run": None, "status": "to do"}
    row["error"] = None if found else errors.get(point.key)
    row.update({f"set.{path}" if path in _FIXED else path: v for path, v in point.values})
    if found is None:
        return {**row, "status": "failed" if row["error"] else "to do"}
    row |= {"run": found.path.relative_to(folder).as_posix(), "status": "done"}
    for name, value in flatten(found.summary()):
        row[name if name not in row else f"summary.{name}"] = value
    return row


def _element_labels(items: Sequence[Any]) -> Sequence[str | int]:
    """Distinct names for the elements of a list."""
    if all(isinstance(item, dict) for item in items):
        for key in _LABELS:
            labels = [item.get(key) for item in items]
            if len(set(map(str, labels))) == len(items) and all(isinstance(x, str) for x in labels):
                return labels
    return range(len(items))


def _typed(values: Sequence[Plain]) -> list[Plain]:
    """Values of one type: booleans, whole numbers or numbers as they are, all else as text."""
    types = {type(value) for value in values if value is not None}
    if types <= {bool} or (types <= {int, float} and types):
        as_float = float in types or any(abs(v) >= _INT64 for v in values if v is not None)
        if as_float and bool not in types:
            return [None if value is None else float(value) for value in values]
        return list(values)
    return [v if v is None or isinstance(v, str) else to_flow(v) for v in values]


def _arrow(values: Sequence[Plain]) -> pa.DataType:
    """The column type of values that `_typed` gave; text where all are null."""
    import pyarrow as pa

    first = next((value for value in values if value is not None), "")
    names = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return names[type(first)]
