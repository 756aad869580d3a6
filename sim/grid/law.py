"""The law of power balance, written apart from the program that finds the dispatch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import LawViolation


@dataclass(frozen=True, slots=True)
class Flow:
    """Power on an interface, positive from source to target, and its limits either way."""

    interface: str
    source: str
    target: str
    flow_mw: float
    forward_mw: float = math.inf
    reverse_mw: float = math.inf


@dataclass(frozen=True, slots=True)
class ZoneBalance:
    """What a zone generates, consumes (its own load and the site's) and goes without."""

    zone: str
    generation_mw: float
    load_mw: float
    site_mw: float
    unserved_mw: float


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One hour of a network, for a report and for the law."""

    hour: str
    at: str
    zones: tuple[ZoneBalance, ...]
    flows: tuple[Flow, ...]

    @property
    def unserved_mw(self) -> float:
        """Unserved power of all zones."""
        return math.fsum(zone.unserved_mw for zone in self.zones)


def residual_mw(dispatch: Dispatch, zone: ZoneBalance) -> float:
    """What a zone is given less what it takes: generation, imports, unserved; load, exports."""
    imports = [flow.flow_mw for flow in dispatch.flows if flow.target == zone.zone]
    exports = [flow.flow_mw for flow in dispatch.flows if flow.source == zone.zone]
    gives = [zone.generation_mw, zone.unserved_mw, *imports]
    takes = [zone.load_mw, zone.site_mw, *exports]
    return math.fsum(gives) - math.fsum(takes)


def check_power_balance(dispatch: Dispatch, tolerance_frac: float = 1e-6) -> float:
    """Every zone: generation + imports - exports + unserved = load, within a share of its load.

    Returns:
        The largest residual in MW.

    Raises:
        LawViolation: a zone does not balance, generates or sheds a negative amount, or sheds
            more than its load.
    """
    worst = 0.0
    for zone in dispatch.zones:
        load = zone.load_mw + zone.site_mw
        allowed = tolerance_frac * max(1.0, load)
        off = residual_mw(dispatch, zone)
        worst = max(worst, abs(off))
        where = f"power balance of {zone.zone} at {dispatch.hour} (seen from {dispatch.at})"
        if not abs(off) <= allowed:
            raise LawViolation(f"{where}: off by {off:.6g} MW, allowed {allowed:.3g} MW")
        if min(zone.generation_mw, zone.unserved_mw) < -allowed:
            raise LawViolation(f"{where}: negative generation or unserved power")
        if zone.unserved_mw > load + allowed:
            raise LawViolation(f"{where}: {zone.unserved_mw:.6g} MW unserved of {load:.6g} MW")
    return worst


def check_flows(dispatch: Dispatch, tolerance_frac: float = 1e-6) -> None:
    """No interface carries more than its limit, within a share of it (what the solver may miss).

    Raises:
        LawViolation: with the interface, the hour and both numbers.
    """
    for flow in dispatch.flows:
        for mw, limit_mw in ((flow.flow_mw, flow.forward_mw), (-flow.flow_mw, flow.reverse_mw)):
            if not mw <= limit_mw + tolerance_frac * max(1.0, limit_mw):
                raise LawViolation(
                    f"flow on {flow.interface} at {dispatch.hour} (seen from {dispatch.at}): "
                    f"{flow.flow_mw!r} MW, limit {limit_mw!r} MW"
                )
