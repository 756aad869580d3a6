"""The autoscaler of a fleet in cells: what it reads of them, and which replica it switches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.autoscale import Autoscale, Autoscaler, Switch
from sim.cluster.serving.breakdowns import places
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.kernels import layout as at
from sim.units import PS_PER_S

IntArray = NDArray[np.int64]

LOOK_PS = 60 * PS_PER_S
"""Requests over time are read at least so often. A replica keeps them modulo 2**64: between two
looks it would have to hold 300,000 requests to go round once."""


class CellScaler:
    """Switches the replicas of cells as an autoscaler says.

    Args:
        spec: of the autoscaler.
        cells: of the fleet, at time zero; what is off at the beginning is switched off.

    Attributes:
        scaler: decides.
    """

    def __init__(self, spec: Autoscale, cells: Sequence[CompiledReplicas]):
        self.scaler = Autoscaler(spec)
        self._cells = cells
        self._looked_ps = self._area_ps = 0
        self._held = self._held_ps(0)
        self._order = places(cells)
        for place in range(self.scaler.ready, len(self._order)):
            self._switch(Switch(place, "off"), 0)

    @property
    def next_ps(self) -> int:
        """When it wants to be asked again."""
        return min(self.scaler.next_ps, self._looked_ps + LOOK_PS)

    def act(self, now_ps: int) -> None:
        """Let the autoscaler act, when its time has come; the cells were settled to now."""
        if now_ps < self.next_ps:
            return
        self._look(now_ps)
        completed = sum(int(part.cell.tally[:, at.COMPLETED].sum()) for part in self._cells)
        while now_ps >= self.scaler.next_ps:  # again, where a model loads in no time
            for switch in self.scaler.act(now_ps, self._area_ps, completed):
                self._switch(switch, now_ps)

    def _look(self, now_ps: int) -> None:
        """Add what each replica held since the last look, exactly: no machine word holds it."""
        held = self._held_ps(now_ps)
        more = (held - self._held).view(np.uint64)
        self._area_ps += (int((more >> 32).sum()) << 32) + int((more & 0xFFFFFFFF).sum())
        self._held, self._looked_ps = held, now_ps

    def _held_ps(self, now_ps: int) -> IntArray:
        """Requests at each replica over time so far, modulo 2**64."""
        parts = [part.cell for part in self._cells]
        held = [c.rep[:, at.AREA] + c.load * (now_ps - c.rep[:, at.CHANGED]) for c in parts]
        return np.concatenate(held)

    def _switch(self, switch: Switch, now_ps: int) -> None:
        """Switch a replica by its place."""
        r, c = self._order[switch.place]
        cell = self._cells[c]
        {"on": cell.join, "off": cell.drain, "loading": cell.load}[switch.to](r, now_ps)
