"""Which kernel each operation of a program runs as, and its share on one GPU.

Coefficients are per invocation of the layer and per GPU, over the program's features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.hardware.kernels import kernel_law

if TYPE_CHECKING:
    from sim.cost.layout import Layout
    from sim.flops.program import Quantity, StepProgram
    from sim.hardware.kernels import Dtype, Family, KernelLaw

Floats = NDArray[np.float64]
FUSED: Final = (".softmax", "moe.activation", "indexer.sum")
"""Rows whose time is inside another kernel's measurement."""
FED: Final = (".qkv", ".up", ".down")
"""Matrix products whose input a norm or an activation makes."""
FUSING: Final = ("vllm",)
"""Engines whose norms and activations write fp8 at once: RMSNorm + quant and SiluMul + quant are
fused by default, attention's output + quant is not (docs.vllm.ai/en/v0.18.2/design/fusions)."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One kernel of a step on one GPU; coefficient vectors have shape (n_features,).

    Attributes:
        layers: invocations in a step. n, k: of a matrix product, of one GPU.
        flops, bytes_, weight_bytes: of one invocation.
        units: what the law's `unit_s` counts. waste: FLOPs that its `half` multiplies.
        law_share: part of the law's launch that this row pays (two rows make one mixture).
        tensor: whether it runs on tensor cores.
        context_bytes: of decode attention, per key-value head and cached token.
        experts: of a mixture, (experts of one GPU, FLOPs of one token in one of them).
        fed: its input is made by a norm or an activation.
    """

    name: str
    family: Family
    dtype: Dtype
    layers: float
    tensor: bool
    n: float
    k: float
    flops: Floats
    bytes_: Floats
    weight_bytes: Floats
    units: Floats
    waste: Floats
    law_share: float = 1.0
    context_bytes: float = 0.0
    experts: tuple[float, float] = (0.0, 0.0)
    fed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class _Shared:
    """Coefficients of one row, per invocation and GPU."""

    flops: Floats
    weight_bytes: Floats
    activation_bytes: Floats
    cache_bytes: Floats


def kernel_rows(program: StepProgram, layout: Layout, *, fp8_block: bool = False) -> list[Row]:
    """The kernels of a program, in its order.

    Args:
        fp8_block: the fp8 checkpoint carries one scale per 128 x 128 block.
    """
    rows: list[Row] = []
    for i, name in enumerate(program.name):
        if not _is_fused(name):
            rows += _rows(program, i, layout, fp8_block=fp8_block)
    return rows


def _is_fused(name: str) -> bool:
    return name.split("#", maxsplit=1)[0].endswith(FUSED)


def _rows(program: StepProgram, i: int, layout: Layout, *, fp8_block: bool) -> list[Row]:
    name = program.name[i].split("#")[0]
    shared = _shared(program, i, layout)
    if name.endswith(".core"):
        return [_attention(program, i, layout, shared, side) for side in ("prefill", "decode")]
    if program.split[i] == "ep" and program.kind[i] == "matmul":
        return [_expert(program, i, layout, shared, fp8_block=fp8_block)]
    if program.n[i]:
        return [_gemm(program, i, layout, shared, fp8_block=fp8_block)]
    is_scan = program.kind[i] == "matmul" or bool(program.matrices["cache_write_bytes"][i].any())
    return [_plain(program, i, shared, "scan" if is_scan else "elementwise")]


def _shared(program: StepProgram, i: int, layout: Layout) -> _Shared:
    """Divide a row by the GPUs that share it: work, weights and cache each in their way."""
    layers = max(float(program.layers[i]), 1.0)
    ways = _ways(program, i, layout)
    weight_ways = float(layout.tp * layout.dp) if program.split[i] == "ep" else ways
    cache_ways = float(min(layout.tp, max(int(program.cache_shards[i]), 1)))
    if program.matrices["cache_write_bytes"][i].any() and not program.name[i].endswith(".core"):
        cache_ways = max(cache_ways, ways)  # a recurrent state is split with its heads

    def per_gpu(quantity: Quantity, divisor: float) -> Floats:
        return np.asarray(program.matrices[quantity][i] / (divisor * layers))

    return _Shared(
        flops=per_gpu("flops", ways),
        weight_bytes=per_gpu("weight_bytes", weight_ways),
        activation_bytes=per_gpu("activation_bytes", ways),
        cache_bytes=per_gpu("cache_read_bytes", cache_ways)
        + per_gpu("cache_write_bytes", cache_ways),
    )


def _ways(program: StepProgram, i: int, layout: Layout) -> float:
    if program.split[i] == "none":
        return 1.0
    if program.split[i] == "ep":
        return float(layout.tp)
    return float(min(layout.tp, max(int(program.shards[i]), 1)))


def _dtype(program: StepProgram, i: int, *, fp8_block: bool) -> Dtype:
    """Precision of a matrix product from the bytes of its weights and activations."""
    elements = float(program.n[i] * program.k[i] * program.layers[i])
    if program.split[i] == "ep":
        elements *= 1.0  # weights are per expert touched
    held = float(program.matrices["weight_bytes"][i].max()) / elements
    if held < 0.8:
        return "w4"
    if held < 1.4:
        return "fp8_block" if fp8_block else "fp8"
    return "bf16"


