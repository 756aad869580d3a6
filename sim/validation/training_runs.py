"""Published training runs, predicted: step, goodput, GPU hours and energy each by itself.

A run's GPU hours are step time over goodput. Held apart, an error of one cannot hide an error
of the other. Nothing here was fitted to these runs; each error is printed, the misses too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from sim import arch
from sim.arch import Architecture
from sim.arch.spec import LayerGroup
from sim.cluster.training import Expected, JobPlan, expected_run
from sim.cost.plan_training import plan_training
from sim.cost.training import TrainingStepCost, training_step
from sim.cost.training_setup import TrainingSetup
from sim.datum import Datum, read_yaml, to_datum
from sim.facility.building import load_building
from sim.facility.meter import SitePlant
from sim.hardware.node import Node, load_node
from sim.scenario.jobs import failure_causes, plan_from
from sim.scenario.schema import LayoutSpec, TrainingSpec
from sim.scenario.schema.training import FailuresByCause, MaintenanceSpec
from sim.units import J_PER_MWH, S_PER_H

RUNS = "training/published_runs.yaml"
CLUSTERS = "training/published_clusters.yaml"
SCORED_ROWS = {
    ("llama-3.1-405b", "gpu_hours"): ("llama31-405b", "training GPU hours"),
    ("deepseek-v3", "gpu_hours"): ("deepseek-v3", "pretraining 14.8T tokens, 37B active"),
    ("llama-2-70b", "gpu_hours"): ("llama2-70b", "pretraining GPU hours"),
    ("gpt-3", "energy_mwh"): ("gpt-3", "training energy (estimate)"),
}
"""Rows of the table of published runs -> (id, quantity) in the reference results."""
WITHIN_FRAC = 0.10
LOOSE_FRAC = 0.50
GPT3_PUE = 1.10


@dataclass(frozen=True, slots=True)
class RunScore:
    """One figure of a published run against the model's.

    Attributes:
        bound: the published figure is a lower bound, not a mean.
        loose: an estimate, not a measurement: a wider limit applies.
    """

    run: str
    measure: str
    published: Datum
    predicted: float
    bound: bool = False
    loose: bool = False

    @property
    def error_frac(self) -> float:
        """Predicted over published, less 1."""
        return self.predicted / self.published.value - 1

    @property
    def holds(self) -> bool:
        """Within 10 % (50 % for a loose figure), or above a bound."""
        if self.bound:
            return self.predicted >= self.published.value
        return abs(self.error_frac) <= (LOOSE_FRAC if self.loose else WITHIN_FRAC)


@dataclass(frozen=True, slots=True)
class PredictedRun:
    """What the model says about a published run."""

    setup: TrainingSetup
    node: Node
    step: TrainingStepCost
    plan: JobPlan
    expected: Expected

    @property
    def gpu_hours(self) -> float:
        """GPU hours of the whole run, failures included; spares are not billed."""
        return self.step.gpus * self.expected.run_s / S_PER_H

    def energy_mwh(self, pue: float) -> float:
        """Energy at the meter of the servers and their building."""
        node = self.node
        building = load_building(max(pue, 1.06))
        plant = SitePlant("run", self.step.gpus // node.gpus, node, building)
        share = self.expected.goodput_frac
        mean_w = self.step.energy_j / self.step.time_s * share
        mean_w += self.step.gpus * node.device.idle_w * (1 - share)
        it_w = plant.parts(mean_w).it_w
        return it_w * pue * self.expected.run_s / J_PER_MWH


def run_names() -> list[str]:
    """The published runs, in the order of the file."""
    return list(read_yaml(RUNS))


@cache
def predict_run(name: str) -> PredictedRun:
    """Step, failures and length of a published run."""
    row = read_yaml(RUNS)[name]
    node = load_node(row["node"])
    model = _with_layers(arch.load(row["arch"]), int(row.get("extra_layers", 0)))
    setup = _setup(row, model, node)
    step = training_step(setup, node)
    plan = plan_from(name, _spec(row, setup), setup, node)
    return PredictedRun(setup, node, step, plan, expected_run(plan))


def score_runs() -> list[RunScore]:
    """Every published figure against the model's."""
    found = []
    for name in run_names():
        row, run = read_yaml(RUNS)[name], predict_run(name)
        values = {
            "mfu": run.step.mfu,
            "goodput_frac": run.expected.goodput_frac,
            "gpu_hours": run.gpu_hours,
            "energy_mwh": run.energy_mwh(GPT3_PUE),
            "interruptions_per_day": _failures_per_day(run.plan),
        }
        for measure, entry in row["published"].items():
            published = to_datum(f"{name}.{measure}", entry)
            score = RunScore(
                name,
                measure,
                published,
                values[measure],
                bound=measure == "goodput_frac",
                loose=bool(row.get("loose", False)),
            )
            found.append(score)
    return found


