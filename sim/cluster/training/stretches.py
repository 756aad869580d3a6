"""Stretches of constant power: what a job draws, for how long, and what it is booked under."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

import simpy

from sim.cluster.training.ledger import Ledger, Pace
from sim.cluster.training.nodes import Nodes
from sim.cluster.training.plan import NEVER_PS, JobPlan
from sim.cluster.training.shape import Stair, fit_pause, stairs
from sim.signals import StepSignal
from sim.units import to_s

Steps = Generator[simpy.Event, None, None]
CUT_STEP: Final = "cut step"


class FailedError(Exception):
    """A job was interrupted by a failure; caught by the job itself."""


class Stretches:
    """What a job does with its power between two decisions.

    Attributes:
        chip_w: power of the job's GPUs. ledger: time and energy by use.
        open_stretch: (what, W of a GPU, since when) of the stretch under way.
    """

    def __init__(self, env: simpy.Environment, plan: JobPlan, nodes: Nodes):
        self.env = env
        self.plan = plan
        self.chip_w = StepSignal(f"{plan.name}.chip_w", plan.step.gpus * plan.idle_gpu_w)
        self.ledger = Ledger()
        self.open_stretch: tuple[str, float, int] | None = None
        self._nodes = nodes
        self._walked: list[tuple[float, int]] = []

    @property
    def now_ps(self) -> int:
        """The clock, whole picoseconds."""
        return int(self.env.now)

    @property
    def pace(self) -> Pace:
        """The steps that the job runs now."""
        return self.ledger.paces[-1]

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

    def hold(self, what: str, gpu_power_w: float, time_ps: int, *, safe: bool = False) -> Steps:
        """Draw a power for a time; a failure cuts it, unless the job is `safe` from it.

        Raises:
            FailedError: a failure came first.
        """
        fails_at_ps = NEVER_PS if safe else self._nodes.fails_at_ps
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
            raise FailedError

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

    def _gpu_w(self) -> float:
        return self.chip_w.value / self.plan.step.gpus

    def _draw(self, gpu_power_w: float) -> None:
        self.chip_w.set(self.now_ps, self.plan.step.gpus * gpu_power_w)

    def _close(self) -> None:
        """Book the open stretch."""
        if self.open_stretch:
            what, power_w, since_ps = self.open_stretch
            self.ledger.add(what, power_w, self.now_ps - since_ps)
            self.open_stretch = None
