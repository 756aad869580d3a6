"""Does a load bring the grid down? Named readings, each with its margin and probability."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from sim.datum import Datum
from sim.errors import InputError
from sim.grid import frequency, reserve, swing
from sim.grid.balance import Members, copper_plate, zonal
from sim.grid.law import Dispatch, Flow, ZoneBalance
from sim.grid.margins import Margins, PowerMargins
from sim.grid.network import FUELS, FloatArray, Network, Zone
from sim.grid.sampling import draw, sobol
from sim.grid.us_states import resolve_zone
from sim.randomness import stream

BoolArray = npt.NDArray[np.bool_]
Limit = Literal["energy", "reserve", "interface", "branch", "voltage", "frequency", "swing"]
Answer = Literal["binds", "holds", "indeterminate", "not-assessed"]
LIMITS: Final[tuple[Limit, ...]] = (
    "energy",
    "reserve",
    "interface",
    "branch",
    "voltage",
    "frequency",
    "swing",
)
SURE: Final = 0.95
SHORT_MW: Final = 1e-3
NOT_ZONAL: Final[dict[Limit, str]] = {
    "branch": "not assessed by the zonal view: no lines inside a zone; use a nodal case",
    "voltage": "not assessed by the zonal view: no voltages; use a nodal case",
}


@dataclass(frozen=True, slots=True)
class Site:
    """New load in a zone: its range, and the swing of its power within a training iteration.

    Raises:
        InputError: a negative or unordered figure.
    """

    zone: str
    load_mw: float
    load_low_mw: float
    load_high_mw: float
    swing_mw: float = 0.0

    def __post_init__(self) -> None:
        ordered = (0.0, self.load_low_mw, self.load_mw, self.load_high_mw)
        figures = (*ordered, self.swing_mw)
        if not all(math.isfinite(x) for x in figures) or list(ordered) != sorted(ordered):
            raise InputError(
                f"load in {self.zone}: {self.load_mw:g} MW, "
                f"range {self.load_low_mw:g} to {self.load_high_mw:g} MW",
                "give 0 <= low <= load <= high",
            )
        if self.swing_mw < 0:
            raise InputError(f"swing in {self.zone}: {self.swing_mw:g} MW", "give >= 0 MW")


@dataclass(frozen=True, slots=True)
class Reading:
    """One limit at one zone.

    Args:
        hour: the hour with the least room; "" where the limit has none.
        margin_mw: room left after the load at nominal figures (> 0), None if not assessed.
        margin_low_mw, margin_high_mw: 5th and 95th percentile over the assumptions.
        probability: that the load makes the limit bind: share of negative margins among the
            samples that were not short before (among all, where most were short before).
        short_before: share of the samples in which it was short before the load.
        preexisting: what was short before the load; "" if nothing.
        preexisting_mw: its size, MW.
    """

    limit: Limit
    zone: str
    verdict: Answer
    detail: str
    hour: str = ""
    margin_mw: float | None = None
    margin_low_mw: float | None = None
    margin_high_mw: float | None = None
    at: str = ""
    probability: float | None = None
    short_before: float = 0.0
    preexisting: str = ""
    preexisting_mw: float = 0.0
    assumptions: tuple[str, ...] = ()

    @property
    def binds(self) -> bool | None:
        """True, False, or None where the data cannot tell."""
        return {"binds": True, "holds": False}.get(self.verdict)


@dataclass(frozen=True, slots=True)
class GridVerdict:
    """All readings of all sites, and the nominal dispatches behind them."""

    network: str
    sites: tuple[Site, ...]
    readings: tuple[Reading, ...]
    dispatches: tuple[Dispatch, ...]
    samples: int
    seed: int
    omitted: tuple[str, ...]

    def of(self, zone: str) -> tuple[Reading, ...]:
        """The readings of one zone."""
        return tuple(reading for reading in self.readings if reading.zone == zone)

    def first(self, zone: str) -> Reading | None:
        """The assessed reading with the least margin at a zone."""
        known = [r for r in self.of(zone) if r.margin_mw is not None]
        return min(known, key=lambda r: r.margin_mw or 0.0, default=None)


def sites_from(
    network: Network,
    loads_mw: Mapping[str, float],
    swing_mw: Mapping[str, float] | None = None,
    load_low_mw: Mapping[str, float] | None = None,
    load_high_mw: Mapping[str, float] | None = None,
) -> tuple[Site, ...]:
    """Sites by zone, in the network's order; a load without a range is exact."""
    names = {given: resolve_zone(network, given).name for given in loads_mw}
    if len(set(names.values())) != len(names):
        raise InputError("a zone is named twice among the loads", "sum its loads")
    for given in [*(swing_mw or {}), *(load_low_mw or {}), *(load_high_mw or {})]:
        if given not in names:
            raise InputError(f"{given!r} has a range or a swing but no load", "give its load")
    sites = [
        Site(
            zone,
            load,
            (load_low_mw or {}).get(given, load),
            (load_high_mw or {}).get(given, load),
            (swing_mw or {}).get(given, 0.0),
        )
        for (given, load), zone in zip(loads_mw.items(), names.values(), strict=True)
    ]
    return tuple(sorted(sites, key=lambda site: network.index(site.zone)))


