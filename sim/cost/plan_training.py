"""Search the layouts of a training job: which is fastest, and why the others lose.

Exhaustive over tensor, pipeline, interleaving, expert and micro-batch choices, with what cannot
matter left out: ZeRO 2 or 3 where a lower stage fits as well. Who wants the fastest alone asks
`best_training`: it looks at the most promising first, by a bound on their speed, and stops where
no other can be faster.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING

from sim.cost.layout import Layout, check_layout, most_experts
from sim.cost.training import TrainingStepCost, exchange_parts, training_step
from sim.cost.training_kernels import MicroBatch, micro_batch
from sim.cost.training_memory import fullest_stage, training_memory
from sim.cost.training_network import RAIL_FAT_TREE, Fabric
from sim.cost.training_pace import slowest_frac
from sim.cost.training_setup import (
    Dispatcher,
    Schedule,
    TrainingPrecision,
    TrainingSetup,
    has_dispatcher,
)
from sim.errors import CapacityError, InputError

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.flops.training import Recompute
    from sim.hardware.node import Node

RECOMPUTE: tuple[Recompute, ...] = ("none", "selective", "full")
"""Cheapest in time first, smallest in memory last."""
MICRO_BATCHES = (1, 2, 4, 8)
MAX_VIRTUAL_STAGES = 12
LONG_TOKENS = 16_384
CONTEXT_WAYS = (1, 2, 4, 8, 16)
TOO_WIDE = "data-parallel replicas need a larger global batch"
ROUNDING = 1e-9
"""What a bound may be off by."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A layout that fits, and its cost."""

    setup: TrainingSetup
    cost: TrainingStepCost

    @property
    def tokens_per_s(self) -> float:
        """Tokens that the whole cluster trains per second."""
        return self.cost.tokens / self.cost.time_s

    @property
    def memory_bytes(self) -> float:
        """Memory of the fullest GPU."""
        return sum(self.cost.gpu_memory_bytes.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of a search.

    Attributes:
        best: layouts that fit, fastest first.
        rejected: why layouts were left out -> how many.
    """

    best: tuple[Candidate, ...]
    rejected: dict[str, int]


def plan_training(
    arch: Architecture,
    node: Node,
    gpus: int,
    *,
    sequence_tokens: int = 8192,
    global_batch_tokens: int = 16_777_216,
    precision: TrainingPrecision = "bf16",
    fabric: Fabric = RAIL_FAT_TREE,
    schedules: Sequence[Schedule] = ("1f1b",),
    dispatcher: Dispatcher = "deepep",
    routed_nodes: int | None = None,
    multi_token: int = 0,
) -> Plan:
    """Search all layouts on at most `gpus` GPUs.

    Context parallelism is tried for sequences above `LONG_TOKENS`.

    Args:
        schedules: of the pipeline, each tried.
        dispatcher, routed_nodes, multi_token: of `TrainingSetup`.

    Raises:
        CapacityError: none fits; says what the nearest one lacks.
        InputError: `routed_nodes` or `dispatcher` for a model without experts.
    """
    if routed_nodes and not most_experts(arch):
        raise InputError(f"routed_nodes {routed_nodes}: {arch.name} has no experts", "leave it out")
    if dispatcher != "deepep" and not most_experts(arch):
        raise InputError(f"dispatcher {dispatcher}: {arch.name} has no experts", "leave it out")
    found: list[Candidate] = []
    rejected: Counter[str] = Counter()
    least_missing = float("inf")
    base = TrainingSetup(
        arch,
        Layout(),
        sequence_tokens,
        global_batch_tokens,
        precision=precision,
        fabric=fabric,
        dispatcher=dispatcher,
        routed_nodes=routed_nodes,
        multi_token=multi_token,
    )
    each = (setups(replace(base, schedule=schedule), node, gpus) for schedule in schedules)
    for setup in chain.from_iterable(each):
        if _is_too_wide(setup):
            rejected[TOO_WIDE] += 1
            continue
        candidate, missing_bytes = _fastest(setup, node)
        if candidate is None:
            rejected["memory"] += 1
            least_missing = min(least_missing, missing_bytes)
            continue
        found.append(candidate)
    if not found:
        raise _none_fits(base, gpus, rejected, least_missing)
    found.sort(key=_order)
    return Plan(tuple(found), dict(rejected))


def best_training(
    arch: Architecture,
    node: Node,
    gpus: int,
    *,
    sequence_tokens: int = 8192,
    global_batch_tokens: int = 16_777_216,
) -> Candidate:
    """The first of `plan_training`'s best, without looking at those that cannot be.

    Raises:
        CapacityError: none fits; says what the nearest one lacks.
    """
    base = TrainingSetup(arch, Layout(), sequence_tokens, global_batch_tokens)
    every = list(setups(base, node, gpus))
    narrow = [setup for setup in every if not _is_too_wide(setup)]
    best: Candidate | None = None
    best_key: tuple[float, ...] = ()
    least_missing = float("inf")
    for place, bound in _most_promising(narrow, node):
        if best is not None and bound < best.tokens_per_s:
            break
        candidate, missing_bytes = _fastest(narrow[place], node)
        if candidate is None:
            least_missing = min(least_missing, missing_bytes)
            continue
        key = (*_order(candidate), place)  # of equals the first, as a sort keeps them
        if best is None or key < best_key:
            best, best_key = candidate, key
    if best is None:
        rejected = {TOO_WIDE: len(every) - len(narrow), "memory": len(narrow)}
        raise _none_fits(base, gpus, rejected, least_missing)
    return best


def most_tokens_per_s(setup: TrainingSetup, node: Node, others_s: float = 0.0) -> float:
    """More than a setup's speed, whatever its ZeRO stage and recomputation.

    A step takes at least forward and backward of all its micro-batches at the nominal clock,
    the bubble that comes with them and the wait for the fullest stage: a limit of power,
    gradients and the optimiser only add.

    Args:
        others_s: what a step takes inside its pipeline beside them, as far as it is known.
    """
    layout, batch = setup.layout, micro_batch(setup, node.device)
    fullest = fullest_stage(setup.trained.n_layers, layout.pp)
    bubble = (layout.pp - 1) / (layout.virtual_stages * setup.micro_batches)
    busy_s = _once_s(batch, layout.gpus) * setup.micro_batches / layout.pp + others_s
    least_s = busy_s * (fullest + bubble)
    return setup.step_tokens / least_s * (1 + ROUNDING)


@lru_cache(maxsize=4096)
def _once_s(batch: MicroBatch, gpus: int) -> float:
    """Forward and backward of a micro-batch on the slowest GPU, at the nominal clock."""
    clock = 1 / (1 + slowest_frac(gpus))
    return batch.forward.time_s(clock) + batch.backward.time_s(clock)


def _most_with_exchanges(setup: TrainingSetup, node: Node) -> float:
    """The same with the exchanges within the pipeline, which take longer to compute."""
    parts = exchange_parts(setup, micro_batch(setup, node.device), node)
    return most_tokens_per_s(setup, node, sum(part.time_s for part in parts))


def setups(base: TrainingSetup, node: Node, gpus: int) -> Iterator[TrainingSetup]:
    """What is searched: layouts, micro-batch sizes, and for long sequences context ways."""
    ways = CONTEXT_WAYS if base.sequence_tokens > LONG_TOKENS else (1,)
    for layout, micro in candidates(base.trained, node, gpus, base.schedule):
        for shared in ways:
            dp = layout.dp // shared * shared
            if not dp or base.sequence_tokens % shared:
                continue
            rounded = replace(layout, dp=dp)
            if rounded.ep <= rounded.tp * rounded.dp and _can_run(base.schedule, rounded):
                spread = has_dispatcher(rounded, base.schedule)
                yield replace(
                    base,
                    layout=rounded,
                    micro_batch_sequences=micro,
                    context_parallel=shared,
                    dispatcher=base.dispatcher if spread else "deepep",
                    routed_nodes=base.routed_nodes if rounded.ep > 1 else None,
                )


def _can_run(schedule: Schedule, layout: Layout) -> bool:
    """Other schedules than 1F1B need a pipeline, none interleaves, DualPipe wants it even."""
    if schedule == "1f1b":
        return True
    even = schedule != "dualpipe" or layout.pp % 2 == 0
    return layout.pp > 1 and layout.virtual_stages == 1 and even


def candidates(
    arch: Architecture, node: Node, gpus: int, schedule: Schedule = "1f1b"
) -> Iterator[tuple[Layout, int]]:
    """Layouts that can hold the model, with a micro-batch size each.

    Where stages do not divide the layers some hold one less (Llama-3.1-405B: 126 layers in 16
    stages). Chunks of an interleaved pipeline divide the layers of the fullest stage.
    """
    layers = arch.n_layers
    for tp in _powers_of_two(node.gpus):
        for pp in stage_counts(layers, even=schedule == "dualpipe"):
            if tp * pp > gpus:
                continue
            dp = gpus // (tp * pp)
            for v in _divisors(math.ceil(layers / pp)):
                if v > MAX_VIRTUAL_STAGES or (pp == 1 and v > 1):
                    continue
                for ep in _expert_ways(arch, tp * dp):
                    layout = Layout(tp, pp, dp, ep, 0, v)
                    if _divides(arch, layout, node):
                        yield from ((layout, micro) for micro in MICRO_BATCHES)


def stage_counts(layers: int, *, even: bool = False) -> list[int]:
    """Numbers of pipeline stages worth a look: the fewest for each size of the fullest stage.

    More stages of the same fullest size only wait longer; powers of two are kept, since
    clusters and batches are made of them.

    Args:
        even: only even numbers can run (DualPipe): the fewest of those.
    """
    fewest: dict[int, int] = {}
    for stages in range(2 if even else 1, layers + 1, 2 if even else 1):
        fewest.setdefault(math.ceil(layers / stages), stages)
    return sorted(set(fewest.values()) | set(_powers_of_two(layers)))


def why_slower(other: Candidate, best: Candidate) -> str:
    """The parts of a step on which a layout loses most against the best, per token."""

    def per_token_s(candidate: Candidate) -> dict[str, float]:
        scale = best.cost.tokens / candidate.cost.tokens
        return {p.name: p.time_s * scale for p in candidate.cost.parts}

    mine, theirs = per_token_s(other), per_token_s(best)
    loss = {name: mine[name] - theirs.get(name, 0.0) for name in mine}
    worst = sorted(loss, key=lambda name: -loss[name])[:2]
    named = [f"{name} +{loss[name]:.2f} s" for name in worst if loss[name] > 0.005]
    idle = best.setup.layout.gpus - other.setup.layout.gpus
    return ", ".join(named) or (f"{idle} fewer GPUs" if idle > 0 else "the same")


def _none_fits(
    base: TrainingSetup, gpus: int, rejected: Mapping[str, int], least_missing: float
) -> CapacityError:
    why = {reason: rejected[reason] for reason in sorted(rejected) if rejected[reason]}
    lack = f"; the nearest lacks {least_missing / 2**30:,.1f} GiB a GPU" if why else ""
    return CapacityError(
        f"no layout of {base.arch.name} fits on {gpus} GPUs ({why}){lack}",
        "give more GPUs, a larger global batch or a shorter sequence",
    )


def _most_promising(narrow: Sequence[TrainingSetup], node: Node) -> Iterator[tuple[int, float]]:
    """Places of the setups with a bound on their tokens per second, by falling bound.

    The cheap bound comes first; who is ahead by it is bounded closer and put back.
    """
    cheap = [(-most_tokens_per_s(setup, node), place) for place, setup in enumerate(narrow)]
    heapify(cheap)
    close: list[tuple[float, int]] = []
    while cheap or close:
        if cheap and (not close or cheap[0] < close[0]):
            _, place = heappop(cheap)
            heappush(close, (-_most_with_exchanges(narrow[place], node), place))
            continue
        bound, place = heappop(close)
        yield place, -bound


def _is_too_wide(setup: TrainingSetup) -> bool:
    """Whether its replicas take more tokens at once than a step may have."""
    tokens = setup.replicas * setup.micro_batch_sequences * setup.sequence_tokens
    return tokens > 1.5 * setup.global_batch_tokens


def _fastest(setup: TrainingSetup, node: Node) -> tuple[Candidate | None, float]:
    """A layout with the ZeRO stage and recomputation that suit it best; else the bytes missing."""
    fitting, missing_bytes = _that_fit(setup, node)
    found = (Candidate(f, training_step(f, node)) for f in fitting)
    return max(found, key=_tokens_per_s, default=None), missing_bytes


def _order(candidate: Candidate) -> tuple[float, int, float]:
    """Fastest first; of equals the one with fewer GPUs, then with less memory."""
    return -candidate.tokens_per_s, candidate.setup.layout.gpus, candidate.memory_bytes


def _that_fit(setup: TrainingSetup, node: Node) -> tuple[list[TrainingSetup], float]:
    """For each ZeRO stage worth a look the least recomputation that fits; else the bytes missing.

    Stage 1 saves optimiser time at no traffic, 2 and 3 only add traffic: so the lowest stage
    from 1 on that fits, and stage 0 if that fits too. More recomputation only adds time.
    """
    fitting: list[TrainingSetup] = []
    fits_with_less: set[int] = set()
    missing = 0.0
    for recompute in RECOMPUTE:
        for zero in range(4):
            if zero not in fits_with_less:
                layout = replace(setup.layout, zero=zero)
                trial = replace(setup, recompute=recompute, layout=layout)
                missing = sum(training_memory(trial).values()) - node.device.usable_bytes
                if missing > 0:
                    continue
                fitting.append(trial)
                fits_with_less.add(zero)
            if zero >= 1:
                break
    return fitting, max(0.0, missing)


def _tokens_per_s(candidate: Candidate) -> float:
    return candidate.tokens_per_s


def _divides(arch: Architecture, layout: Layout, node: Node) -> bool:
    try:
        check_layout(arch, layout, node)
    except InputError:
        return False
    return True


def _expert_ways(arch: Architecture, most: int) -> list[int]:
    experts = most_experts(arch)
    return [n for n in _powers_of_two(min(most, experts)) if experts % n == 0] or [1]


def _powers_of_two(most: int) -> list[int]:
    return [2**n for n in range(max(most, 1).bit_length()) if 2**n <= most]


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
