"""Search the layouts of a training job: which is fastest, and why the others lose.

Exhaustive over tensor, pipeline, interleaving, expert and micro-batch choices, pruned by what
cannot matter: for each of them and each ZeRO stage the least recomputation that fits is taken,
since more of it only costs time; and ZeRO 2 or 3 is left out where a lower stage fits as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sim.cost.layout import Layout, check_layout, most_experts
from sim.cost.training import TrainingStepCost, training_step
from sim.cost.training_memory import training_memory
from sim.cost.training_network import RAIL_FAT_TREE, Fabric
from sim.cost.training_setup import TrainingPrecision, TrainingSetup
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
) -> Plan:
    """Search all layouts on at most `gpus` GPUs.

    Context parallelism is tried for sequences above `LONG_TOKENS`.

    Raises:
        CapacityError: none fits; says what the nearest one lacks.
    """
    found: list[Candidate] = []
    rejected: Counter[str] = Counter()
    least_missing = float("inf")
    base = TrainingSetup(
        arch, Layout(), sequence_tokens, global_batch_tokens, precision=precision, fabric=fabric
    )
    for setup in setups(base, node, gpus):
        replica_tokens = setup.micro_batch_sequences * sequence_tokens
        if setup.replicas * replica_tokens > 1.5 * global_batch_tokens:
            rejected["data-parallel replicas need a larger global batch"] += 1
            continue
        fitting, missing_bytes = _that_fit(setup, node)
        if not fitting:
            rejected["memory"] += 1
            least_missing = min(least_missing, missing_bytes)
            continue
        found.append(
            max((Candidate(f, training_step(f, node)) for f in fitting), key=_tokens_per_s)
        )
    if not found:
        raise CapacityError(
            f"no layout of {arch.name} fits on {gpus} GPUs ({dict(rejected)})"
            + (f"; the nearest lacks {least_missing / 2**30:,.1f} GiB a GPU" if rejected else ""),
            "give more GPUs, a larger global batch or a shorter sequence",
        )
    found.sort(key=lambda c: (-c.tokens_per_s, c.setup.layout.gpus, c.memory_bytes))
    return Plan(tuple(found), dict(rejected))


def setups(base: TrainingSetup, node: Node, gpus: int) -> Iterator[TrainingSetup]:
    """What is searched: layouts, micro-batch sizes, and for long sequences context ways."""
    ways = CONTEXT_WAYS if base.sequence_tokens > LONG_TOKENS else (1,)
    for layout, micro in candidates(base.arch, node, gpus):
        for shared in ways:
            dp = layout.dp // shared * shared
            if not dp or base.sequence_tokens % shared:
                continue
            rounded = replace(layout, dp=dp)
            if rounded.ep <= rounded.tp * rounded.dp:
                yield replace(
                    base, layout=rounded, micro_batch_sequences=micro, context_parallel=shared
                )


def candidates(arch: Architecture, node: Node, gpus: int) -> Iterator[tuple[Layout, int]]:
    """Layouts that divide the model, with a micro-batch size each."""
    for tp in _powers_of_two(node.gpus):
        for pp in _divisors(arch.n_layers):
            if tp * pp > gpus:
                continue
            dp = gpus // (tp * pp)
            for v in _divisors(arch.n_layers // pp):
                if v > MAX_VIRTUAL_STAGES or (pp == 1 and v > 1):
                    continue
                for ep in _expert_ways(arch, tp * dp):
                    layout = Layout(tp, pp, dp, ep, 0, v)
                    if _divides(arch, layout, node):
                        yield from ((layout, micro) for micro in MICRO_BATCHES)


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


def _that_fit(setup: TrainingSetup, node: Node) -> tuple[list[TrainingSetup], float]:
    """For each recomputation the ZeRO stages worth a look; else the bytes missing.

    Stage 1 saves optimiser time at no traffic, 2 and 3 only add traffic: so the lowest stage
    from 1 on that fits, and stage 0 if that fits too.
    """
    fitting: list[TrainingSetup] = []
    missing = 0.0
    for recompute in RECOMPUTE:
        for zero in range(4):
            trial = replace(setup, recompute=recompute, layout=replace(setup.layout, zero=zero))
            missing = sum(training_memory(trial).values()) - node.device.usable_bytes
            if missing <= 0:
                fitting.append(trial)
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
