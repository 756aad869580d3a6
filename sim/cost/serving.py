"""Time and energy of one engine step of a serving replica.

A step is a roofline over the operations of the batch, plus what engines add: a fixed cost
per step, sampling per running sequence and vocabulary entry, and under tensor parallelism
an all-reduce after each row-parallel matrix and a synchronisation per layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sim.cost.layout import Layout, check_layout
from sim.cost.roofline import Floats, GpuWork, gpu_work, shard
from sim.cost.step import StepCost
from sim.errors import CapacityError, InputError
from sim.flops import Batch, compile_step, memory
from sim.flops.program import Quantity
from sim.hardware.collectives import all_reduce
from sim.hardware.node import Link
from sim.hardware.power import active_power_w, clock_for_cap
from sim.units import gib

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.hardware.node import Node

UNBOUNDED_TOKENS = 2**62
"""Cache capacity of a model whose cache does not grow."""


class ReplicaCost:
    """Costs of the steps of one replica: `StepCoster` of `sim.cluster.serving`.

    Args:
        max_num_seqs: running sequences to reserve recurrent state and windows for.
        cap_w: power cap of each GPU, None for none.

    Raises:
        InputError: the layout cannot serve this model.
        CapacityError: weights and state do not fit (says how many bytes are missing).
    """

    def __init__(
        self,
        arch: Architecture,
        layout: Layout,
        node: Node,
        max_num_seqs: int = 256,
        cap_w: float | None = None,
    ):
        _check_serving_layout(layout)
        check_layout(arch, layout, node)
        self.arch = arch
        self.layout = layout
        self.program = compile_step(arch)
        self.sharding = shard(self.program, node.device, layout)
        self.node = node
        self.cap_w = cap_w
        self.gpus = layout.gpus
        self.idle_power_w = self.gpus * node.device.idle_w
        self.max_sequences = max_num_seqs
        self.kv_capacity_tokens = self._cache_tokens()

    def cost(self, prefill: Sequence[tuple[int, int]], decode_contexts: Sequence[int]) -> StepCost:
        """Cost of a step.

        Args:
            prefill: (new tokens, tokens already cached) of each prompt chunk.
            decode_contexts: tokens already cached of each decoding sequence.
        """
        new = [n for n, _ in prefill] + [1] * len(decode_contexts)
        context = [c for _, c in prefill] + list(decode_contexts)
        features = self.program.of_batch(Batch(new, context))[None, :]
        values = self.program.evaluate(features)
        work = gpu_work(values, self.sharding)
        link_bytes, reduce_s = self._all_reduce(sum(new))
        return self._priced(work, self._engine_s(len(new)) + reduce_s, values, link_bytes)

    def _priced(
        self, work: GpuWork, fixed_s: float, values: Mapping[Quantity, Floats], link_bytes: float
    ) -> StepCost:
        """Time at the clock that keeps the cap, and the energy at that power."""
        device = self.node.device
        time_s = float(work.time_s().sum()) + fixed_s
        hbm_bytes = float(work.hbm_bytes.sum())
        power_w = active_power_w(
            device,
            float(work.matmul_flops.sum()) / time_s / device.matmul_bf16_flops,
            hbm_bytes / time_s / device.hbm_bytes_per_s,
        )
        if self.cap_w is not None and power_w > self.cap_w:
            clock = clock_for_cap(device, power_w, self.cap_w)
            time_s, power_w = float(work.time_s(clock).sum()) + fixed_s, self.cap_w
        compute_bound = float(work.compute_s.sum()) > float(work.memory_s.sum())
        return StepCost(
            time_s=time_s,
            energy_j=power_w * time_s * self.gpus,
            flops=float(values["flops"][:, self.program.counted].sum()),
            hbm_bytes=hbm_bytes * self.gpus,
            weight_bytes=float(work.weight_bytes.sum()) * self.gpus,
            link_bytes=link_bytes * self.gpus,
            bound="compute" if compute_bound else "memory",
        )

    def _engine_s(self, sequences: int) -> float:
        device = self.node.device
        seconds = device.step_s + device.sampling_s_per_logit * sequences * self.arch.vocab
        if self.layout.tp > 1:
            seconds += device.tensor_parallel_s_per_layer * self.arch.n_layers
        return seconds

    def _all_reduce(self, tokens: int) -> tuple[float, float]:
        """Bytes that a GPU sends in a step, and their time."""
        # The latency of each message is part of the measured synchronisation per layer.
        link = Link(self.layout.tp_link(self.node).bytes_per_s, 0.0)
        one = all_reduce(tokens * self.arch.hidden * 2.0, self.layout.tp, link)
        count = float(self.program.layers[self.program.all_reduce_after].sum())
        return one.link_bytes * count, one.time_s * count

    def _cache_tokens(self) -> int:
        """Tokens of growing cache that fit beside weights, windows and recurrent state."""
        held = memory(self.arch)
        ways = self.layout.tp
        window_bytes = sum(window * each for window, each in held.windows)
        per_sequence_bytes = held.state_bytes_per_sequence + window_bytes
        free_bytes = (
            self.node.device.usable_bytes
            - held.weight_bytes / ways
            - self.max_sequences * per_sequence_bytes / ways
        )
        if free_bytes <= 0:
            raise CapacityError(
                f"{self.arch.name} does not fit: a GPU lacks {gib(-free_bytes)} "
                f"({-free_bytes:.0f} bytes) of {gib(self.node.device.usable_bytes)} usable "
                f"(weights {gib(held.weight_bytes / ways)}, state of {self.max_sequences} "
                f"sequences {gib(self.max_sequences * per_sequence_bytes / ways)})",
                "raise tp, or lower max_num_seqs",
                path="layout.tp",
            )
        if held.kv_bytes_per_token == 0:
            return UNBOUNDED_TOKENS
        cache_ways = float(self.sharding.cache_ways[self.sharding.attention].min())
        return int(free_bytes / (held.kv_bytes_per_token / cache_ways))


def _check_serving_layout(layout: Layout) -> None:
    if layout.pp != 1 or layout.dp != 1 or layout.ep > layout.tp:
        raise InputError(
            f"a serving replica of tp {layout.tp}, pp {layout.pp}, dp {layout.dp}, "
            f"ep {layout.ep} is not modelled",
            "give pp 1, dp 1 and ep of at most tp; replicas fill the GPUs by themselves",
            path="layout",
        )
