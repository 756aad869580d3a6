"""N-1 screening: what is over its limit after the loss of a branch, a generator or a tower.

Violations that stand in the base case are kept apart: they are not the outage's doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.grid.nodal.operating import by_island, demand_mw
from sim.grid.nodal.pairs import Pairs, overloads
from sim.grid.nodal.study import TOLERANCE_MW, Study
from sim.grid.nodal.tables import Bools, Floats, Ints

OutageKind = Literal["branch", "radial", "generator", "tower"]


@dataclass(frozen=True, slots=True)
class Violation:
    """A branch over its limit after an outage.

    Args:
        outage: rows from 0 of the branches (of the generator, for `generator`) that are lost.
        branch: row from 0 of the branch over its limit.
    """

    kind: OutageKind
    outage: tuple[int, ...]
    branch: int
    flow_mw: float
    limit_mw: float


@dataclass(frozen=True, slots=True)
class Radial:
    """A branch whose outage cuts a part off: what is in the smaller part."""

    branch: int
    load_mw: float
    generation_mw: float
    buses: int


@dataclass(frozen=True, slots=True)
class Screening:
    """All that a screening found.

    Args:
        preexisting: branches over a limit in the base case already.
        violations: worst loading first within each kind.
        outages: number of outages looked at, by kind.
        unsolvable: branch rows whose outage has no solution (negative reactances).
    """

    preexisting: tuple[int, ...]
    violations: tuple[Violation, ...]
    radial: tuple[Radial, ...]
    outages: dict[str, int]
    unsolvable: tuple[int, ...]


def screen(study: Study, *, generators: bool = True, towers: bool = False) -> Screening:
    """Screen single outages.

    Args:
        generators: also single generators, and radial branches as the loss of what hangs on
            them; the generators left pick up the difference in proportion to their headroom.
        towers: also pairs of branches in service between the same two buses.
    """
    found = _branch_violations(study)
    counts = {"branch": len(study.grid.outages), "radial": int(study.grid.radial.sum())}
    if generators:
        lost, exchanged = _generator_losses(study), _radial_losses(study)
        found += _loss_violations(study, lost) + _loss_violations(study, exchanged)
        counts["generator"] = len(lost)
    if towers:
        pairs = tower_pairs(study)
        counts["tower"] = len(pairs)
        found += _tower_violations(study, pairs)
    found.sort(key=lambda v: (v.kind, -abs(v.flow_mw) / v.limit_mw, v.outage, v.branch))
    return Screening(
        preexisting=tuple(np.flatnonzero(over_before(study)).tolist()),
        violations=tuple(found),
        radial=radial_parts(study),
        outages=counts,
        unsolvable=tuple(study.grid.unsolvable.tolist()),
    )


def over_before(study: Study) -> Bools:
    """Branches over rating A, or over their emergency limit, before any outage."""
    emergency: Bools = np.abs(study.base.flow_mw) > study.emergency_limit_mw + TOLERANCE_MW
    return study.over_at_base | emergency


def _watched_limit(study: Study) -> Floats:
    """Emergency limits, without those branches that are over before any outage."""
    return np.where(over_before(study), np.inf, study.emergency_limit_mw)


def _branch_violations(study: Study) -> list[Violation]:
    limit = _watched_limit(study)
    pairs: Pairs = overloads(study.grid, study.base.flow_mw, limit, TOLERANCE_MW)
    after = pairs.after(study.base.flow_mw)
    return [
        Violation("branch", (int(k),), int(b), float(f), float(limit[b]))
        for b, k, f in zip(pairs.branch, pairs.outage, after, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """The buses from `first` to `last` of the walk, or all others of their island."""

    branch: int
    first: int
    last: int
    outside: bool
    island: int

    def holds(self, study: Study) -> Bools:
        """Which buses are in it, shape (n_buses,)."""
        order = study.grid.tree.order
        inside: Bools = (order >= self.first) & (order <= self.last)
        if not self.outside:
            return inside
        outside: Bools = (study.grid.island == self.island) & ~inside
        return outside


@dataclass(frozen=True, slots=True)
class _Loss:
    """Generation lost at a bus (negative: load lost) and who cannot help."""

    kind: OutageKind
    outage: int
    bus: int
    mw: float
    part: _Part | None = None
    """The part of the grid that is lost too, generators and all."""


def _generator_losses(study: Study) -> list[_Loss]:
    output = study.base.output_mw
    rows = np.flatnonzero(study.network.generator_on & (np.abs(output) > TOLERANCE_MW))
    bus = study.network.generators.bus
    return [_Loss("generator", int(r), int(bus[r]), float(output[r])) for r in rows.tolist()]


def _radial_losses(study: Study) -> list[_Loss]:
    """Radial branches as seen from the larger part: what flowed over them is missing there."""
    network, flow = study.network, study.base.flow_mw
    losses = []
    for part in _small_parts(study):
        branch = part.branch
        start, end = network.branches.start[branch], network.branches.end[branch]
        near, sign = (int(end), 1.0) if part.holds(study)[start] else (int(start), -1.0)
        losses.append(_Loss("radial", branch, near, sign * float(flow[branch]), part))
    return losses


def _loss_violations(study: Study, losses: list[_Loss]) -> list[Violation]:
    limit = _watched_limit(study)
    found: list[Violation] = []
    step = study.grid.block
    for i in range(0, len(losses), step):
        block = losses[i : i + step]
        injection = np.stack([_response(study, loss) for loss in block], axis=1)
        after = study.base.flow_mw[:, None] + study.grid.transfer(injection)
        for column, loss in enumerate(block):
            flow = after[:, column].copy()
            if loss.part is not None:
                flow[loss.part.holds(study)[study.network.branches.start]] = 0.0
                flow[loss.outage] = 0.0
            found += _over(loss.kind, (loss.outage,), flow, limit)
    return found


def _over(
    kind: OutageKind, outage: tuple[int, ...], flow_mw: Floats, limit_mw: Floats
) -> list[Violation]:
    rows = np.flatnonzero(np.abs(flow_mw) > limit_mw + TOLERANCE_MW).tolist()
    return [Violation(kind, outage, r, float(flow_mw[r]), float(limit_mw[r])) for r in rows]


def _response(study: Study, loss: _Loss) -> Floats:
    """Change of injections: the loss at its bus, and its island's generators making up for it.

    Missing generation is picked up in proportion to headroom, a surplus is taken back in
    proportion to output. Without anyone left to help, the reference bus takes the difference.
    """
    network, grid = study.network, study.grid
    room = study.room_mw if loss.mw >= 0 else np.maximum(study.base.output_mw, 0.0)
    room = room * (grid.island[network.generators.bus] == grid.island[loss.bus])
    if loss.part is None:
        room[loss.outage] = 0.0
    else:
        room = np.where(loss.part.holds(study)[network.generators.bus], 0.0, room)
    change = np.zeros(len(network.buses))
    if room.sum() > 0:
        change = network.at_bus(network.generators.bus, room / room.sum() * loss.mw)
    change[loss.bus] -= loss.mw
    return change


def tower_pairs(study: Study) -> list[tuple[int, int]]:
    """Pairs of branches in service between the same two buses (taken to share towers)."""
    b = study.network.branches
    groups: dict[tuple[int, int], list[int]] = {}
    for row in np.flatnonzero(study.grid.branch_on).tolist():
        ends = sorted((int(b.start[row]), int(b.end[row])))
        groups.setdefault((ends[0], ends[1]), []).append(row)
    return [(x, y) for rows in groups.values() for i, x in enumerate(rows) for y in rows[i + 1 :]]


def _tower_violations(study: Study, pairs: list[tuple[int, int]]) -> list[Violation]:
    """Double outages that leave the islands whole."""
    limit, grid = _watched_limit(study), study.grid
    usable = [pair for pair in pairs if not grid.radial[list(pair)].any()]
    found: list[Violation] = []
    for pair in usable:
        both: Ints = np.array(pair, dtype=np.int64)
        if grid.splits(both):
            continue
        flow = grid.after_outages(study.base.flow_mw, both)
        found += _over("tower", pair, flow, limit)
    return found


def _small_parts(study: Study) -> Iterator[_Part]:
    """The smaller part behind each radial branch."""
    tree, grid = study.grid.tree, study.grid
    size = by_island(grid, np.ones(len(study.network.buses)))
    for branch in np.flatnonzero(grid.radial).tolist():
        child = int(tree.below[branch])
        first, last = int(tree.order[child]), int(tree.last[child])
        outside = (last - first + 1) > size[grid.island[child]] / 2
        yield _Part(branch, first, last, outside, int(grid.island[child]))


def radial_parts(study: Study) -> tuple[Radial, ...]:
    """What each radial outage cuts off."""
    network, order = study.network, study.grid.tree.order
    demand = demand_mw(network)
    given = network.at_bus(network.generators.bus, study.base.output_mw)
    whole = [by_island(study.grid, values) for values in (demand, given, np.ones(len(order)))]
    running = []
    for values in (demand, given, np.ones(len(order))):
        in_order = np.zeros(len(order) + 1)
        in_order[order + 1] = np.where(study.grid.island >= 0, values, 0.0)
        running.append(np.cumsum(in_order))
    found = []
    for part in _small_parts(study):
        sums = [float(total[part.last + 1] - total[part.first]) for total in running]
        if part.outside:
            sums = [float(all_[part.island]) - x for all_, x in zip(whole, sums, strict=True)]
        found.append(Radial(part.branch, sums[0], sums[1], round(sums[2])))
    return tuple(found)
