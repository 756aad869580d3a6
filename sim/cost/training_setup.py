"""What is trained, and how it is laid out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from sim.arch import Architecture
from sim.arch.spec import LayerGroup
from sim.cost.layout import Layout
from sim.cost.training_network import RAIL_FAT_TREE, Fabric, Regions
from sim.errors import InputError
from sim.flops.training import Recompute

TrainingPrecision = Literal["bf16", "fp8"]
Schedule = Literal["1f1b", "zb1p", "dualpipe"]
Dispatcher = Literal["deepep", "all-to-all"]


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """What is trained, and how it is laid out.

    Args:
        layout: `dp` counts the GPUs of a stage that hold the same tensor slice: replicas
            times context-parallel ranks, as sharded data parallelism sees them.
        global_batch_tokens: wanted tokens of an optimiser step; rounded to whole micro-batches.
        recompute: activations kept from forward to backward: all (`none`), all but the
            attention core and what is cheap to make again (`selective`: norms, products of
            gated layers, up-projections of latents), or only each layer's input (`full`).
        cap_w: power cap of each GPU, None for none.
        precision: of the layers' matrix products. `fp8` as in DeepSeek-V3: weights,
            activations and gradients in blocks; attention, embedding and head stay bf16.
        context_parallel: GPUs that share the tokens of a sequence; divides `layout.dp`.
        schedule: `1f1b`, interleaved by `layout.virtual_stages`; `zb1p`, zero-bubble with the
            memory of 1F1B; or `dualpipe`.
        attention_speed_frac: speed of the attention kernel over FlashAttention-3's; see
            `training/assumptions.yaml`, `attention`.
        dispatcher: what brings tokens to their experts. `deepep` sends a token once to each node
            and each GPU that holds any of its experts, `all-to-all` once for each expert.
        routed_nodes, routed_gpus: most nodes, and most GPUs, on which a token's experts may
            lie; None: any.
        multi_token: modules of multi-token prediction. Each is one more layer like the last, a
            projection of two hidden vectors to one, and the output head once more (DeepSeek-V3
            report, arXiv 2412.19437, section 2.2). Model FLOPs leave them out.
        fabric: the network between nodes. regions: sites that share the job; None: one.
    """

    arch: Architecture
    layout: Layout
    sequence_tokens: int
    global_batch_tokens: int
    micro_batch_sequences: int = 1
    recompute: Recompute = "selective"
    cap_w: float | None = None
    precision: TrainingPrecision = "bf16"
    context_parallel: int = 1
    schedule: Schedule = "1f1b"
    attention_speed_frac: float = 1.0
    dispatcher: Dispatcher = "deepep"
    routed_nodes: int | None = None
    routed_gpus: int | None = None
    multi_token: int = 0
    fabric: Fabric = RAIL_FAT_TREE
    regions: Regions | None = None

    @property
    def trained(self) -> Architecture:
        """The model with the layers of its modules of multi-token prediction."""
        return _with_layers(self.arch, self.multi_token) if self.multi_token else self.arch

    @property
    def head_runs(self) -> float:
        """Times that the output head runs, with the modules' projections in heads."""
        projection = 2 * self.arch.hidden / self.arch.vocab
        return 1 + self.multi_token * (1 + projection)

    @property
    def replicas(self) -> int:
        """Pipelines that work on different sequences."""
        return max(1, self.layout.dp // self.context_parallel)

    @property
    def micro_batches(self) -> int:
        """Micro-batches that each pipeline runs in a step, at least 1."""
        tokens = self.replicas * self.micro_batch_sequences * self.sequence_tokens
        return max(1, round(self.global_batch_tokens / tokens))

    @property
    def micro_batch_tokens(self) -> float:
        """Tokens of a micro-batch that one context-parallel rank holds."""
        return self.micro_batch_sequences * self.sequence_tokens / self.context_parallel

    @property
    def step_tokens(self) -> int:
        """Tokens of one optimiser step, over all replicas."""
        sequences = self.micro_batches * self.micro_batch_sequences * self.replicas
        return sequences * self.sequence_tokens


@lru_cache(maxsize=64)
def _with_layers(arch: Architecture, extra: int) -> Architecture:
    """The model with its last layer repeated."""
    last = arch.layers[-1]
    return replace(arch, layers=(*arch.layers[:-1], LayerGroup(last.layer, last.count + extra)))


def has_dispatcher(layout: Layout, schedule: Schedule) -> bool:
    """Whether tokens go to experts that are spread, by kernels that are not the schedule's own."""
    return layout.ep > 1 and schedule != "dualpipe"


def check_setup(setup: TrainingSetup) -> None:
    """Refuse what the parts cannot share.

    Raises:
        InputError: names the field, its value and its limit.
    """
    layout, ways = setup.layout, setup.context_parallel
    if layout.dp % ways or setup.sequence_tokens % ways:
        raise InputError(
            f"context_parallel {ways} does not divide dp {layout.dp} and the sequence of "
            f"{setup.sequence_tokens} tokens",
            "give a common divisor",
            path="context_parallel",
        )
    if setup.schedule != "1f1b":
        _check_schedule(setup)
    if setup.dispatcher == "all-to-all" and not has_dispatcher(layout, setup.schedule):
        raise InputError(
            "an all-to-all brings tokens to experts that are spread, not to ep 1, and not under "
            "dualpipe, whose kernels send a token once",
            "give layout.ep above 1 and another schedule, or leave dispatcher out",
            path="dispatcher",
        )
    for name, most in (("routed_nodes", setup.routed_nodes), ("routed_gpus", setup.routed_gpus)):
        if most and layout.ep == 1:
            raise InputError(
                f"{name} {most} limits experts that are spread, not ep 1",
                f"give layout.ep above 1, or leave {name} out",
                path=name,
            )
    regions = setup.regions
    if regions and setup.replicas % regions.count:
        raise InputError(
            f"{setup.replicas} data-parallel replicas do not divide over {regions.count} regions",
            f"give a dp that is a multiple of {regions.count}",
            path="layout.dp",
        )


def _check_schedule(setup: TrainingSetup) -> None:
    layout, name = setup.layout, setup.schedule
    if layout.virtual_stages > 1 or (name == "dualpipe" and layout.pp % 2):
        even = "an even pp and " if name == "dualpipe" else ""
        raise InputError(
            f"{name} needs {even}no virtual_stages, not pp {layout.pp} and "
            f"virtual_stages {layout.virtual_stages}",
            f"give {even}virtual_stages 1, or schedule 1f1b",
            path="schedule",
        )
