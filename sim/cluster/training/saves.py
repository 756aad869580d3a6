"""The checkpoints of a job: when the next is due, and which steps are safe."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cluster.training.plan import JobPlan
from sim.units import to_ps


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint: the steps in it, and from when on it counts."""

    steps: int
    since_ps: int


class Saves:
    """What is saved, what is being written, and the clock to the next checkpoint.

    Attributes:
        clock_ps: when the last checkpoint, or the last recovery, ended.
        after_ps: from there to the next one.
    """

    def __init__(self, plan: JobPlan):
        first_s = plan.first_save_after_s
        self.interval_ps = to_ps(plan.checkpoint_interval_s)
        self.background_ps = to_ps(plan.background_s)
        self.clock_ps = 0
        self.after_ps = self.interval_ps if first_s is None else to_ps(first_s)
        self._last_steps = plan.steps
        self._saved = Saved(0, 0)
        self._writing: Saved | None = None

    @property
    def steps(self) -> int:
        """Steps in the last checkpoint that counts, as of the last question or checkpoint."""
        return self._saved.steps

    @property
    def due_ps(self) -> int:
        """When the next checkpoint is due: one that is being written comes first."""
        due_ps = self.clock_ps + self.after_ps
        return max(due_ps, self._writing.since_ps) if self._writing else due_ps

    @property
    def is_regular(self) -> bool:
        """True if the next one comes after the usual interval."""
        return self.after_ps == self.interval_ps

    def count(self, steps: int, at_ps: int, *, written: bool = False) -> None:
        """A checkpoint of so many steps was made; unless `written`, it may be on its way still."""
        self._settle(at_ps)
        if self.background_ps and not written and steps < self._last_steps:
            self._writing = Saved(steps, at_ps + self.background_ps)
        else:
            self._saved, self._writing = Saved(steps, at_ps), None

    def roll_back(self, now_ps: int) -> int:
        """Steps of the checkpoint that counts now; what was being written is lost."""
        self._settle(now_ps)
        self._writing = None
        return self._saved.steps

    def restart_clock(self, now_ps: int) -> None:
        """The next one is due an interval from now."""
        self.clock_ps, self.after_ps = now_ps, self.interval_ps

    def shift(self, stopped_ps: int, now_ps: int) -> None:
        """Nothing falls due while the job stands."""
        self.clock_ps = min(now_ps, self.clock_ps + stopped_ps)

    def _settle(self, now_ps: int) -> None:
        """A checkpoint whose writing has ended counts."""
        if self._writing and self._writing.since_ps <= now_ps:
            self._saved, self._writing = self._writing, None
