"""pandapower networks: the JSON file of `pandapower.to_json`, or a live network object.

Per-unit figures by pandapower's own definitions [1]: line reactance x l / parallel over
V^2 / S_base; transformer impedance vk, vkr in percent of its own rating and low voltage, with
the magnetising branch as a T. Buses that closed switches join become one.

Reference: [1] pandapower documentation 3.5, elements line, trafo, switch, shunt, gen.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError, Place
from sim.files import read_json
from sim.grid.nodal.imports.case import BASE_MVA, REFERENCE, Draft, bus_rows, polynomial
from sim.grid.nodal.imports.frames import Frame, of_frame
from sim.grid.nodal.tables import Floats, Ints, Network

UNLIMITED_KA = 9999.0
"""Current limits from here on mean none (pandapower writes 99999)."""

REFUSED = (
    "trafo3w", "xward", "motor", "asymmetric_load", "asymmetric_sgen", "tcsc", "svc", "ssc", "vsc",
    "line_dc", "b2b_vsc", "bi_vsc",
)  # fmt: skip
"""Tables that mean something and are not read."""

READ = (
    "bus", "load", "sgen", "storage", "gen", "ext_grid", "ward", "shunt", "line", "trafo",
    "impedance", "dcline", "switch", "poly_cost", "pwl_cost", "bus_geodata",
)  # fmt: skip


def read_pandapower(path: Path) -> Network:
    """Read a JSON file of pandapower.

    Raises:
        InputError: it is none, or holds something that is not read; with the file.
    """
    content = read_json(path, "a pandapower JSON file")
    tables = content.get("_object", content) if isinstance(content, dict) else None
    if not isinstance(tables, dict) or "bus" not in tables or "line" not in tables:
        raise InputError(
            "not a pandapower network: no tables bus and line",
            "write it with pandapower.to_json",
            place=Place(str(path)),
        )
    known = [name for name in READ + REFUSED if name in tables]
    frames = {name: _json_frame(name, tables[name], str(path)) for name in known}
    return _convert(frames, str(path), path.stem, _number(tables.get("f_hz"), 50.0))


def from_pandapower(net: Any) -> Network:
    """The network of a live pandapower object."""
    name = str(getattr(net, "name", "") or "pandapower")
    frames = {
        table: of_frame(table, net[table], name)
        for table in READ + REFUSED
        if table in net and hasattr(net[table], "columns")
    }
    return _convert(frames, name, name, _number(net.get("f_hz"), 50.0))


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _json_frame(name: str, entry: Any, file: str) -> Frame:
    """A data frame as pandapower writes it: a JSON text in `orient: split`."""
    try:
        content = entry["_object"]
        split = json.loads(content) if isinstance(content, str) else content
        columns, index, rows = split["columns"], split["index"], split["data"]
        by_name = {str(c): [row[i] for row in rows] for i, c in enumerate(columns)}
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"table {name} is not as pandapower writes it", "write it with pandapower.to_json",
            place=Place(file),
        ) from error  # fmt: skip
    return Frame(name, file, index, by_name)


Complexes = NDArray[np.complex128]


class _Reader:
    """Fills a draft table by table."""

    def __init__(self, frames: Mapping[str, Frame], file: str, name: str, hz: float):
        self._frames = frames
        self._file = file
        self._hz = hz
        bus = self.frame("bus")
        self._index = [int(label) for label in bus.index]
        position = {label: row for row, label in enumerate(self._index)}
        self._join = self._joined(position)
        kv, alive = bus.floats("vn_kv"), bus.bools("in_service", True)
        kept = [row for row in range(len(bus)) if self._join[row] == row]
        place = {row: at for at, row in enumerate(kept)}
        self.at = {label: place[self._join[row]] for label, row in position.items()}
        self.kept = np.array(kept, dtype=np.int64)
        names = bus.words("name")
        self.draft = Draft(
            file=file,
            name=name,
            bus=bus_rows([self._index[row] for row in kept], kv[kept], alive[kept].tolist()),
            labels=[names[row] or str(self._index[row]) for row in kept],
            bus_lines=[0] * len(kept),
        )
        self.kv = kv[kept]

    def frame(self, name: str) -> Frame:
        """A table; empty if the network has none."""
        return self._frames.get(name, Frame(name, self._file))

    def _joined(self, position: Mapping[int, int]) -> list[int]:
        """For each bus, the first of those that closed bus switches join."""
        leader = list(range(len(position)))

        def find(row: int) -> int:
            while leader[row] != row:
                row = leader[row]
            return row

        switch = self.frame("switch")
        kinds, closed = switch.words("et"), switch.bools("closed", True)
        for row, kind in enumerate(kinds):
            if kind == "b" and closed[row]:
                ends = [find(self._place(switch, row, c, position)) for c in ("bus", "element")]
                leader[max(ends)] = min(ends)
        return [find(row) for row in range(len(position))]

    @staticmethod
    def _place(frame: Frame, row: int, column: str, position: Mapping[int, int]) -> int:
        label = int(frame.floats(column)[row])
        if label not in position:
            raise frame.refuse(row, f"{column} {label} is not in the bus table", "mend the row")
        return position[label]

    def buses(self, frame: Frame, column: str = "bus") -> Ints:
        """Indices of the buses that a column names."""
        rows = [self._place(frame, row, column, self.at) for row in range(len(frame))]
        return np.array(rows, dtype=np.int64)

    def open_at(self, kind: str) -> set[int]:
        """Labels of the elements of a kind that an open switch takes out."""
        switch = self.frame("switch")
        closed, element = switch.bools("closed", True), switch.floats("element")
        rows = [row for row, et in enumerate(switch.words("et")) if et == kind and not closed[row]]
        return {int(element[row]) for row in rows}

    def add_loads(self) -> None:
        """Loads, storages and wards draw, shunts at 1 pu."""
        bus = self.draft.bus
        for name, active, reactive, scale in (
            ("load", "p_mw", "q_mvar", "scaling"),
            ("storage", "p_mw", "q_mvar", "scaling"),
            ("ward", "ps_mw", "qs_mvar", ""),
        ):
            frame = self.frame(name)
            factor = frame.bools("in_service", True) * (frame.floats(scale, 1.0) if scale else 1.0)
            np.add.at(bus[:, 2], self.buses(frame), frame.floats(active) * factor)
            np.add.at(bus[:, 3], self.buses(frame), frame.floats(reactive, 0.0) * factor)
        for name, active, reactive, step in (
            ("shunt", "p_mw", "q_mvar", "step"),
            ("ward", "pz_mw", "qz_mvar", ""),
        ):
            frame = self.frame(name)
            factor = frame.bools("in_service", True) * (frame.floats(step, 1.0) if step else 1.0)
            np.add.at(bus[:, 4], self.buses(frame), frame.floats(active, 0.0) * factor)
            np.add.at(bus[:, 5], self.buses(frame), -frame.floats(reactive, 0.0) * factor)

    def add_generators(self) -> None:
        """Generators, static generators, and external grids (which take what is left)."""
        given = 0.0
        for name in ("gen", "sgen"):
            frame = self.frame(name)
            scale = frame.floats("scaling", 1.0)
            output, on = frame.floats("p_mw") * scale, frame.bools("in_service", True)
            given += float((output * on).sum())
            most = frame.floats("max_p_mw", np.inf)
            most = np.where(np.isfinite(most), most, output)
            least = np.minimum(frame.floats("min_p_mw", 0.0), most)
            slack = frame.bools("slack", False)
            self._add_units(name, output, (least, most), on, slack)
        frame = self.frame("ext_grid")
        on = frame.bools("in_service", True)
        total = float(self.draft.bus[:, 2].sum() + self.draft.bus[:, 4].sum())
        output = np.where(on, (total - given) / max(int(on.sum()), 1), 0.0)
        most = np.minimum(frame.floats("max_p_mw", np.inf), max(total, 0.0))
        least = np.minimum(frame.floats("min_p_mw", 0.0), output)
        limits = (np.minimum(least, most), np.maximum(most, output))
        self._add_units("ext_grid", output, limits, on, on)

    def _add_units(
        self, name: str, output: Floats, limits: tuple[Floats, Floats], on: Any, slack: Any
    ) -> None:
        frame = self.frame(name)
        at, voltage = self.buses(frame), frame.floats("vm_pu", 1.0)
        low, high = frame.floats("min_q_mvar", -9999.0), frame.floats("max_q_mvar", 9999.0)
        fuel = frame.words("type")
        for row in range(len(frame)):
            if slack[row] and on[row]:
                self.draft.bus[at[row], 1] = REFERENCE
            self.draft.add_generator(
                int(at[row]),
                float(output[row]),
                least_mw=float(limits[0][row]),
                most_mw=float(limits[1][row]),
                on=bool(on[row]),
                setpoint_pu=float(voltage[row]),
                mvar=(float(low[row]), float(high[row])),
                cost=self._costs().get((name, int(frame.index[row])), (2, 0, 0, 1, 0)),
                fuel=fuel[row],
            )

    def _costs(self) -> dict[tuple[str, int], list[float]]:
        """Rows of gencost by element."""
        poly, pwl = self.frame("poly_cost"), self.frame("pwl_cost")
        terms = ("cp0_eur", "cp1_eur_per_mw", "cp2_eur_per_mw2")
        columns = [poly.floats(name, 0.0) for name in terms]
        rows = [{i: float(c[row]) for i, c in enumerate(columns)} for row in range(len(poly))]
        found = dict(zip(self._elements(poly), map(polynomial, rows), strict=True))
        pieces = [_pieces(pwl, row) for row in range(len(pwl))]
        return found | dict(zip(self._elements(pwl), pieces, strict=True))

    @staticmethod
    def _elements(frame: Frame) -> list[tuple[str, int]]:
        """Kind and label of the element of each row."""
        labels = frame.floats("element").astype(int).tolist()
        return list(zip(frame.words("et"), labels, strict=True))

    def add_lines(self) -> None:
        """Lines as pi models."""
        frame, out = self.frame("line"), self.open_at("l")
        start, end = self.buses(frame, "from_bus"), self.buses(frame, "to_bus")
        length, parallel = frame.floats("length_km"), frame.floats("parallel", 1.0)
        base_ohm = self.kv[start] ** 2 / BASE_MVA
        r, x = (
            frame.floats(c) * length / parallel / base_ohm for c in ("r_ohm_per_km", "x_ohm_per_km")
        )
        farad = frame.floats("c_nf_per_km", 0.0) * 1e-9 * length * parallel
        b = 2 * math.pi * self._hz * farad * base_ohm
        ampere = frame.floats("max_i_ka", np.inf)
        rating = math.sqrt(3) * self.kv[start] * ampere * frame.floats("df", 1.0) * parallel
        rating = np.where(ampere >= UNLIMITED_KA, np.inf, rating)
        on = frame.bools("in_service", True)
        for row, label in enumerate(frame.index):
            self.draft.add_branch(
                int(start[row]), int(end[row]), (float(r[row]), float(x[row]), float(b[row])),
                rating_mw=float(rating[row]), on=bool(on[row]) and int(label) not in out,
            )  # fmt: skip

    def add_transformers(self) -> None:
        """Two-winding transformers: T model of series and magnetising branch, as a pi."""
        frame, out = self.frame("trafo"), self.open_at("t")
        high, low = self.buses(frame, "hv_bus"), self.buses(frame, "lv_bus")
        kv_high, kv_low, shift = self._tapped(frame)
        series, shunt = self._t_model(frame, self.kv[low], kv_low)
        z = series + series**2 * shunt / 4  # star to triangle
        b = (2 * shunt / (2 + series * shunt / 2)).imag
        ratio = (kv_high / kv_low) * (self.kv[low] / self.kv[high])
        rating = frame.floats("sn_mva") * frame.floats("parallel", 1.0) * frame.floats("df", 1.0)
        on = frame.bools("in_service", True)
        for row, label in enumerate(frame.index):
            self.draft.add_branch(
                int(high[row]), int(low[row]),
                (float(z[row].real), float(z[row].imag), float(b[row])),
                rating_mw=float(rating[row]), on=bool(on[row]) and int(label) not in out,
                tap=float(ratio[row]), shift_deg=float(shift[row]),
            )  # fmt: skip

    @staticmethod
    def _t_model(frame: Frame, bus_kv: Floats, kv_low: Floats) -> tuple[Complexes, Complexes]:
        """Series impedance and magnetising admittance in pu, by transformer."""
        mva, parallel = frame.floats("sn_mva"), frame.floats("parallel", 1.0)
        vk, vkr = frame.floats("vk_percent"), frame.floats("vkr_percent", 0.0)
        for row in np.flatnonzero(np.abs(vk) <= np.abs(vkr)).tolist():
            what = f"vk_percent {vk[row]:g} is not above vkr_percent {vkr[row]:g}: reactance 0"
            raise frame.refuse(row, what, "mend one of them")
        turned = np.sign(vk) * np.sqrt(vk**2 - vkr**2)
        series = (vkr + 1j * turned) / 100 * BASE_MVA / mva / parallel * (kv_low / bus_kv) ** 2
        idle, iron = frame.floats("i0_percent", 0.0), frame.floats("pfe_kw", 0.0) / 1e3
        # pandapower 3.5 takes the no-load current as inductive whatever its sign, and so do we
        mvar = np.sqrt(np.maximum((idle / 100 * mva) ** 2 - iron**2, 0.0))
        shunt = (iron - 1j * mvar) / BASE_MVA * (bus_kv / kv_low) ** 2 * parallel
        return series, shunt

    @staticmethod
    def _tapped(frame: Frame) -> tuple[Floats, Floats, Floats]:
        """Rated voltages and shift at the tap's position."""
        steps = frame.floats("tap_pos", 0.0) - frame.floats("tap_neutral", 0.0)
        change = steps * frame.floats("tap_step_percent", 0.0) / 100
        turn = np.radians(frame.floats("tap_step_degree", 0.0))
        side = np.array(frame.words("tap_side"), dtype=object)
        kinds = [word.lower() for word in frame.words("tap_changer_type")]
        old = frame.bools("tap_phase_shifter", False)
        ideal = np.array([kind == "ideal" for kind in kinds], dtype=bool) | old
        kv = {}
        shift = frame.floats("shift_degree", 0.0)
        for name, sign in (("hv", 1.0), ("lv", -1.0)):
            here = side == name
            rated = frame.floats(f"vn_{name}_kv")
            moved = np.where(here & ~ideal, change, 0.0)
            along, across = 1 + moved * np.cos(turn), moved * np.sin(turn)
            kv[name] = rated * np.hypot(along, across)
            shift = shift + sign * np.degrees(np.arctan2(across, along))
            degrees = steps * frame.floats("tap_step_degree", 0.0)
            shift = shift + np.where(here & ideal, sign * degrees, 0.0)
        return kv["hv"], kv["lv"], shift

    def add_others(self) -> None:
        """Impedances and DC lines."""
        frame = self.frame("impedance")
        start, end = self.buses(frame, "from_bus"), self.buses(frame, "to_bus")
        scale, on = BASE_MVA / frame.floats("sn_mva"), frame.bools("in_service", True)
        r, x = frame.floats("rft_pu") * scale, frame.floats("xft_pu") * scale
        for row in range(len(frame)):
            self.draft.add_branch(
                int(start[row]), int(end[row]), (float(r[row]), float(x[row]), 0.0),
                rating_mw=np.inf, on=bool(on[row]),
            )  # fmt: skip
        frame = self.frame("dcline")
        start, end = self.buses(frame, "from_bus"), self.buses(frame, "to_bus")
        sent, on = frame.floats("p_mw"), frame.bools("in_service", True)
        size, lost = np.abs(sent), frame.floats("loss_percent", 0.0) / 100
        arrives = size * (1 - lost) - frame.floats("loss_mw", 0.0)
        forward = sent >= 0  # else power goes in at the to bus and arrives at the from bus
        sent, received = np.where(forward, size, -arrives), np.where(forward, arrives, -size)
        most = frame.floats("max_p_mw", np.inf)
        for row in range(len(frame)):
            top = float(most[row]) if np.isfinite(most[row]) else abs(float(sent[row]))
            self.draft.add_dc_line(
                int(start[row]), int(end[row]), float(sent[row]), float(received[row]),
                limits_mw=(-top, top), on=bool(on[row]),
            )  # fmt: skip

    def places(self) -> tuple[Floats, Floats] | None:
        """Latitude and longitude from `bus.geo` (or `bus_geodata`), if every bus has one."""
        frame, old = self.frame("bus"), self.frame("bus_geodata")
        found: dict[int, tuple[float, float]] = {}
        for label, text in zip(self._index, frame.words("geo"), strict=True):
            try:
                found[label] = tuple(json.loads(text)["coordinates"][:2])
            except (ValueError, KeyError, TypeError):
                continue
        if len(old):
            x, y = old.floats("x"), old.floats("y")
            found |= {int(b): (float(x[i]), float(y[i])) for i, b in enumerate(old.index)}
        labels = [self._index[row] for row in self.kept]
        if any(label not in found for label in labels):
            return None
        place = np.array([found[label] for label in labels], dtype=float)
        return place[:, 1], place[:, 0]


