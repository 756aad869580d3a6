"""A sweep on disk: its index as Arrow, pandas, xarray, or through SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.sweep.index import FIXED, PARQUET, Line, is_current, read_points, rebuild, varied_columns

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import pyarrow as pa
    import xarray as xr

SERIES: Final = {"series": "signals.parquet", "requests": "requests.parquet"}
"""Views over files of the run folders, by name."""
SAMPLE: Final = "sample"


def open_results(path: str | Path, out: Path = Path("outputs")) -> SweepResults:
    """The results of a sweep.

    Args:
        path: its folder, its sweep file, or its name below `out`.

    Raises:
        InputError: there is no such sweep.
    """
    found = SweepResults(sweep_folder_of(Path(path), out))
    _ = found.lines  # now, not at the first question
    return found


def sweep_folder_of(path: Path, out: Path) -> Path:
    """The folder of a sweep that is named by its folder, file or name."""
    if path.is_dir():
        return path
    if path.is_file():
        from sim.scenario.load import load_tree

        tree = load_tree(path).tree
        name = tree.get("name") if isinstance(tree, dict) else None
        return out / f"sweep-{name}"
    return out / f"sweep-{path}"


class SweepResults:
    """One sweep; what is asked for is read when it is asked for.

    Args:
        folder: the sweep's folder. Its index is made again where runs are newer.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def lines(self) -> list[Line]:
        """The points."""
        return read_points(self.folder)

    @cached_property
    def index(self) -> pa.Table:
        """One row for each point: what it set, and every figure of its summary."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not is_current(self.folder):
            return rebuild(self.folder)
        try:
            table = pq.read_table(self.folder / PARQUET)
        except (pa.ArrowException, OSError):
            return rebuild(self.folder)  # damaged: all that it says stands in the run folders
        return table if set(FIXED) <= set(table.column_names) else rebuild(self.folder)

    @cached_property
    def varied(self) -> list[str]:
        """Names of the columns that the points set to different values."""
        names = varied_columns(self.index.column_names, self.lines)
        return [name for name in names if _differs(self.index[name].to_pylist())]

    @property
    def axes(self) -> list[str]:
        """Of those, the ones that are not sampled."""
        sampled = self._sampled()
        return [name for name in self.varied if name not in sampled]

    @property
    def sampled(self) -> list[str]:
        """The columns that differ from sample to sample."""
        found = self._sampled()
        return [name for name in self.varied if name in found]

    def columns(self) -> Columns:
        """The finished runs as columns of Python values, read as they are asked for."""
        import pyarrow.compute as pc

        return Columns(self.index.filter(pc.equal(self.index["status"], "done")))

    def frame(self) -> pd.DataFrame:
        """The index as a pandas table.

        Raises:
            InputError: pandas is not installed.
        """
        _need("pandas")
        frame: pd.DataFrame = self.index.to_pandas()
        return frame

    def dataset(self, columns: Sequence[str] | None = None) -> xr.Dataset:
        """Figures over the axes, samples and seeds; a run that is missing leaves NaN.

        Args:
            columns: names of numeric columns; None for all.

        Raises:
            InputError: xarray is not installed, or a column is not there.
        """
        _need("xarray")
        frame = self.frame()
        extra = [SAMPLE] if SAMPLE in frame else []
        dims = [*self.axes, *extra, "seed"]
        numeric = [c for c in frame.select_dtypes(["number", "bool"]) if c not in {*dims, "point"}]
        chosen = numeric if columns is None else list(columns)
        if missing := [name for name in chosen if name not in frame]:
            raise InputError(f"there is no column {missing[0]!r}", "see results.csv for the names")
        indexed = frame.set_index(dims)[chosen]
        if not indexed.index.is_unique:
            raise InputError(
                "the points of this sweep do not span a grid", "use frame(): one row for each run"
            )
        found: xr.Dataset = indexed.to_xarray()
        return found

    def sql(self, query: str) -> pa.Table:
        """Answer a query in SQL.

        Tables: `runs` (the index), `series` (point, seed, run, signal, time_s, value) and
        `requests`, where runs recorded them. Names with dots stand in double quotes.

        Raises:
            InputError: duckdb is not installed, or it does not understand the query.
        """
        _need("duckdb")
        import duckdb

        connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
        try:
            connection.register("runs", self.index)
            for view, file in SERIES.items():
                if view in query.lower():
                    connection.execute(self._view(view, file))
            answer = connection.sql(query)
            if answer is None:
                raise InputError("the query answers nothing", "begin it with select")
            return answer.to_arrow_table()
        except duckdb.Error as error:
            todo = "names with dots stand in double quotes; `describe runs` lists the columns"
            raise InputError(str(error).strip(), todo) from None
        finally:
            connection.close()

    def _view(self, view: str, file: str) -> str:
        """SQL for a view over a file of each finished run."""
        runs = [run for run in self.index["run"].to_pylist() if run]
        paths = [path for run in runs if (path := self.folder / run / file).is_file()]
        if not paths:
            raise InputError(f"no run has {file}", f"let the scenario record {view}")
        listed = ", ".join(_quoted(str(path)) for path in paths)
        start, end = _quoted(f"{self.folder}/"), _quoted(f"/{file}")
        return (
            f"create view {view} as select r.point, r.seed, r.run, s.* exclude (filename) "  # noqa: S608 - the paths are quoted
            f"from read_parquet([{listed}], filename = true, union_by_name = true) s "
            f"join runs r on s.filename = {start} || r.run || {end}"
        )

    def _sampled(self) -> set[str]:
        by_sample: dict[int, dict[str, Any]] = {}
        differing: set[str] = set()
        for line in self.lines:
            if line.sample is None:
                return set()
            kept = by_sample.setdefault(line.sample, dict(line.values))
            differing |= {name for name, value in line.values.items() if kept.get(name) != value}
        names = {name for line in self.lines[:1] for name in line.values}
        return names - differing


class Columns(Mapping[str, list[Any]]):
    """The columns of a table as lists, made when first asked for."""

    def __init__(self, table: pa.Table):
        self._table = table
        self._lists: dict[str, list[Any]] = {}

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._lists:
            self._lists[name] = self._table.column(name).to_pylist()
        return self._lists[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table.column_names

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return len(self._table.column_names)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self._table.num_rows)

    def where(self, name: str, value: Any) -> Columns:
        """The rows in which a column has a value."""
        return Columns(self._table.filter([found == value for found in self[name]]))

    def row(self, number: int) -> Row:
        """One row, as a condition takes it."""
        return Row(self, number)


class Row(Mapping[str, Any]):
    """A row of columns."""

    def __init__(self, columns: Columns, number: int):
        self._columns, self._number = columns, number

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._number]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def _differs(values: Sequence[Any]) -> bool:
    """True if not all values are the same."""
    return any(value != values[0] for value in values)


def _need(package: str) -> None:
    """Say how to get an optional package.

    Raises:
        InputError: it is not installed.
    """
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise InputError(f"this needs the package {package}", "pip install 'flopgrid[analysis]'")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
