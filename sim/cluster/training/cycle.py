"""Steps that pass as one event: how many ended by when, and at which power."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cycle:
    """Steps and the checkpoint after them, if any, that passes as one event many times.

    Args:
        step_w, save_w: W of a GPU, mean over a step and while it saves.
    """

    step_ps: int
    steps: int
    step_w: float
    save_ps: int = 0
    save_w: float = 0.0

    @property
    def length_ps(self) -> int:
        """Time of a whole cycle."""
        return self.steps * self.step_ps + self.save_ps

    @property
    def mean_w(self) -> float:
        """Mean power of a GPU over a cycle."""
        if not self.save_ps:
            return self.step_w
        steps_ps = self.steps * self.step_ps
        return (self.step_w * steps_ps + self.save_w * self.save_ps) / self.length_ps

    def steps_in(self, passed_ps: int) -> int:
        """Steps that have ended after a time."""
        whole, rest_ps = divmod(passed_ps, self.length_ps)
        return whole * self.steps + min(self.steps, rest_ps // self.step_ps)

    def next_edge_ps(self, passed_ps: int) -> int:
        """The end of the step or checkpoint under way; a cycle's last step goes on to its save."""
        whole, rest_ps = divmod(passed_ps, self.length_ps)
        steps = -(-rest_ps // self.step_ps)
        if passed_ps == 0:
            steps = 1
        if steps >= self.steps:
            return (whole + 1) * self.length_ps
        return whole * self.length_ps + steps * self.step_ps
