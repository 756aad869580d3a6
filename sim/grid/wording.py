"""What a reading says beside its numbers."""

from __future__ import annotations

from sim.datum import Datum
from sim.grid.margins import SHORT_MW
from sim.grid.network import FUELS, Hour, Network, Zone
from sim.grid.readings import BoolArray, Limit

NOT_HISTORY = "the model's, not history"
"""Said wherever a shortage is given: nobody may take it for one that happened."""


def shortage_note(load_year: int, weather_year: int) -> str:
    """What unserved energy of a dispatch is, for everyone who reads the figure alone."""
    years = (
        f"load of {load_year} with wind, sun and water of {weather_year}"
        if load_year != weather_year
        else f"load and weather of {load_year}"
    )
    return (
        f"unserved energy is {NOT_HISTORY}: {years}, limits and outages as modelled; read it "
        "against the same hours without the new load"
    )


def short_text(short_mw: float, before: BoolArray, where: str, elsewhere_mw: float) -> str:
    """What was short before the load: here (or how often in the samples), and elsewhere."""
    parts = []
    often = float(before[1:].mean())
    if short_mw > SHORT_MW:
        parts.append(f"{where} was {short_mw:,.0f} MW short before the load")
    elif often > 0:
        parts.append(f"{where} was short before the load in {often:.0%} of the samples")
    if elsewhere_mw > SHORT_MW:
        parts.append(f"{elsewhere_mw:,.0f} MW short elsewhere")
    return "; ".join(parts)


def peak_text(zone: Zone) -> str:
    """The peak, how it is known, and its range."""
    if zone.peak_mw is None:
        return "peak not known"
    factor = zone.peak_factor
    spread = ""
    if factor and factor.low is not None and factor.high is not None:
        spread = f", {zone.peak_mw * factor.low:,.0f} to {zone.peak_mw * factor.high:,.0f} MW"
    return f"peak {zone.peak_mw:,.0f} MW {zone.peak_kind}{spread}"


def why_unbalanced(zone: Zone) -> str:
    """Why a zone is in no power balance, and what is known of it."""
    known = [f"capacity {zone.total_capacity_mw:,.0f} MW"]
    if zone.net_generation_twh is not None:
        known.append(f"net generation {zone.net_generation_twh:g} TWh in 2024")
    reason = "an island of its own" if zone.interconnection == "" else "no interface in the data"
    return f"peak load not known, {reason}; known: {', '.join(known)}"


def why_no_frequency(zone: Zone) -> str:
    """Why a zone has no frequency reading."""
    return f"no frequency response known for {zone.interconnection or f'the grid of {zone.title}'}"


def describe(name: str, figure: Datum) -> str:
    """An assumption or source, one line, under a name that a reader knows."""
    spread = f", {figure.low:g} to {figure.high:g}" if figure.is_assumption else ""
    return f"{name}: {figure.value:g} {figure.unit}{spread} [{figure.source}, {figure.as_of}]"


def range_names(network: Network, zone: Zone, limit: Limit, hour: Hour) -> tuple[str, ...]:
    """What the balance assumes, short; the full text is in `grid/*.yaml`."""
    figures: list[tuple[str, Datum | None]] = [
        (f"peak of {zone.name}", zone.peak_factor),
        ("load of the interconnection", network.interconnection_load_factor),
    ]
    if limit == "interface":
        figures.append(("interface limits", network.interface_limit_factor))
    if network.split and zone.name in (network.split.first, network.split.second):
        figures.append((f"capacity share of {network.split.first}", network.split.share))
    fuels = ", ".join(
        f"{fuel} {share.low:g}-{share.high:g}"
        for fuel, share in zip(FUELS, hour.availability, strict=True)
        if share.is_assumption
    )
    texts = [describe(name, figure) for name, figure in figures if figure and figure.is_assumption]
    return (*texts, *([f"availability at {hour.name}: {fuels}"] if fuels else []))
