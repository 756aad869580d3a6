"""Which outages can hurt which branch: an index that makes N-1 checks sparse and exact.

After outage k branch l carries `g_l + LODF_lk g_k`. While no branch k carries more than a bound
`w_k`, the outage can overload l only if `|LODF_lk| w_k >= limit_l - |g_l|`. So for each branch
the outages are kept in falling order of `reach = |LODF_lk| w_k / limit_l`, and a check looks
only at those whose reach is at least the branch's free share. Reaches under `least_reach` are
not kept: a branch with less free share than that has its whole LODF row computed (rare), as
has an outage that carries more than its bound its column. Nothing is approximated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.tables import Bools, Floats, Ints

Outages = NDArray[np.int32]

CACHE_BYTES = 300e6
"""Memory for whole rows, and again for whole columns."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Branch `branch[i]` after the outage of branch `outage[i]`, all shape (n,)."""

    branch: Ints
    outage: Ints
    lodf: Floats

    def __len__(self) -> int:
        return len(self.branch)

    def after(self, flow_mw: Floats) -> Floats:
        """Flow on each pair's branch after its outage."""
        result: Floats = flow_mw[self.branch] + self.lodf * flow_mw[self.outage]
        return result

    def code(self, n_branches: int) -> Ints:
        """One whole number for each pair."""
        return self.branch * n_branches + self.outage

    def where(self, keep: Bools) -> Pairs:
        """The pairs that `keep` marks."""
        return Pairs(self.branch[keep], self.outage[keep], self.lodf[keep])


def join(parts: list[Pairs]) -> Pairs:
    """All pairs of several sets."""
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Pairs(none, none, np.zeros(0))
    return Pairs(
        np.concatenate([p.branch for p in parts]),
        np.concatenate([p.outage for p in parts]),
        np.concatenate([p.lodf for p in parts]),
    )


def inverse_limit(grid: DcGrid, limit_mw: Floats) -> Floats:
    """1 / limit by branch; 0 where unlimited or out of service."""
    limited = grid.branch_on & np.isfinite(limit_mw)
    return np.where(limited, 1 / np.where(limit_mw == 0, 1e-9, limit_mw), 0.0)


def reaching_pairs(grid: DcGrid, bound_mw: Floats, inverse: Floats, least: Floats) -> Pairs:
    """Pairs with `|LODF| bound_mw[outage] inverse[branch] >= least[branch] > 0`.

    All arguments by branch. Outages are solved a few at a time, chains of branches once, so
    that memory stays flat.
    """
    leader = grid.chains.leader[grid.outages]
    order = np.argsort(leader, kind="stable")
    members, leader = grid.outages[order], leader[order]
    leaders, first = np.unique(leader, return_index=True)
    last = np.append(first[1:], len(members))
    largest = np.zeros(len(inverse))
    np.maximum.at(largest, leader, bound_mw[members])
    need = np.where(inverse > 0, least / np.where(inverse > 0, inverse, 1.0), np.inf)
    parts = []
    for block, lodf in grid.lodf_blocks(leaders):
        row, column = np.nonzero(np.abs(lodf) * largest[block] >= need[:, None])
        place = np.searchsorted(leaders, block[column])
        count = last[place] - first[place]
        where = np.arange(int(count.sum())) + np.repeat(
            first[place] - np.cumsum(count) + count, count
        )
        branch, outage = np.repeat(row, count), members[where]
        share = np.repeat(lodf[row, column], count) * grid.chains.sign[outage]
        keep = (np.abs(share) * bound_mw[outage] >= need[branch]) & (branch != outage)
        parts.append(Pairs(branch[keep], outage[keep], share[keep]))
    return join(parts)


def overloads(grid: DcGrid, flow_mw: Floats, limit_mw: Floats, tolerance_mw: float) -> Pairs:
    """Pairs over their limit after the outage, for these flows alone; by branch then outage."""
    inverse = inverse_limit(grid, limit_mw)
    free = np.maximum(1 - np.abs(flow_mw) * inverse, 1e-12)
    pairs = reaching_pairs(grid, np.abs(flow_mw), inverse, free)
    over = np.abs(pairs.after(flow_mw)) > limit_mw[pairs.branch] + tolerance_mw
    return unique(pairs.where(over), len(flow_mw))


