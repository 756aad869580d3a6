"""How far each assumed figure of a training step, alone at its low and its high, moves the jobs.

The cost model prices each job's step again with the figure set; nothing is simulated again. The
load follows from the mean power of a step, so what a job does besides its steps (checkpoints,
restarts) keeps its share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sim.cost.training import training_step
from sim.datum import Datum, data, figures_set
from sim.scenario.build import gpu_cap_w
from sim.scenario.jobs import training_setup
from sim.scenario.schema import TrainingSpec
from sim.scenario.uncertainty import meter_at_peak
from sim.units import MEGA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.cost.training_setup import TrainingSetup
    from sim.hardware.node import Node
    from sim.scenario.simulate import Outcome

ASSUMPTIONS: Final = "training/assumptions.yaml"
GROUPS: Final = frozenset({"overlap", "pace", "experts"})
"""Groups of figures that a step's time and power follow from."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the cost model sees it.

    Args:
        gpus: of this part of the job. meter_per_chip: W at the meter per W at the chips.
    """

    setup: TrainingSetup
    node: Node
    gpus: int
    meter_per_chip: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What all jobs draw at the meter in their steps, and how fast they train."""

    load_mw: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Moved:
    """A figure, and what all jobs do with it at its low and at its high, against its value.

    Args:
        load_mw: change of the load at the meter. speed_frac: change of tokens per second, 0..1.
    """

    figure: Datum
    load_mw: tuple[float, float]
    speed_frac: tuple[float, float]


def training_influences(outcome: Outcome) -> list[Moved]:
    """Of every assumed figure of a training step; empty without jobs."""
    jobs = _jobs(outcome)
    if not jobs:
        return []
    nominal = _pace(jobs)
    found = []
    for name, figure in step_figures().items():
        ends = [_pace_with(jobs, name, end) for end in (figure.low, figure.high) if end is not None]
        low, high = ends
        found.append(
            Moved(
                figure,
                (low.load_mw - nominal.load_mw, high.load_mw - nominal.load_mw),
                (
                    low.tokens_per_s / nominal.tokens_per_s - 1,
                    high.tokens_per_s / nominal.tokens_per_s - 1,
                ),
            )
        )
    return found


def step_figures() -> Mapping[str, Datum]:
    """Figures with a range that a step follows from, by name."""
    return {
        name: figure
        for name, figure in data(ASSUMPTIONS).items()
        if figure.is_assumption and name.partition(".")[0] in GROUPS
    }


def _jobs(outcome: Outcome) -> list[Job]:
    cap_w = gpu_cap_w(outcome.simulation.scenario.control)
    found = []
    for site in outcome.sites:
        specs = [w for w in site.run.spec.workloads if isinstance(w, TrainingSpec)]
        if not specs:
            continue
        plant, _ = meter_at_peak(outcome, site)
        slope = plant.parts(1.0).facility_w - plant.parts(0.0).facility_w
        for spec in specs:
            gpus = site.run.jobs[spec.name].plan.step.gpus
            found.append(Job(training_setup(spec, cap_w), site.run.plant.node, gpus, slope))
    return found


def _pace_with(jobs: Sequence[Job], name: str, value: float) -> Pace:
    with figures_set({f"{ASSUMPTIONS}:{name}": value}):
        return _pace(jobs)


def _pace(jobs: Sequence[Job]) -> Pace:
    load_mw = tokens_per_s = 0.0
    for job in jobs:
        step = training_step(job.setup, job.node)
        gpu_w = step.energy_j / step.gpus / step.time_s
        load_mw += job.gpus * gpu_w * job.meter_per_chip / MEGA
        tokens_per_s += step.tokens / step.mean_time_s * job.gpus / step.gpus
    return Pace(load_mw, tokens_per_s)
