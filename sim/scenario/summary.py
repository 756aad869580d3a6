"""`summary.json` of a run: the keys of DESIGN.md section 9, in plain data."""

from __future__ import annotations

import math
from typing import Any

from sim.cluster.serving.estimate import Distribution, Estimate
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.training import TrainingJob, expected_time_s
from sim.grid.hosting import Hosting
from sim.grid.verdict import GridVerdict, Reading
from sim.record.integral import Measure
from sim.scenario.fleets import Fleet
from sim.scenario.loop_summary import grid_book_json, loop_json
from sim.scenario.schema import TrainingSpec
from sim.scenario.simulate import Outcome, SiteOutcome
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


def training_json(outcome: Outcome, jobs: dict[str, TrainingJob]) -> Json:
    """Training over all jobs, and each of them."""
    each = {name: job_json(outcome, name, job) for name, job in jobs.items()}
    gpus = sum(j["gpus"] for j in each.values())
    return {
        "steps": sum(j["steps"] for j in each.values()),
        "tokens": sum(j["tokens"] for j in each.values()),
        "model_flops": sum(j["model_flops"] for j in each.values()),
        "gpus": gpus,
        "mfu": sum(j["mfu"] * j["gpus"] for j in each.values()) / gpus,
        "goodput_frac": sum(j["goodput_frac"] * j["gpus"] for j in each.values()) / gpus,
        "energy_j_per_token": _per_token(outcome, sum(j["tokens"] for j in each.values())),
        "jobs": each,
    }


def _per_token(outcome: Outcome, tokens: float) -> Json | None:
    """Energy of everything over the trained tokens, by boundary; None without a step."""
    if not tokens:
        return None
    return {b: m.integral / tokens for b, m in outcome.total.items()}


def job_json(outcome: Outcome, name: str, job: TrainingJob) -> Json:
    """One training job. Goodput: time in steps over the time until it was done."""
    step = job.plan.step
    site, _, workload = name.rpartition(".")
    spec = next(
        w
        for s in outcome.sites
        if s.name == site
        for w in s.run.spec.workloads
        if w.name == workload and isinstance(w, TrainingSpec)
    )
    failures = job.plan.failures
    until_s = outcome.duration_s if job.done_at_ps is None else job.done_at_ps / 1e12
    return {
        "arch": spec.arch,
        "gpus": step.gpus,
        "layout": spec.layout.model_dump(),
        "steps": job.steps_done,
        "steps_planned": job.plan.steps,
        "tokens": job.steps_done * step.tokens,
        "model_flops": job.steps_done * step.model_flops,
        "step_time_s": step.time_s,
        "step_tokens": step.tokens,
        "mfu": step.mfu,
        "goodput_frac": job.steps_done * step.time_s / until_s if until_s else 0.0,
        "clock_frac": step.clock_frac,
        "checkpoints": job.checkpoints_done,
        "checkpoint_interval_s": job.plan.checkpoint_interval_s,
        "checkpoint_s": job.plan.checkpoint.time_s,
        "failures": job.failures_seen,
        "failures_per_day": failures.rate_per_s * 86_400 if failures else 0.0,
        "steps_lost": job.lost_steps,
        "days_to_finish": _days_to_finish(job),
        "goodput_expected_frac": job.plan.steps * step.time_s / 86_400 / _days_to_finish(job),
        "gpu_memory_bytes": step.gpu_memory_bytes,
        "step_parts": [
            {
                "name": part.name,
                "phase": part.phase,
                "time_s": part.time_s,
                "gpu_power_w": part.gpu_power_w,
                "gpu_energy_j": part.energy_j,
            }
            for part in step.parts
        ],
    }


def _days_to_finish(job: TrainingJob) -> float:
    """Expected time of all steps, saved after each interval, with the plan's failures."""
    plan, step_s = job.plan, job.plan.step.time_s
    interval_s = max(1, math.ceil(plan.checkpoint_interval_s / step_s)) * step_s
    work_s = plan.steps * step_s
    return expected_time_s(work_s, interval_s, plan.checkpoint.time_s, plan.failures) / 86_400


def serving_json(outcome: Outcome, fleets: dict[str, Fleet]) -> Json:
    """Serving over all fleets (counts add; latencies are of the one fleet), and each."""
    results = {name: fleet.fleet.result() for name, fleet in fleets.items()}
    each = {
        name: fleet_json(result) | {"bad_rows": fleets[name].bad_rows}
        for name, result in results.items()
    }
    counts = ("requests", "completed", "dropped", "shed", "tokens_in", "tokens_out")
    total: Json = {key: sum(f[key] for f in each.values()) for key in counts}
    if len(each) == 1:
        only = next(iter(each.values()))
        total |= {key: only[key] for key in ("ttft_s", "tpot_s", "e2e_s")}
    window_s = next(iter(results.values())).window_s
    tokens_per_s = total["tokens_out"] / window_s
    total["energy_j_per_output_token"] = (
        {b: m.mean / tokens_per_s for b, m in outcome.total.items()} if tokens_per_s else None
    )
    return total | {"fleets": each}


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
        **{key: _latency(getattr(result, key)) for key in ("ttft_s", "tpot_s", "e2e_s")},
    }


def _estimate(estimate: Estimate | None) -> Json | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


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