class PairIndex:
    """The index for one grid, one set of limits and one set of bounds.

    Args:
        limit_mw: limit of each branch after an outage, `inf` where unlimited.
        bound_mw: flow that each branch is expected to stay under before an outage; a branch
            beyond it is still handled, more slowly.
    """

    def __init__(
        self, grid: DcGrid, limit_mw: Floats, bound_mw: Floats, *, least_reach: float = 0.05
    ):
        self.grid = grid
        self.limit_mw = limit_mw
        self.bound_mw = bound_mw
        self.least_reach = least_reach
        self.limited = grid.branch_on & np.isfinite(limit_mw)
        self._cached = max(64, int(CACHE_BYTES / 8 / len(limit_mw)))
        self._rows: dict[int, Floats] = {}
        self._columns: dict[int, Floats] = {}
        inverse = inverse_limit(grid, limit_mw)
        pairs = reaching_pairs(grid, bound_mw, inverse, np.full(len(limit_mw), least_reach))
        reach = np.abs(pairs.lodf) * bound_mw[pairs.outage] * inverse[pairs.branch]
        order = np.lexsort((-reach, pairs.branch))
        self._outage: Outages = pairs.outage[order].astype(np.int32)
        self._lodf = pairs.lodf[order]
        kept = pairs.branch[order]
        self._key = kept + (1 - np.minimum(reach[order], 1.0))
        self._first = np.searchsorted(kept, np.arange(len(limit_mw) + 1))

    def __len__(self) -> int:
        return len(self._outage)

    def reaching(self, branches: Ints, free_frac: Floats) -> Pairs:
        """Kept pairs of the named branches whose reach is at least the free share of each."""
        first = self._first[branches]
        share = np.clip(free_frac - 1e-9, self.least_reach / 2, 1)
        last = np.searchsorted(self._key, branches + (1 - share), side="right")
        last = np.where(free_frac > 1, first, np.maximum(last, first))
        count = last - first
        total = int(count.sum())
        start_of = np.cumsum(count) - count
        where = np.arange(total) + np.repeat(first - start_of, count)
        return Pairs(
            np.repeat(branches, count),
            self._outage[where].astype(np.int64),
            self._lodf[where],
        )

    def tight(self, free_frac: Floats) -> Ints:
        """Branches with less free share than the index keeps reaches for."""
        return np.flatnonzero(self.limited & (free_frac < self.least_reach))

    def beyond(self, flow_mw: Floats) -> Ints:
        """Outages that carry more than their bound."""
        over = np.abs(flow_mw[self.grid.outages]) > self.bound_mw[self.grid.outages] * (1 + 1e-9)
        return self.grid.outages[over]

    def whole_rows(self, branches: Ints) -> Pairs:
        """All outages for the named branches."""
        missing = [b for b in branches.tolist() if b not in self._rows]
        if len(self._rows) + len(missing) > self._cached:
            self._rows.clear()
            missing = branches.tolist()
        step = self.grid.block
        for i in range(0, len(missing), step):
            block = np.array(missing[i : i + step], dtype=np.int64)
            for branch, row in zip(block.tolist(), self.grid.lodf_rows(block), strict=True):
                self._rows[branch] = row[self.grid.outages]
        outages = self.grid.outages
        lodf = [self._rows[b] for b in branches.tolist()]
        return _not_itself(
            Pairs(
                np.repeat(branches, len(outages)),
                np.tile(outages, len(branches)),
                np.concatenate(lodf) if lodf else np.zeros(0),
            )
        )

    def whole_columns(self, outages: Ints) -> Pairs:
        """All limited branches for the named outages."""
        missing = [k for k in outages.tolist() if k not in self._columns]
        if len(self._columns) + len(missing) > self._cached:
            self._columns.clear()
            missing = outages.tolist()
        watched, step = np.flatnonzero(self.limited), self.grid.block
        for i in range(0, len(missing), step):
            block = np.array(missing[i : i + step], dtype=np.int64)
            columns = self.grid.lodf_columns(block)[watched]
            for k, outage in enumerate(block.tolist()):
                self._columns[outage] = np.ascontiguousarray(columns[:, k])
        lodf = [self._columns[k] for k in outages.tolist()]
        return _not_itself(
            Pairs(
                np.tile(watched, len(outages)),
                np.repeat(outages, len(watched)),
                np.concatenate(lodf) if lodf else np.zeros(0),
            )
        )

    def suspects(self, flow_mw: Floats) -> Pairs:
        """All pairs that can be over their limit at these flows (a few that are not, too)."""
        free = self.free_frac(flow_mw)
        watched = np.flatnonzero(self.limited)
        return join(
            [
                self.reaching(watched, free[watched]),
                self.whole_rows(self.tight(free)),
                self.whole_columns(self.beyond(flow_mw)),
            ]
        )

    def free_frac(self, flow_mw: Floats) -> Floats:
        """Free share of each branch's limit at these flows; 2 where unlimited."""
        free = np.full(len(flow_mw), 2.0)
        on = self.limited
        free[on] = 1 - np.abs(flow_mw[on]) / np.where(
            self.limit_mw[on] == 0, 1e-9, self.limit_mw[on]
        )
        return free

    def violations(self, flow_mw: Floats, tolerance_mw: float = 1e-6) -> Pairs:
        """Pairs over their limit at these flows, each once, by branch then outage."""
        pairs = self.suspects(flow_mw)
        over = np.abs(pairs.after(flow_mw)) > self.limit_mw[pairs.branch] + tolerance_mw
        return unique(pairs.where(over), len(flow_mw))


def unique(pairs: Pairs, n_branches: int) -> Pairs:
    """Each pair once, sorted."""
    _, first = np.unique(pairs.code(n_branches), return_index=True)
    return Pairs(pairs.branch[first], pairs.outage[first], pairs.lodf[first])


def _not_itself(pairs: Pairs) -> Pairs:
    return pairs.where(pairs.branch != pairs.outage)
