"""What a serving engine adds to its kernels: a few constants, read from `sim/data`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Final, Literal

from sim.datum import Datum, data
from sim.errors import UnknownNameError

Sampling = Literal["sorted", "plain", "greedy"]
ENGINES: Final = ("vllm", "trtllm", "sglang")


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine adds to its kernels, per step unless said otherwise.

    Attributes:
        step_s: scheduling, input preparation, output processing.
        layer_s: per layer: its norms, rotary embedding and cache writes, and gaps.
        logit_s: sampling with top-k or top-p (a sort), per sequence and vocabulary entry.
        plain_logit_s: sampling without either, per sequence and vocabulary entry.
        eager_layer_s: per layer of a step with prompt tokens, whose kernels are not
            replayed from a CUDA graph.
        scan_layer_s: the same per layer with a recurrent state, on top.
        chunk_layer_s: per layer with chunked attention: its metadata is rebuilt each step.
        request_s: of a request, outside the steps: tokenising, transport.
        burst_frac: share of the other clients' prompts that a prompt waits for: closed-loop
            benchmarks start all clients at once, and 1 request in k is of that first wave,
            where it waits for half of the others: 1 / (2 k).
        all_reduce_s, all_reduce_extra_s, all_reduce_half_bytes: latency of an all-reduce
            inside a node: the first, and the second times x / (x + half) for x bytes.
        exchange_s: of one dispatch or combine of experts' tokens inside a node, without bytes.
        exchange_frac: bandwidth that it reaches over what large collectives reach.
        routing_frac: how independently tokens of a batch choose experts, 0..1.
        max_batched_tokens: new tokens of a step.
        held_output_frac: share of its output for which a running request holds cache, on
            average: 0.5 where blocks are taken as tokens come, 1 where all is reserved.
        figures: the same with their sources.
    """

    name: str
    step_s: float
    layer_s: float
    logit_s: float
    plain_logit_s: float
    eager_layer_s: float
    scan_layer_s: float
    chunk_layer_s: float
    request_s: float
    burst_frac: float
    all_reduce_s: float
    all_reduce_extra_s: float
    all_reduce_half_bytes: float
    exchange_s: float
    exchange_frac: float
    routing_frac: float
    max_batched_tokens: float
    held_output_frac: float
    figures: tuple[Datum, ...]

    def sampling_s_per_logit(self, sampling: Sampling) -> float:
        """Time of choosing a next token, per entry of the vocabulary."""
        return {"sorted": self.logit_s, "plain": self.plain_logit_s, "greedy": 0.0}[sampling]


@cache
def load_engine(name: str = "vllm") -> Engine:
    """An engine by name.

    Raises:
        UnknownNameError: no such engine.
    """
    return build_engine(name, engine_figures(name))


def engine_figures(name: str) -> dict[str, Datum]:
    """The figures of an engine's data file."""
    if name not in ENGINES:
        raise UnknownNameError("engine", name, ENGINES)
    return data(f"hardware/engines/{name}.yaml")


def build_engine(name: str, figures: Mapping[str, Datum]) -> Engine:
    """An engine from its figures, for example sampled ones."""
    known = {f.name for f in fields(Engine)} - {"name", "figures"}
    values = {key: figure.value for key, figure in figures.items() if key in known}
    return Engine(name=name, figures=tuple(figures.values()), **values)