def _gemm(program: StepProgram, i: int, layout: Layout, s: _Shared, *, fp8_block: bool) -> Row:
    ways = _ways(program, i, layout)
    is_row_parallel = bool(program.all_reduce_width[i])
    n, k = float(program.n[i]), float(program.k[i])
    n, k = (n, k / ways) if is_row_parallel else (n / ways, k)
    dtype = _gemm_dtype(program, i, fp8_block=fp8_block)
    # An fp8 product writes and reads its quantised input: 2 m k bytes, and flops = 2 m n k.
    quantised = 0.0 * s.flops if dtype == "bf16" else s.flops / n
    return Row(
        name=program.name[i],
        family="gemm",
        dtype=dtype,
        layers=float(program.layers[i]),
        tensor=True,
        n=n,
        k=k,
        flops=s.flops,
        bytes_=s.weight_bytes + s.activation_bytes + s.cache_bytes + quantised,
        weight_bytes=s.weight_bytes,
        units=np.zeros_like(s.flops),
        waste=np.zeros_like(s.flops),
        fed=program.name[i].split("#")[0].endswith(FED),
    )


def row_law(engine: str, row: Row) -> KernelLaw:
    """The law of a row's kernel on an engine.

    The tables time an fp8 product with its input's quantisation. Where the engine fuses that
    into the kernel before, its launch is that kernel's, which is counted: the product is
    launched like one in bf16.
    """
    law = kernel_law(engine, row.family, row.dtype)
    if row.fed and row.dtype == "fp8" and engine in FUSING:
        plain = kernel_law(engine, row.family, "bf16")
        return replace(law, fixed_s=min(law.fixed_s, plain.fixed_s))
    return law


def _gemm_dtype(program: StepProgram, i: int, *, fp8_block: bool) -> Dtype:
    found = _dtype(program, i, fp8_block=fp8_block)
    return "bf16" if found == "w4" else found  # weight-only formats compute in bf16


def _expert(program: StepProgram, i: int, layout: Layout, s: _Shared, *, fp8_block: bool) -> Row:
    """Up or down matrix of the routed experts; a mixture's law covers both."""
    touched = (program.matrices["weight_bytes"][i] > 0).astype(float)
    per_expert = 2.0 * program.n[i] * program.k[i]
    spread = layout.tp * layout.dp / layout.ep  # GPUs that share one expert's width
    return Row(
        name=program.name[i],
        family="moe",
        dtype=_dtype(program, i, fp8_block=fp8_block),
        layers=float(program.layers[i]),
        tensor=True,
        n=float(program.n[i]),
        k=float(program.k[i]),
        flops=s.flops,
        bytes_=s.weight_bytes + s.activation_bytes,
        weight_bytes=s.weight_bytes,
        units=touched / layout.ep,
        waste=touched / layout.ep * per_expert / spread,
        law_share=0.5,
        experts=(_experts(program, i) / layout.ep, per_expert / spread),
    )


def _experts(program: StepProgram, i: int) -> float:
    """Routed experts of a layer."""
    used = program.matrices["weight_bytes"][i] > 0
    pairs = zip(program.features, used, strict=True)
    return float(max((f.experts[0] for f, mine in pairs if mine), default=1) or 1)


def _attention(program: StepProgram, i: int, layout: Layout, s: _Shared, side: str) -> Row:
    """The part of attention that serves prompts, or the part that serves decoding."""
    kinds = [f.kind for f in program.features]
    mine = np.array([kind.startswith(side) for kind in kinds], dtype=float)
    tokens = np.array([float(kind == f"{side}_tokens") for kind in kinds])
    latent = program.name[i].startswith("latent")
    family: Family = (
        ("latent_prefill" if latent else "prefill_attention")
        if side == "prefill"
        else ("latent_decode" if latent else "decode_attention")
    )
    pair_flops = float((s.flops * np.array([k == f"{side}_pairs" for k in kinds])).max())
    kv_heads = max(float(program.cache_shards[i]) / layout.tp, 1.0)
    cache_width = program.precision.cache.element_bytes
    return Row(
        name=f"{program.name[i]} {side}",
        family=family,
        dtype="fp8" if cache_width < 1.5 and not latent else "bf16",
        layers=float(program.layers[i]),
        tensor=True,
        n=0.0,
        k=0.0,
        flops=s.flops * mine,
        bytes_=(s.activation_bytes + s.cache_bytes + s.weight_bytes) * mine,
        weight_bytes=s.weight_bytes * mine,
        units=tokens * kv_heads,
        waste=tokens * pair_flops,
        context_bytes=_context_bytes(kinds, s, side) / kv_heads,
    )


def _context_bytes(kinds: Sequence[str], s: _Shared, side: str) -> float:
    """Cache bytes that one more cached token of one sequence costs to read."""
    reading = np.array([kind in {f"{side}_cached", f"{side}_context"} for kind in kinds])
    return float((s.cache_bytes * reading).max(initial=0.0))


def _plain(program: StepProgram, i: int, s: _Shared, family: Family) -> Row:
    return Row(
        name=program.name[i],
        family=family,
        dtype="bf16",
        layers=float(program.layers[i]),
        tensor=program.kind[i] == "matmul",
        n=0.0,
        k=0.0,
        flops=s.flops,
        bytes_=s.weight_bytes + s.activation_bytes + s.cache_bytes,
        weight_bytes=s.weight_bytes,
        units=np.zeros_like(s.flops),
        waste=np.zeros_like(s.flops),
    )
