"""Small networks that can be solved by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.datum import Datum
from sim.grid.network import (
    FUELS,
    FrequencyFigures,
    Hour,
    HourView,
    Interface,
    Network,
    ReserveArea,
    Zone,
)
from sim.grid.us_states import exact

Line = tuple[str, str, float, float]


def spread(value: float, low: float, high: float, unit: str = "1") -> Datum:
    return Datum("x", value, unit, "test", "2026-11-24", low, high, "uniform")


def zone(name: str, peak_mw: float, capacity_mw: float, ic: str = "east", **more: object) -> Zone:
    fields: dict[str, object] = {
        "name": name,
        "title": f"Land of {name}",
        "interconnection": ic,
        "shares": ((ic, 1.0),),
        "peak_mw": peak_mw,
        "peak_kind": "measured",
        "capacity_mw": (0.0, capacity_mw, *[0.0] * (len(FUELS) - 2)),
    }
    return Zone(**(fields | more))  # type: ignore[arg-type]


def hour(n_zones: int, name: str = "peak", gas: Datum | None = None) -> Hour:
    shares = [exact(fuel, 1.0) for fuel in FUELS]
    if gas:
        shares[FUELS.index("gas")] = gas
    view = HourView("all", (1.0,) * n_zones)
    return Hour(name, tuple(shares), (view,), (0,) * n_zones)


def figures(ic: str = "east", limit_mw: float = 100.0) -> FrequencyFigures:
    return FrequencyFigures(
        ic,
        exact("response", 500.0, "MW/0.1Hz"),
        exact("loss", limit_mw, "MW"),
        exact("band", 0.02, "Hz"),
    )


def area(name: str = "AREA", peak_mw: float = 1000.0) -> ReserveArea:
    return ReserveArea(name, 0.32, 0.1, peak_mw, exact("peak", 1.0))


def network(
    places: Mapping[str, tuple[float, float]], lines: Sequence[Line] = (), /, **more: object
) -> Network:
    """Zones as name: (peak, capacity); lines as (from, to, forward, reverse)."""
    fields: dict[str, object] = {
        "name": "test",
        "zones": tuple(zone(name, *figures) for name, figures in places.items()),
        "interfaces": tuple(Interface(*line) for line in lines),
        "hours": (hour(len(places)),),
    }
    return Network(**(fields | more))  # type: ignore[arg-type]
