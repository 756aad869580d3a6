"""Flows of a nodal grid solved anew: laws of outages and of hosted load.

Nothing of `dcflow` is used but the convention of a branch's susceptance: the matrix is made as
A' B A with the outage left out of it, one bus of each part is held, and the parts are found anew.
So sensitivities (PTDF, LODF), the shared factorisation and its bookkeeping are all checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import csc_array, csr_array, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from sim.errors import LawViolation
from sim.grid.nodal.dcflow import susceptance
from sim.grid.nodal.pairs import Pairs

if TYPE_CHECKING:
    from sim.grid.nodal.contingency import OutageKind, Screening
    from sim.grid.nodal.hosting import Hosted
    from sim.grid.nodal.study import Study
    from sim.grid.nodal.tables import Bools, Floats

FLOW_FRAC: Final = 1e-6
"""What two solutions of the same flows may differ by, of the largest flow."""
LIMIT_MW: Final = 1e-3
"""What a flow may be off its limit."""
SAMPLES: Final = 3
"""Answers of many that are solved anew."""


def fresh_flows(study: Study, injection_mw: Floats, out: Sequence[int] = ()) -> Floats:
    """Flow of each branch with some branches out, shape (n_branches,) or (n_branches, k).

    Args:
        injection_mw: generation less load by bus, shape (n_buses,) or (n_buses, k).
        out: rows from 0 of the branches that are lost.
    """
    network, b = study.network, study.network.branches
    on = study.grid.branch_on.copy()
    on[list(out)] = False
    rows = np.flatnonzero(on)
    pu = susceptance(network, study.settings.susceptance)[rows]
    count, buses = len(rows), len(network.buses)
    ends = np.concatenate([b.start[rows], b.end[rows]])
    sign = np.concatenate([np.ones(count), -np.ones(count)])
    place = np.concatenate([np.arange(count)] * 2)
    incidence = csr_array((sign, (place, ends)), shape=(count, buses))
    _, part = connected_components(abs(incidence.T) @ abs(incidence), directed=False)
    held = np.unique(part, return_index=True)[1]
    free = np.setdiff1d(np.arange(buses), held)
    shift = np.radians(b.shift_deg[rows])[:, None]
    right = injection_mw.reshape(buses, -1) / network.base_mva
    right = right + incidence.T @ (pu[:, None] * shift)
    matrix = csc_array(incidence.T @ diags_array(pu) @ incidence)[free][:, free]
    angle = np.zeros(right.shape)
    angle[free] = splu(csc_array(matrix)).solve(right[free])
    flow = np.zeros((len(b), right.shape[1]))
    flow[rows] = pu[:, None] * (incidence @ angle - shift) * network.base_mva
    return flow.reshape(len(b), *injection_mw.shape[1:])


def check_screening(study: Study, found: Screening) -> None:
    """The worst outages, and that of the branch which carries most, solved anew.

    The worst of branches, of towers and of generators; radial ones are not. After an outage
    exactly those branches are over their limits that were told.

    Raises:
        LawViolation: with the outage, the branch and both flows.
    """
    told: dict[tuple[OutageKind, tuple[int, ...]], dict[int, float]] = {}
    for violation in found.violations:
        told.setdefault((violation.kind, violation.outage), {})[violation.branch] = (
            violation.flow_mw
        )
    worst = dict(reversed(told))  # the first of a kind is its worst
    chosen = [(kind, worst[kind]) for kind in ("branch", "tower") if kind in worst]
    outages = study.grid.outages
    if len(outages):
        most = int(outages[np.abs(study.base.flow_mw[outages]).argmax()])
        chosen.append(("branch", (most,)))
    unsolvable = set(found.unsolvable)
    for kind, outage in chosen:
        if not unsolvable & set(outage):
            flow = fresh_flows(study, study.base.injection_mw, outage)
            name = f"branch rows {', '.join(str(row + 1) for row in outage)}"
            _check_after(study, name, flow, told.get((kind, outage), {}), found.preexisting)
    if "generator" in worst:
        (row,) = worst["generator"]
        flow = fresh_flows(study, study.base.injection_mw + _picked_up(study, row))
        name = f"generator {row + 1}"
        _check_after(study, name, flow, told["generator", (row,)], found.preexisting)


def _check_after(
    study: Study,
    name: str,
    flow_mw: Floats,
    told: dict[int, float],
    preexisting: Sequence[int],
) -> None:
    """The told flows are those solved anew, and no other branch is over."""
    _check_told(study, name, flow_mw, told)
    limit_mw = study.emergency_limit_mw.copy()
    limit_mw[list(preexisting)] = np.inf
    over = np.flatnonzero(np.abs(flow_mw) > limit_mw + LIMIT_MW)
    for branch in over.tolist():
        if branch not in told:
            raise LawViolation(
                f"case {study.network.name}, outage of {name}: branch {branch + 1} carries "
                f"{float(flow_mw[branch])!r} MW, limit {float(limit_mw[branch])!r} MW, not told"
            )


def _check_told(study: Study, outage: str, flow_mw: Floats, told: dict[int, float]) -> None:
    allowed = FLOW_FRAC * max(1.0, float(np.abs(flow_mw).max(initial=0.0)))
    for branch, mw in told.items():
        if not abs(flow_mw[branch] - mw) <= allowed:
            raise LawViolation(
                f"case {study.network.name}, outage of {outage}: branch {branch + 1} is told to "
                f"carry {mw!r} MW, solved anew {float(flow_mw[branch])!r} MW"
            )


def _picked_up(study: Study, lost: int) -> Floats:
    """Change of injections after a generator's loss: others of its island, by their headroom."""
    network, g = study.network, study.network.generators
    island = study.grid.island[g.bus]
    helps = network.generator_on & (island == island[lost])
    helps[lost] = False
    room = np.where(helps, np.maximum(g.max_mw - study.base.output_mw, 0.0), 0.0)
    mw = float(study.base.output_mw[lost])
    if mw < 0:
        room = np.where(helps, np.maximum(study.base.output_mw, 0.0), 0.0)
    change = np.zeros(len(network.buses))
    if room.sum() > 0:
        np.add.at(change, g.bus, room / room.sum() * mw)
    change[g.bus[lost]] -= mw
    return change


