"""`summary.json` of a run: the keys of DESIGN.md section 9, in plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sim.cluster.serving.classes import ClassResult
from sim.cluster.serving.estimate import Distribution, Estimate
from sim.cluster.serving.fleet_result import FleetResult
from sim.grid.hosting import Hosting
from sim.grid.verdict import GridVerdict, Reading
from sim.record.integral import Measure
from sim.scenario.faults_summary import faults_json
from sim.scenario.fleets import Fleet
from sim.scenario.loop_summary import grid_book_json, loop_json
from sim.scenario.service_summary import services_json, taken_requests
from sim.scenario.serving_parts_summary import parts_json
from sim.scenario.serving_scale import scaler_json
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.scenario.training_summary import training_json
from sim.scenario.uncertainty import Range
from sim.units import MEGA

Json = dict[str, Any]


def summarise(
    outcome: Outcome,
    loads: dict[str, Range],
    verdict: GridVerdict,
    hosting: tuple[Hosting, ...],
    sources: list[str],
) -> Json:
    """The whole summary.

    Args:
        loads: site -> range of its peak at the meter, W.
        hosting: hosting capacity of every zone; empty if not asked.
        sources: where the figures come from.
    """
    scenario = outcome.simulation.scenario
    fleets = {
        f"{s.name}.{name}": fleet for s in outcome.sites for name, fleet in s.run.fleets.items()
    }
    jobs = {f"{s.name}.{name}": job for s in outcome.sites for name, job in s.run.jobs.items()}
    summary: Json = {
        "name": scenario.name,
        "question": scenario.question,
        "seed": outcome.simulation.seed,
        "horizon_s": outcome.duration_s,
        "energy_j": {b: m.integral for b, m in outcome.total.items()},
        "power_w": {b: power_json(m) for b, m in outcome.total.items()},
        "sites": {s.name: site_json(outcome, s, loads[s.name]) for s in outcome.sites},
        "grid": grid_json(outcome, verdict, hosting),
        "assumptions": sorted({a for r in verdict.readings for a in r.assumptions}),
        "sources": sources,
    }
    if faults := faults_json(outcome, outcome.simulation.seed):
        summary["faults"] = faults
    if outcome.loop:
        summary["control"] = loop_json(outcome.loop)
        summary["grid"]["coupled"] = grid_book_json(outcome.loop)
        summary["grid"]["unserved_mwh"] = outcome.loop.grid.book.unserved_mwh
    if jobs:
        summary["training"] = training_json(outcome, jobs)
    if fleets:
        summary["serving"] = serving_json(outcome, fleets)
    return summary


def power_json(measure: Measure) -> Json:
    """Power over the horizon; `max` is the largest value that held for any time."""
    return {
        "mean": measure.mean,
        "p99": measure.p99,
        "max": measure.max,
        "peak": {f"{window_s:g}_s": peak for window_s, peak in measure.peaks.items()},
    }


def site_json(outcome: Outcome, site: SiteOutcome, load: Range) -> Json:
    """One site: its size, its powers by boundary and by cause."""
    plant = site.run.plant
    return {
        "zone": site.zone,
        "nodes": plant.nodes,
        "gpus": plant.nodes * plant.node.gpus,
        "pue": plant.building.pue if plant.building.hourly is None else _pue(site),
        "energy_j": {b: m.integral for b, m in site.power.items()},
        "power_w": {b: power_json(m) for b, m in site.power.items()},
        "causes_w": site.causes_w,
        "peak_load_mw": outcome.peak_w(site) / MEGA,
        "peak_load_low_mw": load.low / MEGA,
        "peak_load_high_mw": load.high / MEGA,
        "swing_mw": site.swing_w / MEGA,
    }


def _pue(site: SiteOutcome) -> float:
    """Facility over IT energy of the run."""
    return site.power["facility"].integral / site.power["it"].integral


def serving_json(outcome: Outcome, fleets: dict[str, Fleet]) -> Json:
    """Serving over all fleets (counts add; latencies are of the one fleet), and each.

    A request that one fleet hands to another came to both, and is one of all.
    """
    results = {name: fleet.fleet.result() for name, fleet in fleets.items()}
    each = {
        name: fleet_json(result)
        | {
            "bad_rows": fleets[name].bad_rows,
            "error_frac_against_request": fleets[name].error_frac_against_request,
        }
        | classes_json(fleets[name], result)
        | parts_json(fleets[name], result, outcome.simulation.horizon_ps)
        | autoscaler_json(outcome, fleets[name])
        | ({"handed_to_it": taken} if (taken := taken_requests(fleets[name].fleet)) else {})
        for name, result in results.items()
    }
    counts = ("requests", "completed", "dropped", "shed", "tokens_in", "tokens_out")
    total: Json = {key: sum(f[key] for f in each.values()) for key in counts}
    total["requests"] -= sum(f.get("handed_to_it", 0) for f in each.values())
    if len(each) == 1:
        only = next(iter(each.values()))
        total |= {key: only[key] for key in ("ttft_s", "tpot_s", "e2e_s")}
    window_s = next(iter(results.values())).window_s
    tokens_per_s = total["tokens_out"] / window_s
    total["energy_j_per_output_token"] = (
        {b: m.mean / tokens_per_s for b, m in outcome.total.items()} if tokens_per_s else None
    )
    services = services_json(outcome.simulation, results)
    return total | {"fleets": each} | ({"services": services} if services else {})


def classes_json(fleet: Fleet, result: FleetResult) -> Json:
    """What became of each class of requests, where there are several."""
    keys = ("requests", "completed", "shed", "dropped", "tokens_out", "met")
    return (
        {
            "classes": {
                spec.name: {key: getattr(found, key).value for key in keys}
                | {"met_frac": found.met.value / n if (n := found.completed.value) else None}
                | _latencies(found)
                for spec, found in zip(fleet.costs.spec.classes, result.classes, strict=True)
            }
        }
        if result.classes
        else {}
    )


def autoscaler_json(outcome: Outcome, fleet: Fleet) -> Json:
    """What the fleet's autoscaler did, where it has one."""
    scaler = getattr(fleet.fleet, "scaler", None)
    if scaler is None:
        return {}
    return {"autoscaler": scaler_json(scaler, outcome.simulation.horizon_ps)}


