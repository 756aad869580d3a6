"""What fits beside the weights on the GPUs of a serving replica."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from sim.errors import CapacityError
from sim.flops import memory, parameters
from sim.units import gib

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.layout import Layout
    from sim.flops import Precision, StepProgram
    from sim.hardware.device import Device

UNBOUNDED_TOKENS: Final = 2**62
"""Cache capacity of a model whose cache does not grow."""


def weight_bytes_per_gpu(arch: Architecture, layout: Layout, precision: Precision) -> float:
    """Weights of the fullest GPU: experts over tp x dp x pp GPUs, all else over tp x pp.

    Where the layers do not divide by pp, the fullest stage has one more than the others.
    """
    held = memory(arch, precision).weight_bytes
    experts = parameters(arch).routed_experts * precision.weights.element_bytes
    stages = layout.tp * layout.pp / _fullest(arch, layout)
    return (held - experts) / stages + experts / (stages * layout.dp)


def cache_tokens(program: StepProgram, layout: Layout, device: Device, max_sequences: int) -> int:
    """Tokens of growing cache that fit beside weights, windows and recurrent state.

    Raises:
        CapacityError: not even the weights and the state of `max_sequences` fit.
    """
    arch, precision = program.arch, program.precision
    held = memory(arch, precision)
    weights = weight_bytes_per_gpu(arch, layout, precision)
    window_bytes = sum(window * each for window, each in held.windows)
    sequences = max_sequences / (layout.tp * layout.pp * layout.dp)
    state = sequences * (held.state_bytes_per_sequence + window_bytes)
    free_bytes = device.usable_bytes - weights - state
    if free_bytes <= 0:
        raise CapacityError(
            f"{arch.name} does not fit: a GPU lacks {gib(-free_bytes)} "
            f"({-free_bytes:.0f} bytes) of {gib(device.usable_bytes)} usable "
            f"(weights {gib(weights)}, state of {max_sequences} sequences {gib(state)})",
            "raise tp, or lower max_num_seqs",
            path="layout.tp",
        )
    if held.kv_bytes_per_token == 0:
        return UNBOUNDED_TOKENS
    ways = _cache_ways(program, layout) * layout.pp * layout.dp / _fullest(arch, layout)
    return int(free_bytes / (held.kv_bytes_per_token / ways))


def _fullest(arch: Architecture, layout: Layout) -> float:
    """Layers of the fullest stage over the mean."""
    return math.ceil(arch.n_layers / layout.pp) * layout.pp / arch.n_layers


def _cache_ways(program: StepProgram, layout: Layout) -> int:
    """GPUs that share one token's cache; the least split of the model's layers."""
    written = program.matrices["cache_write_bytes"]
    cores = [i for i, name in enumerate(program.name) if written[i].any() and ".core" in name]
    shards = [max(int(program.cache_shards[i]), 1) for i in cores]
    return min(layout.tp, min(shards, default=1))
