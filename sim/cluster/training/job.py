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

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import simpy

from sim.cluster.training.cycle import Cycle
from sim.cluster.training.failures import Cause, SpareNodes
from sim.cluster.training.ledger import Ledger, Pace
from sim.cluster.training.plan import NEVER_PS, JobPlan
from sim.cluster.training.shape import Stair, fit_pause, slowed, stairs
from sim.cost.training import Phase, TrainingStepCost
from sim.errors import InputError
from sim.signals import Hook, StepSignal
from sim.units import to_ps, to_s

Steps = Generator[simpy.Event, None, None]
CUT_STEP: Final = "cut step"


class _FailedError(Exception):
    """The job was interrupted by a failure; caught by the job itself."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint: the steps in it, and from when on it counts."""

    steps: int
    since_ps: int


class TrainingJob:
    """A training job in a SimPy environment whose clock counts picoseconds.

    Signals: `chip_w` is the power of the job's GPUs.
    Hooks: `on_step` (steps that ended), `on_checkpoint`, `on_failure` tell how many there were.
    Orders: `suspend`, `resume`, `set_cap`, `set_floor_w`. An order takes effect at the next
    edge of a step; while the job saves or recovers, afterwards.

    Args:
        rng: draws the interruptions and slow nodes; needed if the plan has any.

    Attributes:
        lost_steps: steps that were thrown away. ledger: time and energy by use.
        failures_by_cause: how many interruptions of each kind.
        done_at_ps: when the last step was saved; None before.
        events: (time, what, steps done) of everything but steps and checkpoints.
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
        self.most_lost_steps = 0
        self.checkpoints_done = 0
        self.failures_seen = 0
        self.failures_by_cause: Counter[str] = Counter()
        self.suspensions = 0
        self.stragglers_seen = 0
        self.maintenances = 0
        self.done_at_ps: int | None = None
        self.open_stretch: tuple[str, float, int] | None = None
        self.events: list[tuple[int, str, int]] = []
        self.cap_w = plan.cap_w
        self.floor_w = plan.floor_w
        self._steps_done = 0
        self._walked: list[tuple[float, int]] = []
        self._forward_since_ps: int | None = None
        self._cycle = Cycle(1, 1, 0.0)
        self._saved = Saved(0, 0)
        self._writing: Saved | None = None
        self._save_clock_ps = 0
        self._save_after_ps = to_ps(_first_save_s(plan))
        self._save_first: bool | None = None
        self._woken = False
        self._resumed: simpy.Event | None = None
        self._rng = rng
        self._fails_at_ps = self._straggles_at_ps = NEVER_PS
        self._slow_until_ps: int | None = None
        self._maintained_at_ps = (
            to_ps(plan.maintenance.interval_s) if plan.maintenance else NEVER_PS
        )
        self._cost_of = cache(self._cost_under)
        self._new_pace()
        self._draw_failure()
        self._draw_straggler()
        failures = plan.failures
        self._spares = SpareNodes(
            failures.spare_nodes if failures else 0, to_ps(failures.repair_s if failures else 0.0)
        )
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
        gone_ps = max(0, self.now_ps - self._forward_since_ps - 1)
        return self._cycle.steps_in(gone_ps)

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
            time_ps, energy_j = time_ps + ps, energy_j + power_w * to_s(ps)
        if self.open_stretch:
            _, power_w, since_ps = self.open_stretch
            time_ps += end_ps - since_ps
            energy_j += power_w * to_s(end_ps - since_ps)
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
        self._cost_of(wanted_w, slow=False)
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
        yield from self.climb(self.plan.ramps.start_s)
        while self._steps_done < self.plan.steps:
            try:
                yield from self.obey_orders()
                yield from self.look_after_nodes()
                yield from self.run_steps()
                yield from self.do_what_is_due()
            except _FailedError:
                yield from self.recover()
        self.done_at_ps = self.now_ps
        yield from self.fall("done")
        self.rest("done")

    def obey_orders(self) -> Steps:
        """Stop if told to, then work at the pace that is in force."""
        while self._save_first is not None:
            yield from self.stand_still(self._save_first)
        self._set_pace()

    def look_after_nodes(self) -> Steps:
        """Planned maintenance; slow nodes found and replaced, new ones suffered."""
        if self.now_ps >= self._maintained_at_ps:
            yield from self.maintain()
        if self._slow_until_ps is not None and self.now_ps >= self._slow_until_ps:
            yield from self.replace_slow_node()
        elif self._slow_until_ps is None and self.now_ps >= self._straggles_at_ps:
            self._slow_down()

    def run_steps(self) -> Steps:
        """Whole steps until something is due, as one stretch; or one step, phase by phase."""
        cycle, count = self._undisturbed()
        if count > 1:
            yield from self.forward(cycle, count)
        else:
            yield from self.walk_step()
        self.on_step.emit(self.steps_done)

    def do_what_is_due(self) -> Steps:
        """Pauses after so many steps, then a checkpoint."""
        for pause in self.plan.pauses:
            if self._steps_done % pause.every_steps == 0:
                phase = pause.phase
                power_w = max(phase.gpu_power_w, self._floor_in_force_w())
                yield from self.hold(phase.name, power_w, to_ps(phase.time_s))
        if self.checkpoint_due():
            yield from self.write_checkpoint()

    def walk_step(self) -> Steps:
        """One step, phase by phase."""
        pace = self.pace
        for phase, phase_ps in zip(pace.phases, pace.phases_ps, strict=True):
            yield from self.hold(CUT_STEP, phase.gpu_power_w, phase_ps)
        self._walked.clear()
        pace.steps += 1
        self._steps_done += 1

    def forward(self, cycle: Cycle, count: int) -> Steps:
        """Several cycles at their mean power; an order ends them at the next step's edge."""
        start_ps = self.now_ps
        self._draw(cycle.mean_w)
        self._forward_since_ps, self._cycle = start_ps, cycle
        self.open_stretch = (CUT_STEP, cycle.mean_w, start_ps)
        end_ps = start_ps + count * cycle.length_ps
        while self.now_ps < end_ps:
            try:
                yield self.env.timeout(end_ps - self.now_ps)
            except simpy.Interrupt:
                self._woken = False
                end_ps = start_ps + cycle.next_edge_ps(self.now_ps - start_ps)
        self._forward_since_ps, self.open_stretch = None, None
        self._book_cycles(cycle, end_ps - start_ps)

    def _book_cycles(self, cycle: Cycle, passed_ps: int) -> None:
        """What a stretch of cycles did: whole ones, and the steps of one that an order cut."""
        pace, first = self.pace, self._steps_done
        whole, rest_ps = divmod(passed_ps, cycle.length_ps)
        extra = rest_ps // pace.step_ps
        pace.steps += whole * cycle.steps + extra
        self._steps_done += whole * cycle.steps + extra
        # Power was drawn at the mean of whole cycles; these steps by themselves draw another.
        self.ledger.passed_j += (cycle.mean_w - pace.mean_w) * to_s(rest_ps)
        if not cycle.save_ps or not whole:
            return
        phase, end_ps = self.plan.checkpoint, self.now_ps - rest_ps
        self.ledger.add(phase.name, cycle.save_w, whole * cycle.save_ps)
        for n in range(max(1, whole - 1), whole + 1):
            at_ps = end_ps - (whole - n) * cycle.length_ps
            self._count_checkpoint(first + n * cycle.steps, at_ps)
        self.checkpoints_done += max(0, whole - 2)
        self._save_clock_ps = end_ps

    def write_checkpoint(self, *, whole: bool = False) -> Steps:
        """Save the state while all GPUs wait; what is written beside the steps counts later.

        Args:
            whole: wait for all of it.
        """
        phase = self.plan.checkpoint
        power_w = max(phase.gpu_power_w, self._floor_in_force_w())
        yield from self.hold(phase.name, power_w, to_ps(phase.time_s))
        if whole and self.plan.background_s:
            yield from self.hold(phase.name, power_w, to_ps(self.plan.background_s))
        self._count_checkpoint(self._steps_done, self.now_ps, written=whole)
        self._restart_save_clock()
        self.on_checkpoint.emit(self.checkpoints_done)

    def _count_checkpoint(self, steps: int, at_ps: int, *, written: bool = False) -> None:
        """A checkpoint of so many steps was made; unless `written`, it may still be on its way."""
        background_ps = 0 if written else to_ps(self.plan.background_s)
        self._settle_saving(at_ps)
        if background_ps and steps < self.plan.steps:
            self._writing = Saved(steps, at_ps + background_ps)
        else:
            self._saved, self._writing = Saved(steps, at_ps), None
        self.checkpoints_done += 1

    def stand_still(self, save: bool) -> Steps:
        """Idle until told to go on."""
        if save and self._saved.steps < self._steps_done:
            yield from self.write_checkpoint(whole=True)
        self.suspensions += 1
        self._note("suspended")
        self._resumed = self.env.event()
        since_ps = self.now_ps
        yield from self.fall("suspended")
        if self._save_first is not None:
            self.rest("suspended")
            yield self._resumed
            self._close()
        self._note("resumed")
        if save and self.now_ps > since_ps:
            reload = self.plan.reload
            yield from self.hold(reload.name, reload.gpu_power_w, to_ps(reload.time_s), safe=True)
        yield from self.climb()
        self._shift_clocks(self.now_ps - since_ps)

    def maintain(self) -> Steps:
        """Save, stand still for the work that was planned, and start again."""
        plan = self.plan.maintenance
        assert plan is not None  # noqa: S101 - only then is there a time for it
        yield from self.write_checkpoint(whole=True)
        since_ps = self.now_ps
        self.maintenances += 1
        self._note("maintenance")
        yield from self.pause("maintenance", self.plan.idle_gpu_w, to_ps(plan.duration_s))
        yield from self.start_again(self._restart_phase())
        self._slow_until_ps = None
        self._shift_clocks(self.now_ps - since_ps)
        self._maintained_at_ps = self.now_ps + to_ps(plan.interval_s)

    def replace_slow_node(self) -> Steps:
        """Save, put a spare in place of the slow node, and start again."""
        yield from self.write_checkpoint(whole=True)
        since_ps = self.now_ps
        self._note("slow node replaced")
        yield from self.wait_for_node()
        yield from self.start_again(self._restart_phase())
        self._slow_until_ps = None
        self._shift_clocks(self.now_ps - since_ps)
        self._draw_straggler()
        self._set_pace()

    def recover(self) -> Steps:
        """Back to the last checkpoint, with a new node if one was lost."""
        cause = self.note_failure()
        since_ps = self.now_ps
        if cause.takes_node:
            yield from self.wait_for_node()
        yield from self.start_again(cause.restart)
        self._restart_save_clock()
        if self._slow_until_ps is not None:
            self._slow_until_ps = None
            self._draw_straggler()
        self._shift_clocks(self.now_ps - since_ps)
        self._draw_failure()

    def note_failure(self) -> Cause:
        """Count what is lost."""
        failures, rng = self.plan.failures, self._rng
        assert failures is not None  # noqa: S101 - only a plan with failures is interrupted
        assert rng is not None  # noqa: S101
        cause = failures.draw_cause(rng)
        for power_w, ps in self._walked:
            self.ledger.add(CUT_STEP, power_w, ps)
        self._walked.clear()
        self._settle_saving(self.now_ps)
        self._writing = None
        lost = self._steps_done - self._saved.steps
        self.lost_steps += lost
        self.most_lost_steps = max(self.most_lost_steps, lost)
        self._steps_done = self._saved.steps
        self.failures_seen += 1
        self.failures_by_cause[cause.name] += 1
        self._note(cause.name)
        self.on_failure.emit(self.failures_seen)
        return cause

    def wait_for_node(self) -> Steps:
        """Idle until a spare is at hand."""
        wait_ps = self._spares.take(self.now_ps)
        yield from self.pause("wait for a node", self.plan.idle_gpu_w, wait_ps, rises=False)

    def start_again(self, restart: Phase) -> Steps:
        """Start the processes and read the checkpoint."""
        reload = self.plan.reload
        yield from self.pause(restart.name, restart.gpu_power_w, to_ps(restart.time_s), rises=False)
        yield from self.pause(reload.name, reload.gpu_power_w, to_ps(reload.time_s))

    # Stretches of constant power

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

    def pause(self, what: str, gpu_power_w: float, time_ps: int, *, rises: bool = True) -> Steps:
        """A stretch without work, safe from failures; dummy work keeps the ramp limit in it."""
        down = self._stairs(self._gpu_w(), gpu_power_w)
        up = self._stairs(gpu_power_w, self.pace.mean_w) if rises else []
        for name, power_w, stair_ps in fit_pause(what, down, gpu_power_w, up, time_ps):
            yield from self.hold(name, power_w, stair_ps, safe=True)

    def climb(self, least_s: float = 0.0) -> Steps:
        """Raise the power to that of the steps within the ramp limit, before work begins."""
        for power_w, stair_ps in self._stairs(self._gpu_w(), self.pace.mean_w, least_s):
            yield from self.hold("ramp up", power_w, stair_ps, safe=True)

    def fall(self, what: str) -> Steps:
        """Let the power fall within the ramp limit."""
        for power_w, stair_ps in self._stairs(self._gpu_w(), self.plan.idle_gpu_w):
            yield from self.hold(what, power_w, stair_ps, safe=True)

    def rest(self, what: str) -> None:
        """The GPUs idle from now on."""
        self._draw(self.plan.idle_gpu_w)
        self.open_stretch = (what, self.plan.idle_gpu_w, self.now_ps)

    def _stairs(self, start_w: float, end_w: float, least_s: float = 0.0) -> list[Stair]:
        return stairs(start_w, end_w, self.plan.ramps.gpu_w_per_s, least_s)

    # Small parts

    def checkpoint_due(self) -> bool:
        """True when the interval since the last checkpoint has passed, or the job is done."""
        if self._steps_done == self.plan.steps:
            return True
        return self.now_ps >= self._save_due_ps()

    def _save_due_ps(self) -> int:
        due_ps = self._save_clock_ps + self._save_after_ps
        return max(due_ps, self._writing.since_ps) if self._writing else due_ps

    def _restart_save_clock(self) -> None:
        self._save_clock_ps = self.now_ps
        self._save_after_ps = to_ps(self.plan.checkpoint_interval_s)

    def _settle_saving(self, now_ps: int) -> None:
        """A checkpoint whose writing has ended counts."""
        if self._writing and self._writing.since_ps <= now_ps:
            self._saved, self._writing = self._writing, None

    def _undisturbed(self) -> tuple[Cycle, int]:
        """What passes as one event: cycles of steps and a save, or steps; 0 or 1: walk a step."""
        steps = Cycle(self.pace.step_ps, 1, self.pace.mean_w)
        if self.plan.fidelity == "step" or self._save_first is not None:
            return steps, 0
        edge_ps = min(self._fails_at_ps, self.plan.until_ps, self._next_window_ps())
        slow_ps = self._straggles_at_ps if self._slow_until_ps is None else self._slow_until_ps
        noticed_ps = min(slow_ps, self._maintained_at_ps)
        if self.now_ps == self._save_clock_ps:
            cycle = self._cycle_with_save()
            count = self._fitting_cycles(cycle, min(edge_ps, noticed_ps))
            if count > 1:
                return cycle, count
        return steps, self._fitting_steps(edge_ps, min(noticed_ps, self._save_due_ps()))

    def _cycle_with_save(self) -> Cycle:
        """Steps until the next checkpoint is due after the last one, and that checkpoint."""
        pace, checkpoint = self.pace, self.plan.checkpoint
        wait_ps = max(self._save_after_ps, to_ps(self.plan.background_s))
        steps = max(1, -(-wait_ps // pace.step_ps))
        save_w = max(checkpoint.gpu_power_w, self._floor_in_force_w())
        return Cycle(pace.step_ps, steps, pace.mean_w, to_ps(checkpoint.time_s), save_w)

    def _fitting_cycles(self, cycle: Cycle, edge_ps: int) -> int:
        """Whole cycles before anything else happens; the last steps are left to others."""
        left = self.plan.steps - self._steps_done - 1
        pauses = [p.every_steps - self._steps_done % p.every_steps - 1 for p in self.plan.pauses]
        by_time = max(0, edge_ps - self.now_ps - 1) // cycle.length_ps
        return min(by_time, min(left, *pauses, left) // cycle.steps)

    def _fitting_steps(self, edge_ps: int, noticed_ps: int) -> int:
        """Whole steps before an edge, and as many as it takes to notice what waits for one."""
        step_ps, now_ps = self.pace.step_ps, self.now_ps
        until_noticed = max(1, -((now_ps - noticed_ps) // step_ps))  # rounded up
        left = self.plan.steps - self._steps_done
        pauses = [p.every_steps - self._steps_done % p.every_steps for p in self.plan.pauses]
        return min(until_noticed, left, max(0, edge_ps - now_ps) // step_ps, *pauses)

    def _next_window_ps(self) -> int:
        """Start of the next window; now, if the job is in one."""
        ahead = [max(a, self.now_ps) for a, b in self.plan.windows_ps if b > self.now_ps]
        return min(ahead, default=NEVER_PS)

    def _wake(self) -> None:
        """End a forward stretch at its next step edge."""
        if self._forward_since_ps is not None and not self._woken:
            self._woken = True
            self.process.interrupt()

    def _cost_under(self, cap_w: float | None, *, slow: bool) -> TrainingStepCost:
        if slow and self.plan.stragglers:
            cost = self._cost_of(cap_w, slow=False)
            return slowed(cost, self.plan.stragglers.slow_frac, self.plan.wait_w)
        if cap_w == self.plan.cap_w:
            return self.plan.step
        if self.plan.step_under is None:
            raise InputError(
                f"job {self.plan.name} has no cost of a step under a cap of {cap_w} W",
                "give its plan step_under",
            )
        return self.plan.step_under(cap_w)

    def _set_pace(self) -> None:
        cost = self._cost_of(self.cap_w, slow=self._slow_until_ps is not None)
        if self.pace.cost is not cost or self.pace.floor_w != self._floor_in_force_w():
            self._new_pace()

    def _new_pace(self) -> None:
        cost = self._cost_of(self.cap_w, slow=self._slow_until_ps is not None)
        limit = self.plan.ramps.gpu_w_per_s
        self.ledger.paces.append(Pace(cost, self._floor_in_force_w(), limit))

    def _floor_in_force_w(self) -> float:
        return self.floor_w if self.cap_w is None else min(self.floor_w, self.cap_w)

    def _restart_phase(self) -> Phase:
        failures = self.plan.failures
        return failures.restart if failures else Phase("restart", 0.0, self.plan.idle_gpu_w)

    def _draw_failure(self) -> None:
        if self.plan.failures and self._rng:
            self._fails_at_ps = self.now_ps + to_ps(self.plan.failures.next_after_s(self._rng))

    def _draw_straggler(self) -> None:
        self._straggles_at_ps = NEVER_PS
        if self.plan.stragglers and self._rng:
            after_s = float(self._rng.exponential(1 / self.plan.stragglers.rate_per_s))
            self._straggles_at_ps = self.now_ps + to_ps(after_s)

    def _slow_down(self) -> None:
        assert self.plan.stragglers is not None  # noqa: S101 - only then is one drawn
        self.stragglers_seen += 1
        self._note("slow node")
        self._slow_until_ps = self.now_ps + to_ps(self.plan.stragglers.detect_s)
        self._set_pace()

    def _shift_clocks(self, stopped_ps: int) -> None:
        """Nothing fails, slows down or falls due while the job stands."""
        self._save_clock_ps = min(self.now_ps, self._save_clock_ps + stopped_ps)
        for name in ("_fails_at_ps", "_straggles_at_ps", "_slow_until_ps"):
            at_ps = getattr(self, name)
            if at_ps is not None and at_ps != NEVER_PS:
                setattr(self, name, at_ps + stopped_ps)

    def _gpu_w(self) -> float:
        return self.chip_w.value / self.plan.step.gpus

    def _draw(self, gpu_power_w: float) -> None:
        self.chip_w.set(self.now_ps, self.plan.step.gpus * gpu_power_w)

    def _note(self, what: str) -> None:
        self.events.append((self.now_ps, what, self._steps_done))

    def _close(self) -> None:
        """Book the open stretch."""
        if self.open_stretch:
            what, power_w, since_ps = self.open_stretch
            self.ledger.add(what, power_w, self.now_ps - since_ps)
            self.open_stretch = None


def _first_save_s(plan: JobPlan) -> float:
    first_s = plan.first_save_after_s
    return plan.checkpoint_interval_s if first_s is None else first_s
