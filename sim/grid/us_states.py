"""The network `us-states` from the tables of `sim/data/grid`, and the look-up of its zones."""

from __future__ import annotations

from functools import cache
from typing import Final, Literal, cast

from sim.datum import Datum, data, read_table, to_datum
from sim.errors import InputError, UnknownNameError, nearest
from sim.grid.network import (
    FUELS,
    CapacitySplit,
    FrequencyFigures,
    Hour,
    HourView,
    Interface,
    Network,
    PeakKind,
    ReserveArea,
    Zone,
)

INTERCONNECTIONS: Final = ("eastern", "western", "ercot")
HOURS: Final = ("gross_peak", "net_peak", "winter_peak")
OMITTED: Final = (
    "imports from Canada and Mexico are not counted",
    "the load of DC is not known by itself; it is in the measured sum of its interconnection",
    "each zone is one point: no lines inside a state",
    "loads of 2024, capacity of 2024, NERC margins of summer 2026",
)
DATA_FILES: Final = tuple(
    f"grid/{name}"
    for name in (
        "assumptions.yaml",
        "availability.yaml",
        "frequency.yaml",
        "hour_load.csv",
        "interfaces.csv",
        "nerc_areas.csv",
        "zones.csv",
    )
)


@cache
def us_states() -> Network:
    """48 states and DC, Texas as TX-ERCOT and TX-other, AK and HI as islands."""
    zones = tuple(_zone(row) for row in read_table("grid/zones.csv"))
    factors = data("grid/assumptions.yaml")
    return Network(
        name="us-states",
        zones=zones,
        interfaces=tuple(_interface(row) for row in read_table("grid/interfaces.csv")),
        hours=tuple(named_hour(name, zones) for name in HOURS),
        areas=tuple(_area(row) for row in read_table("grid/nerc_areas.csv")),
        frequency=tuple(_frequency(name) for name in INTERCONNECTIONS),
        observed_load_loss_mw=data("grid/frequency.yaml")["observed_load_loss_mw"],
        interconnection_load_factor=factors["interconnection_load_factor"],
        interface_limit_factor=factors["interface_limit_factor"],
        split=CapacitySplit("TX-ERCOT", "TX-other", factors["texas_ercot_capacity_share"]),
        omitted=OMITTED,
    )


def resolve_zone(network: Network, name: str) -> Zone:
    """A zone by its name or its full title, in any case.

    Raises:
        InputError: a state that is split (Texas) without saying which part.
        UnknownNameError: no such zone; the message gives the nearest.
    """
    wanted = name.strip().casefold()
    for zone in network.zones:
        if wanted in (zone.name.casefold(), zone.title.casefold()):
            return zone
    parts = [zone.name for zone in network.zones if _is_part(zone, wanted)]
    if parts:
        raise InputError(f"{name!r} is split in this grid", f"choose {' or '.join(parts)}")
    error = UnknownNameError("zone", name, [zone.name for zone in network.zones])
    titles = {zone.title: zone.name for zone in network.zones}
    title = nearest(name, titles)
    if title and "did you mean" not in error.todo:
        error.todo = f"did you mean {titles[title]!r} ({title})?"
    raise error


def _is_part(zone: Zone, wanted: str) -> bool:
    stem, _, part = zone.name.partition("-")
    return bool(part) and wanted in (stem.casefold(), zone.title.split(" ")[0].casefold())


def _zone(row: dict[str, str]) -> Zone:
    shares = tuple((ic, float(row[f"{ic}_frac"])) for ic in INTERCONNECTIONS)
    kind = cast("PeakKind", row["peak_kind"])
    return Zone(
        name=row["zone"],
        title=row["name"],
        interconnection="" if row["island"] == "1" else max(shares, key=lambda s: s[1])[0],
        shares=tuple(share for share in shares if share[1] > 0),
        peak_mw=_figure(row["peak_mw"]),
        peak_kind=kind,
        peak_factor=_peak_factor(row["zone"], kind),
        capacity_mw=tuple(float(row[f"{fuel}_mw"]) for fuel in FUELS),
        region=row["region"],
        nerc_areas=tuple(area for area in row["nerc_areas"].split("|") if area),
        mean_load_mw=_figure(row["mean_load_mw"]),
        data_centre_mw=_figure(row["data_centre_mw"]),
        net_generation_twh=_figure(row["net_generation_twh"]),
    )


def _figure(text: str) -> float | None:
    return float(text) if text else None


def _peak_factor(zone: str, kind: PeakKind) -> Datum | None:
    factors = data("grid/assumptions.yaml")
    if zone == "TX-other":
        return factors["texas_other_peak_factor"]
    return None if kind == "missing" else factors[f"peak_{kind}_factor"]


def _interface(row: dict[str, str]) -> Interface:
    return Interface(
        source=row["from"],
        target=row["to"],
        forward_mw=float(row["forward_mw"]),
        reverse_mw=float(row["reverse_mw"]),
        kind=cast("Literal['ac', 'dc']", row["kind"]),
        note=row["note"],
    )


def named_hour(name: str, zones: tuple[Zone, ...]) -> Hour:
    """A named hour for zones that know their EIA-930 region."""
    rows = [row for row in read_table("grid/hour_load.csv") if row["hour"] == name]
    order = {row["at_region"]: i for i, row in enumerate(rows)}
    shares = data("grid/availability.yaml")
    return Hour(
        name=name,
        availability=tuple(shares[f"{name}.{fuel}"] for fuel in FUELS),
        views=tuple(_view(row, zones) for row in rows),
        view_of=tuple(order.get(zone.region, 0) for zone in zones),
    )


def _view(row: dict[str, str], zones: tuple[Zone, ...]) -> HourView:
    return HourView(
        at=row["at_region"],
        load_frac=tuple(float(row[f"{z.region}_frac"]) if z.region else 0.0 for z in zones),
        totals_mw=tuple((ic, float(row[f"{ic}_mw"])) for ic in INTERCONNECTIONS),
    )


def _area(row: dict[str, str]) -> ReserveArea:
    kind = cast("Literal['published', 'derived']", row["peak_kind"])
    factor = "area_peak_derived_factor" if kind == "derived" else "area_peak_factor"
    return ReserveArea(
        name=row["area"],
        anticipated_frac=float(row["anticipated_frac"]),
        reference_frac=float(row["reference_frac"]),
        peak_mw=float(row["peak_mw"]),
        peak_factor=data("grid/assumptions.yaml")[factor],
        peak_kind=kind,
    )


def _frequency(interconnection: str) -> FrequencyFigures:
    figures = data("grid/frequency.yaml")
    return FrequencyFigures(
        interconnection=interconnection,
        response_mw_per_tenth_hz=figures[f"{interconnection}.response_mw_per_0.1hz"],
        largest_load_loss_mw=figures[f"{interconnection}.largest_load_loss_mw"],
        dead_band_hz=figures[f"{interconnection}.dead_band_hz"],
    )


def exact(name: str, value: float, unit: str = "1") -> Datum:
    """A figure without a range, for networks that are given and not read."""
    entry = {"value": value, "unit": unit, "source": "given", "as_of": "given"}
    return to_datum(name, entry)
