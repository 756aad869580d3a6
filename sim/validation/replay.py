"""A short run of a replica request by request: what an online benchmark measures.

A benchmark sends a few hundred requests and takes means over all of them, the filling and the
draining of the replica included; a steady state does not say that. All requests are equal,
so the order of finishing is that of starting; steps without prompts pass as one event.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sim.cost.serving import model_costs
from sim.cost.step import StepCost
from sim.cost.steps import StepModel
from sim.cost.tables import ENERGY, NJ_PER_J, TIME, StepTables, build_tables
from sim.cost.uniform import Points
from sim.randomness import stream
from sim.units import PS_PER_S

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Run:
    """Means over all requests of a run.

    Attributes:
        first_token_s: from sending to the first token. token_s: between later tokens.
        tokens_per_s: output over the time from the first request to the last token.
        power_w: of the replica while it steps.
    """

    first_token_s: float
    token_s: float
    tokens_per_s: float
    power_w: float


class _Sampled:
    """A step model as a coster, without room for a cache: the caller knows what fits."""

    def __init__(self, model: StepModel):
        self._model = model
        self.gpus = model.layout.gpus
        self.idle_power_w = self.gpus * model.node.device.idle_w
        self.unloaded_power_w = self.gpus * model.node.device.unloaded_w
        self.loading_power_w = self.gpus * model.node.device.loading_w
        self.kv_capacity_tokens = 0
        self.max_sequences = 0

    def uniform_costs(self, points: Points) -> Floats:
        """As `ReplicaCost.uniform_costs`."""
        return model_costs(self._model, points)

    def cost(self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]) -> StepCost:
        """One step with equal chunks and equal contexts."""
        new, cached = prefill[0] if prefill else (0, 0)
        context = decode_contexts[0] if decode_contexts else 0
        point = (len(decode_contexts), context, len(prefill), new, cached)
        time_s, energy_j, flops, hbm, weights, links = self.uniform_costs(
            Points(*np.array(point)[:, None])
        )[0].tolist()
        return StepCost(time_s, energy_j, flops, hbm, weights, links, "model")


@cache
def model_tables(model: StepModel, most: int, budget: int) -> StepTables:
    """Step tables of a model; kept."""
    return build_tables(_Sampled(model), most, budget)


def poisson_s(count: int, per_s: float) -> Floats:
    """Arrival times: exponential gaps, drawn once and for all, with exactly the rate.

    An infinite rate sends everything at once.
    """
    if math.isinf(per_s):
        return np.zeros(count)
    times = np.cumsum(stream(1, "validation").exponential(1.0, count))
    return np.asarray(times * count / (times[-1] * per_s))


@dataclass(slots=True)
class _Waiting:
    """A request whose prompt is not yet done."""

    sent_s: float
    left: int
    done: int = 0


@dataclass(slots=True)
class _State:
    """What the replica holds: running sequences in the order in which they end."""

    time_s: float
    energy_j: float
    step: int
    ends: deque[tuple[int, float]]
    cached: int


def replay(
    tables: StepTables, arrivals_s: Floats, isl: int, osl: int, *, most: int, budget: int
) -> Run:
    """Serve equal requests.

    Args:
        arrivals_s: sorted. isl, osl: tokens of prompt and answer, osl at least 2.
        most: sequences that run at once. budget: new tokens of a step.
    """
    state = _State(0.0, 0.0, 0, deque(), 0)
    coming, waiting = deque(arrivals_s.tolist()), deque[_Waiting]()
    firsts: list[float] = []
    gaps: list[float] = []
    while coming or waiting or state.ends:
        while coming and coming[0] <= state.time_s:
            waiting.append(_Waiting(coming.popleft(), isl))
        if waiting and len(state.ends) < most:
            _mixed_step(tables, state, waiting, firsts, isl, osl, most, budget)
        elif state.ends:
            _decode_steps(tables, state, coming[0] if coming and not waiting else math.inf)
        else:
            state.time_s = coming[0]
        _finish(state, gaps, isl, osl)
    total_s = state.time_s - float(arrivals_s[0])
    return Run(
        float(np.mean(firsts)), float(np.mean(gaps)), len(arrivals_s) * osl / total_s,
        state.energy_j / total_s,
    )  # fmt: skip


def _mixed_step(
    tables: StepTables,
    state: _State,
    waiting: deque[_Waiting],
    firsts: list[float],
    isl: int,
    osl: int,
    most: int,
    budget: int,
) -> None:
    """One step with all running sequences and as many prompt tokens as fit."""
    decodes = len(state.ends)
    room = min(budget, tables.max_tokens) - decodes
    chunks: list[tuple[int, int]] = []
    ready: list[_Waiting] = []
    for request in waiting:
        if room <= 0 or decodes + len(chunks) >= most:
            break
        new = min(room, request.left)
        chunks.append((new, request.done))
        request.left, request.done, room = request.left - new, request.done + new, room - new
        if request.left == 0:
            ready.append(request)
    cost = tables.step(chunks, (state.cached // decodes,) * decodes if decodes else ())
    _spend(state, float(cost[TIME]), float(cost[ENERGY]), decodes)
    state.step += 1
    for request in ready:
        waiting.popleft()
        firsts.append(state.time_s - request.sent_s)
        state.ends.append((state.step + osl - 1, state.time_s))
        state.cached += isl


def _decode_steps(tables: StepTables, state: _State, until_s: float) -> None:
    """Steps without prompts until a sequence ends, or the step that reaches a time."""
    decodes, steps = len(state.ends), state.ends[0][0] - state.step
    segment = int(np.searchsorted(tables.edge[decodes], state.cached, side="right")) - 1
    over = state.cached - int(tables.edge[decodes, segment])
    base = tables.base[:, decodes, segment] + tables.slope[:, decodes, segment] * over
    rise = tables.slope[:, decodes, segment] * decodes
    if until_s < math.inf:
        each_s = float(base[TIME]) / PS_PER_S
        steps = min(steps, max(1, math.ceil((until_s - state.time_s) / each_s)))
    total = base * steps + rise * (steps * (steps - 1) // 2)
    _spend(state, float(total[TIME]), float(total[ENERGY]), decodes * steps)
    state.step += steps


def _spend(state: _State, time_ps: float, energy_nj: float, tokens: int) -> None:
    state.time_s += time_ps / PS_PER_S
    state.energy_j += energy_nj / NJ_PER_J
    state.cached += tokens


def _finish(state: _State, gaps: list[float], isl: int, osl: int) -> None:
    while state.ends and state.ends[0][0] <= state.step:
        _, began_s = state.ends.popleft()
        gaps.append((state.time_s - began_s) / (osl - 1))
        state.cached = max(0, state.cached - isl - osl + 1)
