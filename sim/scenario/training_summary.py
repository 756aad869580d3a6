"""`summary.json`, key `training`: what the jobs did, and what their whole runs take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.cluster.training import TrainingJob, expected_run
from sim.cost.training import Part, Phase
from sim.cost.training_power import Swing, extra_energy_j, smoothed, swing
from sim.cost.training_setup import TrainingSetup
from sim.datum import Datum, data, read_table
from sim.hardware.node import Node
from sim.hardware.prices import gpu_price
from sim.record.integral import integral
from sim.scenario.jobs import training_setup
from sim.scenario.schema import TrainingSpec
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.units import GIGA, J_PER_MWH, MEGA, S_PER_H, to_s

Json = dict[str, Any]
STATES = "training/states.csv"
BOUNDARIES = ("chip", "it", "facility")
DAY_S = 86_400


def training_json(outcome: Outcome, jobs: dict[str, TrainingJob]) -> Json:
    """Training over all jobs, and each of them."""
    each = {name: job_json(outcome, name, job) for name, job in jobs.items()}
    gpus = sum(j["gpus"] for j in each.values())
    tokens = sum(j["tokens"] for j in each.values())
    return {
        "steps": sum(j["steps"] for j in each.values()),
        "tokens": tokens,
        "model_flops": sum(j["model_flops"] for j in each.values()),
        "gpus": gpus,
        "mfu": sum(j["mfu"] * j["gpus"] for j in each.values()) / gpus,
        "goodput_frac": sum(j["goodput_frac"] * j["gpus"] for j in each.values()) / gpus,
        "energy_j_per_token": _per_token(outcome, tokens),
        "run": _summed([j["run"] for j in each.values()]),
        "jobs": each,
    }


def _per_token(outcome: Outcome, tokens: float) -> Json | None:
    """Energy of everything over the trained tokens, by boundary; None without a step."""
    if not tokens:
        return None
    return {b: m.integral / tokens for b, m in outcome.total.items()}


def _summed(runs: list[Json]) -> Json:
    """Whole runs together: the longest, and what they take in all; None where one is unknown."""

    def total(key: str) -> float | None:
        values = [run[key] for run in runs]
        return None if None in values else sum(values)

    return {
        "days": max(run["days"] for run in runs),
        "gpu_hours": total("gpu_hours"),
        "energy_gwh": {b: sum(run["energy_gwh"][b] for run in runs) for b in BOUNDARIES},
        "co2e_t": total("co2e_t"),
        "electricity_usd": total("electricity_usd"),
        "gpu_rent_usd": total("gpu_rent_usd"),
        "energy_from": "; ".join(dict.fromkeys(run["energy_from"] for run in runs)),
        "simulated_frac": min(run["simulated_frac"] for run in runs),
    }


def job_json(outcome: Outcome, name: str, job: TrainingJob) -> Json:
    """One training job. Goodput: time in steps that are kept over the time until it was done."""
    step, plan = job.plan.step, job.plan
    site, spec = _place(outcome, name)
    until_s = outcome.duration_s if job.done_at_ps is None else to_s(job.done_at_ps)
    expected = expected_run(plan)
    setup = training_setup(spec, plan.cap_w)
    return {
        "arch": spec.arch,
        "gpus": step.gpus,
        "layout": spec.layout.model_dump(),
        "precision": spec.precision,
        "context_parallel": spec.context_parallel,
        "schedule": spec.schedule,
        "steps": job.steps_done,
        "steps_planned": plan.steps,
        "tokens": job.steps_done * step.tokens,
        "model_flops": job.steps_done * step.model_flops,
        "step_time_s": step.time_s,
        "step_tokens": step.tokens,
        "mfu": step.mfu,
        "goodput_frac": job.steps_done * step.time_s / until_s if until_s else 0.0,
        "clock_frac": step.clock_frac,
        **_interruptions_json(job, setup),
        "time_frac": time_shares(job, until_s),
        "days_to_finish": expected.run_s / DAY_S,
        "goodput_expected_frac": expected.goodput_frac,
        "until_s": until_s,
        "gpu_memory_bytes": step.gpu_memory_bytes,
        "run": run_json(outcome, site, spec, job),
        "swing": swing_json(site, job),
        "network": network_json(setup, site.run.plant.node),
        "events": [
            {"time_s": to_s(time_ps), "what": what, "steps": steps}
            for time_ps, what, steps in job.events
        ],
        "step_parts": [_part_json(part) for part in step.parts],
    }


def _interruptions_json(job: TrainingJob, setup: TrainingSetup) -> Json:
    """What stopped the job, and what it saved against that."""
    plan, failures = job.plan, job.plan.failures
    parts = setup.regions.count if setup.regions else 1
    return {
        "checkpoints": job.checkpoints_done,
        "checkpoint_interval_s": plan.checkpoint_interval_s,
        "checkpoint_s": plan.checkpoint.time_s,
        "checkpoint_background_s": plan.background_s,
        "failures": job.failures_seen,
        "failures_by_cause": dict(job.failures_by_cause),
        # Of a job over several regions each part has its share, so that they add up.
        "failures_per_day": failures.rate_per_s * DAY_S / parts if failures else 0.0,
        "slow_nodes": job.stragglers_seen,
        "maintenances": job.maintenances,
        "suspensions": job.suspensions,
        "steps_lost": job.lost_steps,
    }


def _part_json(part: Part) -> Json:
    """A part of a step, on one GPU."""
    return {
        "name": part.name,
        "phase": part.phase,
        "time_s": part.time_s,
        "gpu_power_w": part.gpu_power_w,
        "gpu_energy_j": part.energy_j,
    }


def _place(outcome: Outcome, name: str) -> tuple[SiteOutcome, TrainingSpec]:
    """The site of a job, and its spec."""
    place, _, workload = name.rpartition(".")
    return next(
        (s, w)
        for s in outcome.sites
        if s.name == place
        for w in s.run.spec.workloads
        if w.name == workload and isinstance(w, TrainingSpec)
    )


def time_shares(job: TrainingJob, until_s: float) -> Json:
    """Shares of the time until the end: steps kept and lost, and every other use."""
    if not until_s:
        return {}
    step_s = job.plan.step.time_s
    whole_s = sum(to_s(p.steps * p.step_ps) for p in job.ledger.paces)
    lost_s = job.lost_steps * step_s
    shares = {"steps": (whole_s - lost_s) / until_s, "lost steps": lost_s / until_s}
    for use, ps in job.ledger.by_use_ps().items():
        if use != "done":
            shares[use] = to_s(ps) / until_s
    return shares


def run_json(outcome: Outcome, site: SiteOutcome, spec: TrainingSpec, job: TrainingJob) -> Json:
    """The whole run: days, GPU hours, GWh by boundary, tCO2e and cost.

    A run that ended within the horizon is taken as it was simulated. Of a longer one the energy is
    the site's mean power in the simulated time over the expected length: `simulated_frac` says how
    much of the run that was. A site's energy is shared by GPUs where it has several workloads.
    Carbon and price are one figure a state.
    """
    plant, gpus = site.run.plant, job.plan.step.gpus
    run_s, simulated_s, energy_j = _run_energy(outcome, site, job)
    held = max(gpus, spec.gpus or 0)
    share = held / (plant.nodes * plant.node.gpus)
    energy_j = {b: joules * share for b, joules in energy_j.items()}
    mwh = energy_j["facility"] / J_PER_MWH
    kg, usd = state_figures(site.zone)
    rent = gpu_price(plant.node.device.name)
    gpu_hours = held * run_s / S_PER_H
    return {
        "days": run_s / DAY_S,
        "gpu_hours": gpu_hours,
        "energy_gwh": {b: joules / J_PER_MWH / 1e3 for b, joules in energy_j.items()},
        "energy_from": "simulation" if job.done_at_ps else "mean power of the simulated time",
        "simulated_frac": min(1.0, simulated_s / run_s) if run_s else 1.0,
        "co2e_t": None if kg is None else mwh * kg / 1e3,
        "electricity_usd": None if usd is None else mwh * usd,
        "gpu_rent_usd": None if rent is None else gpu_hours * rent.value,
        "gpu_rent_low_usd": None if rent is None else gpu_hours * (rent.low or rent.value),
        "gpu_rent_high_usd": None if rent is None else gpu_hours * (rent.high or rent.value),
    }


def _run_energy(
    outcome: Outcome, site: SiteOutcome, job: TrainingJob
) -> tuple[float, float, dict[str, float]]:
    """Length of the whole run, s, how much of it was simulated, and the site's energy in it, J."""
    meter = site.run.meter
    if not job.done_at_ps:
        run_s = expected_run(job.plan).run_s
        mean_w = {b: site.power[b].mean for b in BOUNDARIES}
        return run_s, outcome.duration_s, {b: w * run_s for b, w in mean_w.items()}
    done_s = to_s(job.done_at_ps)
    names = {"chip": meter.chip_w.name, "it": meter.it_w.name, "facility": meter.facility_w.name}
    lines = {line.name: line for line in outcome.timelines}
    energy_j = {b: integral(lines[n].between(0, job.done_at_ps)) for b, n in names.items()}
    return done_s, done_s, energy_j


