"""Does a load bring the grid down? Named readings, each with its margin and probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sim.grid import frequency, reserve, swing, wording
from sim.grid.balance import Members, copper_plate, zonal
from sim.grid.law import Dispatch, Flow, ZoneBalance
from sim.grid.margins import Margins, PowerMargins
from sim.grid.network import Interface, Network, Zone
from sim.grid.readings import LIMITS, Limit, Reading, reading
from sim.grid.sampling import draw
from sim.grid.sites import Site, site_loads_mw, sites_from
from sim.units import three_digits

__all__ = ["GridVerdict", "Reading", "Site", "assess"]

NOT_ZONAL: Final[dict[Limit, str]] = {
    "branch": "not assessed by the zonal view: no lines inside a zone; use a nodal case",
    "voltage": "not assessed by the zonal view: no voltages; use a nodal case",
}


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
    share_of_peak: tuple[tuple[str, float | None], ...] = ()

    def of(self, zone: str) -> tuple[Reading, ...]:
        """The readings of one zone."""
        return tuple(found for found in self.readings if found.zone == zone)

    def first(self, zone: str) -> Reading | None:
        """The assessed reading with the least margin at a zone."""
        known = [r for r in self.of(zone) if r.margin_mw is not None]
        return min(known, key=lambda r: r.margin_mw or 0.0, default=None)


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
    readings = [found for site in sites for found in case.readings(site)]
    return GridVerdict(
        network=network.name,
        sites=sites,
        readings=tuple(readings),
        dispatches=case.dispatches(),
        samples=samples,
        seed=seed,
        omitted=network.omitted,
        share_of_peak=tuple((site.zone, _share(network, site)) for site in sites),
    )


def _share(network: Network, site: Site) -> float | None:
    """The load over the zone's peak, None where that is not known."""
    peak = network.zone(site.zone).peak_mw
    return site.load_mw / peak if peak else None


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
            return Reading(limit, zone.name, "not-assessed", wording.why_unbalanced(zone))
        hour, short = margins.hour, float(margins.short_mw[:, 0].max())
        elsewhere = float((margins.short_total_mw - margins.short_mw)[:, 0].max())
        own = self._own_margin(zone, hour)
        where = "its interconnection" if limit == "energy" else zone.name
        before = margins.was_short
        return reading(
            limit,
            zone,
            margins.worst_mw,
            hour=self.network.hours[hour].name,
            at=margins.cut.describe() if limit == "interface" else zone.interconnection,
            preexisting=wording.short_text(short, before, where, elsewhere),
            preexisting_mw=short,
            before=before,
            detail=f"{wording.peak_text(zone)}; {own}",
            assumptions=wording.range_names(self.network, zone, limit, self.network.hours[hour]),
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
        return reading(
            "reserve",
            zone,
            found.margin_mw,
            at=found.area.name,
            preexisting=text,
            preexisting_mw=short,
            detail="; ".join([found.note, *self._own_reserve(zone)]),
            assumptions=(wording.describe(f"peak of {found.area.name}", found.area.peak_factor),),
        )

    def _own_reserve(self, zone: Zone) -> list[str]:
        """The load beside the zone's peak, and the zone's own margin, for information."""
        if zone.peak_mw is None:
            return []
        i = self.network.index(zone.name)
        load = float(self.power.demand(0, self.network.hours[0].view_of[i])[0, i])
        own = float(self.power.available[0, 0, i]) / load - 1.0
        return [
            f"load is {self.loads[0, i] / zone.peak_mw:.1%} of the zone's peak",
            f"own available capacity at {self.network.hours[0].name} {own:+.1%} over its load",
        ]

    def _frequency(self, zone: Zone, site: Site) -> Reading:
        figures = self.network.frequency_of(zone)
        if figures is None:
            return Reading("frequency", zone.name, "not-assessed", wording.why_no_frequency(zone))
        observed = self.network.observed_load_loss_mw
        return reading(
            "frequency",
            zone,
            frequency.margin_mw(self.loads[:, self.network.index(zone.name)], figures, self.draws),
            at=figures.interconnection,
            detail=frequency.detail(site.load_mw, figures, observed.value if observed else None),
            assumptions=(
                wording.describe("largest load loss", figures.largest_load_loss_mw),
                wording.describe("frequency response", figures.response_mw_per_tenth_hz),
            ),
        )

    def _swing(self, zone: Zone, site: Site) -> Reading:
        figures = self.network.frequency_of(zone)
        if figures is None:
            return Reading("swing", zone.name, "not-assessed", wording.why_no_frequency(zone))
        together = sum(
            other.swing_mw
            for other in self.sites
            if self.network.zone(other.zone).interconnection == zone.interconnection
        )
        return reading(
            "swing",
            zone,
            swing.allowed_mw(figures, self.draws) - together,
            at=figures.interconnection,
            detail=swing.detail(together, figures)
            + f"; {three_digits(site.swing_mw)} MW of it here",
            assumptions=(
                wording.describe("dead band", figures.dead_band_hz),
                wording.describe("frequency response", figures.response_mw_per_tenth_hz),
            ),
        )

    def dispatches(self) -> tuple[Dispatch, ...]:
        """The nominal dispatch with all sites placed, at the worst hour of each view."""
        wanted = {
            (margins.hour, self.network.hours[margins.hour].view_of[target])
            for target, margins in self.margins["interface"].items()
        }
        return tuple(self._dispatch(hour, view) for hour, view in sorted(wanted))

    def _limits_mw(self, line: Interface) -> tuple[float, float]:
        """Nominal limits of an interface, forward and back."""
        factor = self.network.interface_limit_factor
        share = factor.value if factor is not None and line.kind == "ac" else 1.0
        return share * line.forward_mw, share * line.reverse_mw

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
            Flow(line.name, line.source, line.target, float(mw), *self._limits_mw(line))
            for line, mw in zip(lines, solution.flow_mw, strict=True)
        ]
        at = self.network.hours[hour].views[view].at
        return Dispatch(self.network.hours[hour].name, at, tuple(zones), tuple(flows))
