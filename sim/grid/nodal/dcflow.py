"""DC power flow: one sparse factorisation, then flows, PTDF and LODF from it.

Flow of a branch = susceptance x (angle difference - phase shift). The matrix is block
diagonal by island (one angle reference each), so one factorisation serves all islands; which
bus is the reference does not matter to any flow, because injections balance in each island.

References: [1] Wood, Wollenberg, Sheble, Power Generation, Operation and Control, 3rd ed.
2014, chapter 7 (PTDF, LODF). [2] Guo, Fu, Li, Shahidehpour, Direct calculation of line outage
distribution factors, IEEE Trans. Power Systems 24(3), 2009 (several outages at once).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array
from scipy.sparse.linalg import SuperLU, splu

from sim.errors import InputError
from sim.grid.nodal.chains import Chains, find_chains
from sim.grid.nodal.islands import Tree, labels, walk
from sim.grid.nodal.tables import Bools, Floats, Ints, Network

Susceptance = Literal["1/(x tap)", "1/x", "x/(r2+x2)"]
SUSCEPTANCES: tuple[Susceptance, ...] = ("1/(x tap)", "1/x", "x/(r2+x2)")

RADIAL_TOLERANCE = 1e-7
"""1 - PTDF of a branch's own ends below which its outage cannot be solved as a flow change."""

CACHE_NUMBERS = 250_000
"""Numbers in a block of right-hand sides: few, so that it stays in the processor's cache."""


def susceptance(network: Network, convention: Susceptance) -> Floats:
    """Susceptance of each branch in pu, shape (n_branches,), by the named convention.

    `1/(x tap)` is MATPOWER's; it moves optimal power flow objectives by up to 0.4 % against
    `x/(r2+x2)`.
    """
    b = network.branches
    safe_x = np.where(b.x_pu == 0, np.nan, b.x_pu)
    if convention == "1/(x tap)":
        return 1 / (safe_x * b.tap)
    if convention == "1/x":
        return 1 / safe_x
    if convention == "x/(r2+x2)":
        return b.x_pu / np.where(b.x_pu == 0, np.nan, b.r_pu**2 + b.x_pu**2) / b.tap
    raise InputError(f"unknown susceptance convention {convention!r}", f"one of {SUSCEPTANCES}")


