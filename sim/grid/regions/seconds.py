"""`grid frequency`: seconds after a trip, a return, a measured event, or under a pulsing load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sim.datum import data
from sim.errors import InputError, UnknownNameError
from sim.grid.dynamic.interconnections import (
    DYNAMICS,
    NAMES,
    Online,
    canonical,
    interconnection,
    limits_hz,
    not_primary,
    online_from_output,
)
from sim.grid.dynamic.islands import LIKE, island_from_output, with_response
from sim.grid.dynamic.model import Island, Pulse, Step
from sim.grid.dynamic.oscillation import TwoAreas
from sim.grid.dynamic.swing import FrequencyRun, simulate
from sim.grid.regions.case import CASES, region_case
from sim.grid.regions.dispatch import run_year
from sim.grid.regions.fleet import interconnection_members
from sim.grid.regions.odessa import SEEN_FIRST, online_at, predict_odessa, sunny_hours

EVENTS: Final[Mapping[str, tuple[str, tuple[Step, ...]]]] = {
    "odessa-2022": ("ercot", (Step(1.0, 2555.0),)),
    "canyon-2": ("western", (Step(1.0, 937.0),)),
    "virginia-2024": ("eastern", tuple(Step(1.0 + 82.0 * k / 5, -250.0) for k in range(6))),
}
"""Measured events; Virginia's six faults in 82 s lose a sixth of the 1,500 MW each (assumption)."""
MEASURED_MIX: Final = (
    "machines on line and load of ERCOT: measured hour of 2022-06-04 with the most sun (EIA-930); "
    "the hour of the event was not read"
)
MEASURED_HZ: Final = {"odessa-2022": 59.7, "canyon-2": 59.878}