def fleet_json(result: FleetResult) -> Json:
    """One fleet, estimated from its simulated replicas."""
    return {
        "basis": result.basis,
        "window_s": result.window_s,
        **{
            key: getattr(result, key).value
            for key in ("requests", "completed", "dropped", "shed", "tokens_in", "tokens_out")
        },
        "interval": {
            key: _estimate(getattr(result, key)) for key in ("requests", "completed", "tokens_out")
        },
        "mean_power_w": _estimate(result.mean_power_w),
        "energy_j_per_output_token_chip": _estimate(result.energy_j_per_output_token),
        **({"counted": asdict(result.counted)} if result.counted else {}),
        **_latencies(result),
    }


def _estimate(estimate: Estimate | None) -> Json | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _latencies(found: FleetResult | ClassResult) -> Json:
    return {key: _latency(getattr(found, key)) for key in ("ttft_s", "tpot_s", "e2e_s")}


def _latency(found: Distribution | None) -> Json | None:
    if found is None:
        return None
    return {
        **{key: getattr(found, key).value for key in ("p50", "p90", "p99", "mean")},
        "interval": {key: _estimate(getattr(found, key)) for key in ("p50", "p90", "p99", "mean")},
    }


def grid_json(outcome: Outcome, verdict: GridVerdict, hosting: tuple[Hosting, ...]) -> Json:
    """Readings of each zone with a site, and what fits in every zone."""
    per_gpu_mw = gpu_meter_mw(outcome)
    return {
        "case": outcome.simulation.scenario.grid.case,
        "samples": verdict.samples,
        "verdicts": [reading_json(r) for r in verdict.readings],
        "unserved_mw": sum(z.unserved_mw for d in verdict.dispatches[:1] for z in d.zones),
        "meter_kw_per_gpu": per_gpu_mw * 1e3,
        "hosting": {h.zone: hosting_json(h, per_gpu_mw) for h in hosting},
        "omitted": list(verdict.omitted),
    }


def gpu_meter_mw(outcome: Outcome) -> float:
    """Peak MW at the meter of all sites, per GPU."""
    gpus = sum(s.run.plant.nodes * s.run.plant.node.gpus for s in outcome.sites)
    if not gpus:
        return 0.0
    return sum(outcome.peak_w(s) for s in outcome.sites) / MEGA / gpus


def reading_json(reading: Reading) -> Json:
    """One reading."""
    return {
        "limit": reading.limit,
        "zone": reading.zone,
        "verdict": reading.verdict,
        "binds": reading.binds,
        "margin_mw": reading.margin_mw,
        "margin_low_mw": reading.margin_low_mw,
        "margin_high_mw": reading.margin_high_mw,
        "at": reading.at,
        "hour": reading.hour,
        "probability": reading.probability,
        "preexisting": reading.preexisting,
        "preexisting_mw": reading.preexisting_mw,
        "short_before_frac": reading.short_before,
        "detail": reading.detail,
    }


def hosting_json(hosting: Hosting, per_gpu_mw: float) -> Json:
    """What fits in a zone, in MW and in GPUs."""

    def gpus(mw: float | None) -> int | None:
        return None if mw is None else int(mw / per_gpu_mw)

    return {
        "first": hosting.first,
        "hosting_mw": hosting.hosting_mw,
        "low_mw": hosting.low_mw,
        "high_mw": hosting.high_mw,
        "gpus": gpus(hosting.hosting_mw),
        "gpus_low": gpus(hosting.low_mw),
        "gpus_high": gpus(hosting.high_mw),
        "rooms": {
            room.limit: {
                "hosting_mw": room.hosting_mw,
                "low_mw": room.low_mw,
                "high_mw": room.high_mw,
                "at": room.at,
            }
            for room in hosting.rooms
        },
        "first_share": dict(hosting.first_share),
        "not_assessed": list(hosting.not_assessed),
    }
