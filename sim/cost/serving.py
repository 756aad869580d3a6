"""Time and energy of one engine step of a serving replica: `StepCoster` of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.cost.capacity import UNBOUNDED_TOKENS, cache_tokens
from sim.cost.layout import Layout, check_layout
from sim.cost.step import StepCost
from sim.cost.steps import StepModel
from sim.cost.sums import BatchSums
from sim.cost.uniform import Points, point_features
from sim.errors import InputError
from sim.flops import BF16

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.flops import Precision
    from sim.hardware.engine import Sampling
    from sim.hardware.node import Node

Floats = NDArray[np.float64]
__all__ = ["UNBOUNDED_TOKENS", "ReplicaCost"]


class ReplicaCost:
    """Costs of the steps of one replica: `StepCoster` of `sim.cluster.serving`.

    Args:
        max_num_seqs: running sequences to reserve recurrent state and windows for.
        cap_w: power cap of each GPU, None for none.
        precision: formats of weights, activations and cache.
        engine: whose kernels and host work (`sim.hardware.engine.ENGINES`).
        sampling: as `StepModel`.

    Raises:
        InputError: the layout cannot serve this model.
        CapacityError: weights and state do not fit (says how many bytes are missing), or
            the cap lies below what the lowest clock draws.
        UnknownNameError: no such engine.

    Accuracy: `flopgrid validate` prints it against measured rows.
    """

    def __init__(
        self,
        arch: Architecture,
        layout: Layout,
        node: Node,
        max_num_seqs: int = 256,
        cap_w: float | None = None,
        *,
        precision: Precision = BF16,
        engine: str = "vllm",
        sampling: Sampling | None = None,
    ):
        _check_serving_layout(layout)
        check_layout(arch, layout, node)
        self.model = StepModel(
            arch, layout, node, engine=engine, precision=precision, cap_w=cap_w, sampling=sampling
        )
        self.arch = arch
        self.layout = layout
        self.program = self.model.program
        self.node = node
        self.cap_w = cap_w
        self.gpus = layout.gpus
        self.idle_power_w = self.gpus * node.device.idle_w
        self.max_sequences = max_num_seqs
        self.kv_capacity_tokens = cache_tokens(self.program, layout, node.device, max_num_seqs)
        self._sums = BatchSums(self.program)
        self._counted = self.program.matrices["flops"][self.program.counted].sum(axis=0)

    def cost(self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]) -> StepCost:
        """Cost of a step.

        Args:
            prefill: (new tokens, tokens already cached) of each prompt chunk.
            decode_contexts: tokens already cached of each decoding sequence.
        """
        features = self._sums.features(prefill, decode_contexts)
        step = self.model.evaluate(features[None, :])
        time_s = float(step.time_s[0])
        return StepCost(
            time_s=time_s,
            energy_j=float(step.power_w[0]) * time_s * self.gpus,
            flops=float(features @ self._counted),
            hbm_bytes=float(step.hbm_bytes[0]) * self.gpus,
            weight_bytes=float(step.weight_bytes[0]) * self.gpus,
            link_bytes=float(step.link_bytes[0]) * self.gpus,
            bound="compute" if float(step.compute_share[0]) > 0.5 else "memory",
        )

    def uniform_costs(self, points: Points) -> Floats:
        """Costs of many steps at once (`sim.cost.uniform`), shape (n, 6)."""
        return model_costs(self.model, points)


def model_costs(model: StepModel, points: Points) -> Floats:
    """Time, energy, FLOPs, and HBM, weight and link bytes of a replica's steps, shape (n, 6)."""
    program, gpus = model.program, model.layout.gpus
    features = point_features(program, points)
    steps = model.evaluate(features)
    parts = (steps.energy_j, steps.hbm_bytes, steps.weight_bytes, steps.link_bytes)
    energy_j, hbm, weights, links = (part * gpus for part in parts)
    flops = features @ program.matrices["flops"][program.counted].sum(axis=0)
    return np.stack([steps.time_s, energy_j, flops, hbm, weights, links], axis=1)


def _check_serving_layout(layout: Layout) -> None:
    if layout.pp != 1 or layout.dp != 1 or layout.ep > layout.tp:
        raise InputError(
            f"a serving replica of tp {layout.tp}, pp {layout.pp}, dp {layout.dp}, "
            f"ep {layout.ep} is not modelled",
            "give pp 1, dp 1 and ep of at most tp; replicas fill the GPUs by themselves",
            path="layout",
        )