def state_figures(zone: str) -> tuple[float | None, float | None]:
    """kgCO2e and USD of a MWh in a zone; None where the table has none."""
    row = next((r for r in read_table(STATES) if r["zone"] == zone), None)
    if row is None:
        return None, None
    kg, usd = row["co2e_kg_per_mwh"], row["industrial_usd_per_mwh"]
    return float(kg) if kg else None, float(usd) if usd else None


def swing_json(site: SiteOutcome, job: TrainingJob) -> Json:
    """The power of a step of this job, at the chips and as the meter sees it.

    Cooling follows heat too slowly to take part; everything else follows the chips.
    """
    pace = job.ledger.paces[0]
    gpus = job.plan.step.gpus
    found = swing(pace.phases, gpus)
    plain = job.plan.step.phases
    low, high = site.run.plant.parts(0.0), site.run.plant.parts(found.peak_to_peak_w)
    fast_w = (high.facility_w - high.cooling_w) - (low.facility_w - low.cooling_w)
    per_chip = fast_w / found.peak_to_peak_w if found.peak_to_peak_w else 1.0
    idle_w = job.plan.idle_gpu_w * gpus
    highest_w = max(p.gpu_power_w for p in pace.phases) * gpus
    return {
        "meter_per_chip": per_chip,
        "step_hz": 1 / job.plan.step.time_s,
        "peak_to_peak_mw": found.peak_to_peak_w * per_chip / MEGA,
        "largest_step_mw": found.largest_step_w * per_chip / MEGA,
        "ramp_mw_per_s": {f"{w:g}_s": found.ramp_mw_per_s(w) * per_chip for w in found.ramps_w},
        "start_stop_step_mw": (highest_w - idle_w) * per_chip / MEGA,
        "spectrum": spectrum_json(found, per_chip),
        "wave": wave_json(pace.phases, gpus * per_chip),
        "dummy_energy_frac": extra_energy_j(plain, smoothed_plan(job))
        / sum(p.energy_j for p in plain),
    }


