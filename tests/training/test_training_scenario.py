"""Training in a scenario: what the summary says, parts in several regions, smoothing, figures."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sim import arch
from sim.cluster.training import expected_run
from sim.cost.training import training_step
from sim.facility.building import load_building
from sim.facility.meter import SitePlant
from sim.flops import parameters
from sim.flops.scaling import law
from sim.hardware.node import load_node
from sim.report.training_figure import chosen_jobs, draw_training, progress_rows
from sim.scenario.jobs import plan_job, spare_nodes, tokens_for_loss, training_setup
from sim.scenario.run import load_scenario
from sim.scenario.schema import TrainingSpec
from sim.scenario.simulate import Outcome, simulate
from sim.scenario.training_summary import state_figures, training_json

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = str(ROOT / "tests" / "cases" / "valid" / "scenario-training-everything.yaml")
ACROSS = str(ROOT / "scenarios" / "gpt6-across-2-states.yaml")
JOB = "sites.campus.workloads.0"


@cache
def outcome(path: str, *overrides: str) -> Outcome:
    _, scenario = load_scenario(path, overrides)
    return simulate(scenario, 1)


def training(found: Outcome) -> dict[str, Any]:
    jobs = {f"{s.name}.{name}": job for s in found.sites for name, job in s.run.jobs.items()}
    return training_json(found, jobs)


def job_of(found: dict[str, Any]) -> dict[str, Any]:
    return next(iter(found["jobs"].values()))


def spec_of(path: str, *overrides: str) -> TrainingSpec:
    _, scenario = load_scenario(path, overrides)
    spec = scenario.sites[0].workloads[0]
    assert isinstance(spec, TrainingSpec)
    return spec


def test_the_summary_adds_up() -> None:
    found = training(outcome(EVERYTHING))
    job = job_of(found)
    assert job["tokens"] == job["steps"] * job["step_tokens"] == found["tokens"]
    assert sum(job["time_frac"].values()) == pytest.approx(1.0, abs=0.01)
    assert job["time_frac"]["evaluate"] > 0
    run = job["run"]
    assert run["energy_gwh"]["chip"] < run["energy_gwh"]["it"] < run["energy_gwh"]["facility"]
    kg, usd = state_figures("VA")
    assert kg is not None
    assert usd is not None
    assert run["co2e_t"] == pytest.approx(run["energy_gwh"]["facility"] * kg)
    assert run["electricity_usd"] == pytest.approx(run["energy_gwh"]["facility"] * 1e3 * usd)
    assert run["gpu_rent_low_usd"] < run["gpu_rent_usd"] < run["gpu_rent_high_usd"]


def test_the_energy_of_a_run_that_ends_is_what_was_simulated() -> None:
    """Not a mean over the horizon: what the GPUs drew after the end is left out."""
    tokens = (f"{JOB}.tokens=2e9", f"{JOB}.target_loss=null", f"{JOB}.scaling_law=besiroglu-2024")
    found = outcome(EVERYTHING, *tokens, "horizon_h=2")
    (job,) = found.sites[0].run.jobs.values()
    run = job_of(training(found))["run"]
    assert job.done_at_ps
    assert (run["energy_from"], run["simulated_frac"]) == ("simulation", 1.0)
    assert run["days"] * 86_400 == pytest.approx(job.done_at_ps / 1e12)
    end_ps = found.simulation.horizon_ps
    _, gpu_j = job.accounts(end_ps)
    spent = job.ledger.spent_ps.items()
    stairs = [(watts, ps / 1e12) for (what, watts), ps in spent if what == "done"]
    idle_s = (end_ps - job.done_at_ps) / 1e12 - sum(time_s for _, time_s in stairs)
    after_j = job.plan.idle_gpu_w * idle_s + sum(watts * time_s for watts, time_s in stairs)
    held = max(job.plan.step.gpus, found.sites[0].run.spec.workloads[0].gpus or 0)
    spare_j = job.plan.idle_gpu_w * (held - job.plan.step.gpus) * job.done_at_ps / 1e12
    chip_j = (gpu_j - after_j) * job.plan.step.gpus + spare_j
    assert run["energy_gwh"]["chip"] * 3.6e12 == pytest.approx(chip_j, rel=1e-6)


def test_the_energy_of_a_longer_run_says_how_much_of_it_was_simulated() -> None:
    found = outcome(EVERYTHING)
    training_of = training(found)
    run = job_of(training_of)["run"]
    assert run["energy_from"] == "mean power of the simulated time"
    assert run["simulated_frac"] == pytest.approx(found.duration_s / 86_400 / run["days"])
    mean_w = found.sites[0].power["facility"].mean
    assert run["energy_gwh"]["facility"] == pytest.approx(mean_w * run["days"] * 86_400 / 3.6e12)
    assert training_of["run"]["simulated_frac"] == run["simulated_frac"]


def test_a_zone_without_figures_says_so() -> None:
    assert state_figures("nowhere") == (None, None)


def test_smoothing_lowers_the_swing_and_its_energy_is_told() -> None:
    smooth = job_of(training(outcome(EVERYTHING)))["swing"]
    bare = job_of(
        training(
            outcome(
                EVERYTHING,
                f"{JOB}.smoothing.floor_gpu_w=0",
                f"{JOB}.smoothing.ramp_gpu_w_per_s=1e6",
            )
        )
    )["swing"]
    assert smooth["peak_to_peak_mw"] < bare["peak_to_peak_mw"]
    assert smooth["ramp_mw_per_s"]["1_s"] < bare["ramp_mw_per_s"]["1_s"]
    assert smooth["dummy_energy_frac"] > bare["dummy_energy_frac"] >= 0


def test_parts_of_a_job_in_two_states_step_and_fail_together() -> None:
    found = training(outcome(ACROSS, "horizon_h=6"))
    one, other = found["jobs"].values()
    assert one["events"] == other["events"]
    assert one["events"]
    assert one["steps"] == other["steps"]
    whole = training_setup(spec_of(ACROSS))
    assert one["gpus"] * 2 == whole.layout.gpus
    assert found["tokens"] == one["steps"] * whole.step_tokens
    assert list(chosen_jobs(found)) == ["campus-1.training"]
    assert one["network"]["regions"]["mode"] == "local-sgd"


def test_a_target_loss_becomes_tokens_by_the_law() -> None:
    spec = spec_of(EVERYTHING)
    count = parameters(arch.load(spec.arch))
    size = (count.active_excl_input_embedding * count.total) ** 0.5
    tokens = tokens_for_loss(spec)
    assert law(spec.scaling_law).loss(size, tokens) == pytest.approx(2.1)


def test_spares_are_what_the_layout_leaves_over() -> None:
    spec = spec_of(EVERYTHING)
    node = load_node()
    assert spare_nodes(spec, training_setup(spec), node) == (1024 - 2 * 4 * 120) // 8


def test_an_asynchronous_checkpoint_waits_less_and_is_written_beside_the_steps() -> None:
    node = load_node()
    later = plan_job("job", spec_of(EVERYTHING), node, None)
    now = plan_job("job", spec_of(EVERYTHING, f"{JOB}.checkpoint.mode=synchronous"), node, None)
    assert now.background_s == 0 < later.background_s
    assert later.checkpoint.time_s < now.checkpoint.time_s / 10
    assert later.background_s == pytest.approx(now.checkpoint.time_s)
    assert expected_run(later).goodput_frac > expected_run(now).goodput_frac


def test_figures_show_the_numbers_beside_them_and_are_the_same_each_time(tmp_path: Path) -> None:
    found = training(outcome(EVERYTHING))
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        draw_training(found, tmp_path / name)
        texts.append((tmp_path / name / "training.svg").read_bytes())
        assert (tmp_path / name / "training_power.csv").read_text().startswith("job,kind,name,x,mw")
    assert texts[0] == texts[1]
    name, job = next(iter(found["jobs"].items()))
    rows = progress_rows(name, job)
    assert rows[0]["steps"] == 0
    assert [r["event"] for r in rows[-2:]] == ["end", "ideal"]
    assert rows[-2]["steps"] == job["steps"] <= rows[-1]["steps"]
    draw_training({}, tmp_path)
    assert not (tmp_path / "training.svg").exists()


SHIPPED = (
    "gpt6-one-state",
    "gpt6-across-2-states",
    "gpt6-across-states",
    "gpt6-across-8-states",
    "llama3-405b-replay",
    "dense-vs-moe-vs-hybrid-training",
)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_node_of_a_shipped_scenario_draws_more_than_was_measured(name: str) -> None:
    """8xH100: 8.4 kW measured at the most, 10.2 rated (arXiv 2412.08602); a GPU 700 W."""
    _, scenario = load_scenario(str(ROOT / "scenarios" / f"{name}.yaml"))
    node = load_node()
    plant = SitePlant("node", 1, node, load_building(1.2))
    for site in scenario.sites:
        for spec in site.workloads:
            assert isinstance(spec, TrainingSpec)
            step = training_step(training_setup(spec), node)
            highest_w = max(part.gpu_power_w for part in step.parts)
            assert highest_w <= node.device.limit_w == 700
            found = plant.parts(highest_w * node.gpus)
            assert found.chip_w + found.host_w + found.fans_w + found.psu_loss_w <= 8400


def test_the_same_run_across_states_differs_by_its_links_only() -> None:
    """Pauses, failures and the whole layout are those of one state."""
    alone = spec_of(str(ROOT / "scenarios" / "gpt6-one-state.yaml"))
    for name in ("gpt6-across-2-states", "gpt6-across-states", "gpt6-across-8-states"):
        part = spec_of(str(ROOT / "scenarios" / f"{name}.yaml"))
        for what in ("stragglers", "maintenance", "evaluation", "failures", "checkpoint"):
            assert getattr(part, what) == getattr(alone, what), (name, what)
        assert training_setup(part).layout == training_setup(alone).layout
