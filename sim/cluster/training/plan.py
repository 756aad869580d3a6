"""What a training job does: its steps, how it saves, what pauses and what interrupts it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from sim.cluster.training.failures import Failures
from sim.cost.training import Phase, TrainingStepCost

Fidelity = Literal["interval", "step"]
NEVER_PS: Final = 2**100  # no array holds it: only compared


@dataclass(frozen=True, slots=True)
class Pause:
    """Something that all GPUs do after every so many steps: evaluate, average over regions."""

    phase: Phase
    every_steps: int


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Planned interruptions: the job saves, stands still, and starts again."""

    interval_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Stragglers:
    """Slow nodes. One slows the whole job until it is found and replaced.

    Args:
        rate_per_s: of the whole job, per second of work. slow_frac: longer pipeline phases.
        detect_s: from the first slow step to the replacement.
    """

    rate_per_s: float
    slow_frac: float
    detect_s: float


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without power that is known beforehand: a fault of the grid in a scenario.

    A job that stands or recovers then draws what it would; it notices when it goes on.

    Args:
        at_ps, until_ps: when the power goes and is back.
        dark_frac: share of the job's GPUs without power; the others idle.
        restart_s: from power to reading the checkpoint. name: under which it is booked.
    """

    at_ps: int
    until_ps: int
    dark_frac: float = 1.0
    restart_s: float = 0.0
    name: str = "no power"


@dataclass(frozen=True, slots=True)
class Ramps:
    """How fast the job's power may change; dummy work keeps it from falling or rising faster.

    Args:
        gpu_w_per_s: limit on the change of a GPU's power.
        start_s: time over which a cold start is spread in any case.
    """

    gpu_w_per_s: float = math.inf
    start_s: float = 0.0


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job does: how many steps of which cost, and how it saves its state.

    Args:
        steps: steps until the job is done.
        checkpoint: the phase that writes a checkpoint.
        checkpoint_interval_s: least time between two checkpoints, counted from the end of one.
        idle_gpu_w: power of one GPU when the job is done.
        limit_gpu_w: most that a GPU can draw.
        failures: what interrupts it; None for nothing.
        step_under: cost of a step under a power cap of each GPU; None: the job takes no cap.
        cap_w: the cap that `step` was computed for.
        floor_w: power that dummy work keeps each GPU at while the job works.
        fidelity: `step` walks each step, `interval` only those that something disturbs.
        windows_ps: stretches of the clock in which every step is walked.
        until_ps: where the run ends: the step that this cuts is walked.
        background_s: writing of a checkpoint that goes on beside the steps, after the copy
            that `checkpoint` stands for (asynchronous saving). It counts from its end, and the
            next one waits for it.
        first_save_after_s: work before the first checkpoint is due, so that jobs that share a
            meter do not save at once; None: the interval.
        pauses, maintenance, stragglers: what else takes time; none of it by default.
        wait_w: power of a GPU that waits for a slow one.
        outages: when its power goes.
    """

    name: str
    step: TrainingStepCost
    steps: int
    checkpoint: Phase
    checkpoint_interval_s: float
    idle_gpu_w: float
    failures: Failures | None = None
    step_under: Callable[[float | None], TrainingStepCost] | None = None
    cap_w: float | None = None
    limit_gpu_w: float = math.inf
    floor_w: float = 0.0
    fidelity: Fidelity = "interval"
    windows_ps: tuple[tuple[int, int], ...] = ()
    until_ps: int = NEVER_PS
    background_s: float = 0.0
    first_save_after_s: float | None = None
    pauses: tuple[Pause, ...] = ()
    maintenance: Maintenance | None = None
    stragglers: Stragglers | None = None
    ramps: Ramps = Ramps()
    wait_w: float = 0.0
    outages: tuple[Outage, ...] = ()

    @property
    def reload(self) -> Phase:
        """Reading a checkpoint; without failures as long as writing it."""
        if self.failures:
            return self.failures.reload
        whole_s = self.checkpoint.time_s + self.background_s
        return replace(self.checkpoint, name="reload", time_s=whole_s)
