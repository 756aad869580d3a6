"""A17: does a 100,000-H100 cluster bring the grid of one state down?

The whole chain runs: training job, servers, building, grid. The scenario is the one of
`scenarios/100k-h100-one-state.yaml`, built here so that the answer needs no file.
"""

from __future__ import annotations

import statistics
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from sim.claims.base import Judgement, Numbers, claim

if TYPE_CHECKING:
    from sim.scenario.run import RunResult
    from sim.scenario.schema import Scenario

GPUS: Final = 100_000
SEED: Final = 1
SCENARIO: Final[dict[str, Any]] = {
    "name": "100k-h100-one-state",
    "question": "Does a 100,000-H100 training cluster bring the grid of a US state down?",
    "epoch": "2024-08-20T00:00:00Z",
    "horizon_h": 24,
    "seeds": [SEED],
    "sites": [
        {
            "name": "campus",
            "at": {"zone": "TX-ERCOT"},
            "cluster": {"gpus": GPUS, "node": "dgx-h100"},
            "facility": {"pue_design": 1.2},
            "workloads": [
                {
                    "kind": "training",
                    "arch": "gpt6-class-moe",
                    "budget_flops": 3e26,
                    "layout": {
                        "tp": 8,
                        "pp": 16,
                        "ep": 32,
                        "zero": 1,
                        "virtual_stages": 6,
                    },
                    "sequence_tokens": 8192,
                    "global_batch_tokens": 100_663_296,
                    "checkpoint": {"interval_s": 1800},
                }
            ],
        }
    ],
    "grid": {"kind": "zonal", "case": "us-states", "samples": 128, "peak_window_s": 900},
    "control": {"power_cap": {"kind": "none"}},
    "record": {"signals": True, "requests": "none"},
}


def scenario() -> Scenario:
    """The scenario, resolved."""
    from sim.scenario.resolve import resolve
    from sim.scenario.schema import Scenario

    return resolve(Scenario.model_validate(SCENARIO))


@cache
def measure_hosting() -> Numbers:
    """Load of 100,000 H100 at the meter, and its five readings. Once per process."""
    from sim.claims.grid_readings import measure_loop, measure_margins, measure_wires
    from sim.grid.readings import LIMITS
    from sim.scenario.run import run_scenario

    result = run_scenario(scenario(), SEED)
    numbers = {"load_mw": sum(site["peak_load_mw"] for site in result.summary["sites"].values())}
    for zone in result.hosting:
        if zone.hosting_mw is None or zone.first is None:
            numbers[f"{zone.zone}.not_assessed"] = 1.0
            continue
        numbers[f"{zone.zone}.hosting_mw"] = zone.hosting_mw
        numbers[f"{zone.zone}.low_mw"] = zone.hosting_mw if zone.low_mw is None else zone.low_mw
        numbers[f"{zone.zone}.high_mw"] = zone.hosting_mw if zone.high_mw is None else zone.high_mw
        numbers[f"{zone.zone}.first"] = LIMITS.index(zone.first)
    numbers |= measure_margins(result.summary) | measure_loop(scenario(), SEED)
    return numbers | measure_wires(numbers["load_mw"]) | _year(numbers, result)


def _year(numbers: Numbers, result: RunResult) -> dict[str, float]:
    """The year of the zone with the least room, which the numbers name by its place among them."""
    from sim.claims.grid_year import measure_year
    from sim.scenario.regions_view import pulse_hz

    zones = _zones(numbers, ".hosting_mw")
    tightest = min(zones, key=lambda zone: numbers[f"{zone}.hosting_mw"])
    swing_mw = sum(site["swing_mw"] for site in result.summary["sites"].values())
    hz = pulse_hz(result.outcome)
    found = measure_year(tightest, numbers["load_mw"], swing_mw, 0.5 if hz is None else hz)
    return found | {"year_zone": float(zones.index(tightest))}


def _zones(numbers: Numbers, suffix: str) -> list[str]:
    return [key.removesuffix(suffix) for key in numbers if key.endswith(suffix)]


def _limit(numbers: Numbers, zone: str) -> str:
    from sim.grid.readings import LIMITS

    return LIMITS[round(numbers[f"{zone}.first"])]


def _short(numbers: Numbers, suffix: str) -> list[str]:
    """Zones whose room, at this end of the range, is less than the load."""
    return [
        zone
        for zone in _zones(numbers, ".hosting_mw")
        if numbers[f"{zone}{suffix}"] < numbers["load_mw"]
    ]