def smoothed_plan(job: TrainingJob) -> tuple[Any, ...]:
    """The step's phases with the smoothing that the plan names."""
    return smoothed(job.plan.step.phases, job.plan.floor_w, job.plan.ramps.gpu_w_per_s)


def spectrum_json(found: Swing, per_chip: float) -> list[Json]:
    """The largest harmonics at the meter."""
    return [{"hz": h.hz, "amplitude_mw": h.amplitude_w * per_chip / MEGA} for h in found.spectrum]


def wave_json(phases: Sequence[Phase], meter_w_per_gpu_w: float) -> list[Json]:
    """The stretches of one step: what, how long, MW at the meter above no GPU power."""
    return [
        {"name": p.name, "time_s": p.time_s, "mw": p.gpu_power_w * meter_w_per_gpu_w / MEGA}
        for p in phases
    ]


def network_json(setup: TrainingSetup, node: Node) -> Json:
    """The fabric and the links between regions."""
    fabric = setup.fabric
    found: Json = {
        "pod_gpus": fabric.pod_gpus,
        "oversubscription": fabric.oversubscription,
        "bisection_gbyte_per_s": fabric.bisection_bytes_per_s(setup.layout.gpus, node) / GIGA,
    }
    if setup.regions:
        found["regions"] = {
            "count": setup.regions.count,
            "mode": setup.regions.mode,
            "link_gbyte_per_s": setup.regions.bytes_per_s / GIGA,
            "latency_s": setup.regions.latency_s,
            "local_steps": setup.regions.local_steps,
        }
    return found


def training_assumptions(specs: list[TrainingSpec]) -> list[Datum]:
    """Assumed figures that the jobs of a run rest on."""
    found = list(data("training/assumptions.yaml").values())
    groups = dict.fromkeys(("recovery", "spread", "stragglers", "planned", "checkpoint"), False)
    for spec in specs:
        groups["recovery"] |= spec.failures.kind != "none"
        groups["spread"] |= spec.failures.kind == "by-cause"
        groups["stragglers"] |= spec.stragglers is not None
        groups["planned"] |= spec.maintenance is not None
        groups["checkpoint"] |= spec.checkpoint.mode == "asynchronous"
    chosen = {name for name, used in groups.items() if used}
    for name, figure in data("training/failures.yaml").items():
        if name.split(".")[0] in chosen:
            found.append(figure)
    return [figure for figure in found if figure.is_assumption]
