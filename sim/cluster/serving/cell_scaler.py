"""The autoscaler of a fleet in cells: what it reads of them, and which replica it switches."""

from __future__ import annotations

from collections.abc import Sequence

from sim.cluster.serving.autoscale import Autoscale, Autoscaler
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.kernels import layout as at


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
        sizes = [len(replicas.cell.due) for replicas in cells]
        self._order = sorted((r, c) for c, size in enumerate(sizes) for r in range(size))
        for place in range(self.scaler.ready, len(self._order)):
            self._switch(place, 0, on=False)

    def act(self, now_ps: int) -> None:
        """Let the autoscaler act, when its time has come; the cells were settled to now."""
        if now_ps < self.scaler.next_ps:
            return
        area_ps = completed = 0
        for cell in (replicas.cell for replicas in self._cells):
            number = cell.rep[:, at.AREA] + cell.load * (now_ps - cell.rep[:, at.CHANGED])
            area_ps += int(number.sum())
            completed += int(cell.tally[:, at.COMPLETED].sum())
        while now_ps >= self.scaler.next_ps:  # again, where a model loads in no time
            for switch in self.scaler.act(now_ps, area_ps, completed):
                self._switch(switch.place, now_ps, on=switch.on)

    def _switch(self, place: int, now_ps: int, *, on: bool) -> None:
        """Switch a replica by its place: the first of each cell, then the second of each."""
        r, c = self._order[place]
        (self._cells[c].join if on else self._cells[c].drain)(r, now_ps)
