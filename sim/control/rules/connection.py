"""Rule `import-limit`: the connection carries so much and no more, all the time."""

from __future__ import annotations

from dataclasses import MISSING, dataclass
from typing import ClassVar

from sim.control.rule import Memory, knob, register
from sim.control.view import NOTHING, Proposal, SiteView
from sim.units import MEGA

NO_LIMIT_MW = 1e6


@register
@dataclass(frozen=True, slots=True)
class ImportLimit:
    """A firm limit at the connection."""

    kind: ClassVar[str] = "import-limit"
    says: ClassVar[str] = "never take more than the connection's limit from the grid"
    needs: ClassVar[frozenset[str]] = frozenset()
    assumes: ClassVar[tuple[str, ...]] = ()

    limit_mw: float = knob(MISSING, 0, NO_LIMIT_MW, "MW", "most that the site takes from the grid")

    def propose(self, view: SiteView, memory: Memory) -> tuple[Proposal, Memory]:  # noqa: ARG002
        """The limit; at the top of the knob there is none."""
        if self.limit_mw >= NO_LIMIT_MW:
            return NOTHING, memory
        return Proposal(limit_w=self.limit_mw * MEGA), memory
