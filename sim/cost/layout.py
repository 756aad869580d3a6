"""How a model is spread over GPUs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from sim.arch.blocks import MoE
from sim.errors import InputError

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.hardware.node import Link, Node

ENDS = 2
"""Chunks of an interleaved pipeline that may hold no layer: the first only the embedding, the
last only the output head (Llama 3 report, arXiv 2407.21783, section 3.3.2)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Parallel dimensions. GPUs = tp x pp x dp; experts are sharded over ep <= tp x dp of them.

    Args:
        tp: tensor parallel ways, pp: pipeline stages, dp: data parallel replicas.
        ep: ways that the experts of a layer are spread.
        zero: ZeRO stage: what is sharded over dp (1 optimiser, 2 + gradients, 3 + weights).
        virtual_stages: model chunks of each GPU in an interleaved pipeline.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    zero: int = 0
    virtual_stages: int = 1

    @property
    def gpus(self) -> int:
        """GPUs that the layout occupies."""
        return self.tp * self.pp * self.dp

    def tp_link(self, node: Node) -> Link:
        """Link that tensor parallelism runs over."""
        return link_within(self.tp, node)

    def ep_link(self, node: Node) -> Link:
        """Link that the expert exchange runs over."""
        return link_within(self.ep, node)

    def dp_link(self, node: Node) -> Link:
        """Link that the gradient exchange runs over."""
        return link_within(self.tp * self.dp, node)


def link_within(span_gpus: int, node: Node) -> Link:
    """NVLink if a group of GPUs fits into one node, the network otherwise."""
    return node.nvlink if span_gpus <= node.gpus else node.network


def check_layout(arch: Architecture, layout: Layout, node: Node) -> None:
    """Refuse a layout that cannot divide the model.

    Raises:
        InputError: names the dimension, its value and its limit.
    """
    layers = arch.n_layers
    if layout.tp > node.gpus:
        raise InputError(
            f"tp {layout.tp} spans more than the {node.gpus} GPUs of a {node.name}",
            f"give tp of at most {node.gpus}",
            path="layout.tp",
        )
    chunks = layers + (ENDS if layout.virtual_stages > 1 else 0)
    if layout.pp > layers or layout.pp * layout.virtual_stages > chunks:
        ends = f" and {ENDS} ends" if chunks > layers else ""
        raise InputError(
            f"pp {layout.pp} x virtual_stages {layout.virtual_stages} is more than the "
            f"{layers} layers{ends} of {arch.name}",
            f"give pp of at most {chunks // layout.virtual_stages}",
            path="layout.pp",
        )
    if layout.ep > layout.tp * layout.dp:
        raise InputError(
            f"ep {layout.ep} is more than tp x dp = {layout.tp * layout.dp}",
            "experts are sharded over GPUs of the same stage: give a smaller ep",
            path="layout.ep",
        )
    experts = most_experts(arch)
    if layout.ep > max(experts, 1):
        raise InputError(
            f"ep {layout.ep} is more than the {experts} experts of a layer of {arch.name}",
            f"give ep of at most {max(experts, 1)}",
            path="layout.ep",
        )


@lru_cache(maxsize=256)
def most_experts(arch: Architecture) -> int:
    """Routed experts of the layer that has most; 0 for a model without."""
    return max((b.n_experts for b, _, _ in arch.blocks() if isinstance(b, MoE)), default=0)
