"""One synchronous training job: step after step, a checkpoint now and then, an end.

All GPUs of the job move through a step together, so the job has one power signal. A step
is two phases: `pipeline` (forward, backward, their exchanges and the bubble, at their mean
power) and `synchronise` (gradients and optimiser). The difference between the two is the
swing that the grid sees. An interruption throws the job back to its last checkpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import simpy

from sim.cluster.training.failures import Failures, SpareNodes
from sim.cost.training import Phase, TrainingStepCost
from sim.signals import Hook, StepSignal
from sim.units import to_ps

Steps = Generator[simpy.Event, None, None]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What a job does: how many steps of which cost, and how it saves its state.

    Args:
        steps: steps until the job is done.
        checkpoint: the phase that writes a checkpoint.
        checkpoint_interval_s: least time between two checkpoints, counted from the end of one.
        idle_gpu_w: power of one GPU when the job is done.
        failures: what interrupts it; None for nothing.
    """

    name: str
    step: TrainingStepCost
    steps: int
    checkpoint: Phase
    checkpoint_interval_s: float
    idle_gpu_w: float
    failures: Failures | None = None


class TrainingJob:
    """A training job in a SimPy environment whose clock counts picoseconds.

    Signals: `chip_w` is the power of the job's GPUs.
    Hooks: `on_step`, `on_checkpoint` and `on_failure` tell how many there were.

    Args:
        rng: draws the interruptions; needed if the plan has any.

    Attributes:
        steps_done: steps that are not lost. lost_steps: steps that were thrown away.
        cut_ps: time spent in phases that an interruption cut, by phase name.
    """

    def __init__(
        self, env: simpy.Environment, plan: JobPlan, rng: np.random.Generator | None = None
    ):
        self.env = env
        self.plan = plan
        self.chip_w = StepSignal(f"{plan.name}.chip_w", plan.step.gpus * plan.idle_gpu_w)
        self.on_step: Hook[int] = Hook()
        self.on_checkpoint: Hook[int] = Hook()
        self.on_failure: Hook[int] = Hook()
        self.steps_done = 0
        self.lost_steps = 0
        self.checkpoints_done = 0
        self.failures_seen = 0
        self.done_at_ps: int | None = None
        self.phases_done: Counter[str] = Counter()
        self.cut_ps: Counter[str] = Counter()
        self.waited_ps = 0
        self.phase_now: Phase | None = None
        self.phase_since_ps = 0
        self._saved_at_ps = 0
        self._saved_steps = 0
        self.process = env.process(self.train_until_done())
        if plan.failures and rng is not None:
            self._spares = SpareNodes(plan.failures.spare_nodes, to_ps(plan.failures.repair_s))
            env.process(self.fail_now_and_then(plan.failures, rng))

    @property
    def now_ps(self) -> int:
        """The clock, whole picoseconds."""
        return int(self.env.now)

    def train_until_done(self) -> Steps:
        """The life of the job."""
        while self.steps_done < self.plan.steps:
            try:
                yield from self.run_step()
                if self.checkpoint_due():
                    yield from self.write_checkpoint()
            except simpy.Interrupt:
                yield from self.recover()
        self.rest()

    def run_step(self) -> Steps:
        """One optimiser step."""
        for phase in self.plan.step.phases:
            yield from self.spend(phase)
        self.steps_done += 1
        self.on_step.emit(self.steps_done)

    def write_checkpoint(self) -> Steps:
        """Save the state while all GPUs wait."""
        yield from self.spend(self.plan.checkpoint)
        self._saved_at_ps, self._saved_steps = self.now_ps, self.steps_done
        self.checkpoints_done += 1
        self.on_checkpoint.emit(self.checkpoints_done)

    def checkpoint_due(self) -> bool:
        """True when the interval since the last checkpoint has passed, or the job is done."""
        waited_ps = self.now_ps - self._saved_at_ps
        last = self.steps_done == self.plan.steps
        return last or waited_ps >= to_ps(self.plan.checkpoint_interval_s)

    def fail_now_and_then(self, failures: Failures, rng: np.random.Generator) -> Steps:
        """Interrupt the job after exponential stretches of its work."""
        while True:
            yield self.env.timeout(to_ps(failures.next_after_s(rng)))
            if not self.process.is_alive:
                return
            self.process.interrupt()
            yield self.recovered()

    def recovered(self) -> simpy.Event:
        """An event that happens when the job works again."""
        self._recovery: simpy.Event = self.env.event()
        return self._recovery

    def recover(self) -> Steps:
        """Back to the last checkpoint, with a new node."""
        failures = self.plan.failures
        assert failures is not None  # noqa: S101 - only a plan with failures is interrupted
        self.note_failure()
        yield from self.wait_for_node(self._spares.take(self.now_ps))
        yield from self.spend(failures.restart)
        yield from self.spend(failures.reload)
        self._saved_at_ps = self.now_ps
        self._recovery.succeed()

    def note_failure(self) -> None:
        """Count what is lost."""
        if self.phase_now:
            self.cut_ps[self.phase_now.name] += self.now_ps - self.phase_since_ps
            self.phase_now = None
        self.lost_steps += self.steps_done - self._saved_steps
        self.steps_done = self._saved_steps
        self.failures_seen += 1
        self.on_failure.emit(self.failures_seen)

    def wait_for_node(self, wait_ps: int) -> Steps:
        """Idle until a node comes back from repair."""
        if wait_ps:
            idle = Phase("wait for a node", 0.0, self.plan.idle_gpu_w)
            self.phase_now, self.phase_since_ps = idle, self.now_ps
            self.chip_w.set(self.now_ps, self.plan.step.gpus * self.plan.idle_gpu_w)
            yield self.env.timeout(wait_ps)
            self.waited_ps += wait_ps
            self.phase_now = None

    def spend(self, phase: Phase) -> Steps:
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