def frequency(
    case: str = "ercot",
    *,
    load_loss_mw: float = 0.0,
    generation_loss_mw: float = 0.0,
    event: str | None = None,
    returns_after_s: float | None = None,
    pulse_mw: float = 0.0,
    pulse_hz: float = 0.5,
    duty: float = 0.5,
    inertia_gws: float | None = None,
    load_mw: float | None = None,
    hour: str | None = None,
    duration_s: float = 60.0,
    changes: Mapping[str, float] | None = None,
    series: bool = False,
    response_mw: float = 0.0,
    output_mw: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """`grid frequency CASE`: seconds after a trip, a return, or under a pulsing load.

    Args:
        case: `eastern`, `western`, `ercot`, or `island` (what a cascade leaves).
        load_loss_mw: load that leaves at 1 s (`--load-loss MW`), as a site that trips.
        generation_loss_mw: generation that leaves at 1 s (`--generation-loss MW`), or load that
            arrives.
        event: `odessa-2022`, `canyon-2` or `virginia-2024` instead (`--event NAME`).
        returns_after_s: the lost load comes back at once so long after.
        pulse_mw, pulse_hz, duty: a square load, peak to peak, against governors and the
            inter-area mode (`--pulse MW --pulse-hz HZ`).
        inertia_gws, load_mw: instead of the usual figures.
        hour: ISO time UTC of 2024: inertia and load from the dispatch of that hour (loads of
            2024 with wind and sun of 2022, listed).
        changes: figures of `dynamics.yaml` by name (`--figure NAME=VALUE`).
        series: include `time_s` and `frequency_hz`.
        response_mw: data centres that drop so much load below 59.85 Hz
            (`--data-centre-response MW`).
        output_mw: of an island, generation by fuel (`--output FUEL=MW`, repeatable), with
            `load_mw`; its imbalance is a step at 1 s.

    Returns:
        `interconnection, inertia_gws, nadir_hz, zenith_hz, settled_hz, rocof_hz_per_s, trips,
        ufls_mw, limits, oscillation (with a pulse), assumptions, not_primary`.
    """
    if case.strip().casefold() == "island":
        return _island_answer(output_mw, load_mw, duration_s, series=series)
    name, steps = _steps(case, event, load_loss_mw, generation_loss_mw, returns_after_s)
    if not steps and pulse_mw <= 0:
        raise InputError(
            "nothing happens", "give --load-loss, --generation-loss, --event or --pulse"
        )
    last = max((step.at_s for step in steps), default=0.0)
    online, extra = online_of_hour(name, hour) if hour else (None, [])
    if event == "odessa-2022" and not hour:
        online, extra = online_at(sunny_hours()[0]), [MEASURED_MIX, SEEN_FIRST]
    pulses = [Pulse(pulse_mw, 1.0 / pulse_hz, duty_frac=duty)] if pulse_mw > 0 else []
    island = interconnection(
        name, inertia_gws=inertia_gws, load_mw=load_mw, online=online, changes=changes
    )
    island = with_response(island, response_mw)
    run = simulate(island, steps, pulses, max(duration_s, last + duration_s))
    answer = {"event": event, **island_answer(island, run, extra, series=series)}
    if event in MEASURED_HZ:
        measured = MEASURED_HZ[str(event)]
        answer["measured_nadir_hz"] = measured
        answer["deviation_error_frac"] = (60 - run.nadir_hz) / (60 - measured) - 1
    if event == "odessa-2022":
        prediction = predict_odessa()
        answer["without_rule_error_frac"] = prediction.without_rule_error_frac
        answer["prediction"] = asdict(prediction)
    if pulses:
        answer["oscillation"] = oscillation(name, pulse_mw, pulse_hz, duty)
    return answer


def _island_answer(
    output_mw: Mapping[str, float] | None,
    load_mw: float | None,
    duration_s: float,
    *,
    series: bool,
) -> dict[str, Any]:
    """An island after a cascade, from its generation and its load."""
    if not output_mw or load_mw is None:
        raise InputError("an island without generation or load", "give --output and --system-load")
    island, step = island_from_output(output_mw, load_mw)
    run = simulate(island, [step], duration_s=1.0 + duration_s)
    return {"imbalance_mw": step.mw, **island_answer(island, run, series=series)}


def island_answer(
    island: Island, run: FrequencyRun, notes: Sequence[str] = (), *, series: bool = False
) -> dict[str, Any]:
    """What a run says, beside the limits and the figures behind it, ready for JSON."""
    first, over = limits_hz(island.name if island.name in NAMES else LIKE)
    return {
        "interconnection": island.name,
        "load_mw": island.load_mw,
        "inertia_gws": island.inertia_mws / 1e3,
        **_run_answer(run, series=series),
        "limits": {
            "first_load_shedding_hz": first,
            "over_frequency_hz": over,
            "sheds_load": run.ufls_mw > 0,
            "passes_over_frequency": None if over is None else run.zenith_hz > over,
        },
        "assumptions": [*island.assumptions, *notes],
        "not_primary": list(not_primary(island)),
    }


def _steps(
    case: str,
    event: str | None,
    load_loss: float,
    generation_loss: float,
    returns_after_s: float | None,
) -> tuple[str, list[Step]]:
    if event is not None:
        if event not in EVENTS:
            raise UnknownNameError("event", event, EVENTS)
        name, steps = EVENTS[event]
        return name, list(steps)
    if min(load_loss, generation_loss) < 0:
        raise InputError(f"losses of {load_loss:g} and {generation_loss:g} MW", "give >= 0 MW")
    steps_mw = [generation_loss, -load_loss]
    found = [Step(1.0, mw) for mw in steps_mw if mw]
    if returns_after_s is not None and load_loss:
        found.append(Step(1.0 + returns_after_s, load_loss))
    return canonical(case), found


def _run_answer(run: FrequencyRun, *, series: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "nadir_hz": run.nadir_hz,
        "nadir_s": run.nadir_s,
        "zenith_hz": run.zenith_hz,
        "zenith_s": run.zenith_s,
        "settled_hz": run.settled_hz,
        "rocof_hz_per_s": run.rocof_hz_per_s,
        "peak_to_peak_hz": run.peak_to_peak_hz,
        "trips": [asdict(trip) for trip in run.trips],
        "ufls_mw": run.ufls_mw,
        "collapsed": run.collapsed,
    }
    if series:
        answer["time_s"] = [float(t) for t in run.time_s]
        answer["frequency_hz"] = [float(f) for f in run.frequency_hz]
    return answer


def oscillation(name: str, pulse_mw: float, pulse_hz: float, duty: float) -> dict[str, Any]:
    """A square pulse against the inter-area mode, over the damping ratio's range."""
    table = data(DYNAMICS)
    mode, damping, near = (
        table[f"mode.{name}_hz"],
        table["mode.damping_ratio"],
        table["mode.small_side_frac"],
    )
    pair = TwoAreas(mode.value, damping.value, near.value)
    least = TwoAreas(mode.value, damping.low or damping.value, near.value)
    return {
        "pulse_mw": pulse_mw,
        "pulse_hz": pulse_hz,
        "mode_hz": mode.value,
        "damping_ratio": damping.value,
        "tie_mw": pair.square_tie_mw(pulse_mw, pulse_hz, duty),
        "tie_least_damping_mw": least.square_tie_mw(pulse_mw, pulse_hz, duty),
        "tie_at_resonance_mw": pair.square_tie_mw(pulse_mw, mode.value, duty),
        "assumptions": [mode.describe(), damping.describe(), near.describe()],
    }


def online_of_hour(name: str, hour: str) -> tuple[Online, list[str]]:
    """Machines on line in an interconnection at an hour of the dispatch of the states."""
    try:
        at = datetime.fromisoformat(hour.replace("Z", ""))
    except ValueError:
        raise InputError(f"hour {hour!r} is no time", "give for example 2024-07-10T23:00") from None
    if at.year not in (2023, 2024):
        raise InputError(f"hour of {at.year}", "the dispatch knows 2023 and 2024")
    case = region_case(CASES[0], at.year, mixed_years=True)
    since = at.replace(tzinfo=None) - datetime(at.year, 1, 1)  # noqa: DTZ001 (UTC by contract)
    day = run_year(case, days=1, first_day=since.days)
    k = since.seconds // 3600
    members = interconnection_members(case, name)
    output: dict[str, float] = {}
    for i, block in enumerate(day.supply.system.blocks):
        if block.zone in members:
            fuel = block.fuel.split(".")[0].split("_")[0]
            output[fuel] = output.get(fuel, 0.0) + float(day.generation_mw[k, i])
    output["nuclear"] = float(day.supply.nuclear_mw[k, members].sum())
    load = float(day.load_mw[k, members].sum())
    note = f"machines on line from the dispatch of {at:%Y-%m-%d %H}:00 UTC"
    return online_from_output(output, load), [note, *case.profiles.assumptions]