def assess(
    network: Network,
    loads_mw: Mapping[str, float],
    swing_mw: Mapping[str, float] | None = None,
    *,
    load_low_mw: Mapping[str, float] | None = None,
    load_high_mw: Mapping[str, float] | None = None,
    samples: int = 64,
    seed: int = 1,
) -> GridVerdict:
    """Readings of every zone that gets a load, with all loads placed at once.

    Args:
        loads_mw: new load at the meter by zone, MW.
        swing_mw: peak-to-peak swing of a site's power within a training iteration, MW.
        load_low_mw, load_high_mw: range of the load (triangular).
        samples: draws of the assumptions.

    Raises:
        InputError: a load, range or number of samples that cannot be.
        UnknownNameError: an unknown zone.
    """
    sites = sites_from(network, loads_mw, swing_mw, load_low_mw, load_high_mw)
    case = _Case(network, sites, samples, seed)
    readings = [reading for site in sites for reading in case.readings(site)]
    return GridVerdict(
        network=network.name,
        sites=sites,
        readings=tuple(readings),
        dispatches=case.dispatches(),
        samples=samples,
        seed=seed,
        omitted=network.omitted,
    )


def site_loads_mw(
    network: Network, sites: tuple[Site, ...], n_samples: int, seed: int
) -> FloatArray:
    """New load by sample and zone, shape (1 + n_samples, n_zones); row 0 nominal.

    All sites share one draw: what makes one larger (utilisation, PUE) makes all larger.
    """
    common = sobol(n_samples, ["load"], stream(seed, "grid", "load"))
    result = np.zeros((1 + n_samples, len(network.zones)))
    for site in sites:
        figure = Datum(
            "load",
            site.load_mw,
            "MW",
            "given",
            "given",
            site.load_low_mw,
            site.load_high_mw,
            "triangular",
        )
        result[:, network.index(site.zone)] += common.of("load", figure)
    return result


