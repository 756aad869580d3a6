"""A run's sites in a year of the regions: readings, shortage, prices, curtailment, emissions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.grid.network import FloatArray, Network
from sim.grid.readings import Reading, reading
from sim.grid.regions.case import RegionCase, region_case
from sim.grid.regions.claim import year_of_claim
from sim.grid.regions.commands import dispatch_answer
from sim.grid.regions.dispatch import DispatchYear, run_year
from sim.grid.regions.summary import not_primary
from sim.grid.regions.trip import SAMPLES, allowed_loss_mw, highest_hz
from sim.grid.sites import Site, site_loads_mw
from sim.grid.verdict import GridVerdict, assess
from sim.scenario.grid_view import GridView, Json, PlacedLoad
from sim.scenario.places import network_of
from sim.scenario.schema.regions import RegionsGrid
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.units import MEGA, PS_PER_H, S_PER_H

if TYPE_CHECKING:
    import pyarrow as pa

Tell = Callable[[str], None]
WEEK_H: Final = 168
FULL_MW: Final = 1e-3
CLAIM_SAMPLES: Final = 64


def regions_view(
    outcome: Outcome, grid: RegionsGrid, placed: PlacedLoad, seed: int, tell: Tell | None = None
) -> GridView:
    """Hold the sites against every hour of a year.

    Raises:
        InputError: hours that are not known, or years mixed without `mixed_years`.
        LawViolation: a zone does not balance.
    """
    say = tell or (lambda _line: None)
    case = region_case(grid.case, grid.year, grid.weather_year, mixed_years=grid.mixed_years)
    network = network_of(grid)
    verdict = _verdict(network, placed, grid.samples, seed, trip=grid.trip)
    say("dispatching the year")
    sites = site_hours(outcome, grid, case)
    before = after = _run(case, grid, sites)
    if sites:
        say("dispatching the year without the sites")
        before = _run(case, grid, {})
    answer: Json = {"kind": grid.kind, **dispatch_answer(after, before), **year_totals(after)}
    if sites:
        say("asking for shortage and trips")
        answer |= _of_the_claim(network, case, placed, grid, outcome, seed)
    answer["not_primary"] = _not_primary(answer)
    answer["assumptions"] = [*answer["assumptions"], *_carried(grid, outcome)]
    return GridView(
        verdict,
        grid=answer,
        assumptions=tuple(answer.pop("assumptions")),
        tables={"grid_hours.parquet": hour_table(after)},
    )


def _run(case: RegionCase, grid: RegionsGrid, sites: Mapping[str, FloatArray]) -> DispatchYear:
    return run_year(
        case,
        sites,
        flexible=grid.flexible_usd_per_mwh is not None,
        flexible_usd_per_mwh=grid.flexible_usd_per_mwh or 0.0,
        days=grid.days,
        first_day=grid.first_day,
    )


def _of_the_claim(
    network: Network,
    case: RegionCase,
    placed: PlacedLoad,
    grid: RegionsGrid,
    outcome: Outcome,
    seed: int,
) -> Json:
    """Named peaks, LOLE, trips, swings and the curtailment that would make the load fit."""
    return year_of_claim(
        network,
        case,
        placed.peak_mw,
        {zone: mw for zone, mw in placed.swing_mw.items() if mw > 0},
        pulse_hz=pulse_hz(outcome) or 0.5,
        samples=min(grid.samples, CLAIM_SAMPLES),
        seed=seed,
        adequacy=grid.adequacy,
        trip=grid.trip,
        load_uncertainty_frac=grid.load_uncertainty_frac,
    )


def site_hours(outcome: Outcome, grid: RegionsGrid, case: RegionCase) -> dict[str, FloatArray]:
    """Load of the sites by zone in every hour of the year, MW, shape (n_hours,) each."""
    found: dict[str, FloatArray] = {}
    for site in outcome.sites:
        load = _load_mw(outcome, site, grid.site_load, case.year, len(case.load_mw))
        found[site.zone] = found.get(site.zone, 0.0) + load
    return found


def _load_mw(outcome: Outcome, site: SiteOutcome, how: str, year: int, n_hours: int) -> FloatArray:
    if how == "peak":
        return np.full(n_hours, outcome.peak_w(site) / MEGA)
    if how == "mean":
        return np.full(n_hours, site.power[seen(site)].mean / MEGA)
    pattern = hourly_mw(outcome, site)
    since = outcome.simulation.scenario.epoch - datetime(year, 1, 1, tzinfo=UTC)
    first = int(since.total_seconds() // S_PER_H)
    return pattern[(np.arange(n_hours) - first) % len(pattern)]


def hourly_mw(outcome: Outcome, site: SiteOutcome) -> FloatArray:
    """Mean of the meter in each hour of the run, MW; a run below an hour gives one figure."""
    name = f"{site.name}.{seen(site)}_w"
    line = next(t for t in outcome.timelines if t.name == name)
    end_ps = outcome.simulation.horizon_ps
    n_hours = max(1, end_ps // PS_PER_H)
    found = []
    for k in range(n_hours):
        until = min(end_ps, (k + 1) * PS_PER_H)
        part = line.between(k * PS_PER_H, until)
        found.append(float(np.average(part.values, weights=part.durations_ps)) / MEGA)
    return np.array(found)


def seen(site: SiteOutcome) -> str:
    """The boundary that the grid sees: what is bought, where a supply stands behind the meter."""
    return "import" if "import" in site.power else "facility"


def pulse_hz(outcome: Outcome) -> float | None:
    """Iterations a second of the training job with the most GPUs, None without one."""
    steps = [job.plan.step for site in outcome.sites for job in site.run.jobs.values()]
    return 1.0 / max(steps, key=lambda step: step.gpus).time_s if steps else None


# -- readings


def _verdict(
    network: Network, placed: PlacedLoad, samples: int, seed: int, *, trip: bool
) -> GridVerdict:
    """The readings of the peak hours, with the frequency from the swing equation."""
    if not placed.peak_mw:
        return GridVerdict(network.name, (), (), (), samples, seed, network.omitted)
    verdict = assess(
        network,
        placed.peak_mw,
        placed.swing_mw,
        load_low_mw=placed.low_mw,
        load_high_mw=placed.high_mw,
        samples=samples,
        seed=seed,
    )
    if not trip:
        return verdict
    readings = tuple(
        frequency_reading(network, verdict.sites, r, seed) if r.limit == "frequency" else r
        for r in verdict.readings
    )
    return replace(verdict, readings=readings)


def frequency_reading(
    network: Network, sites: tuple[Site, ...], quasi_static: Reading, seed: int
) -> Reading:
    """The reading of a sudden loss of a site, with the swing of frequency counted."""
    zone = network.zone(quasi_static.zone)
    figures = network.frequency_of(zone)
    if figures is None:
        return quasi_static
    name = figures.interconnection
    loads = site_loads_mw(network, sites, SAMPLES, seed)[:, network.index(zone.name)]
    limit, published = highest_hz(name)
    source = "published" if published else "assumed: half of ERCOT's rise"
    return reading(
        "frequency",
        zone,
        allowed_loss_mw(name, SAMPLES, seed) - loads,
        at=name,
        detail=(
            f"losing {loads[0]:,.0f} MW at once; the first swing may reach {limit:g} Hz "
            f"({source}); {quasi_static.detail}"
        ),
        assumptions=(*quasi_static.assumptions, f"over-frequency limit of {limit:g} Hz: {source}"),
    )


# -- what the summary says of the year


def year_totals(year: DispatchYear) -> Json:
    """Shortage, curtailment and prices over all zones, and the weeks of each zone."""
    short = year.unserved_mw > FULL_MW
    flexed = year.flexed_mw.sum(axis=1)
    load = year.load_mw.sum()
    price = year.price_usd_per_mwh
    return {
        "first_day": year.first_day,
        "unserved_h": int(short.any(axis=1).sum()),
        "unserved_frac": float(year.unserved_mw.sum() / load),
        "site_curtailed_h": int((flexed > FULL_MW).sum()),
        "price_usd_per_mwh": {
            "load_weighted": float((price * year.load_mw).sum() / load),
            "median": float(np.median(price)),
            "p99": float(np.percentile(price, 99)),
            "max": float(price.max()),
        },
        "weeks": {
            "price_usd_per_mwh": _weekly(price, [zone.name for zone in year.case.zones]),
            "congested_frac": _weekly(_full(year), _line_names(year)),
        },
    }


def _weekly(values: FloatArray, names: list[str]) -> dict[str, list[float]]:
    """Means of each week (the last may be short), by name."""
    starts = np.arange(0, len(values), WEEK_H)
    sums = np.add.reduceat(values, starts, axis=0)
    lengths = np.diff(np.append(starts, len(values)))
    means = sums / lengths[:, None]
    return {name: means[:, k].tolist() for k, name in enumerate(names)}


def _full(year: DispatchYear) -> FloatArray:
    """1 where an interface is at its limit, shape (n_hours, n_lines)."""
    lines = year.supply.system.lines
    ahead = np.array([line.forward_mw for line in lines])
    back = np.array([line.reverse_mw for line in lines])
    flow = year.flow_mw
    full = ((flow >= ahead - FULL_MW) & (ahead > 0)) | ((flow <= FULL_MW - back) & (back > 0))
    return full.astype(float)


def _line_names(year: DispatchYear) -> list[str]:
    return [line.name for line in year.case.lines]


def hour_table(year: DispatchYear) -> pa.Table:
    """Every hour and zone: load, site, price, carbon, unserved, curtailed, net output."""
    import pyarrow as pa

    n_hours, n_zones = year.load_mw.shape
    names = pa.array([zone.name for zone in year.case.zones])
    index = pa.array(np.tile(np.arange(n_zones, dtype=np.int32), n_hours))
    output = np.stack([year.of_zone(k) for k in range(n_zones)], axis=1)
    columns = {
        "load_mw": year.load_mw,
        "site_mw": year.site_mw,
        "output_mw": output,
        "unserved_mw": year.unserved_mw,
        "site_curtailed_mw": year.flexed_mw,
        "price_usd_per_mwh": year.price_usd_per_mwh,
        "marginal_kg_per_mwh": year.marginal_kg_per_mwh,
    }
    hours = np.repeat(np.arange(n_hours, dtype=np.int32) + year.first_day * 24, n_zones)
    return pa.table(
        {"hour": hours, "zone": pa.DictionaryArray.from_arrays(index, names)}
        | {name: values.ravel().astype(np.float32) for name, values in columns.items()}
    )


def _carried(grid: RegionsGrid, outcome: Outcome) -> list[str]:
    """How the run's load is carried over the year, in words."""
    if not outcome.sites:
        return ["no new load: existing data centres are in the measured load"]
    hours = outcome.duration_s / S_PER_H
    how = {
        "mean": "its mean, constant",
        "peak": "its peak, constant",
        "repeat": "its hours from the epoch on, repeated end to end",
    }[grid.site_load]
    return [
        f"a site's load over the year is the meter of a run of {hours:g} h: {how} (assumption)",
        "existing data centres are in the measured load; the new load comes on top",
    ]


def _not_primary(answer: Json) -> list[str]:
    """Figures behind the answer that come from no source that was read itself."""
    seconds = [text for row in answer.get("trip", []) for text in row.get("not_primary", [])]
    shortage = [text for row in answer.get("adequacy", []) for text in row["assumptions"]]
    return sorted({*seconds, *not_primary([*answer["assumptions"], *answer["gaps"], *shortage])})
