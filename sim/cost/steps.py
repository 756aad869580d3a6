"""Time and power of many engine steps at once: kernels, links, host work, clock.

A step is the sum of its kernels (`sim.cost.kernels`), the collectives of its layout, and
what the engine adds. Power is energy over time: static, per FLOP, per byte of HBM and
link, and while sampling; where that passes the limit (or a cap), the clock falls, memory
and links keep theirs, and the compute-bound part takes longer. Values are per GPU unless said
otherwise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.kernels import StepKernels, Work
from sim.flops import BF16, compile_step
from sim.hardware.collectives import all_to_all
from sim.hardware.engine import Sampling, load_engine
from sim.hardware.node import Link
from sim.hardware.power import clock_under_cap, stretch_under_cap

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.layout import Layout
    from sim.flops import Precision
    from sim.hardware.device import Device
    from sim.hardware.engine import Engine
    from sim.hardware.node import Node

Floats = NDArray[np.float64]
PLAIN_SAMPLING: Final = ("gpt_oss",)
"""Families that sample at the lower of the two costs measured (an assumption: only their rows and
one sweep of another model show it; docs/accuracy.md says what else may stand behind it)."""
BLOCK_FP8: Final = ("qwen3", "deepseek", "kimi", "glm4_moe", "minimax")
"""Families whose published fp8 checkpoints carry a scale per 128 x 128 block: DeepSeek-V3
report, arXiv 2412.19437 section 3.3; Qwen3 model cards (an assumption for the others)."""


def has_block_fp8(arch: Architecture) -> bool:
    """Whether the model's published fp8 weights are block-scaled."""
    return arch.family.startswith(BLOCK_FP8)


@dataclass(frozen=True, slots=True, eq=False)
class EnergyTerms:
    """What a step of one GPU spends energy on beside the static power; numbers or (n,).

    Attributes:
        flops: in bf16. sampling_s: time in which the GPU sorts logits.
        busy_s: time in the kernels of each class of `sim.cost.kernels.BUSY`, shape (n, 5).
    """

    flops: Any
    hbm_bytes: Any
    link_bytes: Any
    sampling_s: Any
    busy_s: Any

    def energy_j(self, device: Device) -> Any:
        """Dynamic energy."""
        return (
            self.flops * device.flop_j
            + self.memory_j(device)
            + self.sampling_s * device.sampling_w
            + np.asarray(self.busy_s) @ np.asarray(device.busy_w)
        )

    def memory_j(self, device: Device) -> Any:
        """The part that memory and links spend, whose clocks a power cap leaves alone."""
        return self.hbm_bytes * device.hbm_byte_j + self.link_bytes * device.link_byte_j

    def mean(self, share: float) -> EnergyTerms:
        """Of two steps, the second with this weight."""
        values = (getattr(self, field.name) for field in fields(self))
        return EnergyTerms(*((1 - share) * v[0] + share * v[1] for v in values))


@dataclass(frozen=True, slots=True, eq=False)
class Steps:
    """Costs of n steps; arrays of shape (n,), per GPU.

    Attributes:
        time_s, power_w: at the clock that keeps the limit. clock_frac: that clock.
        kernel_s, link_s, host_s: the parts of the time; the rest, in a pipeline, is bubbles.
        flops: on tensor cores. hbm_bytes, weight_bytes, link_bytes: moved.
        compute_share: share of the kernels' time that compute binds.
    """

    time_s: Floats
    power_w: Floats
    clock_frac: Floats
    kernel_s: Floats
    link_s: Floats
    host_s: Floats
    flops: Floats
    hbm_bytes: Floats
    weight_bytes: Floats
    link_bytes: Floats
    compute_share: Floats
    energy: EnergyTerms

    @property
    def energy_j(self) -> Floats:
        """Energy of one GPU in each step: exactly power x time."""
        return np.asarray(self.power_w * self.time_s)


