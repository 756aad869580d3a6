"""Islands: which buses hang together over branches in service, and which branches are bridges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from sim.grid.nodal.tables import ISOLATED, Bools, Ints, Network


def labels(network: Network, branch_on: Bools | None = None) -> Ints:
    """Island of each bus, shape (n_buses,); numbered from 0 by their first bus.

    Buses out of service get -1 each.
    """
    on = network.branch_on if branch_on is None else branch_on
    b = network.branches
    n = len(network.buses)
    links = csr_array((np.ones(on.sum()), (b.start[on], b.end[on])), shape=(n, n))
    label = connected_components(links, directed=False)[1].astype(np.int64)
    alive = network.buses.kind != ISOLATED
    if alive.all():
        return label  # scipy numbers components by their first node
    _, first, inverse = np.unique(label[alive], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    result = np.full(n, -1, dtype=np.int64)
    result[alive] = rank[inverse]
    return result


@dataclass(frozen=True, slots=True)
class Tree:
    """A depth-first walk over all islands.

    Args:
        order: by bus, its place in the walk; the buses below a bus are those from its own
            place to `last`.
        last: by bus, the last place below it.
        below: by branch, the bus on its far side if it is a bridge, else -1.
    """

    order: Ints
    last: Ints
    below: Ints


def walk(network: Network, branch_on: Bools | None = None) -> Tree:
    """Depth-first walk that finds the bridges by low points (Tarjan 1974).

    A bridge is a branch whose outage splits its island; parallel branches are none.
    """
    on = network.branch_on if branch_on is None else branch_on
    neighbours = _adjacency(network, on)
    n = len(network.buses)
    order, low, last = [-1] * n, [0] * n, [0] * n
    below = np.full(len(network.branches), -1, dtype=np.int64)
    clock = 0
    for root in range(n):
        if order[root] >= 0:
            continue
        order[root] = low[root] = clock
        clock += 1
        path = [(root, -1, iter(neighbours[root]))]
        while path:
            node, came_by, rest = path[-1]
            for other, branch in rest:
                if branch == came_by:
                    continue
                if order[other] < 0:
                    order[other] = low[other] = clock
                    clock += 1
                    path.append((other, branch, iter(neighbours[other])))
                    break
                low[node] = min(low[node], order[other])
            else:
                path.pop()
                last[node] = clock - 1
                if path:
                    parent = path[-1][0]
                    low[parent] = min(low[parent], low[node])
                    if low[node] > order[parent]:
                        below[came_by] = node
    return Tree(np.array(order), np.array(last), below)


def _adjacency(network: Network, on: Bools) -> list[list[tuple[int, int]]]:
    neighbours: list[list[tuple[int, int]]] = [[] for _ in range(len(network.buses))]
    start, end = network.branches.start.tolist(), network.branches.end.tolist()
    for branch in np.flatnonzero(on).tolist():
        neighbours[start[branch]].append((end[branch], branch))
        neighbours[end[branch]].append((start[branch], branch))
    return neighbours
