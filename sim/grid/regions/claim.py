"""The year behind a verdict: each named peak apart, shortage over a year, seconds after a trip.

It adds to `sim.grid.verdict` what the peak-hour view cannot say: the margin at the gross and the
net peak of summer and at the winter peak, each with its probability; LOLE of the interconnection
before and after; the frequency when a whole site leaves, with its probability over the ranges;
the swing against the inter-area mode; the hours of curtailment that would make the load fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import numpy as np

from sim.datum import data
from sim.errors import InputError
from sim.grid.adequacy.indices import TARGET_LOLE_D_PER_Y
from sim.grid.balance import copper_plate, zonal
from sim.grid.dynamic.interconnections import DYNAMICS, interconnection, not_primary
from sim.grid.dynamic.model import Step
from sim.grid.dynamic.oscillation import TwoAreas
from sim.grid.dynamic.swing import FrequencyRun, simulate
from sim.grid.margins import PowerMargins
from sim.grid.network import Network, Zone
from sim.grid.readings import answer, counted
from sim.grid.regions.case import RegionCase
from sim.grid.regions.fleet import (
    LEAST_RISK,
    SYNTHETIC,
    fleet_figures,
    interconnection_members,
    pool_adequacy,
    with_outage_rates,
)
from sim.grid.regions.headroom import areas, curtailment
from sim.grid.regions.trip import SAMPLES, allowed_loss_mw, highest_hz
from sim.grid.sampling import draw
from sim.grid.sites import site_loads_mw, sites_from
from sim.grid.us_states import resolve_zone

SPARE_FRAC: Final = 0.1


def peak_rows(
    network: Network, loads_mw: Mapping[str, float], samples: int = 64, seed: int = 1
) -> list[dict[str, Any]]:
    """Margin of every zone with a load at each named peak, all loads placed at once.

    Returns:
        Rows `zone, hour, reading (energy|interface), verdict, margin_mw, probability,
        short_before, preexisting_mw`; the probability counts the samples that were not short
        before the load.
    """
    sites = sites_from(network, loads_mw)
    draws = draw(network, samples, seed)
    loads = site_loads_mw(network, sites, samples, seed)
    power = PowerMargins(network, draws)
    targets = [
        network.index(s.zone) for s in sites if network.is_balanced_zone(network.zone(s.zone))
    ]
    rows: list[dict[str, Any]] = []
    for reading, members in (("energy", copper_plate(network)), ("interface", zonal(network))):
        for found in power.of(members, targets, loads).values() if targets else ():
            for h, hour in enumerate(network.hours):
                short = found.short_mw[h] > 1e-3
                drawn = counted(found.margin_mw[h], short)
                probability = float((drawn < 0).mean())
                rows.append(
                    {
                        "zone": found.zone,
                        "hour": hour.name,
                        "reading": reading,
                        "verdict": answer(probability),
                        "margin_mw": float(found.margin_mw[h, 0]),
                        "probability": probability,
                        "short_before": float(short[1:].mean()),
                        "preexisting_mw": float(found.short_mw[h, 0]),
                    }
                )
    return rows


def adequacy_rows(
    case: RegionCase, loads_mw: Mapping[str, float], load_uncertainty_frac: float = 0.0
) -> list[dict[str, Any]]:
    """LOLE of each interconnection that gets a load, before and after, without inner limits.

    The range is that of the outage rates: all at their low, all at their high end.
    """
    rows = []
    for name in sorted({case.zones[case.index(z)].interconnection for z in loads_mw}):
        members = interconnection_members(case, name)
        inside = {case.zones[k].name.casefold() for k in members}
        extra = sum(mw for zone, mw in loads_mw.items() if zone.casefold() in inside)
        found: dict[str, Any] = {"interconnection": name, "load_mw": extra}
        for label, changes in (
            ("", None),
            ("_low", with_outage_rates(high=False)),
            ("_high", with_outage_rates(high=True)),
        ):
            before, after = pool_adequacy(
                case,
                members,
                name,
                "no inner limits",
                extra_mw=extra,
                changes=changes,
                load_uncertainty_frac=load_uncertainty_frac,
            )
            found[f"lole_before{label}_d_per_y"] = before.lole_d_per_y
            found[f"lole_after{label}_d_per_y"] = after.lole_d_per_y
            found[f"room_before{label}_mw"] = before.room_mw
        found["verdict"] = _adequacy_verdict(found)
        found["assumptions"] = [SYNTHETIC, LEAST_RISK, *fleet_figures()]
        rows.append(found)
    return rows


def _adequacy_verdict(row: Mapping[str, Any]) -> str:
    """Binds where the load passes the target even so; holds only with room to spare.

    Zones taken as one are the least risk there is, so passing the target is sure, and staying
    below it is not: the load must also take less than a tenth of the room that is left at the
    high end of the outage rates.
    """
    target = TARGET_LOLE_D_PER_Y
    if row["lole_before_low_d_per_y"] <= target < row["lole_after_low_d_per_y"]:
        return "binds"
    spare = row["load_mw"] < SPARE_FRAC * row["room_before_high_mw"]
    return "holds" if spare and row["lole_after_high_d_per_y"] <= target else "indeterminate"


def trip_row(
    network: Network, zone: Zone, load_mw: float, samples: int = SAMPLES, seed: int = 1
) -> dict[str, Any]:
    """Frequency when a site leaves at once, with the chance that it passes the limit.

    Inertia, the reference loss, the response and the time constant are drawn from their ranges.
    """
    figures = network.frequency_of(zone)
    if figures is None:
        return {"zone": zone.name, "verdict": "not-assessed", "why": "no response is known"}
    name = figures.interconnection
    limit, published = highest_hz(name)
    run, back = _trip_and_return(name, load_mw)
    allowed = allowed_loss_mw(name, samples, seed)
    probability = float((allowed[1:] < load_mw).mean())
    return {
        "zone": zone.name,
        "interconnection": name,
        "load_mw": load_mw,
        "zenith_hz": run.zenith_hz,
        "settled_hz": run.settled_hz,
        "rocof_hz_per_s": run.rocof_hz_per_s,
        "return_nadir_hz": back.nadir_hz,
        "return_ufls_mw": back.ufls_mw,
        "limit_hz": limit,
        "limit_is_published": published,
        "allowed_mw": float(allowed[0]),
        "allowed_p5_mw": float(np.percentile(allowed[1:], 5)),
        "probability": probability,
        "verdict": answer(probability),
        "not_primary": list(not_primary(interconnection(name))),
    }


@lru_cache(maxsize=256)
def _trip_and_return(name: str, load_mw: float) -> tuple[FrequencyRun, FrequencyRun]:
    """Many sites are alike: a loss, and a load of the same size that arrives."""
    island = interconnection(name)
    run, back = (simulate(island, [Step(1.0, mw)], duration_s=60.0) for mw in (-load_mw, load_mw))
    return run, back


def swing_row(network: Network, zone: Zone, swing_mw: float, pulse_hz: float) -> dict[str, Any]:
    """Swing on the tie between two areas, over the damping ratio's range."""
    figures = network.frequency_of(zone)
    if figures is None:
        return {"zone": zone.name, "verdict": "not-assessed", "why": "no mode is known"}
    name, table = figures.interconnection, data(DYNAMICS)
    mode, damping = table[f"mode.{name}_hz"], table["mode.damping_ratio"]
    near = table["mode.small_side_frac"].value
    nominal = TwoAreas(mode.value, damping.value, near)
    worst = TwoAreas(mode.value, damping.low or damping.value, near)
    return {
        "zone": zone.name,
        "interconnection": name,
        "swing_mw": swing_mw,
        "pulse_hz": pulse_hz,
        "mode_hz": mode.value,
        "tie_mw": nominal.square_tie_mw(swing_mw, pulse_hz),
        "tie_at_resonance_mw": nominal.square_tie_mw(swing_mw, mode.value),
        "tie_at_resonance_least_damping_mw": worst.square_tie_mw(swing_mw, mode.value),
        "assumptions": [
            mode.describe(),
            damping.describe(),
            table["mode.small_side_frac"].describe(),
        ],
    }