class DcGrid:
    """The linear model of a network with a given set of branches in service.

    Args:
        branch_on: branches in service, shape (n_branches,); default as in the case.
        convention: how a branch's susceptance follows from its figures.
    """

    def __init__(
        self,
        network: Network,
        branch_on: Bools | None = None,
        convention: Susceptance = "1/(x tap)",
    ):
        self.network = network
        self.branch_on = network.branch_on if branch_on is None else branch_on
        self.convention = convention
        b = susceptance(network, convention)
        self.susceptance_pu = np.where(self.branch_on, b, 0.0)
        self.island = labels(network, self.branch_on)
        self._position, self._size = self._positions()
        self._lu = self._factorise()
        self.block = int(np.clip(CACHE_NUMBERS // max(self._size, 1), 3, 16))
        self._leader_share = np.full(len(network.branches), np.nan)

    @property
    def n_islands(self) -> int:
        """Islands of buses in service."""
        return int(self.island.max()) + 1

    def _positions(self) -> tuple[Ints, int]:
        """Place of each bus among the unknown angles; -1 for references and dead buses."""
        known = self.island < 0
        last_first = np.flatnonzero(~known)[::-1]
        reference = np.empty(self.n_islands, dtype=np.int64)
        reference[self.island[last_first]] = last_first  # the first bus of each is written last
        known[reference] = True
        position = np.cumsum(~known) - 1
        position[known] = -1
        return position, int(np.count_nonzero(~known))

    @cached_property
    def _incidence(self) -> csr_array:
        """+1 at the start, -1 at the end of each branch in service; (n_branches, unknowns)."""
        rows = np.flatnonzero(self.branch_on)
        b = self.network.branches
        place = np.concatenate([self._position[b.start[rows]], self._position[b.end[rows]]])
        sign = np.concatenate([np.ones(len(rows)), -np.ones(len(rows))])
        keep = place >= 0
        return csr_array(
            coo_array(
                (sign[keep], (np.concatenate([rows, rows])[keep], place[keep])),
                shape=(len(b), self._size),
            )
        )

    def _matrix(self) -> csc_array:
        """Susceptance matrix of the unknown angles, entry by entry (no matrix product)."""
        b = self.network.branches
        start, end = (self._position[ends].astype(np.int32) for ends in (b.start, b.end))
        value = self.susceptance_pu
        own = np.bincount(b.start, value, len(self.island)) + np.bincount(
            b.end, value, len(self.island)
        )
        inner = np.flatnonzero((start >= 0) & (end >= 0) & (value != 0))
        start, end, value = start[inner], end[inner], -value[inner]
        diagonal = np.arange(self._size, dtype=np.int32)
        entries = np.concatenate([value, value, own[self._position >= 0]])
        rows = np.concatenate([start, end, diagonal])
        columns = np.concatenate([end, start, diagonal])
        return csc_array((entries, (rows, columns)), shape=(self._size, self._size))

    def _factorise(self) -> SuperLU | None:
        if not self._size:
            return None
        indefinite = bool((self.susceptance_pu < 0).any())
        return splu(
            self._matrix(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.1 if indefinite else 0.0,
            panel_size=1,  # columns of a grid are short: wider panels only cost time
            options={"SymmetricMode": True},
        )

    def _solve(self, right: Floats) -> Floats:
        """Solve for the unknowns; shape (unknowns,) or (unknowns, k)."""
        if self._lu is None:
            return np.zeros_like(right)
        solution: Floats = self._lu.solve(np.asfortranarray(right))
        return solution

    def _ends(self, branches: Ints) -> Floats:
        """+1 at the start and -1 at the end of each named branch, shape (unknowns, k)."""
        b = self.network.branches
        right = np.zeros((self._size, len(branches)), order="F")
        for ends, sign in ((b.start, 1.0), (b.end, -1.0)):
            place = self._position[ends[branches]]
            inside = np.flatnonzero((place >= 0) & self.branch_on[branches])
            right[place[inside], inside] = sign
        return right

    def _to_unknowns(self, at_bus: Floats) -> Floats:
        return at_bus[self._position >= 0]

    def _to_buses(self, unknown: Floats) -> Floats:
        full = np.zeros((len(self.island), *unknown.shape[1:]))
        full[self._position >= 0] = unknown
        return full

    def angles(self, injection_mw: Floats) -> Floats:
        """Bus angles in rad for injections that balance in each island, shape (n_buses,)."""
        right = self._to_unknowns(injection_mw) / self.network.base_mva
        right = right + self._incidence.T @ (self.susceptance_pu * self._shift_rad)
        return self._to_buses(self._solve(right))

    @cached_property
    def _shift_rad(self) -> Floats:
        return np.radians(self.network.branches.shift_deg)

    def flows(self, injection_mw: Floats) -> Floats:
        """Flow of each branch in MW from start to end, shape (n_branches,).

        Args:
            injection_mw: generation less load by bus; must sum to zero in each island (what
                is left over would leave at the reference bus).
        """
        angle = self._to_unknowns(self.angles(injection_mw))
        difference = self._incidence @ angle - self._shift_rad
        return self.susceptance_pu * difference * self.network.base_mva

    def transfer(self, injection_mw: Floats) -> Floats:
        """Change of flows for a change of injections (no phase shifts), same shapes.

        `injection_mw` may be (n_buses, k); the answer is then (n_branches, k).
        """
        angle = self._solve(self._to_unknowns(injection_mw))
        flow: Floats = self._incidence @ angle
        return (flow.T * self.susceptance_pu).T

    def ptdf_columns(self, buses: Ints) -> Floats:
        """Flow per MW injected at each bus and withdrawn at its island's reference.

        Shape (n_branches, len(buses)).
        """
        right = np.zeros((self._size, len(buses)))
        place = self._position[buses]
        inside = np.flatnonzero(place >= 0)
        right[place[inside], inside] = 1.0
        flow: Floats = self._incidence @ self._solve(right)
        flow *= self.susceptance_pu[:, None]
        return flow

    def ptdf_rows(self, branches: Ints) -> Floats:
        """Flow of the named branches per MW injected at each bus; (len(branches), n_buses)."""
        right = self._ends(branches) * self.susceptance_pu[branches]
        return self._to_buses(self._solve(right)).T

    @property
    def unsolvable(self) -> Ints:
        """Outages that leave the islands whole on paper but the matrix singular.

        Only negative reactances make such; known after the outages have been looked at.
        """
        found = np.abs(1 - self.own_share[self.outages]) < RADIAL_TOLERANCE
        return self.outages[found]

    def between_ends(self, branches: Ints) -> Floats:
        """Flow of all branches per MW sent from start to end of each; (n_branches, k)."""
        right = self._ends(branches)
        flow: Floats = self._incidence @ self._solve(right)
        flow *= self.susceptance_pu[:, None]
        return flow

    @cached_property
    def own_share(self) -> Floats:
        """Share of a transfer between a branch's own ends that flows over it, (n_branches,).

        1 for a radial branch: `1 - own_share` is the denominator of LODF.
        """
        leaders = np.unique(self.chains.leader[self.outages])
        for _ in self.lodf_blocks(leaders[np.isnan(self._leader_share[leaders])]):
            pass
        share = np.where(self.branch_on, 1.0, 0.0)
        leader = self.chains.leader[self.outages]
        b = self.susceptance_pu
        inside = (1 - self._leader_share[leader]) * b[leader] / b[self.outages]
        share[self.outages] = 1 - inside
        return share

    @cached_property
    def chains(self) -> Chains:
        """Branches that share one LODF column but for its sign."""
        return find_chains(self.network, self.branch_on & ~self.radial)

    @cached_property
    def radial(self) -> Bools:
        """Branches in service whose outage splits an island."""
        return self.tree.below >= 0

    @cached_property
    def tree(self) -> Tree:
        """A walk over the islands, with the bridges."""
        return walk(self.network, self.branch_on)

    @cached_property
    def outages(self) -> Ints:
        """Branches whose single outage leaves the islands whole."""
        return np.flatnonzero(self.branch_on & ~self.radial)

    def _between_blocks(self, branches: Ints) -> Iterator[tuple[Ints, Floats]]:
        """`between_ends` of many branches, a few at a time; one solve for parallel branches."""
        b, n = self.network.branches, len(self.network.buses)
        low = np.minimum(b.start[branches], b.end[branches])
        code = low * n + np.maximum(b.start[branches], b.end[branches])
        _, first, group = np.unique(code, return_index=True, return_inverse=True)
        order = np.argsort(group, kind="stable")
        edges = np.searchsorted(group[order], np.arange(0, len(first) + self.block, self.block))
        for i, (begin, end) in enumerate(pairwise(edges.tolist())):
            if begin == end:
                continue
            members = branches[order[begin:end]]
            solved = branches[first[i * self.block : (i + 1) * self.block]]
            column = group[order[begin:end]] - i * self.block
            between = self.between_ends(solved)[:, column]
            between[:, b.start[members] != b.start[solved[column]]] *= -1
            yield members, between

    def lodf_blocks(self, leaders: Ints) -> Iterator[tuple[Ints, Floats]]:
        """LODF columns of leaders of chains, a few at a time: (leaders, (n_branches, k)).

        In no particular order; the columns of the other branches of a chain differ in sign.
        An outage that has no solution (`unsolvable`) moves nothing.
        """
        for block, columns in self._between_blocks(leaders):
            index = np.arange(len(block))
            share = columns[block, index]
            self._leader_share[block] = share
            np.divide(
                columns,
                np.where(np.abs(1 - share) < RADIAL_TOLERANCE, np.inf, 1 - share),
                out=columns,
            )
            columns[block, index] = -1.0
            yield block, columns

    def lodf_columns(self, outages: Ints) -> Floats:
        """Share of each outage's flow that every branch takes over, (n_branches, k).

        -1 at the outage itself. `outages` must be among `self.outages`.
        """
        leader = self.chains.leader[outages]
        columns = np.zeros((len(self.network.branches), len(outages)))
        for block, lodf in self.lodf_blocks(np.unique(leader)):
            place = {int(row): i for i, row in enumerate(block)}
            for i, row in enumerate(leader.tolist()):
                if row in place:
                    columns[:, i] = lodf[:, place[row]]
        columns *= self.chains.sign[outages]
        columns[outages, np.arange(len(outages))] = -1.0
        return columns

    def lodf_rows(self, branches: Ints) -> Floats:
        """Share of the flow of every outage that the named branches take over; (k, n_branches).

        Zero for radial outages.
        """
        right = self._ends(branches) * self.susceptance_pu[branches]
        rows: Floats = (self._incidence @ self._solve(right)).T
        solvable = self.branch_on & ~self.radial
        rows[:, ~solvable] = 0.0
        open_share = 1 - self.own_share[solvable]
        rows[:, solvable] /= np.where(np.abs(open_share) < RADIAL_TOLERANCE, np.inf, open_share)
        index = np.arange(len(branches))
        rows[index, branches] = np.where(solvable[branches], -1.0, 0.0)
        return rows

    def splits(self, outages: Ints) -> bool:
        """Whether losing these branches together splits an island (or cannot be solved)."""
        inner = np.eye(len(outages)) - self.between_ends(outages)[outages]
        return bool(np.linalg.cond(inner) > 1 / RADIAL_TOLERANCE)

    def after_outages(self, flow_mw: Floats, outages: Ints) -> Floats:
        """Flows after several branches trip at once, shape (n_branches,) [2].

        Raises:
            InputError: the outages split an island.
        """
        between = self.between_ends(outages)
        inner = np.eye(len(outages)) - between[outages]
        if self.splits(outages):
            names = ", ".join(str(row + 1) for row in outages)
            raise InputError(
                f"the outage of branch rows {names} splits an island",
                "solve the network anew without them",
            )
        after: Floats = flow_mw + between @ np.linalg.solve(inner, flow_mw[outages])
        after[outages] = 0.0
        return after