def check_hosted(study: Study, answer: Hosted) -> None:
    """A load hosted with a fixed dispatch, put there and solved anew.

    Every base limit that feels the load holds, and the limit that binds is reached.

    Raises:
        LawViolation: with the branch, its outage and both numbers.
    """
    binding, least = answer.binding, study.settings.least_effect_frac
    if binding.kind == "island" or study.settings.redispatch != "none":
        return
    per_mw = _per_mw(study, answer)
    injection = study.base.injection_mw + answer.hosting_mw * per_mw
    flow = fresh_flows(study, injection)
    felt = np.abs(flow - study.base.flow_mw) > least * answer.hosting_mw
    over = np.abs(flow) > study.base_limit_mw + _allowed(study.base_limit_mw)
    for branch in np.flatnonzero(over & felt & study.grid.branch_on).tolist():
        raise LawViolation(
            f"{_where(study, answer)}: branch {branch + 1} carries {float(flow[branch])!r} MW, "
            f"limit {float(study.base_limit_mw[branch])!r} MW"
        )
    if binding.branch is not None:
        _check_reached(study, answer, binding.branch, injection, flow)


def check_some_hosted(study: Study, answers: Sequence[Hosted]) -> None:
    """A few of many answers, evenly spread (see `check_hosted`)."""
    places = np.unique(np.linspace(0, len(answers) - 1, min(SAMPLES, len(answers))).astype(int))
    for place in places.tolist():
        check_hosted(study, answers[place])


def _check_reached(
    study: Study, answer: Hosted, branch: int, injection_mw: Floats, flow_mw: Floats
) -> None:
    """The branch that binds carries its limit."""
    outage = answer.binding.outage
    limit_mw, after = float(study.base_limit_mw[branch]), ""
    if outage is not None:
        pair = Pairs(np.array([branch]), np.array([outage]), np.zeros(1))
        limit_mw = float(study.pair_limit_mw(pair)[0])
        flow_mw = fresh_flows(study, injection_mw, [outage])
        after = f" after the outage of {outage + 1}"
    carried_mw = abs(float(flow_mw[branch]))
    if not abs(carried_mw - limit_mw) <= float(_allowed(np.array(limit_mw))):
        raise LawViolation(
            f"{_where(study, answer)}: branch {branch + 1}{after} binds at {limit_mw!r} MW, and "
            f"carries {carried_mw!r} MW solved anew"
        )


def _allowed(limit_mw: Floats) -> Floats:
    finite = np.where(np.isfinite(limit_mw), limit_mw, 0.0)
    return LIMIT_MW + FLOW_FRAC * finite


def _per_mw(study: Study, answer: Hosted) -> Floats:
    """Change of injections per MW: the load at its buses, its islands' generators for it."""
    network, g = study.network, study.network.generators
    island = study.grid.island
    room: Floats = np.where(
        network.generator_on, np.maximum(g.max_mw - study.base.output_mw, 0.0), 0.0
    )
    change = np.zeros(len(network.buses))
    for bus, share in answer.shares:
        same: Bools = island[g.bus] == island[bus]
        np.add.at(change, g.bus, np.where(same, room, 0.0) / room[same].sum() * share)
        change[bus] -= share
    return change


def _where(study: Study, answer: Hosted) -> str:
    number = int(study.network.buses.number[answer.bus])
    return f"case {study.network.name}, {answer.hosting_mw!r} MW hosted at bus {number}"