def flexibility_rows(network: Network, loads_mw: Mapping[str, float]) -> list[dict[str, Any]]:
    """What share of its energy all new load of a region would give up to fit under past peaks."""
    known = areas()["2023-2024"]
    together: dict[str, dict[str, float]] = {}
    rows: list[dict[str, Any]] = []
    for name, mw in loads_mw.items():
        region = network.zone(name).region
        if region in known and mw > 0:
            together.setdefault(region, {})[name] = mw
        else:
            why = "no hourly demand is known"
            rows.append({"zones": [name], "verdict": "not-assessed", "why": why})
    for region, inside in sorted(together.items()):
        found = curtailment(region, sum(inside.values()))
        rows.append(
            {
                "zones": list(inside),
                "region": region,
                "load_mw": found.load_mw,
                "curtailment_frac": found.curtailment_frac,
                "curtailed_h_per_y": found.curtailed_h_per_y,
                "mean_event_h": found.mean_event_h,
                "longest_event_h": found.longest_event_h,
                "deepest_mw": found.deepest_mw,
                "notes": [*found.notes, "all new load of the region together"],
            }
        )
    return rows


def year_of_claim(
    network: Network,
    case: RegionCase,
    loads_mw: Mapping[str, float],
    swing_mw: Mapping[str, float] | None = None,
    *,
    pulse_hz: float = 0.5,
    samples: int = 64,
    seed: int = 1,
    adequacy: bool = True,
    trip: bool = True,
    load_uncertainty_frac: float = 0.0,
) -> dict[str, Any]:
    """All parts of the answer for loads by zone (names or titles).

    Args:
        pulse_hz: of the swings.
        adequacy, trip: also LOLE, and the loss of each site; both take seconds.
        load_uncertainty_frac: standard deviation of the load over the load, for LOLE.

    Raises:
        InputError: a load that cannot be, or no load.
        UnknownNameError: an unknown zone.
    """
    if not loads_mw:
        raise InputError("no load is placed", "name at least one zone")
    loads = {resolve_zone(network, name).name: mw for name, mw in loads_mw.items()}
    swings = {resolve_zone(network, name).name: mw for name, mw in (swing_mw or {}).items()}
    zones = [network.zone(name) for name in loads]
    hourly = {z.name.casefold() for z in case.zones}
    placed = {name: mw for name, mw in loads.items() if name.casefold() in hourly}
    return {
        "peaks": peak_rows(network, loads, samples, seed),
        "adequacy": (
            adequacy_rows(case, placed, load_uncertainty_frac) if placed and adequacy else []
        ),
        "trip": [trip_row(network, z, loads[z.name], seed=seed) for z in zones] if trip else [],
        "swing": [
            swing_row(network, z, swings[z.name], pulse_hz) for z in zones if z.name in swings
        ],
        "flexibility": flexibility_rows(network, loads),
        "no_hours": sorted(set(loads) - set(placed)),
    }
