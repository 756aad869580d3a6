"""Time and energy of a turn, exactly binned; how many steps fit before an instant."""

# mypy: disable-error-code="no-any-return"
from __future__ import annotations

import numpy as np

from sim.cluster.serving.jit import compiled, inlined, internal
from sim.cluster.serving.kernels.layout import (
    AT,
    BIN,
    BIN_END,
    BIN_PS,
    CD,
    CE,
    DONE,
    E1,
    NEVER,
    PHASE,
    STEP,
    T0,
    T1,
    Cell,
    K,
)


@inlined
def tri(k: int) -> int:
    """0 + 1 + ... + (k - 1)."""
    return k * (k - 1) >> 1


@internal
def steps_until(first_ps: int, more_ps: int, span_ps: int) -> int:
    """Fewest steps that last `span_ps` or longer; step j lasts first + (j - 1) more."""
    half = 0.5 * more_ps
    b = first_ps - half
    m = int(2.0 * span_ps / (b + np.sqrt(b * b + 4.0 * half * span_ps)))
    m = max(m, 1)
    while m * first_ps + more_ps * (m * (m - 1) >> 1) < span_ps:
        m += 1
    while m > 1 and (m - 1) * first_ps + more_ps * ((m - 1) * (m - 2) >> 1) >= span_ps:
        m -= 1
    return m


@internal
def energy_by(c: Cell, r: int, time_ps: int) -> int:
    """Energy (nJ) of the turn under way from its begin to an instant inside it.

    Power is constant within a step.
    """
    t1, cd, e1, ce = c.rep[r, T1], c.rep[r, CD], c.rep[r, E1], c.rep[r, CE]
    span = time_ps - c.rep[r, T0]
    whole = steps_until(t1, cd, span) - 1
    rest = span - whole * t1 - cd * (whole * (whole - 1) >> 1)
    part = np.int64((e1 + ce * whole) * (rest / (t1 + cd * whole)))
    return whole * e1 + ce * (whole * (whole - 1) >> 1) + part


@internal
def spread(c: Cell, r: int, until_ps: int, energy_nj: int) -> None:
    """Add a turn's energy and time up to an instant that lies beyond the replica's bin."""
    rep, bins = c.rep, c.bins
    last = bins.shape[0] - 1
    while rep[r, AT] < until_ps:
        while rep[r, AT] >= rep[r, BIN_END]:
            rep[r, BIN] += 1
            end = rep[r, BIN_END] + c.limits[BIN_PS]
            rep[r, BIN_END] = NEVER if rep[r, BIN] == last else end
        stop, reached = until_ps, energy_nj
        if stop > rep[r, BIN_END]:
            stop = rep[r, BIN_END]
            reached = energy_by(c, r, stop)
        bins[rep[r, BIN], 0] += reached - rep[r, DONE]
        bins[rep[r, BIN], 1] += stop - rep[r, AT]
        rep[r, AT], rep[r, DONE] = stop, reached


@inlined
def account(c: Cell, r: int, until_ps: int, energy_nj: int) -> None:
    """Add what a turn used since it was last accounted."""
    rep = c.rep
    if until_ps <= rep[r, BIN_END]:
        c.bins[rep[r, BIN], 0] += energy_nj - rep[r, DONE]
        c.bins[rep[r, BIN], 1] += until_ps - rep[r, AT]
        rep[r, AT], rep[r, DONE] = until_ps, energy_nj
    else:
        spread(c, r, until_ps, energy_nj)


@compiled
def flush(c: Cell, time_ps: int) -> None:
    """Account turns under way up to an instant that all replicas were settled to."""
    for r in range(c.due.shape[0]):
        if c.rep[r, PHASE] == STEP and c.rep[r, AT] < time_ps:
            account(c, r, time_ps, energy_by(c, r, time_ps))


@compiled
def cut(c: Cell, time_ps: int) -> None:
    """End turns under way with the step that holds an instant: what follows may differ."""
    for r in range(c.due.shape[0]):
        rep = c.rep
        if rep[r, PHASE] == STEP and rep[r, K] > 1 and rep[r, T0] < time_ps:
            shorten(c, r, time_ps)


@inlined
def shorten(c: Cell, r: int, time_ps: int) -> None:
    """Let the turn of a replica end with the step that is under way at an instant."""
    rep = c.rep
    k = min(rep[r, K], steps_until(rep[r, T1], rep[r, CD], time_ps - rep[r, T0]))
    rep[r, K] = k
    c.due[r] = rep[r, T0] + k * rep[r, T1] + rep[r, CD] * tri(k)