def _failures_per_day(plan: JobPlan) -> float:
    return plan.failures.rate_per_s * 86_400 if plan.failures else 0.0


def _with_layers(model: Architecture, extra: int) -> Architecture:
    """The model with its last layer repeated: multi-token prediction trains one more."""
    if not extra:
        return model
    last = model.layers[-1]
    groups = (*model.layers[:-1], LayerGroup(last.layer, last.count + extra))
    return replace(model, layers=groups)


def _setup(row: dict[str, Any], model: Architecture, node: Node) -> TrainingSetup:
    """The published layout, or the planner's best."""
    sequence, batch = int(row["sequence_tokens"]), int(row["global_batch_tokens"])
    if "layout" not in row:
        best = plan_training(
            model, node, int(row["gpus"]), sequence_tokens=sequence, global_batch_tokens=batch
        )
        return best.best[0].setup
    return TrainingSetup(
        arch=model,
        layout=LayoutSpec(**row["layout"]).to_layout(),
        sequence_tokens=sequence,
        global_batch_tokens=batch,
        precision=row.get("precision", "bf16"),
        context_parallel=int(row.get("context_parallel", 1)),
        schedule=row.get("schedule", "1f1b"),
    )


def _spec(row: dict[str, Any], setup: TrainingSetup) -> TrainingSpec:
    """Failures by cause and planned work, at the published rates; Young-Daly checkpoints."""
    return TrainingSpec(
        kind="training",
        arch=row["arch"],
        tokens=float(row.get("tokens", 1e12)),
        gpus=setup.layout.gpus + int(row.get("spare_gpus", 0)),
        checkpoint={"rule": "young-daly"},  # type: ignore[arg-type]  # pydantic reads it
        failures=FailuresByCause(kind="by-cause"),
        maintenance=MaintenanceSpec(),
    )


@dataclass(frozen=True, slots=True)
class ClusterScore:
    """Failures of another published cluster, and how many the rates by cause predict.

    Attributes:
        low, high: 95 % Poisson interval of the predicted count.
    """

    cluster: str
    published: Datum
    predicted: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """The published count lies in the interval."""
        return self.low <= self.published.value <= self.high


def score_clusters() -> list[ClusterScore]:
    """Every published cluster; none of them was used for the rates."""
    from scipy.stats import poisson

    found = []
    for name, row in read_yaml(CLUSTERS).items():
        rates = failure_causes(FailuresByCause(kind="by-cause"), row["gpus"], load_node())
        rate = sum(c.rate_per_s for c in rates if c.name in row["causes"])
        count = rate * row["days"] * 86_400
        low, high = (float(poisson.ppf(q, count)) for q in (0.025, 0.975))
        found.append(ClusterScore(name, to_datum(name, row["published"]), count, low, high))
    return found


def cluster_lines(scores: list[ClusterScore]) -> list[str]:
    """The table of failures, for the terminal."""
    head = f"{'cluster':24} {'published':>12} {'predicted':>12} {'95 % interval':>16}  verdict"
    lines = [head, "-" * len(head)]
    for s in scores:
        verdict = "within the interval" if s.holds else "MISS"
        interval = f"{s.low:.0f} to {s.high:.0f}"
        lines.append(
            f"{s.cluster:24} {s.published.value:12.5g} {s.predicted:12.5g} "
            f"{interval:>16}  {verdict}"
        )
    return lines


def table_lines(scores: list[RunScore]) -> list[str]:
    """The table of predicted against published, for the terminal."""
    head = f"{'run':24} {'measure':22} {'published':>12} {'predicted':>12} {'error':>8}  verdict"
    lines = [head, "-" * len(head)]
    for score in scores:
        error = "-" if score.bound else f"{score.error_frac:+.1%}"
        wanted = "above" if score.bound else ("50 %" if score.loose else "10 %")
        verdict = f"within {wanted}" if not score.bound else "above the bound"
        if not score.holds:
            verdict = f"MISS (wanted {wanted})"
        lines.append(
            f"{score.run:24} {score.measure:22} {score.published.value:12.5g} "
            f"{score.predicted:12.5g} {error:>8}  {verdict}"
        )
    return lines


def to_json(scores: list[RunScore]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "run": s.run,
            "measure": s.measure,
            "published": s.published.value,
            "predicted": s.predicted,
            "error_frac": s.error_frac,
            "bound": s.bound,
            "holds": s.holds,
            "source": f"{s.published.source} ({s.published.as_of})",
        }
        for s in scores
    ]


def clusters_json(scores: list[ClusterScore]) -> list[dict[str, Any]]:
    """Failures of other clusters, for machines."""
    return [
        {
            "cluster": s.cluster,
            "published": s.published.value,
            "predicted": s.predicted,
            "low": s.low,
            "high": s.high,
            "holds": s.holds,
            "source": f"{s.published.source} ({s.published.as_of})",
        }
        for s in scores
    ]
