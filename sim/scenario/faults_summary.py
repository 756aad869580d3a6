"""What faults did, for `summary.json`: load off the grid, work lost, and the frequency."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any, Final

from sim.cluster.serving.fluid import FluidFleet
from sim.grid.dynamic.interconnections import Online
from sim.grid.dynamic.model import NOMINAL_HZ, Step
from sim.grid.regions.event_study import Events, margins
from sim.grid.regions.seconds import online_of_hour
from sim.grid.us_states import resolve_zone
from sim.scenario.faults import Loss, SiteFaults
from sim.scenario.places import network_of
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.units import J_PER_MWH, S_PER_H

Json = dict[str, Any]
BEFORE_S: Final = 5.0
AFTER_S: Final = 30.0
APART_S: Final = 600.0
"""Changes further apart than this are events of their own."""
MOST_EVENTS: Final = 2
"""Events whose seconds are simulated, the largest first."""
SAMPLES: Final = 8
YEARS: Final = (2023, 2024)
"""Years whose machines on line are known by the hour."""


def faults_json(outcome: Outcome, seed: int) -> Json:
    """`faults` of the summary; empty without any."""
    log = outcome.simulation.faults
    if not log.sites:
        return {}
    sites = {s.name: _site(s, log.sites[s.name], log.losses) for s in outcome.sites_felt}
    known = _interconnections(outcome)
    parts = [_frequency(outcome, name, seed) for name in known]
    seconds = [part for part in parts if part]
    still_hz = NOMINAL_HZ if known else None
    return {
        "sites": sites,
        "off_grid_mw": max((mw for _, mw in total_off_grid(log.losses)), default=0.0),
        "steps_lost": sum(s["steps_lost"] for s in sites.values()),
        "gpu_h_lost": sum(s["gpu_h_lost"] for s in sites.values()),
        "requests_requeued": sum(s["requests_requeued"] for s in sites.values()),
        "highest_hz": max((part["highest_hz"] for part in seconds), default=still_hz),
        "lowest_hz": min((part["lowest_hz"] for part in seconds), default=still_hz),
        "margin_mw": min((part["margin_mw"] for part in seconds), default=None),
        "frequency": {part["interconnection"]: part for part in seconds},
    }


def _site(site: SiteOutcome, faults: SiteFaults, losses: list[Loss]) -> Json:
    """One site: the grid sees less of it, and its workloads lose work."""
    jobs = site.run.jobs.values()
    fluids = [f.fleet for f in site.run.fleets.values() if isinstance(f.fleet, FluidFleet)]
    facility = site.power["facility"]
    carried_j = facility.integral - site.power.get("import", facility).integral
    return {
        "off_grid_mw": max((x.off_grid_mw for x in losses if x.site == site.name), default=0.0),
        "off_grid_mwh": carried_j / J_PER_MWH if site.supply is None else None,
        "dark_frac": max((d.high_frac for d in faults.darkness), default=0.0),
        "steps_lost": sum(job.lost_steps for job in jobs),
        "gpu_h_lost": sum(
            job.lost_steps * job.plan.step.time_s * job.plan.step.gpus / S_PER_H for job in jobs
        ),
        "restarts": sum(job.failures_by_cause["no power"] for job in jobs),
        "requests_requeued": sum(f.ledger.requeued for f in fluids),
    }


def _interconnections(outcome: Outcome) -> list[str]:
    """Where the sites that felt a fault stand; buses of a test system stand in none."""
    return sorted({_interconnection(outcome, site) for site in outcome.sites_felt} - {""})


def _interconnection(outcome: Outcome, site: SiteOutcome) -> str:
    """Of a site's zone; "" at a bus, or on an island."""
    zone = site.run.spec.at.zone
    if not zone:
        return ""
    return resolve_zone(network_of(outcome.simulation.scenario.grid), zone).interconnection


def total_off_grid(losses: list[Loss]) -> list[tuple[float, float]]:
    """(time [s], MW of all sites off the grid), at each change."""
    now: dict[str, float] = {}
    found: list[tuple[float, float]] = []
    for loss in sorted(losses, key=lambda x: x.time_s):
        now[loss.site] = loss.off_grid_mw
        if found and found[-1][0] == loss.time_s:
            found.pop()
        found.append((loss.time_s, sum(now.values())))
    return found


def events_of(changes: list[tuple[float, float]]) -> list[list[Step]]:
    """Steps of the balance, in groups that lie apart; load that leaves counts below zero."""
    groups: list[list[Step]] = []
    for (earlier_s, before), (time_s, after) in pairwise([(0.0, 0.0), *changes]):
        if after == before:
            continue
        if not groups or time_s - earlier_s > APART_S:
            groups.append([])
        groups[-1].append(Step(time_s, before - after))
    return groups


def _frequency(outcome: Outcome, name: str, seed: int) -> Json | None:
    """The seconds of the largest events of an interconnection."""
    here = {s.name for s in outcome.sites_felt if _interconnection(outcome, s) == name}
    losses = [x for x in outcome.simulation.faults.losses if x.site in here]
    groups = sorted(events_of(total_off_grid(losses)), key=_size)[-MOST_EVENTS:]
    if not groups:
        return None
    runs = [_seconds(outcome, name, group) for group in groups]
    traces = [events.run(AFTER_S) for events in runs]
    margin = min((margins(e, SAMPLES, seed) for e in runs), key=lambda m: float(m.margin_mw[0]))
    return {
        "interconnection": name,
        "lost_mw": max(events.size_mw for events in runs),
        "highest_hz": float(max(t.frequency_hz.max() for t in traces)),
        "lowest_hz": float(min(t.frequency_hz.min() for t in traces)),
        "limit_hz": margin.highest_hz,
        "limit_is_published": margin.highest_is_published,
        "margin_mw": float(margin.margin_mw[0]),
        "probability": float((margin.margin_mw[1:] < 0).mean()),
        "events": len(groups),
    }


def _size(group: list[Step]) -> float:
    return Events("", tuple(group)).size_mw


def _seconds(outcome: Outcome, name: str, group: list[Step]) -> Events:
    """The events with the first at 5 s, and the machines on line in that hour if it is known."""
    first_s = group[0].at_s
    steps = tuple(Step(step.at_s - first_s + BEFORE_S, step.mw) for step in group)
    at = outcome.simulation.scenario.epoch + timedelta(seconds=first_s)
    online = None
    if at.year in YEARS:
        online = _online(name, at.strftime("%Y-%m-%dT%H:00"))
    return Events(name, steps, online=online)


@cache
def _online(name: str, hour: str) -> Online:
    """Machines on line in an hour; a comparison asks for the same one again and again."""
    return online_of_hour(name, hour)[0]
