"""A run's sites in the seconds of an interconnection: trips, returns, pulses, and two readings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.datum import data
from sim.errors import InputError
from sim.grid import swing
from sim.grid.dynamic.interconnections import DYNAMICS, Online
from sim.grid.dynamic.model import Pulse, Step
from sim.grid.network import Network, Zone
from sim.grid.readings import LIMITS, Reading, reading
from sim.grid.regions.event_study import Events, Margin, margins, trip_steps
from sim.grid.regions.seconds import island_answer, online_of_hour, oscillation
from sim.grid.sampling import draw
from sim.grid.sites import sites_from
from sim.grid.us_states import us_states
from sim.grid.verdict import GridVerdict
from sim.scenario.grid_view import GridView, Json, PlacedLoad
from sim.scenario.regions_view import pulse_hz
from sim.scenario.schema.regions import DynamicGrid, PulseEvent, TripEvent
from sim.units import MEGA

if TYPE_CHECKING:
    from sim.scenario.simulate import Outcome

Tell = Callable[[str], None]
KEPT_POINTS: Final = 1500
"""Points of the trace in the summary; the table holds every step."""
USUAL_HZ: Final = 0.5


def dynamic_view(
    outcome: Outcome, grid: DynamicGrid, placed: PlacedLoad, seed: int, tell: Tell | None = None
) -> GridView:
    """Let the events happen to the interconnection, over the ranges.

    Raises:
        InputError: a site in another interconnection, or an event without a size.
    """
    if tell:
        tell("simulating the seconds")
    network = us_states()
    _same_interconnection(network, outcome, grid)
    events, notes = _events(outcome, grid)
    margin = margins(events, grid.samples, seed)
    run = events.run(grid.duration_s)
    answer: Json = {
        "kind": grid.kind,
        "events": [event.model_dump(mode="json") for event in grid.events],
        "steps": [{"at_s": step.at_s, "mw": step.mw} for step in events.steps],
        "pulses": [
            {"mw": p.mw, "hz": 1.0 / p.period_s, "start_s": p.start_s} for p in events.pulses
        ],
        **island_answer(events.island(), run, notes),
        **_ranges(margin),
        "trace": _thinned(run.time_s, run.frequency_hz),
        "load_shedding_hz": _stages(grid.case),
        "unserved_mwh": 0.0,
    }
    if events.pulses:
        kinds = dict.fromkeys((p.mw, 1.0 / p.period_s, p.duty_frac) for p in events.pulses)
        answer["oscillation"] = [oscillation(grid.case, *kind) for kind in kinds]
    readings = _readings(network, outcome, grid, events, margin, seed)
    sites = sites_from(network, placed.peak_mw, placed.swing_mw, placed.low_mw, placed.high_mw)
    verdict = GridVerdict(
        grid.case, sites, readings, (), grid.samples, seed, ("seconds only: no energy, no wires",)
    )
    return GridView(verdict, grid=answer, assumptions=tuple(answer.pop("assumptions")))


def _same_interconnection(network: Network, outcome: Outcome, grid: DynamicGrid) -> None:
    for number, site in enumerate(outcome.sites):
        found = network.zone(site.zone).interconnection
        if found != grid.case:
            raise InputError(
                f"{site.zone} is in the {found or 'own'} interconnection, not {grid.case}",
                "place the site there, or change grid.case",
                path=f"sites[{number}].at.zone",
            )


def _events(outcome: Outcome, grid: DynamicGrid) -> tuple[Events, list[str]]:
    steps: list[Step] = []
    pulses: list[Pulse] = []
    for number, event in enumerate(grid.events):
        path = f"grid.events[{number}]"
        if isinstance(event, TripEvent):
            mw = event.share_frac * _trip_mw(outcome, event, path)
            steps += trip_steps(
                mw,
                event.at_s,
                event.blocks,
                event.within_s,
                event.returns_after_s,
                event.returns_within_s,
            )
        elif isinstance(event, PulseEvent):
            pulses += _while_on(_pulse(outcome, event, path), event, grid)
        else:
            steps.append(Step(event.at_s, event.mw))
    online: Online | None = None
    notes: list[str] = []
    if grid.hour is not None:
        online, notes = online_of_hour(grid.case, grid.hour.isoformat()[:16])
    return (
        Events(
            grid.case,
            tuple(sorted(steps, key=lambda step: step.at_s)),
            tuple(pulses),
            grid.inertia_gws,
            grid.load_mw,
            online,
            grid.response_mw,
        ),
        notes,
    )


def _trip_mw(outcome: Outcome, event: TripEvent, path: str) -> float:
    if event.mw is not None:
        return event.mw
    known = {site.name: outcome.peak_w(site) / MEGA for site in outcome.sites}
    named = event.sites or list(known)
    if missing := [name for name in named if name not in known]:
        raise InputError(f"no site {missing[0]!r}", f"known: {', '.join(known)}", path=path)
    if not named:
        raise InputError("a trip without mw, and no site", "give mw or a site", path=path)
    return sum(known[name] for name in named)


def _pulse(outcome: Outcome, event: PulseEvent, path: str) -> Pulse:
    """The pulse as given, else the swing and the iterations of the sites' training jobs."""
    mw = event.mw or sum(site.swing_w for site in outcome.sites) / MEGA
    hz = event.hz or pulse_hz(outcome)
    if not mw or hz is None:
        raise InputError(
            "a pulse without mw or hz, and no training job", "give both, or a job", path=path
        )
    return Pulse(mw, 1.0 / hz, event.at_s, duty_frac=event.duty_frac)