class _Case:
    """One assessment: the draws, and the power margins of the zones with a site."""

    def __init__(self, network: Network, sites: tuple[Site, ...], samples: int, seed: int):
        self.network, self.sites = network, sites
        self.draws = draw(network, samples, seed)
        self.loads = site_loads_mw(network, sites, samples, seed)
        self.power = PowerMargins(network, self.draws)
        self.zonal = zonal(network)
        self.targets = [
            network.index(s.zone) for s in sites if network.is_balanced_zone(network.zone(s.zone))
        ]
        self.margins: dict[Limit, dict[int, Margins]] = {
            "energy": self._power(copper_plate(network)),
            "interface": self._power(self.zonal),
        }

    def _power(self, members: Members) -> dict[int, Margins]:
        return self.power.of(members, self.targets, self.loads) if self.targets else {}

    def readings(self, site: Site) -> list[Reading]:
        """The readings of one site, in the order of `LIMITS`."""
        zone = self.network.zone(site.zone)
        found: dict[Limit, Reading] = {
            "energy": self._balance("energy", zone),
            "interface": self._balance("interface", zone),
            "reserve": self._reserve(zone),
            "frequency": self._frequency(zone, site),
            "swing": self._swing(zone, site),
        }
        for limit, why in NOT_ZONAL.items():
            found[limit] = Reading(limit, zone.name, "not-assessed", why)
        return [found[limit] for limit in LIMITS]

    def _balance(self, limit: Limit, zone: Zone) -> Reading:
        margins = self.margins[limit].get(self.network.index(zone.name))
        if margins is None:
            return Reading(limit, zone.name, "not-assessed", _why_unbalanced(zone))
        hour, short = margins.hour, float(margins.short_mw[margins.hour, 0])
        own = self._own_margin(zone, hour)
        where = "its interconnection" if limit == "energy" else zone.name
        before = margins.short_mw.max(axis=0) > SHORT_MW
        return _reading(
            limit,
            zone,
            margins.worst_mw,
            hour=self.network.hours[hour].name,
            at=margins.cut.describe() if limit == "interface" else zone.interconnection,
            preexisting=_short_text(short, before, where, float(margins.short_total_mw[hour, 0])),
            preexisting_mw=short,
            before=before,
            detail=f"{_peak_text(zone)}; {own}",
            assumptions=_range_names(self.network, zone, limit),
        )

    def _own_margin(self, zone: Zone, hour: int) -> str:
        """The zone's own derated capacity beside its load, for information."""
        i = self.network.index(zone.name)
        load = float(self.power.demand(hour, self.network.hours[hour].view_of[i])[0, i])
        available = float(self.power.available[hour, 0, i])
        return (
            f"{self.network.hours[hour].name}: {available:,.0f} MW of its own available "
            f"against {load:,.0f} MW"
        )

    def _reserve(self, zone: Zone) -> Reading:
        found = reserve.assess(self.network, zone, self.draws, self.loads)
        if found.area is None:
            return Reading("reserve", zone.name, "not-assessed", found.note)
        short = max(0.0, -found.before_mw)
        text = f"{found.area.name} is {short:,.0f} MW below its reference margin" if short else ""
        share = self.loads[0, self.network.index(zone.name)] / (zone.peak_mw or math.nan)
        return _reading(
            "reserve",
            zone,
            found.margin_mw,
            at=found.area.name,
            preexisting=text,
            preexisting_mw=short,
            detail=found.note
            + (f"; load is {share:.1%} of the zone's peak" if math.isfinite(share) else ""),
            assumptions=(_describe(f"peak of {found.area.name}", found.area.peak_factor),),
        )

    def _frequency(self, zone: Zone, site: Site) -> Reading:
        figures = self.network.frequency_of(zone)
        if figures is None:
            return Reading("frequency", zone.name, "not-assessed", _why_no_frequency(zone))
        observed = self.network.observed_load_loss_mw
        return _reading(
            "frequency",
            zone,
            frequency.margin_mw(self.loads[:, self.network.index(zone.name)], figures, self.draws),
            at=figures.interconnection,
            detail=frequency.detail(site.load_mw, figures, observed.value if observed else None),
            assumptions=(
                _describe("largest load loss", figures.largest_load_loss_mw),
                _describe("frequency response", figures.response_mw_per_tenth_hz),
            ),
        )

    def _swing(self, zone: Zone, site: Site) -> Reading:
        figures = self.network.frequency_of(zone)
        if figures is None:
            return Reading("swing", zone.name, "not-assessed", _why_no_frequency(zone))
        together = sum(
            other.swing_mw
            for other in self.sites
            if self.network.zone(other.zone).interconnection == zone.interconnection
        )
        return _reading(
            "swing",
            zone,
            swing.allowed_mw(figures, self.draws) - together,
            at=figures.interconnection,
            detail=swing.detail(together, figures) + f"; {site.swing_mw:,.0f} MW of it here",
            assumptions=(
                _describe("dead band", figures.dead_band_hz),
                _describe("frequency response", figures.response_mw_per_tenth_hz),
            ),
        )

    def dispatches(self) -> tuple[Dispatch, ...]:
        """The nominal dispatch with all sites placed, at the worst hour of each view."""
        wanted = {
            (margins.hour, self.network.hours[margins.hour].view_of[target])
            for target, margins in self.margins["interface"].items()
        }
        return tuple(self._dispatch(hour, view) for hour, view in sorted(wanted))

    def _dispatch(self, hour: int, view: int) -> Dispatch:
        sites = self.loads[0]
        solution = self.power.dispatch(self.zonal, hour, view, sites)
        demand = self.power.demand(hour, view)[0]
        zones = [
            ZoneBalance(
                zone.name,
                float(solution.generation_mw[node]),
                float(demand[i]),
                float(sites[i]),
                float(solution.unserved_mw[node]),
            )
            for i, zone in enumerate(self.network.zones)
            if (node := int(self.zonal.node_of[i])) >= 0
        ]
        lines = [self.network.interfaces[e] for e in self.zonal.kept]
        flows = [
            Flow(line.name, line.source, line.target, float(mw))
            for line, mw in zip(lines, solution.flow_mw, strict=True)
        ]
        at = self.network.hours[hour].views[view].at
        return Dispatch(self.network.hours[hour].name, at, tuple(zones), tuple(flows))


