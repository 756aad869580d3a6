"""Branches in series share their outage: one solve serves a whole chain.

At a bus with just two branches that are no bridges, tripping either opens the same path. So
all branches of such a chain have the same LODF column but for its sign, and their own shares
follow from one of them: the transfer reactance of the open loop is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sim.grid.nodal.tables import Bools, Ints, Network


@dataclass(frozen=True, slots=True)
class Chains:
    """For each branch, shape (n_branches,): the branch that stands for it, and the direction.

    Args:
        leader: itself where there is no chain.
        sign: +1 if it points along the chain like its leader, else -1.
    """

    leader: Ints
    sign: Ints


def find_chains(network: Network, looped: Bools) -> Chains:
    """Chains among the branches that `looped` marks (in service and no bridges)."""
    b, n = network.branches, len(network.branches)
    degree = np.bincount(b.start[looped], minlength=len(network.buses))
    degree += np.bincount(b.end[looped], minlength=len(network.buses))
    first, second = _neighbours_at(network, looped, degree == 2)
    links = csr_array((np.ones(len(first)), (first, second)), shape=(n, n))
    label = connected_components(links, directed=False)[1]
    _, leader = np.unique(label, return_index=True)
    return Chains(leader[label].astype(np.int64), _signs(network, first, second, n))


def _neighbours_at(network: Network, looped: Bools, through: Bools) -> tuple[Ints, Ints]:
    """The two branches at each bus that a chain passes through, shape (n_buses_through,)."""
    b = network.branches
    rows = np.flatnonzero(looped)
    bus = np.concatenate([b.start[rows], b.end[rows]])
    branch = np.concatenate([rows, rows])
    keep = through[bus]
    order = np.argsort(bus[keep], kind="stable")
    pairs = branch[keep][order].reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _signs(network: Network, first: Ints, second: Ints, n: int) -> Ints:
    """Direction of each branch against the lowest branch of its chain."""
    start, end = network.branches.start.tolist(), network.branches.end.tolist()
    neighbours: dict[int, list[int]] = {}
    for a, c in zip(first.tolist(), second.tolist(), strict=True):
        neighbours.setdefault(a, []).append(c)
        neighbours.setdefault(c, []).append(a)
    sign = np.zeros(n, dtype=np.int64)
    for root in sorted(neighbours):
        if sign[root]:
            continue
        sign[root] = 1
        stack = [root]
        while stack:
            a = stack.pop()
            for c in neighbours[a]:
                if not sign[c]:
                    meets_head_on = start[a] == start[c] or end[a] == end[c]
                    sign[c] = -sign[a] if meets_head_on else sign[a]
                    stack.append(c)
    sign[sign == 0] = 1
    return sign