def _while_on(pulse: Pulse, event: PulseEvent, grid: DynamicGrid) -> list[Pulse]:
    """The sites' own pulse stops while all of them are off, and starts again when they are back."""
    if event.mw is not None:
        return [pulse]
    parts = [pulse]
    trips = [t for t in grid.events if isinstance(t, TripEvent) and t.mw is None and not t.sites]
    for trip in sorted(trips, key=lambda trip: trip.at_s):
        last = parts[-1]
        if not last.start_s <= trip.at_s < last.end_s:
            continue
        parts[-1] = replace(last, end_s=trip.at_s)
        if trip.returns_after_s is not None:
            span = trip.within_s if trip.blocks > 1 else 0.0
            back = trip.at_s + span + trip.returns_after_s + trip.returns_within_s
            parts.append(replace(pulse, start_s=back))
    return parts


def _ranges(margin: Margin) -> Json:
    return {
        "zenith_p5_hz": float(np.percentile(margin.zenith_hz[1:], 5)),
        "zenith_p95_hz": float(np.percentile(margin.zenith_hz[1:], 95)),
        "nadir_p5_hz": float(np.percentile(margin.nadir_hz[1:], 5)),
        "nadir_p95_hz": float(np.percentile(margin.nadir_hz[1:], 95)),
        "highest_hz": margin.highest_hz,
        "highest_is_published": margin.highest_is_published,
        "lowest_hz": margin.lowest_hz,
    }


def _thinned(time_s: np.ndarray, frequency_hz: np.ndarray) -> Json:
    """Evenly spaced points of the trace, its lowest and highest among them."""
    every = np.linspace(0, len(time_s) - 1, min(KEPT_POINTS, len(time_s))).round().astype(int)
    keep = np.unique([*every, int(frequency_hz.argmin()), int(frequency_hz.argmax())])
    return {
        "time_s": np.round(time_s[keep], 4).tolist(),
        "frequency_hz": np.round(frequency_hz[keep], 6).tolist(),
    }


def _stages(case: str) -> list[float]:
    """Thresholds of the load-shedding stages that are known."""
    table = data(DYNAMICS)
    names = [f"ufls.{case}.stage{k}_hz" for k in (1, 2, 3)]
    return [table[name].value for name in names if name in table]


def _readings(
    network: Network,
    outcome: Outcome,
    grid: DynamicGrid,
    events: Events,
    margin: Margin,
    seed: int,
) -> tuple[Reading, ...]:
    """Frequency and swing, and what seconds cannot tell."""
    places = sorted({site.zone for site in outcome.sites})
    zone = next(z for z in network.zones if z.interconnection == grid.case)
    label = ", ".join(places) if len(places) in (1, 2, 3) else grid.case
    found: dict[str, Reading] = {"frequency": _frequency(zone, label, grid, events, margin)}
    if events.pulses:
        found["swing"] = _swing(network, zone, label, grid, events, seed)
    for limit in LIMITS:
        why = "no pulse is given" if limit == "swing" else "seconds only: ask grid.kind regions"
        found.setdefault(limit, Reading(limit, label, "not-assessed", why))
    return tuple(found[limit] for limit in LIMITS)


def _frequency(
    zone: Zone, label: str, grid: DynamicGrid, events: Events, margin: Margin
) -> Reading:
    source = "published" if margin.highest_is_published else "assumed"
    shed = (
        "no load-shedding stage was found"
        if margin.lowest_hz is None
        else f"load is shed from {margin.lowest_hz:g} Hz"
    )
    return _named(
        reading(
            "frequency",
            zone,
            margin.margin_mw,
            at=grid.case,
            detail=(
                f"{events.size_mw:,.0f} MW: highest {margin.zenith_hz[0]:.3f} Hz (limit "
                f"{margin.highest_hz:g}, {source}), lowest {margin.nadir_hz[0]:.3f} Hz ({shed})"
            ),
            assumptions=(f"over-frequency limit of {margin.highest_hz:g} Hz: {source}",),
        ),
        label,
    )


def _swing(
    network: Network, zone: Zone, label: str, grid: DynamicGrid, events: Events, seed: int
) -> Reading:
    figures = next(f for f in network.frequency if f.interconnection == grid.case)
    mw = events.pulsing_mw
    allowed = swing.allowed_mw(figures, draw(network, grid.samples, seed))
    return _named(
        reading("swing", zone, allowed - mw, at=grid.case, detail=swing.detail(mw, figures)), label
    )


def _named(found: Reading, label: str) -> Reading:
    return replace(found, zone=label)