def _pieces(frame: Frame, row: int) -> list[float]:
    """A piecewise cost: [[from MW, to MW, EUR/MWh], ...] as corners from 0 EUR/h on."""
    value = frame.columns["points"][row]
    try:
        pieces = json.loads(value) if isinstance(value, str) else value
        corners = [(float(pieces[0][0]), 0.0)]
        for low, high, slope in pieces:
            corners.append((float(high), corners[-1][1] + float(slope) * (high - low)))
    except (TypeError, ValueError, IndexError):
        raise frame.refuse(row, f"points {value!r}", "[[from, to, slope], ...]") from None
    return [1, 0, 0, len(corners), *(figure for corner in corners for figure in corner)]


def _convert(frames: Mapping[str, Frame], file: str, name: str, hz: float) -> Network:
    for table in REFUSED:
        frame = frames.get(table)
        if frame is not None and len(frame) and frame.bools("in_service", True).any():
            raise InputError(
                f"table {table} with {len(frame)} rows is not read",
                "a network read without it would be wrong: replace or remove it",
                place=Place(file),
            )
    reader = _Reader(frames, file, name, hz)
    reader.add_loads()
    reader.add_generators()
    reader.add_lines()
    reader.add_transformers()
    reader.add_others()
    source = f"pandapower network {file}; external grids take what generators leave over"
    return reader.draft.network(source, reader.places())
