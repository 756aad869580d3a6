"""The power chain of a building: rack, PDU, UPS, transformer, as pools of identical parts.

Each level loses a part of its installed rating all the time and a part of what passes it:

    in = out + no_load_frac * installed + load_frac * out

and has a limit. Redundancy installs more than the rating: N none, N+1 one module more, 2N
twice. Oversubscription hangs more load on a level than its rating.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sim.datum import Datum, data
from sim.errors import CapacityError
from sim.units import MEGA

Redundancy = Literal["N", "N+1", "2N"]
FIGURES = "facility/chain.yaml"


@dataclass(frozen=True, slots=True)
class Level:
    """One level of the chain.

    Attributes:
        count: identical parts that carry the load.
        rating_w: limit of one part's output.
        spare_frac: rating that is installed beyond the load's, over it.
        no_load_frac, load_frac: losses over installed rating, and over output.
    """

    name: str
    count: int
    rating_w: float
    spare_frac: float
    no_load_frac: float
    load_frac: float

    @property
    def installed_w(self) -> float:
        """Rating of all parts, spare ones included."""
        return self.count * self.rating_w * (1 + self.spare_frac)

    @property
    def limit_w(self) -> float:
        """Largest output of the parts that carry the load."""
        return self.count * self.rating_w


@dataclass(frozen=True, slots=True)
class LevelFlow:
    """Power through a level: `in_w = out_w + loss_w`."""

    name: str
    in_w: float
    out_w: float
    loss_w: float
    limit_w: float

    @property
    def used_frac(self) -> float:
        """Output over the limit; above 1 it is overloaded."""
        return self.out_w / self.limit_w if self.limit_w else math.inf


@dataclass(frozen=True, slots=True)
class PowerChain:
    """Levels from the servers outward."""

    levels: tuple[Level, ...]

    def flows(self, it_w: float) -> tuple[LevelFlow, ...]:
        """Power through each level for an IT power, from the racks outward."""
        flows = []
        out_w = it_w
        for level in self.levels:
            loss_w = level.no_load_frac * level.installed_w + level.load_frac * out_w
            flows.append(LevelFlow(level.name, out_w + loss_w, out_w, loss_w, level.limit_w))
            out_w += loss_w
        return tuple(flows)

    @property
    def fixed_w(self) -> float:
        """Loss of the whole chain without load."""
        return self.flows(0.0)[-1].in_w

    @property
    def share(self) -> float:
        """Loss per W of IT power beyond `fixed_w`."""
        return math.prod(1 + level.load_frac for level in self.levels) - 1

    def loss_w(self, it_w: float) -> float:
        """Loss of the whole chain."""
        return self.fixed_w + self.share * it_w

    def tightest(self, it_w: float) -> LevelFlow:
        """The level nearest to its limit."""
        return max(self.flows(it_w), key=lambda flow: flow.used_frac)


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """What a chain is built for.

    Attributes:
        design_it_w: IT power for which it is rated (all servers at their rated power, if
            nothing else is known).
        racks: identical racks.
        rows, ups_blocks, transformers: identical parts of the levels above.
        oversubscription_frac: load that is hung on rows, UPS and transformers beyond their
            rating.
    """

    design_it_w: float
    racks: int
    rows: int = 1
    ups_blocks: int = 1
    transformers: int = 1
    redundancy: Redundancy = "N+1"
    oversubscription_frac: float = 0.0


UPS_MODULES = 4
"""Modules that share a block's load; N+1 adds one."""


def chain_figures() -> dict[str, Datum]:
    """Losses, racks and breakers of the data file."""
    return data(FIGURES)


def build_chain(chosen: ChainPlan, figures: Mapping[str, Datum] | None = None) -> PowerChain:
    """The levels of a plan.

    Raises:
        CapacityError: a count or power that is not positive.
    """
    if chosen.design_it_w <= 0 or min(chosen.racks, chosen.rows, chosen.ups_blocks) < 1:
        raise CapacityError(
            f"a chain for {chosen.design_it_w / MEGA:g} MW with {chosen.racks} racks, "
            f"{chosen.rows} rows, {chosen.ups_blocks} UPS blocks",
            "give positive numbers",
        )
    f = {name: d.value for name, d in (figures or chain_figures()).items()}
    spare = {"N": 0.0, "N+1": 1 / UPS_MODULES, "2N": 1.0}[chosen.redundancy]
    doubled = 1.0 if chosen.redundancy == "2N" else 0.0
    rated_w = chosen.design_it_w / (1 + chosen.oversubscription_frac)
    rows = (f["pdu.no_load_frac"], f["pdu.load_frac"])
    ups = (f["ups.no_load_frac"], f["ups.load_frac"])
    transformer = (f["transformer.no_load_frac"], f["transformer.load_frac"])
    levels = [Level("rack", chosen.racks, chosen.design_it_w / chosen.racks, 0.0, 0.0, 0.0)]
    for name, count, spare_frac, losses in (
        ("pdu", chosen.rows, doubled, rows),
        ("ups", chosen.ups_blocks, spare, ups),
        ("transformer", chosen.transformers, doubled, transformer),
    ):
        levels.append(Level(name, count, rated_w / count, spare_frac, *losses))
        # The next level out is rated for this one's losses too.
        rated_w *= 1 + losses[1] + losses[0] * (1 + spare_frac)
    return PowerChain(tuple(levels))
