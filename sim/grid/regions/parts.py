"""The parts of a dispatch: blocks of supply, stores, lines, and one window of hours."""

from __future__ import annotations

from dataclasses import dataclass

from sim.grid.network import FloatArray


@dataclass(frozen=True, slots=True)
class Block:
    """A slice of a zone's supply with one cost.

    Args:
        zone: index of the zone.
        ramp_mw_per_h: most its output may change in an hour, None for no limit.
        budgeted: its energy over a window is limited (hydro).
        spins: what it does not generate counts as reserve.
    """

    zone: int
    fuel: str
    cost_usd_per_mwh: float
    ramp_mw_per_h: float | None = None
    budgeted: bool = False
    spins: bool = True


@dataclass(frozen=True, slots=True)
class StorageUnit:
    """Storage of a zone; losses are taken while charging."""

    zone: int
    power_mw: float
    energy_mwh: float
    efficiency_frac: float
    cost_usd_per_mwh: float = 0.1


@dataclass(frozen=True, slots=True)
class Line:
    """A limit between two zones."""

    source: int
    target: int
    forward_mw: float
    reverse_mw: float
    cost_usd_per_mwh: float = 0.0


@dataclass(frozen=True, slots=True)
class System:
    """What stays the same from window to window.

    Args:
        reserve_group: group of each zone, shape (n_zones,); a group shares its reserve.
        flexible_mw: new load of a zone that may be curtailed, shape (n_zones,); it is paid
            `flexible_usd_per_mwh` when it is.
    """

    zones: tuple[str, ...]
    blocks: tuple[Block, ...]
    storage: tuple[StorageUnit, ...] = ()
    lines: tuple[Line, ...] = ()
    reserve_group: tuple[int, ...] = ()
    lost_load_usd_per_mwh: float = 5000.0
    reserve_usd_per_mwh: float = 1000.0
    flexible_mw: tuple[float, ...] = ()
    flexible_usd_per_mwh: float = 500.0


@dataclass(frozen=True, slots=True)
class Window:
    """One window of hours.

    Args:
        load_mw: shape (n_hours, n_zones).
        least_mw, most_mw: output of each block, shape (n_hours, n_blocks).
        budget_mwh: energy of each budgeted block, in their order.
        reserve_mw: shape (n_hours, n_groups).
        stored_mwh: in each store at the start, and the least at the end.
        before_mw: output of each block in the hour before, None for any.
        flexible_mw: new load that may be curtailed, shape (n_hours, n_zones); None takes that
            of the system.
    """

    load_mw: FloatArray
    least_mw: FloatArray
    most_mw: FloatArray
    budget_mwh: FloatArray
    reserve_mw: FloatArray
    stored_mwh: FloatArray
    end_mwh: FloatArray
    before_mw: FloatArray | None = None
    flexible_mw: FloatArray | None = None