def _reading(
    limit: Limit,
    zone: Zone,
    margin_mw: FloatArray,
    *,
    detail: str,
    at: str = "",
    hour: str = "",
    preexisting: str = "",
    preexisting_mw: float = 0.0,
    before: BoolArray | None = None,
    assumptions: tuple[str, ...] = (),
) -> Reading:
    """Turn margins, shape (1 + n_samples,), into a reading.

    Args:
        before: whether it was short before the load, same shape; None for never.
    """
    drawn = margin_mw[1:]
    short = np.zeros(len(drawn), dtype=bool) if before is None else before[1:]
    probability = binding_probability(drawn, short)
    low, high = (float(x) for x in np.percentile(drawn, [5, 95]))
    return Reading(
        limit=limit,
        zone=zone.name,
        verdict=answer(probability),
        detail=detail,
        hour=hour,
        margin_mw=float(margin_mw[0]),
        margin_low_mw=low,
        margin_high_mw=high,
        at=at,
        probability=probability,
        short_before=float(short.mean()),
        preexisting=preexisting,
        preexisting_mw=preexisting_mw,
        assumptions=assumptions,
    )


def binding_probability(margin_mw: FloatArray, short_before: BoolArray) -> float:
    """How probable it is that the load makes the limit bind: the verdict is about the change.

    Args:
        margin_mw: by sample, shape (n_samples,).
        short_before: samples that were short without the load, same shape. They say nothing
            about the change, so they are left out unless they are the most.
    """
    counted = margin_mw if short_before.mean() >= 0.5 else margin_mw[~short_before]
    return float((counted < 0).mean())


def answer(probability: float) -> Answer:
    """Binds or holds if that is 95 % sure, else indeterminate."""
    if probability >= SURE:
        return "binds"
    return "holds" if probability <= 1 - SURE else "indeterminate"


def _short_text(short_mw: float, before: BoolArray, where: str, total_mw: float) -> str:
    parts = []
    often = float(before[1:].mean())
    if short_mw > SHORT_MW:
        parts.append(f"{where} was {short_mw:,.0f} MW short before the load")
    elif often > 0:
        parts.append(f"{where} was short before the load in {often:.0%} of the samples")
    if total_mw - short_mw > SHORT_MW:
        parts.append(f"{total_mw - short_mw:,.0f} MW short elsewhere")
    return "; ".join(parts)


def _peak_text(zone: Zone) -> str:
    if zone.peak_mw is None:
        return "peak not known"
    factor = zone.peak_factor
    spread = ""
    if factor and factor.low is not None and factor.high is not None:
        spread = f", {zone.peak_mw * factor.low:,.0f} to {zone.peak_mw * factor.high:,.0f} MW"
    return f"peak {zone.peak_mw:,.0f} MW {zone.peak_kind}{spread}"


def _why_unbalanced(zone: Zone) -> str:
    known = [f"capacity {zone.total_capacity_mw:,.0f} MW"]
    if zone.net_generation_twh is not None:
        known.append(f"net generation {zone.net_generation_twh:g} TWh in 2024")
    reason = "an island of its own" if zone.interconnection == "" else "no interface in the data"
    return f"peak load not known, {reason}; known: {', '.join(known)}"


def _why_no_frequency(zone: Zone) -> str:
    return f"no frequency response known for {zone.interconnection or f'the grid of {zone.title}'}"


def _describe(name: str, figure: Datum) -> str:
    """An assumption or source, one line, under a name that a reader knows."""
    spread = f", {figure.low:g} to {figure.high:g}" if figure.is_assumption else ""
    return f"{name}: {figure.value:g} {figure.unit}{spread} [{figure.source}, {figure.as_of}]"


def _range_names(network: Network, zone: Zone, limit: Limit) -> tuple[str, ...]:
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
        for hour in network.hours[1:2] or network.hours
        for fuel, share in zip(FUELS, hour.availability, strict=True)
        if share.is_assumption
    )
    texts = [_describe(name, figure) for name, figure in figures if figure and figure.is_assumption]
    return (*texts, *([f"availability at {network.hours[-2:][0].name}: {fuels}"] if fuels else []))
