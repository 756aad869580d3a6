"""PyPSA networks: a CSV folder, a netCDF file, or a live network object; one snapshot of them.

Definitions by PyPSA's component reference [1]: line impedance in ohm, transformer impedance in
pu of its own rating, link = controllable line with an efficiency, `_t` tables for what changes
with time. The snapshot is the one with the largest load unless one is named.

Reference: [1] PyPSA documentation 1.0, user guide, components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import InputError, Place
from sim.grid.nodal.imports.case import BASE_MVA, REFERENCE, Draft, bus_rows, polynomial
from sim.grid.nodal.imports.frames import Frame, of_csv, of_frame
from sim.grid.nodal.tables import Floats, Ints, Network

STATIC = (
    "buses", "loads", "generators", "lines", "transformers", "links", "storage_units", "stores",
    "shunt_impedances",
)  # fmt: skip

CHANGING = {
    "loads": ("p_set", "q_set"),
    "generators": ("p_set", "p", "p_max_pu"),
    "links": ("p_set", "p0"),
    "storage_units": ("p_set", "p"),
}
"""What is read from the tables over time."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """A network as tables.

    Args:
        over_time: (table, figure) -> name of the element -> one figure for each snapshot.
    """

    file: str
    name: str
    frames: Mapping[str, Frame]
    over_time: Mapping[tuple[str, str], Mapping[str, Floats]]
    snapshots: tuple[str, ...]

    def frame(self, name: str) -> Frame:
        """A table; empty if the network has none."""
        return self.frames.get(name, Frame(name, self.file))

    def at(self, table: str, figure: str, snapshot: int, default: float = 0.0) -> Floats:
        """A figure of every element at a snapshot: from time, else static, else the default."""
        frame = self.frame(table)
        values = frame.floats(figure, default)
        series = self.over_time.get((table, figure), {})
        for row, label in enumerate(frame.index):
            if str(label) in series:
                values[row] = series[str(label)][snapshot]
        return values


def read_pypsa(path: Path, snapshot: str | None = None) -> Network:
    """Read a CSV folder or a netCDF file of PyPSA.

    Args:
        snapshot: its label as in the file.

    Raises:
        InputError: it is none, or holds something that is not read; with file and line.
    """
    return _convert(_of_folder(path) if path.is_dir() else _of_netcdf(path), snapshot)


def from_pypsa(network: Any, snapshot: str | None = None) -> Network:
    """The network of a live PyPSA object."""
    name = str(getattr(network, "name", "") or "pypsa")
    frames = {table: of_frame(table, getattr(network, table), name) for table in STATIC}
    over_time = {}
    for table, figures in CHANGING.items():
        changing = getattr(network, f"{table}_t")
        for figure in figures:
            frame = changing[figure]
            over_time[table, figure] = {
                str(column): frame[column].to_numpy(dtype=float) for column in frame.columns
            }
    labels = tuple(str(label) for label in network.snapshots)
    return _convert(_Parts(name, name, frames, over_time, labels), snapshot)


def _of_folder(path: Path) -> _Parts:
    if not (path / "buses.csv").is_file():
        raise InputError(f"{path} is no PyPSA folder: no buses.csv", "give an export of PyPSA")
    frames = {
        name: of_csv(path / f"{name}.csv") for name in STATIC if (path / f"{name}.csv").is_file()
    }
    over_time = {}
    for table, figures in CHANGING.items():
        for figure in figures:
            file = path / f"{table}-{figure}.csv"
            if file.is_file():
                frame = of_csv(file)
                over_time[table, figure] = {c: frame.floats(c) for c in frame.columns}
    snapshots: tuple[str, ...] = ("now",)
    if (path / "snapshots.csv").is_file():
        frame = of_csv(path / "snapshots.csv")
        labels = frame.columns.get("snapshot") or frame.columns.get("name") or list(frame.index)
        snapshots = tuple(str(label) for label in labels)
    return _Parts(str(path), path.name, frames, over_time, snapshots)


def _of_netcdf(path: Path) -> _Parts:
    try:
        import xarray
    except ImportError as error:
        raise InputError(
            "reading netCDF needs the optional extra 'imports' (xarray, netCDF4)",
            "pip install 'flopgrid[imports]', or export a CSV folder from PyPSA",
        ) from error
    try:
        with xarray.open_dataset(path) as dataset:
            data = dataset.load()
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}", "give a netCDF file of PyPSA") from error
    if "buses_i" not in data:
        raise InputError("not a PyPSA network: no buses_i", "", place=Place(str(path)))
    frames = {name: _of_dataset(data, name, str(path)) for name in STATIC if f"{name}_i" in data}
    over_time = {}
    for table, figures in CHANGING.items():
        for figure in figures:
            name = f"{table}_t_{figure}"
            if name in data:
                values = np.asarray(data[name].transpose("snapshots", ...), dtype=float)
                labels = [_word(label) for label in data[f"{name}_i"].values.tolist()]
                over_time[table, figure] = {c: values[:, i] for i, c in enumerate(labels)}
    snapshots = next(
        (
            tuple(str(_word(label)) for label in data[name].values.astype(str).tolist())
            for name in ("snapshots_snapshot", "snapshots")
            if name in data
        ),
        ("now",),
    )
    return _Parts(str(path), path.stem, frames, over_time, snapshots)


def _of_dataset(data: Any, name: str, file: str) -> Frame:
    start = f"{name}_"
    columns = {
        str(key).removeprefix(start): [_word(v) for v in data[key].values.tolist()]
        for key in data.data_vars
        if str(key).startswith(start) and "_t_" not in str(key) and data[key].dims == (f"{name}_i",)
    }
    return Frame(name, file, [_word(v) for v in data[f"{name}_i"].values.tolist()], columns)


def _word(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


class _Reader:
    """Fills a draft at one snapshot."""

    def __init__(self, parts: _Parts, snapshot: int):
        self._parts = parts
        self._snapshot = snapshot
        bus = parts.frame("buses")
        self._at = {str(label): row for row, label in enumerate(bus.index)}
        carrier = [word or "AC" for word in bus.words("carrier", "AC")]
        self._is_ac = np.array([word in ("AC", "") for word in carrier], dtype=bool)
        self.kv = bus.floats("v_nom", 1.0)
        alive = self._is_ac.tolist()
        numbers = list(range(1, len(bus) + 1))
        self.draft = Draft(
            file=parts.file,
            name=parts.name,
            bus=bus_rows(numbers, self.kv, alive),
            labels=[str(label) for label in bus.index],
            bus_lines=list(bus.lines) or [0] * len(bus),
        )

    def buses(self, frame: Frame, column: str = "bus") -> Ints:
        """Indices of the buses that a column names."""
        found = []
        for row, label in enumerate(frame.words(column)):
            if label not in self._at:
                raise frame.refuse(row, f"{column} {label!r} is not in buses", "mend the row")
            found.append(self._at[label])
        return np.array(found, dtype=np.int64)

    def line(self, frame: Frame, row: int) -> int:
        """Line of a row in its file, 0 if it has none."""
        return frame.lines[row] if len(frame.lines) else 0

    def figure(self, table: str, name: str, default: float = 0.0) -> Floats:
        """A figure at the snapshot."""
        return self._parts.at(table, name, self._snapshot, default)

    def add_loads(self) -> None:
        """Loads, what storages do, and shunts at 1 pu."""
        bus, sign = self.draft.bus, {"loads": 1.0, "storage_units": -1.0}
        for table, way in sign.items():
            frame = self._parts.frame(table)
            active = self._output(table)
            on = frame.bools("active", True)
            np.add.at(bus[:, 2], self.buses(frame), way * active * on)
            np.add.at(bus[:, 3], self.buses(frame), way * self.figure(table, "q_set") * on)
        frame = self._parts.frame("shunt_impedances")
        at = self.buses(frame)
        np.add.at(bus[:, 4], at, frame.floats("g", 0.0) * self.kv[at] ** 2)
        np.add.at(bus[:, 5], at, frame.floats("b", 0.0) * self.kv[at] ** 2)

    def _output(self, table: str) -> Floats:
        """What a solved network does, else what is scheduled."""
        name = "p0" if table == "links" else "p"
        scheduled = self.figure(table, "p_set")
        series = self._parts.over_time.get((table, name), {})
        done = [str(label) in series for label in self._parts.frame(table).index]
        return np.where(done, self.figure(table, name), scheduled) if done else scheduled

    def add_generators(self) -> None:
        """Generators with their limits, costs and output."""
        frame = self._parts.frame("generators")
        at, on = self.buses(frame), frame.bools("active", True)
        most = frame.floats("p_nom", 0.0) * self.figure("generators", "p_max_pu", 1.0)
        least = frame.floats("p_nom", 0.0) * frame.floats("p_min_pu", 0.0)
        output = self._output("generators")
        slack = [word == "Slack" for word in frame.words("control", "PQ")]
        one, two = frame.floats("marginal_cost", 0.0), frame.floats("marginal_cost_quadratic", 0.0)
        start, fuel = frame.floats("start_up_cost", 0.0), frame.words("carrier")
        for row in range(len(frame)):
            if slack[row] and on[row]:
                self.draft.bus[at[row], 1] = REFERENCE
            cost = polynomial({0: 0.0, 1: float(one[row]), 2: float(two[row])})
            cost[1] = float(start[row])
            self.draft.add_generator(
                int(at[row]), float(output[row]), least_mw=float(min(least[row], most[row])),
                most_mw=float(max(most[row], output[row])),
                on=bool(on[row] and self._is_ac[at[row]]), line=self.line(frame, row),
                cost=cost, fuel=fuel[row],
            )  # fmt: skip

    def add_branches(self) -> None:
        """Lines and transformers."""
        for table, to_pu in (("lines", self._line_pu), ("transformers", self._transformer_pu)):
            frame = self._parts.frame(table)
            start, end = self.buses(frame, "bus0"), self.buses(frame, "bus1")
            x = frame.floats("x", 0.0)
            for row in np.flatnonzero(x == 0).tolist():
                raise frame.refuse(
                    row, f"x is 0 (type {frame.words('type')[row]!r})",
                    "export after Network.calculate_dependent_values(), or give x",
                )  # fmt: skip
            for row in np.flatnonzero(~self._is_ac[start] | ~self._is_ac[end]).tolist():
                raise frame.refuse(row, "an end is no AC bus", "model it as a link")
            r_x_b = to_pu(frame, start)
            rating = frame.floats("s_nom", 0.0) * frame.floats("s_max_pu", 1.0)
            on = frame.bools("active", True)
            is_line = table == "lines"
            tap = frame.floats("tap_ratio", 0.0 if is_line else 1.0)
            shift = frame.floats("phase_shift", 0.0)
            for row in range(len(frame)):
                r, x_pu, b = (float(v) for v in r_x_b[row])
                self.draft.add_branch(
                    int(start[row]), int(end[row]), (r, x_pu, b), rating_mw=float(rating[row]),
                    on=bool(on[row]), line=self.line(frame, row), tap=float(tap[row]),
                    shift_deg=float(shift[row]),
                )  # fmt: skip

    def _line_pu(self, frame: Frame, start: Ints) -> Floats:
        """Ohm and siemens to pu."""
        ohm = self.kv[start] ** 2 / BASE_MVA
        r, x, b = (frame.floats(name, 0.0) for name in ("r", "x", "b"))
        return np.column_stack([r / ohm, x / ohm, b * ohm])

    def _transformer_pu(self, frame: Frame, _start: Ints) -> Floats:
        """From pu of its own rating to that of the case."""
        mva = frame.floats("s_nom")
        r, x, b = (frame.floats(name, 0.0) for name in ("r", "x", "b"))
        return np.column_stack([r * BASE_MVA / mva, x * BASE_MVA / mva, b * mva / BASE_MVA])

    def add_links(self) -> None:
        """Links between AC buses as controllable lines at their flow."""
        frame = self._parts.frame("links")
        start, end = self.buses(frame, "bus0"), self.buses(frame, "bus1")
        sent = self._output("links")
        received = sent * frame.floats("efficiency", 1.0)
        size, on = frame.floats("p_nom", 0.0), frame.bools("active", True)
        low, high = size * frame.floats("p_min_pu", 0.0), size * frame.floats("p_max_pu", 1.0)
        for row in range(len(frame)):
            if frame.words("bus2")[row]:
                raise frame.refuse(row, "a link with a third bus", "only two are read")
            self.draft.add_dc_line(
                int(start[row]), int(end[row]), float(sent[row]), float(received[row]),
                limits_mw=(float(low[row]), float(high[row])), on=bool(on[row]),
                line=self.line(frame, row),
            )  # fmt: skip

    def places(self) -> tuple[Floats, Floats] | None:
        """Latitude and longitude, if the buses have some."""
        frame = self._parts.frame("buses")
        x, y = frame.floats("x", 0.0), frame.floats("y", 0.0)
        if len(frame) < 2 or not (np.ptp(x) or np.ptp(y)):
            return None
        return (y, x) if (np.abs(x) <= 180).all() and (np.abs(y) <= 90).all() else None


def _chosen(parts: _Parts, snapshot: str | None) -> int:
    """Index of the snapshot named, else of the one with the largest load."""
    if snapshot is not None:
        if snapshot not in parts.snapshots:
            raise InputError(
                f"no snapshot {snapshot!r} in {parts.file}",
                f"they run from {parts.snapshots[0]} to {parts.snapshots[-1]}",
            )
        return parts.snapshots.index(snapshot)
    totals = [float(parts.at("loads", "p_set", i).sum()) for i in range(len(parts.snapshots))]
    return int(np.argmax(totals))


def _convert(parts: _Parts, snapshot: str | None) -> Network:
    chosen = _chosen(parts, snapshot)
    reader = _Reader(parts, chosen)
    reader.add_loads()
    reader.add_generators()
    reader.add_branches()
    reader.add_links()
    source = (
        f"PyPSA network {parts.file}, snapshot {parts.snapshots[chosen]}"
        + ("" if snapshot else " (largest load)")
        + "; buses count from 1 in its order, stores idle"
    )
    return reader.draft.network(source, reader.places())
