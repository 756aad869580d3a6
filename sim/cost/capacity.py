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
    from sim.flops.count import Memory
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


def cache_tokens(
    program: StepProgram,
    layout: Layout,
    device: Device,
    max_sequences: int,
    longest_tokens: float = math.inf,
) -> int:
    """Tokens of growing cache that fit beside weights, recurrent state and windows.

    Windows never hold more than all cached tokens, nor more than `max_sequences` full ones: the
    answer fits however those tokens are spread over up to so many sequences.

    Args:
        max_sequences: to reserve state for.
        longest_tokens: of one sequence; a window never holds more.

    Raises:
        CapacityError: not even the weights and the state of `max_sequences` fit.
    """
    arch = program.arch
    held = memory(arch, program.precision)
    weights = weight_bytes_per_gpu(arch, layout, program.precision)
    state = max_sequences * held.state_bytes_per_sequence / layout.gpus
    free_bytes = device.usable_bytes - weights - state
    if free_bytes <= 0:
        raise CapacityError(
            f"{arch.name} does not fit: a GPU lacks {gib(-free_bytes)} "
            f"({-free_bytes:.0f} bytes) of {gib(device.usable_bytes)} usable "
            f"(weights {gib(weights)}, state of {max_sequences} sequences {gib(state)})",
            "give more GPUs (tp, pp), a smaller format, or fewer sequences (max_num_seqs)",
            path="layout.tp",
        )
    ways = _token_ways(program, layout)
    windows = [
        (max_sequences * min(window, longest_tokens), each / ways) for window, each in held.windows
    ]
    return _tokens_in(free_bytes, held.kv_bytes_per_token / ways, windows)


def _tokens_in(free_bytes: float, growing: float, windows: list[tuple[float, float]]) -> int:
    """Tokens whose cache fills so many bytes.

    Args:
        growing: bytes of every token.
        windows: (tokens that they hold at most, bytes per token) of all of each kind.
    """
    left = sorted(windows)
    while left and free_bytes > left[0][0] * (growing + sum(each for _, each in left)):
        most, each = left.pop(0)
        free_bytes -= most * each
    per_token = growing + sum(each for _, each in left)
    return int(free_bytes / per_token) if per_token else UNBOUNDED_TOKENS


def most_sequences(
    program: StepProgram, layout: Layout, device: Device, tokens_each: float
) -> float:
    """Sequences of so many tokens that fit beside the weights; need not be whole.

    Raises:
        CapacityError: not even one without tokens fits.
    """
    cache_tokens(program, layout, device, 1, tokens_each)
    held = memory(program.arch, program.precision)
    weights = weight_bytes_per_gpu(program.arch, layout, program.precision)
    cached = tokens_each * held.kv_bytes_per_token + _window_bytes(held, tokens_each)
    state = held.state_bytes_per_sequence / layout.gpus
    each = cached / _token_ways(program, layout) + state
    return (device.usable_bytes - weights) / each if each else float(UNBOUNDED_TOKENS)


def _window_bytes(held: Memory, longest_tokens: float) -> float:
    """Windows of one sequence."""
    return sum(min(window, longest_tokens) * each for window, each in held.windows)


def _token_ways(program: StepProgram, layout: Layout) -> float:
    """GPUs over which the cache of one token is spread, windows like the rest."""
    return _cache_ways(program, layout) * layout.pp * layout.dp / _fullest(program.arch, layout)


def _fullest(arch: Architecture, layout: Layout) -> float:
    """Layers of the fullest stage over the mean."""
    return math.ceil(arch.n_layers / layout.pp) * layout.pp / arch.n_layers


def _cache_ways(program: StepProgram, layout: Layout) -> int:
    """GPUs that share one token's cache; the least split of the model's layers."""
    written = program.matrices["cache_write_bytes"]
    cores = [i for i, name in enumerate(program.name) if written[i].any() and ".core" in name]
    shards = [max(int(program.cache_shards[i]), 1) for i in cores]
    return min(layout.tp, min(shards, default=1))
