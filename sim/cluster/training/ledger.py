"""Where the time and the energy of a training job go, counted by other code than the meter's."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from sim.cost.training import Phase, TrainingStepCost
from sim.cost.training_power import extra_energy_j, smoothed
from sim.units import to_ps, to_s


@dataclass(slots=True)
class Pace:
    """Steps of one cost, with the whole picoseconds and the power of each of their phases.

    Args:
        cost: of one step. floor_w: power of a GPU that dummy work keeps up while it waits.
        gpu_w_per_s: fastest change of a GPU's power that dummy work allows.

    Attributes:
        steps: how many of them ended, kept or lost.
        step_ps: length of a step. mean_w: mean power of a GPU over it.
    """

    cost: TrainingStepCost
    floor_w: float = 0.0
    gpu_w_per_s: float = math.inf
    steps: int = 0
    phases: tuple[Phase, ...] = field(init=False)
    phases_ps: tuple[int, ...] = field(init=False)
    step_ps: int = field(init=False)
    mean_w: float = field(init=False)

    def __post_init__(self) -> None:
        self.phases = smoothed(self.cost.phases, self.floor_w, self.gpu_w_per_s)
        self.phases_ps = tuple(to_ps(p.time_s) for p in self.phases)
        self.step_ps = sum(self.phases_ps)
        pairs = zip(self.phases, self.phases_ps, strict=True)
        self.mean_w = math.fsum(p.gpu_power_w * ps for p, ps in pairs) / self.step_ps

    @property
    def dummy_j(self) -> float:
        """Energy of a GPU's dummy work in one step."""
        return extra_energy_j(self.cost.phases, self.phases)

    def energy_j(self) -> float:
        """Chip energy of one GPU in all these steps: their operations, and dummy work."""
        return self.steps * (math.fsum(p.energy_j for p in self.cost.parts) + self.dummy_j)


@dataclass(slots=True)
class Ledger:
    """Time of a job outside of whole steps, by what it was spent on and at which power.

    Attributes:
        spent_ps: (what, W of a GPU) -> picoseconds.
        paces: whole steps, by cost.
        passed_j: what a GPU drew more (or less) than its steps in stretches that passed at
            the mean power of whole cycles and that an order cut within one.
    """

    spent_ps: Counter[tuple[str, float]] = field(default_factory=Counter)
    paces: list[Pace] = field(default_factory=list)
    passed_j: float = 0.0

    def add(self, what: str, gpu_power_w: float, time_ps: int) -> None:
        """Book a stretch."""
        if time_ps:
            self.spent_ps[what, gpu_power_w] += time_ps

    @property
    def steps(self) -> int:
        """Whole steps, kept or lost."""
        return sum(pace.steps for pace in self.paces)

    @property
    def total_ps(self) -> int:
        """All booked time."""
        return sum(self.spent_ps.values()) + sum(p.steps * p.step_ps for p in self.paces)

    def time_ps(self, what: str) -> int:
        """Time booked on one thing, at any power."""
        return sum(ps for (name, _), ps in self.spent_ps.items() if name == what)

    def by_use_ps(self) -> dict[str, int]:
        """Booked time outside of whole steps, by what it was spent on."""
        uses: Counter[str] = Counter()
        for (name, _), ps in self.spent_ps.items():
            uses[name] += ps
        return dict(uses)

    def energy_j(self) -> float:
        """Chip energy of one GPU."""
        other_j = [to_s(ps) * power_w for (_, power_w), ps in self.spent_ps.items()]
        return math.fsum([self.passed_j, *other_j, *(pace.energy_j() for pace in self.paces)])

    def dummy_j(self) -> float:
        """Energy of one GPU's dummy work in steps."""
        return math.fsum(pace.steps * pace.dummy_j for pace in self.paces)
