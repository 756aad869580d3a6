"""Time and energy of one engine step of a serving replica: `StepCoster` of the cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.cost.capacity import UNBOUNDED_TOKENS, cache_tokens
from sim.cost.layout import Layout, check_layout, most_experts
from sim.cost.speculation import Speculation, verifying
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
        sampling: as `StepModel`. speculation: how decoding speculates; None for not.

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
        speculation: Speculation | None = None,
    ):
        _check_serving_layout(arch, layout)
        check_layout(arch, layout, node)
        self.model = StepModel(
            arch, layout, node, engine=engine, precision=precision, cap_w=cap_w, sampling=sampling
        )
        self.arch = arch
        self.layout = layout
        self.program = self.model.program
        self.node = node
        self.cap_w = cap_w
        self.speculation = speculation
        self.gpus = layout.gpus
        self.idle_power_w = self.gpus * node.device.idle_w
        self.unloaded_power_w = self.gpus * node.device.unloaded_w
        self.loading_power_w = self.gpus * node.device.loading_w
        self.max_sequences = max_num_seqs
        self.kv_capacity_tokens = cache_tokens(self.program, layout, node.device, max_num_seqs)
        self._sums = BatchSums(self.program)
        self._counted = self.program.matrices["flops"][self.program.counted].sum(axis=0)

    def cost(self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]) -> StepCost:
        """Cost of a step: one token for every decoding sequence, and the prompt chunks.

        Args:
            prefill: (new tokens, tokens already cached) of each prompt chunk.
            decode_contexts: tokens already cached of each decoding sequence.
        """
        features = self._sums.features(prefill, decode_contexts)
        if self.speculation is not None and decode_contexts:
            plain = self._sums.features((), decode_contexts)
            found = self._speculated(features[None, :], plain[None, :])[0].tolist()
            time_s, energy_j, flops, hbm, weights, links = found
            return StepCost(time_s, energy_j, flops, hbm, weights, links, "speculation")
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
        features = point_features(self.program, points)
        if self.speculation is None:
            return _costs(self.model, features)
        none = np.zeros_like(points.chunks)
        alone = Points(points.decodes, points.contexts, none, none, none)
        return self._speculated(features, point_features(self.program, alone))

    def _speculated(self, features: Floats, plain: Floats) -> Floats:
        """Prompts cost what they add to a plain step; decoding speculates.

        Args:
            features: of the steps. plain: of their decoding sequences alone.
        """
        speculation = self.speculation or Speculation(1, 0.0, 0.0)
        verified = verifying(self.program, plain, speculation.draft_tokens)
        count = len(features)
        costs = _costs(self.model, np.concatenate([features, plain, verified]))
        whole, alone, passes = costs[:count], costs[count : 2 * count], costs[2 * count :]
        decoding = np.any(plain > 0, axis=1, keepdims=True)
        spoken = np.where(decoding, speculation.per_token(passes, alone) - alone, 0.0)
        return np.asarray(whole + spoken)


def model_costs(model: StepModel, points: Points) -> Floats:
    """Time, energy, FLOPs, and HBM, weight and link bytes of a replica's steps, shape (n, 6)."""
    return _costs(model, point_features(model.program, points))


def _costs(model: StepModel, features: Floats) -> Floats:
    program, gpus = model.program, model.layout.gpus
    steps = model.evaluate(features)
    parts = (steps.energy_j, steps.hbm_bytes, steps.weight_bytes, steps.link_bytes)
    energy_j, hbm, weights, links = (part * gpus for part in parts)
    flops = features @ program.matrices["flops"][program.counted].sum(axis=0)
    return np.stack([steps.time_s, energy_j, flops, hbm, weights, links], axis=1)


def _check_serving_layout(arch: Architecture, layout: Layout) -> None:
    """Data-parallel attention makes one replica only of GPUs that share experts."""
    if layout.dp > 1 and layout.ep != layout.tp * layout.dp:
        experts = most_experts(arch)
        raise InputError(
            f"a serving replica of tp {layout.tp}, dp {layout.dp}, ep {layout.ep}: its dp ranks "
            "have nothing in common",
            f"give ep = tp x dp = {layout.tp * layout.dp}, so that they share the experts"
            if experts
            else "give dp 1; replicas fill the GPUs by themselves",
            path="layout",
        )