class StepModel:
    """Steps of one architecture on one layout, node, engine and precision.

    Args:
        cap_w: power cap of each GPU; None for the device's own limit.
        sampling: how a next token is chosen: `sorted` (top-k or top-p), `plain` (neither),
            `greedy` (the largest logit; no cost of its own); None for the family's habit.
        fp8_block: whether fp8 weights carry a scale per block; None for what the model's
            publisher does (`has_block_fp8`).
    """

    def __init__(
        self,
        arch: Architecture,
        layout: Layout,
        node: Node,
        *,
        engine: str = "vllm",
        precision: Precision = BF16,
        cap_w: float | None = None,
        sampling: Sampling | None = None,
        fp8_block: bool | None = None,
    ):
        self.arch = arch
        self.layout = layout
        self.node = node
        self.engine: Engine = load_engine(engine)
        self.program = compile_step(arch, precision)
        self.fp8_block = has_block_fp8(arch) if fp8_block is None else fp8_block
        self.kernels = StepKernels(
            self.program, layout, node.device, self.engine, fp8_block=self.fp8_block
        )
        self.cap_w = node.device.limit_w if cap_w is None else min(cap_w, node.device.limit_w)
        kinds = [feature.kind for feature in self.program.features]
        self._prefill = kinds.index("prefill_tokens")
        self._decode = kinds.index("decode_tokens")
        self._logits = kinds.index("logits")
        self._layers = float(arch.n_layers)
        self.scan_layers = self._count("scan", "cache")
        self.chunk_layers = self._count("chunk ", "name")
        self._reduces = float(self.program.layers[self.program.all_reduce_after].sum())
        self.sampling = sampling or ("plain" if arch.family in PLAIN_SAMPLING else "sorted")
        self._sequence_s = self.engine.sampling_s_per_logit(self.sampling) * arch.vocab

    def _count(self, what: str, where: str) -> float:
        """Layers with a recurrent state, or with chunked attention."""
        if where == "name":
            names = self.program.name
            chosen = [i for i, name in enumerate(names) if what in name and name.endswith(".core")]
            return float(self.program.layers[chosen].sum())
        return sum(
            row.layers
            for row in self.kernels.rows
            if row.family == what and bool(row.bytes_[self._state_columns()].any())
        )

    def _state_columns(self) -> list[int]:
        return [i for i, f in enumerate(self.program.features) if f.kind == "sequences"]

    def evaluate(self, features: Floats) -> Steps:
        """Cost of steps.

        Args:
            features: of the replica's batches, shape (n, n_features).
        """
        work = self.kernels.evaluate(features)
        sequences = features[:, self._logits]
        prompt = features[:, self._prefill]
        link_s, link_bytes = self._links(prompt + features[:, self._decode], features)
        parts = self.kernels.micro_batches(features)
        sampling_s = self._sequence_s * sequences / (self.layout.dp * parts)
        host_s = self._engine_s(prompt) + sampling_s
        return self._at_clock(work, link_s, link_bytes, host_s, sampling_s, parts)

    def _engine_s(self, prompt_tokens: Floats) -> Floats:
        engine = self.engine
        eager_s = engine.eager_layer_s * self._layers + engine.scan_layer_s * self.scan_layers
        fixed_s = (
            engine.step_s + engine.layer_s * self._layers + engine.chunk_layer_s * self.chunk_layers
        )
        return np.asarray(fixed_s + eager_s * (prompt_tokens > 0))

    def _links(self, tokens: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Time of all collectives of a step, and the bytes that a GPU sends."""
        layout = self.layout
        rank_tokens = tokens / (layout.dp * layout.pp)
        payload = rank_tokens * self.arch.hidden * 2.0
        time_s, sent = np.zeros_like(tokens), np.zeros_like(tokens)
        if layout.tp > 1:
            crossing = 2 * payload * (layout.tp - 1) / layout.tp
            latency_s = self.engine.all_reduce_s + self.engine.all_reduce_extra_s * payload / (
                payload + self.engine.all_reduce_half_bytes
            )
            link = layout.tp_link(self.node)
            time_s = time_s + self._reduces * (latency_s + crossing / link.bytes_per_s)
            sent = sent + self._reduces * crossing
        if layout.dp > 1 and layout.ep > 1:
            time_s, sent = self._exchange(time_s, sent, features)
        if layout.pp > 1:
            hop: Link = self.node.nvlink if layout.gpus <= self.node.gpus else self.node.network
            hops = layout.pp - 1
            time_s = time_s + hops * (hop.latency_s + payload / hop.bytes_per_s)
            sent = sent + payload * hops / layout.pp
        return time_s, sent

    def _exchange(self, time_s: Floats, sent: Floats, features: Floats) -> tuple[Floats, Floats]:
        """Dispatch and combine of the experts' tokens among the expert-parallel GPUs.

        Inside a node as measured; beyond it, the network's latency comes on top.
        """
        matrix = self.program.matrices["dispatch_bytes"]
        total = (features @ matrix.T).sum(axis=1) / (self.layout.gpus)
        calls = 2.0 * float(self.program.layers[matrix.any(axis=1)].max(initial=0))
        link = self.layout.ep_link(self.node)
        reached = Link(link.bytes_per_s * self.engine.exchange_frac, 0.0)
        one = all_to_all(1.0, self.layout.ep, reached)
        beyond_s = link.latency_s if link == self.node.network else 0.0
        each_s = self.engine.exchange_s + beyond_s
        return time_s + calls * each_s + total * one.time_s, sent + total * one.link_bytes

    def _time_s(
        self,
        work: Work,
        kernel_s: Floats,
        link_s: Floats,
        host_s: Floats,
        sampling_s: Floats,
        parts: Floats,
    ) -> Floats:
        """Time in which every sequence gets its token.

        In a pipeline each part of the batch goes through all stages, while the others fill
        them. So a token takes the path of one part, or as many turns of the slowest stage as
        there are parts, where that is longer: a stage of ceil(layers / pp) layers, or the last
        one, which also has the head and samples. The rest of the time is bubbles. (Narayanan
        et al. 2021, arXiv 2104.04473: a pipeline runs at the pace of its slowest stage.)
        """
        path_s = kernel_s + link_s + host_s
        stages = self.layout.pp
        if stages == 1:
            return path_s
        stage_s = (kernel_s - work.head_s + link_s) / stages
        uneven = math.ceil(self.arch.n_layers / stages) * stages / self.arch.n_layers
        slowest_s = np.maximum(stage_s * uneven, stage_s + work.head_s + sampling_s)
        return np.asarray(np.maximum(path_s, parts * slowest_s))

    def _at_clock(
        self,
        work: Work,
        link_s: Floats,
        link_bytes: Floats,
        host_s: Floats,
        sampling_s: Floats,
        parts: Floats,
    ) -> Steps:
        """Lower the clock where the power would pass the cap.

        Args:
            parts: in which the batch goes through a pipeline, 1 without one.
        """
        device, busy = self.node.device, parts / self.layout.pp
        rows_s = work.rows_s()
        kernel_s = work.kernel_s(rows_s)
        time_s = self._time_s(work, kernel_s, link_s, host_s, sampling_s, parts)
        energy = EnergyTerms(
            flops=work.energy_flops * busy,
            hbm_bytes=work.hbm_bytes * busy,
            link_bytes=link_bytes * busy,
            sampling_s=sampling_s * busy,
            busy_s=work.busy_s * busy[:, None],
        )
        active_w = device.static_w + energy.energy_j(device) / time_s
        power_w = active_w * (1 + device.model_error_frac)
        clock = np.ones_like(time_s)
        if bool((power_w > self.cap_w).any()):
            kept_w = energy.memory_j(device) / time_s * (1 + device.model_error_frac)
            clock = clock_under_cap(device, power_w, self.cap_w, kept_w)
            kernel_s = work.kernel_s(work.rows_s(clock))
            time_s = self._time_s(work, kernel_s, link_s, host_s, sampling_s, parts)
            time_s = time_s * stretch_under_cap(device, power_w, self.cap_w, kept_w, clock)
            power_w = np.minimum(power_w, self.cap_w)
        return Steps(
            time_s=time_s,
            power_w=power_w,
            clock_frac=clock,
            kernel_s=kernel_s,
            link_s=link_s,
            host_s=host_s,
            flops=work.matmul_flops * busy,
            hbm_bytes=energy.hbm_bytes,
            weight_bytes=work.weight_bytes * busy,
            link_bytes=energy.link_bytes,
            compute_share=work.compute_share(rows_s),
            energy=energy,
        )
