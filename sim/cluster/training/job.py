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

import numpy as np
import simpy

from sim.cluster.training.ahead import Outlook
from sim.cluster.training.cycle import Cycle
from sim.cluster.training.failures import Cause
from sim.cluster.training.nodes import Nodes
from sim.cluster.training.orders import Ordered
from sim.cluster.training.plan import JobPlan, Outage
from sim.cluster.training.saves import Saves
from sim.cluster.training.stretches import CUT_STEP, FailedError, Steps
from sim.cost.training import Phase
from sim.signals import Hook
from sim.units import to_ps, to_s


class TrainingJob(Ordered):
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
        super().__init__(env, plan, Nodes(plan, rng))
        self.on_step: Hook[int] = Hook()
        self.on_checkpoint: Hook[int] = Hook()
        self.on_failure: Hook[int] = Hook()
        self.lost_steps = 0
        self.most_lost_steps = 0
        self.checkpoints_done = 0
        self.failures_seen = 0
        self.failures_by_cause: Counter[str] = Counter()
        self.suspensions = 0
        self.stragglers_seen = 0
        self.maintenances = 0
        self.events: list[tuple[int, str, int]] = []
        self._steps_done = 0
        self._cycle = Cycle(1, 1, 0.0)
        self._saves = Saves(plan)
        self.process = env.process(self.train_until_done())

    # What an observer may ask

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
            except FailedError:
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
        nodes = self._nodes
        if self.now_ps >= nodes.maintained_at_ps:
            yield from self.maintain()
        if nodes.slow_until_ps is not None and self.now_ps >= nodes.slow_until_ps:
            yield from self.replace_slow_node()
        elif not nodes.is_slow and self.now_ps >= nodes.straggles_at_ps:
            self.stragglers_seen += 1
            self._note("slow node")
            nodes.slow_down(self.now_ps)
            self._set_pace()

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
            self._saves.count(first + n * cycle.steps, at_ps)
        self.checkpoints_done += whole
        self._saves.restart_clock(end_ps)

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
        self._saves.count(self._steps_done, self.now_ps, written=whole)
        self._saves.restart_clock(self.now_ps)
        self.checkpoints_done += 1
        self.on_checkpoint.emit(self.checkpoints_done)

    def stand_still(self, save: bool) -> Steps:
        """Idle until told to go on."""
        if save and self._saves.steps < self._steps_done:
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
        self._nodes.all_well()
        self._shift_clocks(self.now_ps - since_ps)
        self._nodes.plan_maintenance(self.now_ps)

    def replace_slow_node(self) -> Steps:
        """Save, put a spare in place of the slow node, and start again."""
        yield from self.write_checkpoint(whole=True)
        since_ps = self.now_ps
        self._note("slow node replaced")
        yield from self.wait_for_node()
        yield from self.start_again(self._restart_phase())
        self._nodes.all_well()
        self._shift_clocks(self.now_ps - since_ps)
        self._nodes.draw_straggler(self.now_ps)
        self._set_pace()

    def recover(self) -> Steps:
        """Back to the last checkpoint: when the power is back, or with a new node."""
        if (outage := self._nodes.take_outage(self.now_ps)) is not None:
            yield from self.stand_dark(outage)
            return
        cause = self.note_failure()
        since_ps = self.now_ps
        if cause.takes_node:
            yield from self.wait_for_node()
        yield from self.start_again(cause.restart)
        self._saves.restart_clock(self.now_ps)
        if self._nodes.is_slow:
            self._nodes.all_well()
            self._nodes.draw_straggler(self.now_ps)
        self._shift_clocks(self.now_ps - since_ps)
        self._nodes.draw_failure(self.now_ps)

    def stand_dark(self, outage: Outage) -> Steps:
        """Nothing is drawn by what lost its power; then the whole job starts again."""
        self.roll_back(outage.name)
        since_ps = self.now_ps
        dark_w = self.plan.idle_gpu_w * (1 - outage.dark_frac)
        yield from self.hold(outage.name, dark_w, max(0, outage.until_ps - since_ps), safe=True)
        yield from self.start_again(Phase("restart", outage.restart_s, self.plan.idle_gpu_w))
        self._saves.restart_clock(self.now_ps)
        self._shift_clocks(self.now_ps - since_ps)

    def note_failure(self) -> Cause:
        """Count what is lost when a node fails."""
        cause = self._nodes.draw_cause()
        self.roll_back(cause.name)
        return cause

    def roll_back(self, cause: str) -> None:
        """Only what the last checkpoint holds is left."""
        for power_w, ps in self._walked:
            self.ledger.add(CUT_STEP, power_w, ps)
        self._walked.clear()
        kept = self._saves.roll_back(self.now_ps)
        lost = self._steps_done - kept
        self.lost_steps += lost
        self.most_lost_steps = max(self.most_lost_steps, lost)
        self._steps_done = kept
        self.failures_seen += 1
        self.failures_by_cause[cause] += 1
        self._note(cause)
        self.on_failure.emit(self.failures_seen)

    def wait_for_node(self) -> Steps:
        """Idle until a spare is at hand."""
        wait_ps = self._nodes.spares.take(self.now_ps)
        yield from self.pause("wait for a node", self.plan.idle_gpu_w, wait_ps, rises=False)

    def start_again(self, restart: Phase) -> Steps:
        """Start the processes and read the checkpoint."""
        reload = self.plan.reload
        yield from self.pause(restart.name, restart.gpu_power_w, to_ps(restart.time_s), rises=False)
        yield from self.pause(reload.name, reload.gpu_power_w, to_ps(reload.time_s))

    # Small parts

    def checkpoint_due(self) -> bool:
        """True when the interval since the last checkpoint has passed, or the job is done."""
        if self._steps_done == self.plan.steps:
            return True
        return self.now_ps >= self._saves.due_ps

    def _undisturbed(self) -> tuple[Cycle, int]:
        """What passes as one event, and how often; 0 or 1: a step is walked."""
        pace = self.pace
        if self.plan.fidelity == "step" or self._save_first is not None:
            return Cycle(pace.step_ps, 1, pace.mean_w), 0
        save_w = max(self.plan.checkpoint.gpu_power_w, self._floor_in_force_w())
        return Outlook(
            self.plan, pace, self._nodes, self._saves, self.now_ps, self._steps_done, save_w
        ).undisturbed()

    def _restart_phase(self) -> Phase:
        failures = self.plan.failures
        return failures.restart if failures else Phase("restart", 0.0, self.plan.idle_gpu_w)

    def _shift_clocks(self, stopped_ps: int) -> None:
        """Nothing fails, slows down or falls due while the job stands."""
        self._saves.shift(stopped_ps, self.now_ps)
        self._nodes.shift(stopped_ps)

    def _note(self, what: str) -> None:
        self.events.append((self.now_ps, what, self._steps_done))
