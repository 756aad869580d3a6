"""How far a job can look ahead: what passes as one event before anything else happens."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cluster.training.cycle import Cycle
from sim.cluster.training.ledger import Pace
from sim.cluster.training.nodes import Nodes
from sim.cluster.training.plan import NEVER_PS, JobPlan
from sim.cluster.training.saves import Saves
from sim.units import to_ps


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a job knows at the edge of a step.

    Args:
        steps_done: steps that are kept. save_w: W of a GPU while it saves.
    """

    plan: JobPlan
    pace: Pace
    nodes: Nodes
    saves: Saves
    now_ps: int
    steps_done: int
    save_w: float

    def undisturbed(self) -> tuple[Cycle, int]:
        """What passes as one event: cycles of steps and a save, or steps; 0 or 1: walk a step."""
        edge_ps = min(self.nodes.fails_at_ps, self.plan.until_ps, self._next_window_ps())
        noticed_ps = self.nodes.noticed_at_ps
        if self.now_ps == self.saves.clock_ps and self.saves.is_regular:
            cycle = self._cycle_with_save()
            count = self._fitting_cycles(cycle, min(edge_ps, noticed_ps))
            if count > 1:
                return cycle, count
        steps = Cycle(self.pace.step_ps, 1, self.pace.mean_w)
        return steps, self._fitting_steps(edge_ps, min(noticed_ps, self.saves.due_ps))

    def _cycle_with_save(self) -> Cycle:
        """Steps until the next checkpoint is due after the last one, and that checkpoint."""
        wait_ps = max(self.saves.interval_ps, self.saves.background_ps)
        steps = max(1, -(-wait_ps // self.pace.step_ps))
        save_ps = to_ps(self.plan.checkpoint.time_s)
        return Cycle(self.pace.step_ps, steps, self.pace.mean_w, save_ps, self.save_w)

    def _fitting_cycles(self, cycle: Cycle, edge_ps: int) -> int:
        """Whole cycles before anything else happens; the last steps are left to others."""
        left = self.plan.steps - self.steps_done - 1
        pauses = [p.every_steps - self.steps_done % p.every_steps - 1 for p in self.plan.pauses]
        by_time = max(0, edge_ps - self.now_ps - 1) // cycle.length_ps
        return min(by_time, min([left, *pauses]) // cycle.steps)

    def _fitting_steps(self, edge_ps: int, noticed_ps: int) -> int:
        """Whole steps before an edge, and as many as it takes to notice what waits for one."""
        step_ps, now_ps = self.pace.step_ps, self.now_ps
        until_noticed = max(1, -((now_ps - noticed_ps) // step_ps))  # rounded up
        left = self.plan.steps - self.steps_done
        pauses = [p.every_steps - self.steps_done % p.every_steps for p in self.plan.pauses]
        return min(until_noticed, left, max(0, edge_ps - now_ps) // step_ps, *pauses)

    def _next_window_ps(self) -> int:
        """Start of the next window; now, if the job is in one."""
        ahead = [max(a, self.now_ps) for a, b in self.plan.windows_ps if b > self.now_ps]
        return min(ahead, default=NEVER_PS)
