"""One synchronous training job: step after step, a checkpoint now and then, an end.

All GPUs of the job move through a step together, so the job has one power signal. An
interruption throws the job back to its last checkpoint; orders from a control loop
suspend it, cap it or keep its power up.

Nothing changes between two events that the job knows of, so with `interval` fidelity all
whole steps until the next one pass as a single event at their mean power: the same steps,
times and energy as walking them, which `step` fidelity does. Steps in a `windows` of the
plan, and the step that an event cuts, are walked phase by phase in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

import numpy as np
import simpy

from sim.cluster.training.failures import Failures, SpareNodes
from sim.cluster.training.ledger import Ledger, Pace
from sim.cost.training import Phase, TrainingStepCost
from sim.errors import InputError
from sim.signals import Hook, StepSignal
from sim.units import to_ps

Steps = Generator[simpy.Event, None, None]
Fidelity = Literal["interval", "step"]
NEVER_PS: Final = 2**62
CUT_STEP: Final = "cut step"


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
        fidelity: `step` walks each step, `interval` only those that something disturbs.
        windows_ps: stretches of the clock in which every step is walked.
        until_ps: where the run ends: the step that this cuts is walked.
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
    fidelity: Fidelity = "interval"
    windows_ps: tuple[tuple[int, int], ...] = ()
    until_ps: int = NEVER_PS

    @property
    def reload(self) -> Phase:
        """Reading a checkpoint; without failures as long as writing it."""
        if self.failures:
            return self.failures.reload
        return replace(self.checkpoint, name="reload")


class _FailedError(Exception):
    """The job was interrupted by a failure; caught by the job itself."""


class TrainingJob:
    """A training job in a SimPy environment whose clock counts picoseconds.

    Signals: `chip_w` is the power of the job's GPUs.
    Hooks: `on_step` (steps that ended), `on_checkpoint`, `on_failure` tell how many there were.
    Orders: `suspend`, `resume`, `set_cap`, `set_floor_w`. An order takes effect at the next
    edge of a step; while the job saves or recovers, afterwards.

    Args:
        rng: draws the interruptions; needed if the plan has any.

    Attributes:
        lost_steps: steps that were thrown away. ledger: time and energy by use.
        done_at_ps: when the last step was saved; None before.
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
        self.ledger = Ledger()
        self.lost_steps = 0
        self.checkpoints_done = 0
        self.failures_seen = 0
        self.suspensions = 0
        self.done_at_ps: int | None = None
        self.open_stretch: tuple[str, float, int] | None = None
        self.cap_w = plan.cap_w
        self.floor_w = 0.0
        self._steps_done = 0
        self._walked: list[tuple[float, int]] = []
        self._forward_since_ps: int | None = None
        self._saved_at_ps = 0
        self._saved_steps = 0
        self._save_first: bool | None = None
        self._woken = False
        self._resumed: simpy.Event | None = None
        self._rng = rng if plan.failures else None
        self._fails_at_ps = NEVER_PS
        self._cost_of = cache(self._cost_under)
        self._new_pace()
        self._draw_failure()
        if plan.failures:
            self._spares = SpareNodes(plan.failures.spare_nodes, to_ps(plan.failures.repair_s))
        self.process = env.process(self.train_until_done())

    # What an observer may ask

    @property
    def now_ps(self) -> int:
        """The clock, whole picoseconds."""
        return int(self.env.now)

    @property
    def steps_done(self) -> int:
        """Steps that are not lost."""
        return self._steps_done + self.steps_under_way

    @property
    def steps_under_way(self) -> int:
        """Steps of the stretch that passes as one event now, that ended before now."""
        if self._forward_since_ps is None:
            return 0
        return max(0, self.now_ps - self._forward_since_ps - 1) // self.pace.step_ps

    @property
    def pace(self) -> Pace:
        """The steps that the job runs now."""
        return self.ledger.paces[-1]

    @property
    def suspended(self) -> bool:
        """True from the order to suspend until the order to resume."""
        return self._save_first is not None

    def accounts(self, end_ps: int) -> tuple[int, float]:
        """Booked picoseconds and J of one GPU up to now, with what is under way."""
        time_ps, energy_j = self.ledger.total_ps, self.ledger.energy_j()
        for power_w, ps in self._walked:
            time_ps, energy_j = time_ps + ps, energy_j + power_w * ps / 1e12
        if self.open_stretch:
            _, power_w, since_ps = self.open_stretch
            time_ps += end_ps - since_ps
            energy_j += power_w * (end_ps - since_ps) / 1e12
        return time_ps, energy_j

    # Orders from a control loop

    def suspend(self, save: bool = True) -> None:
        """Stop until `resume`: GPUs idle; with `save` a checkpoint is written first.

        After a saved stop the checkpoint is read again; without, the state stays in the
        GPUs' memory and the job goes on where it stopped. No failure strikes a stopped job.
        """
        if self.done_at_ps is None and self._save_first is None:
            self._save_first = save
            self._wake()

    def resume(self) -> None:
        """Go on after `suspend`; nothing if the job is not suspended."""
        self._save_first = None
        if self._resumed and not self._resumed.triggered:
            self._resumed.succeed()

    def set_cap(self, cap_w: float | None) -> None:
        """Cap the power of each GPU from the next step on, at most at the plan's own cap.

        Args:
            cap_w: None for the plan's own cap.

        Raises:
            InputError: the plan cannot cost other caps.
            CapacityError: the cap lies below what the lowest clock draws.
        """
        caps_w = [cap for cap in (cap_w, self.plan.cap_w) if cap is not None]
        wanted_w = min(caps_w, default=None)
        self._cost_of(wanted_w)
        self.cap_w = wanted_w
        self._wake()

    def set_floor_w(self, floor_w: float) -> None:
        """Keep each GPU at this power or more while it works or saves, by dummy work.

        A cap in force is kept: it limits the floor.

        Args:
            floor_w: 0 for none.
        """
        if not 0 <= floor_w <= self.plan.limit_gpu_w:
            raise InputError(
                f"a power floor of {floor_w:g} W is not between 0 W and the GPU's limit of "
                f"{self.plan.limit_gpu_w:g} W",
                "give a floor in between",
            )
        self.floor_w = floor_w
        self._wake()

    # The story

    def train_until_done(self) -> Steps:
        """The life of the job."""
        while self._steps_done < self.plan.steps:
            try:
                yield from self.obey_orders()
                yield from self.run_steps()
                if self.checkpoint_due():
                    yield from self.write_checkpoint()
            except _FailedError:
                yield from self.recover()
        self.done_at_ps = self.now_ps
        self.rest("done")

    def obey_orders(self) -> Steps:
        """Stop if told to, then work at the pace that is in force."""
        while self._save_first is not None:
            yield from self.stand_still(self._save_first)
        cost = self._cost_of(self.cap_w)
        if self.pace.cost is not cost or self.pace.floor_w != self._floor_in_force_w():
            self._new_pace()

    def run_steps(self) -> Steps:
        """Whole steps until something is due, as one stretch; or one step, phase by phase."""
        count = self._undisturbed_steps()
        if count > 1:
            yield from self.forward(count)
        else:
            yield from self.walk_step()
        self.on_step.emit(self.steps_done)

    def walk_step(self) -> Steps:
        """One step, phase by phase."""
        pace = self.pace
        for phase, phase_ps in zip(pace.phases, pace.phases_ps, strict=True):
            yield from self.hold(CUT_STEP, phase.gpu_power_w, phase_ps)
        self._walked.clear()
        pace.steps += 1
        self._steps_done += 1

    def forward(self, count: int) -> Steps:
        """Several steps at their mean power; an order ends them at the next step's edge."""
        pace, start_ps = self.pace, self.now_ps
        self._draw(pace.mean_w)
        self._forward_since_ps = start_ps
        self.open_stretch = (CUT_STEP, pace.mean_w, start_ps)
        end_ps = start_ps + count * pace.step_ps
        while self.now_ps < end_ps:
            try:
                yield self.env.timeout(end_ps - self.now_ps)
            except simpy.Interrupt:
                self._woken = False
                whole = -((start_ps - self.now_ps) // pace.step_ps)  # rounded up
                end_ps = start_ps + max(1, whole) * pace.step_ps
        count = (end_ps - start_ps) // pace.step_ps
        self._forward_since_ps, self.open_stretch = None, None
        pace.steps += count
        self._steps_done += count

    def write_checkpoint(self) -> Steps:
        """Save the state while all GPUs wait."""
        phase = self.plan.checkpoint
        power_w = max(phase.gpu_power_w, self._floor_in_force_w())
        yield from self.hold(phase.name, power_w, to_ps(phase.time_s))
        self._saved_at_ps, self._saved_steps = self.now_ps, self._steps_done
        self.checkpoints_done += 1
        self.on_checkpoint.emit(self.checkpoints_done)

    def stand_still(self, save: bool) -> Steps:
        """Idle until told to go on."""
        if save and self._saved_steps < self._steps_done:
            yield from self.write_checkpoint()
        self.suspensions += 1
        self._resumed = self.env.event()
        since_ps = self.now_ps
        if self._save_first is not None:
            self.rest("suspended")
            yield self._resumed
            self._close()
        waited_ps = self.now_ps - since_ps
        if save and waited_ps:
            reload = self.plan.reload
            yield from self.hold(reload.name, reload.gpu_power_w, to_ps(reload.time_s), safe=True)
        stopped_ps = self.now_ps - since_ps
        self._saved_at_ps += stopped_ps
        if self._fails_at_ps != NEVER_PS:
            self._fails_at_ps += stopped_ps

    def recover(self) -> Steps:
        """Back to the last checkpoint, with a new node."""
        failures = self.plan.failures
        assert failures is not None  # noqa: S101 - only a plan with failures is interrupted
        self.note_failure()
        wait_ps = self._spares.take(self.now_ps)
        yield from self.hold("wait for a node", self.plan.idle_gpu_w, wait_ps, safe=True)
        for phase in (failures.restart, failures.reload):
            yield from self.hold(phase.name, phase.gpu_power_w, to_ps(phase.time_s), safe=True)
        self._saved_at_ps = self.now_ps
        self._draw_failure()

    def note_failure(self) -> None:
        """Count what is lost."""
        for power_w, ps in self._walked:
            self.ledger.add(CUT_STEP, power_w, ps)
        self._walked.clear()
        self.lost_steps += self._steps_done - self._saved_steps
        self._steps_done = self._saved_steps
        self.failures_seen += 1
        self.on_failure.emit(self.failures_seen)

    def hold(self, what: str, gpu_power_w: float, time_ps: int, *, safe: bool = False) -> Steps:
        """Draw a power for a time; a failure cuts it, unless the job is `safe` from it.

        Raises:
            _FailedError: a failure came first.
        """
        fails_at_ps = NEVER_PS if safe else self._fails_at_ps
        left_ps = max(0, min(time_ps, fails_at_ps - self.now_ps))
        if time_ps == 0:
            return
        self._draw(gpu_power_w)
        self.open_stretch = (what, gpu_power_w, self.now_ps)
        yield self.env.timeout(left_ps)
        self.open_stretch = None
        if what == CUT_STEP:
            self._walked.append((gpu_power_w, left_ps))
        else:
            self.ledger.add(what, gpu_power_w, left_ps)
        if left_ps < time_ps:
            raise _FailedError

    def rest(self, what: str) -> None:
        """The GPUs idle from now on."""
        self._draw(self.plan.idle_gpu_w)
        self.open_stretch = (what, self.plan.idle_gpu_w, self.now_ps)

    # Small parts

    def checkpoint_due(self) -> bool:
        """True when the interval since the last checkpoint has passed, or the job is done."""
        last = self._steps_done == self.plan.steps
        return last or self.now_ps - self._saved_at_ps >= to_ps(self.plan.checkpoint_interval_s)

    def _undisturbed_steps(self) -> int:
        """Whole steps until the next thing that this job knows of; 0 where each is walked."""
        if self.plan.fidelity == "step" or self._orders_waiting():
            return 0
        step_ps, now_ps = self.pace.step_ps, self.now_ps
        due_ps = self._saved_at_ps + to_ps(self.plan.checkpoint_interval_s)
        until_due = max(1, -((now_ps - due_ps) // step_ps))  # rounded up
        edge_ps = min(self._fails_at_ps, self.plan.until_ps, self._next_window_ps())
        left = self.plan.steps - self._steps_done
        return min(until_due, left, max(0, edge_ps - now_ps) // step_ps)

    def _next_window_ps(self) -> int:
        """Start of the next window; now, if the job is in one."""
        ahead = [max(a, self.now_ps) for a, b in self.plan.windows_ps if b > self.now_ps]
        return min(ahead, default=NEVER_PS)

    def _orders_waiting(self) -> bool:
        return self._save_first is not None

    def _wake(self) -> None:
        """End a forward stretch at its next step edge."""
        if self._forward_since_ps is not None and not self._woken:
            self._woken = True
            self.process.interrupt()

    def _cost_under(self, cap_w: float | None) -> TrainingStepCost:
        if cap_w == self.plan.cap_w:
            return self.plan.step
        if self.plan.step_under is None:
            raise InputError(
                f"job {self.plan.name} has no cost of a step under a cap of {cap_w} W",
                "give its plan step_under",
            )
        return self.plan.step_under(cap_w)

    def _new_pace(self) -> None:
        self.ledger.paces.append(Pace(self._cost_of(self.cap_w), self._floor_in_force_w()))

    def _floor_in_force_w(self) -> float:
        return self.floor_w if self.cap_w is None else min(self.floor_w, self.cap_w)

    def _draw_failure(self) -> None:
        if self.plan.failures and self._rng:
            self._fails_at_ps = self.now_ps + to_ps(self.plan.failures.next_after_s(self._rng))

    def _draw(self, gpu_power_w: float) -> None:
        self.chip_w.set(self.now_ps, self.plan.step.gpus * gpu_power_w)

    def _close(self) -> None:
        """Book the open stretch."""
        if self.open_stretch:
            what, power_w, since_ps = self.open_stretch
            self.ledger.add(what, power_w, self.now_ps - since_ps)
            self.open_stretch = None
