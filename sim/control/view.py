"""What a run-time rule sees of its site at a tick, and what it may ask for.

Everything here is read-only and in SI units at the meter; a rule is a pure function of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class GridSignals:
    """What the grid publishes for one place at a tick.

    Attributes:
        price_usd_per_mwh: marginal price of the place.
        carbon_kg_per_mwh: mean emissions of the supply of the place.
        short_w: power that the place lacks, reserve included, if its sites held nothing
            back; the share of this site. Zero where there is enough.
        load_rank_frac: share of the year's hours in which the load of the place, without the
            sites, is at least as high as now: 0.01 is one of the 88 highest hours.
        frequency_hz: least frequency of the last interval after the site's largest step.
    """

    price_usd_per_mwh: float = 0.0
    carbon_kg_per_mwh: float = 0.0
    short_w: float = 0.0
    load_rank_frac: float = 1.0
    frequency_hz: float = 60.0


@dataclass(frozen=True, slots=True)
class WorkloadView:
    """A workload of the site.

    Attributes:
        caps_w: caps per GPU that can be chosen, from none (None) downwards.
        chip_w_at: chip power of the workload under one of them, when it runs with all that it
            is offered now.
        idle_chip_w: chip power when it is suspended, or admits nothing.
    """

    name: str
    kind: Literal["training", "serving"]
    gpus: int
    caps_w: tuple[float | None, ...]
    chip_w_at: Callable[[float | None], float]
    idle_chip_w: float

    @property
    def full_chip_w(self) -> float:
        """Chip power with nothing held back."""
        return self.chip_w_at(None)


@dataclass(frozen=True, slots=True)
class SiteView:
    """A site at a tick.

    Attributes:
        time_s: simulation time of the tick.
        interval_s: until the next tick.
        import_w: mean over the last interval of what the site took from the grid.
        fixed_w: power of the building with all chips at zero.
        meter_w_per_chip_w: what one more watt of chip power adds to it.
        other_chip_w: chip power of GPUs that no workload holds.
        own_w: what PV, wind and generators that run by themselves give now.
        battery_w: discharge that the site's storage can hold until the next tick.
        generation_w: rating of its backup generators.
        elsewhere: the same signals at the other sites, by name.
    """

    name: str
    time_s: float
    interval_s: float
    import_w: float
    fixed_w: float
    meter_w_per_chip_w: float
    other_chip_w: float
    workloads: tuple[WorkloadView, ...]
    grid: GridSignals
    own_w: float = 0.0
    battery_w: float = 0.0
    generation_w: float = 0.0
    elsewhere: Mapping[str, GridSignals] = field(default_factory=dict)

    def meter_w(self, chip_w: float) -> float:
        """Power of the building when the workloads' chips draw `chip_w`."""
        return self.fixed_w + self.meter_w_per_chip_w * (chip_w + self.other_chip_w)

    def told(self, grid: GridSignals, elsewhere: Mapping[str, GridSignals]) -> SiteView:
        """The view with what the grid says, here and at the other sites."""
        return replace(self, grid=grid, elsewhere=elsewhere)

    def metered(self, import_w: float) -> SiteView:
        """The view with what the meter showed."""
        return replace(self, import_w=import_w)

    @property
    def full_w(self) -> float:
        """Power of the building with nothing held back."""
        return self.meter_w(sum(w.full_chip_w for w in self.workloads))

    @property
    def full_import_w(self) -> float:
        """What the site would take from the grid with nothing held back."""
        return max(0.0, self.full_w - self.own_w)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one rule asks for until the next tick.

    Attributes:
        limit_w: most that the site may take from the grid; None for no limit.
        suspend: workloads (training) that must stand still.
        shift_frac: share of the requests to hand to another site, by its name.
    """

    limit_w: float | None = None
    suspend: frozenset[str] = frozenset()
    shift_frac: Mapping[str, float] = field(default_factory=dict)


NOTHING = Proposal()
