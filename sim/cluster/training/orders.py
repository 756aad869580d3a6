"""Orders that a control loop gives a training job, and the pace that follows from them."""

from __future__ import annotations

from functools import cache

import simpy

from sim.cluster.training.ledger import Pace
from sim.cluster.training.nodes import Nodes
from sim.cluster.training.plan import JobPlan
from sim.cluster.training.shape import slowed
from sim.cluster.training.stretches import Stretches
from sim.cost.training import TrainingStepCost
from sim.errors import InputError


class Ordered(Stretches):
    """A job that can be told to stop, to go on, and how much to draw.

    Attributes:
        done_at_ps: when the last step was saved; None before.
        cap_w, floor_w: of each GPU, in force.
        process: what the orders wake; set by the job.
    """

    process: simpy.Process

    def __init__(self, env: simpy.Environment, plan: JobPlan, nodes: Nodes):
        super().__init__(env, plan, nodes)
        self.done_at_ps: int | None = None
        self.cap_w = plan.cap_w
        self.floor_w = plan.floor_w
        self._forward_since_ps: int | None = None
        self._save_first: bool | None = None
        self._woken = False
        self._resumed: simpy.Event | None = None
        self._cost_of = cache(self._cost_under)
        self._new_pace()

    @property
    def suspended(self) -> bool:
        """True from the order to suspend until the order to resume."""
        return self._save_first is not None

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
        cost = self._cost_of(self.cap_w, slow=self._nodes.is_slow)
        if self.pace.cost is not cost or self.pace.floor_w != self._floor_in_force_w():
            self._new_pace()

    def _new_pace(self) -> None:
        cost = self._cost_of(self.cap_w, slow=self._nodes.is_slow)
        limit = self.plan.ramps.gpu_w_per_s
        self.ledger.paces.append(Pace(cost, self._floor_in_force_w(), limit))

    def _floor_in_force_w(self) -> float:
        return self.floor_w if self.cap_w is None else min(self.floor_w, self.cap_w)
