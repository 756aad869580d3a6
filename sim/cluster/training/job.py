"""One synchronous training job: step after step, a checkpoint now and then, an end.

All GPUs of the job move through a step together, so the job has one power signal. A step
is two phases: `pipeline` (forward, backward, their exchanges and the bubble, at their mean
power) and `synchronise` (gradients and optimiser). The difference between the two is the
swing that the grid sees. Failures are not modelled yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass

import simpy

from sim.cost.training import Phase, TrainingStepCost
from sim.signals import Hook, StepSignal
from sim.units import to_ps


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job does: how many steps of which cost, and how it saves its state.

    Args:
        steps: steps until the job is done.
        checkpoint: the phase that writes a checkpoint.
        checkpoint_interval_s: least time between two checkpoints, counted from the end of one.
        idle_gpu_w: power of one GPU when the job is done.
    """

    name: str
    step: TrainingStepCost
    steps: int
    checkpoint: Phase
    checkpoint_interval_s: float
    idle_gpu_w: float


class TrainingJob:
    """A training job in a SimPy environment whose clock counts picoseconds.

    Signals: `chip_w` is the power of the job's GPUs.
    Hooks: `on_step` and `on_checkpoint` tell the number of steps or checkpoints done.
    """

    def __init__(self, env: simpy.Environment, plan: JobPlan):
        self.env = env
        self.plan = plan
        self.chip_w = StepSignal(f"{plan.name}.chip_w", plan.step.gpus * plan.idle_gpu_w)
        self.on_step: Hook[int] = Hook()
        self.on_checkpoint: Hook[int] = Hook()
        self.steps_done = 0
        self.checkpoints_done = 0
        self.done_at_ps: int | None = None
        self.phases_done: Counter[str] = Counter()
        self.phase_now: Phase | None = None
        self.phase_since_ps = 0
        self._saved_at_ps = 0
        self.process = env.process(self.train_until_done())

    @property
    def now_ps(self) -> int:
        """The clock, whole picoseconds."""
        return int(self.env.now)

    def train_until_done(self) -> Generator[simpy.Event, None, None]:
        """The life of the job."""
        while self.steps_done < self.plan.steps:
            yield from self.run_step()
            if self.checkpoint_due():
                yield from self.write_checkpoint()
        self.rest()

    def run_step(self) -> Generator[simpy.Event, None, None]:
        """One optimiser step."""
        for phase in self.plan.step.phases:
            yield from self.spend(phase)
        self.steps_done += 1
        self.on_step.emit(self.steps_done)

    def write_checkpoint(self) -> Generator[simpy.Event, None, None]:
        """Save the state while all GPUs wait."""
        yield from self.spend(self.plan.checkpoint)
        self._saved_at_ps = self.now_ps
        self.checkpoints_done += 1
        self.on_checkpoint.emit(self.checkpoints_done)

    def checkpoint_due(self) -> bool:
        """True when the interval since the last checkpoint has passed, or the job is done."""
        waited_ps = self.now_ps - self._saved_at_ps
        last = self.steps_done == self.plan.steps
        return last or waited_ps >= to_ps(self.plan.checkpoint_interval_s)

    def spend(self, phase: Phase) -> Generator[simpy.Event, None, None]:
        """Draw the phase's power for its time."""
        self.phase_now, self.phase_since_ps = phase, self.now_ps
        self.chip_w.set(self.now_ps, self.plan.step.gpus * phase.gpu_power_w)
        yield self.env.timeout(to_ps(phase.time_s))
        self.phases_done[phase.name] += 1
        self.phase_now = None

    def rest(self) -> None:
        """The job is done: its GPUs idle."""
        self.done_at_ps = self.now_ps
        self.chip_w.set(self.now_ps, self.plan.step.gpus * self.plan.idle_gpu_w)