@claim(
    "A17",
    measure_hosting,
    "one run of 100,000 H100 in training, its MW at the meter against the room in every zone, the "
    "peak weeks of a year in the tightest one, a day dispatched every five minutes, and the wires "
    "of a synthetic Texas: five readings, each with what flips it",
    archs=("gpt6-class-moe",),
    references=(
        (
            "flopgrid's zonal grid model: EIA-930 loads, ReEDS interface limits, NERC margins and "
            "frequency response; hourly dispatch, adequacy and swing equation (sources in "
            "sim/data/grid; many frequency figures are second-hand or assumed)"
        ),
    ),
)
def judge_hosting(numbers: Numbers) -> Judgement:
    """True if it exceeds the room in every zone, false if in none, over the whole range."""
    zones = _zones(numbers, ".hosting_mw")
    nominal, possible, sure = (_short(numbers, s) for s in (".hosting_mw", ".low_mw", ".high_mw"))
    fits = not nominal and not possible
    condition = (
        _where_it_would(numbers, zones) if fits else _where_it_does(numbers, nominal, possible)
    )
    return Judgement(
        "false" if fits else "true" if len(sure) == len(zones) else "true-if",
        numbers["load_mw"],
        f"MW at the meter for {GPUS:,} H100 (15 min peak)",
        f"{condition}; {_scope(numbers)}",
        _arithmetic(numbers, zones, nominal, possible),
    )


def _where_it_does(numbers: Numbers, nominal: list[str], possible: list[str]) -> str:
    """Zones that have less room than the load, with the limit that is met first."""
    named = ", ".join(f"{zone} ({_limit(numbers, zone)})" for zone in nominal or possible)
    return (
        f"less room than the load in {len(nominal)} zones at nominal figures, in {len(possible)} "
        f"at the 5th percentile: {named}"
    )


def _gpus(numbers: Numbers, load_mw: float) -> int:
    """GPUs of a load, in whole thousands: the grid's figures are no finer."""
    return round(load_mw / numbers["load_mw"] * GPUS / 1000) * 1000


def _where_it_would(numbers: Numbers, zones: list[str]) -> str:
    """How many GPUs at one site would meet the first limit: tightest zone and median."""
    rooms = {zone: numbers[f"{zone}.hosting_mw"] for zone in zones}
    tightest = min(rooms, key=lambda zone: rooms[zone])
    low = numbers[f"{tightest}.low_mw"]
    alike = sum(room == rooms[tightest] for room in rooms.values())
    return (
        f"the first limit is met from about {_gpus(numbers, rooms[tightest]):,} H100 at one site "
        f"(5 % of the range: {_gpus(numbers, low):,}) in {tightest} and {alike - 1} zones of the "
        f"same area ({_limit(numbers, tightest)}), from {_gpus(numbers, rooms['TX-ERCOT']):,} in "
        f"TX-ERCOT ({_limit(numbers, 'TX-ERCOT')}), from "
        f"{_gpus(numbers, statistics.median(rooms.values())):,} in the median zone"
    )


def _scope(numbers: Numbers) -> str:
    missing = ", ".join(_zones(numbers, ".not_assessed")) or "none"
    return (
        "a limit that is met means that the load does not fit without measures, not that the grid "
        f"collapses; {_bus(numbers)}zones without data: {missing}"
    )


def _bus(numbers: Numbers) -> str:
    """What the wires say, in short; they are of a synthetic grid."""
    if "wires_buses" not in numbers:
        return "lines inside a zone and voltage are not assessed; "
    misfit = numbers["wires_buses"] - numbers["wires_fit_fixed"]
    secured = numbers["wires_buses"] - numbers["wires_fit_secure"]
    return (
        f"which bus decides: at {misfit:.0f} of {numbers['wires_buses']:.0f} buses of a synthetic "
        f"Texas it does not fit after every outage, at {secured:.0f} if the dispatch secures it; "
    )


def _arithmetic(
    numbers: Numbers, zones: list[str], nominal: list[str], possible: list[str]
) -> tuple[str, ...]:
    tightest = sorted(zones, key=lambda zone: numbers[f"{zone}.hosting_mw"])[:6]
    return (
        f"load {numbers['load_mw']:.1f} MW = {numbers['load_mw'] / GPUS * 1e3:.3f} kW per GPU",
        (
            f"zones with less room: {len(nominal)} of {len(zones)} at nominal figures, "
            f"{len(possible)} at the 5th percentile"
        ),
        *(
            f"{zone}: room {numbers[f'{zone}.hosting_mw']:,.0f} MW "
            f"({numbers[f'{zone}.low_mw']:,.0f} to {numbers[f'{zone}.high_mw']:,.0f}), "
            f"first limit {_limit(numbers, zone)}"
            for zone in tightest
        ),
        *_readings(numbers),
        *_year_lines(numbers, zones),
    )


def _readings(numbers: Numbers) -> tuple[str, ...]:
    from sim.claims.grid_readings import reading_lines

    return reading_lines(numbers, GPUS / numbers["load_mw"])


def _year_lines(numbers: Numbers, zones: list[str]) -> tuple[str, ...]:
    from sim.claims.grid_year import year_lines

    return year_lines(numbers, zones[round(numbers.get("year_zone", 0.0))])
