"""Measured kernel tables as cases: times, and the terms of the law that is fitted on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sim.hardware.kernels import gemm_flops

Floats = NDArray[np.float64]
Table = dict[str, NDArray[np.generic]]

PEAK = {"bf16": 989.4e12, "fp8": 1978.9e12, "fp8_block": 1978.9e12, "w4": 989.4e12}
WEIGHT_BYTES = {"bf16": 2.0, "fp8": 1.0, "fp8_block": 1.0, "w4": 0.53125}
HBM = 3.35e12
MULTIPROCESSORS = 132
LINK = 450e9 * 0.80
HOT_W = 650.0
TABLES = {"vllm": "vllm_0.24.0", "trtllm": "trtllm_1.3.0rc20"}
GEMM_NAMES = {"bf16": "bfloat16", "fp8": "fp8", "fp8_block": "fp8_block"}
MOE_KERNELS = {
    ("vllm", "bf16"): ("triton_tritonexperts", "bfloat16"),
    ("vllm", "fp8_block"): ("triton_tritonexperts", "fp8_block"),
    ("vllm", "fp8"): ("triton_tritonexperts", "fp8_block"),
    ("vllm", "w4"): ("oaitritonmxfp4", "w4a16_mxfp4"),
    ("trtllm", "bf16"): ("moe_torch_flow_cutlass", "bfloat16"),
    ("trtllm", "fp8"): ("moe_torch_flow_cutlass", "fp8"),
    ("trtllm", "fp8_block"): ("moe_torch_flow_cutlass", "fp8_block"),
    ("trtllm", "w4"): ("moe_torch_flow", "w4a16_mxfp4"),
}


@dataclass(frozen=True)
class Case:
    """What one law is fitted on: measured times, and the terms of the law."""

    time_s: Floats
    units: Floats
    bytes_: Floats
    flops: Callable[[float], Floats]
    peak: float


def read(path: Path) -> Table:
    """A parquet file as arrays."""
    table = pq.read_table(path)
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def columns(table: Table, keep: NDArray[np.bool_], *names: str) -> list[Floats]:
    """Chosen columns as floats."""
    return [table[name][keep].astype(float) for name in names]


def hot_shapes(folder: Path) -> set[tuple[str, int, int, int]]:
    """Shapes that drew more than HOT_W on the H200 (same die, same limit)."""
    t = read(folder / "gemm_vllm_0.22.0_gemm_perf.parquet")
    return {
        (d, m, n, k)
        for d, m, n, k, w in zip(
            t["gemm_dtype"].tolist(), t["m"].tolist(), t["n"].tolist(), t["k"].tolist(),
            t["power"].tolist(), strict=True,
        )
        if w > HOT_W
    }  # fmt: skip


def gemm_case(table: Table, dtype: str, hot: set[tuple[str, int, int, int]]) -> Case:
    """Matrix products of the sizes that hold most of a model's weights, not throttled."""
    name = GEMM_NAMES[dtype]
    twin = "bfloat16" if dtype == "bf16" else "fp8_block"
    cold = np.array(
        [
            (twin, m, n, k) not in hot
            for m, n, k in zip(
                table["m"].tolist(), table["n"].tolist(), table["k"].tolist(), strict=True
            )
        ]
    )
    sizes = (table["n"] >= 256) & (table["k"] >= 256) & (table["n"] <= 16384)
    large = table["n"].astype(float) * table["k"].astype(float) >= 2048**2
    keep = (table["gemm_dtype"] == name) & sizes & (table["k"] <= 16384) & large & cold
    m, n, k, ms = columns(table, keep, "m", "n", "k", "latency")
    moved = n * k * WEIGHT_BYTES[dtype] + (m * k + m * n) * 2.0
    if dtype != "bf16":
        moved += 2 * m * k  # the quantised input, written and read
    return Case(
        ms * 1e-3,
        np.zeros_like(m),
        moved,
        lambda half: gemm_flops(m, n, k, MULTIPROCESSORS, half),
        PEAK[dtype],
    )


def moe_case(table: Table, kernel: str, name: str, dtype: str) -> Case:
    """Balanced routing: min(E, n k) experts touched, spread over the expert-parallel GPUs."""
    source = np.array([kernel in text for text in table["kernel_source"].tolist()])
    width = table["inter_size"] // table["moe_tp_size"]
    keep = (
        source
        & (table["moe_dtype"] == name)
        & (table["distribution"] == "balanced")
        & (width >= 128)
        & (table["moe_ep_size"] <= 16)
    )
    n, h, f, top, experts, tp, ep, ms = columns(
        table, keep, "num_tokens", "hidden_size", "inter_size", "topk", "num_experts",
        "moe_tp_size", "moe_ep_size", "latency",
    )  # fmt: skip
    narrow = f / tp
    touched = np.maximum(np.minimum(experts, n * top) / ep, np.minimum(1.0, n * top))
    moved = touched * 3 * h * narrow * WEIGHT_BYTES[dtype] + n * top / ep * (2 * h + 3 * narrow) * 2
    return Case(
        ms * 1e-3,
        touched,
        moved,
        lambda half: 6 * h * narrow * (n * top / ep + touched * half),
        PEAK[dtype],
    )


def decode_case(table: Table, dtype: str) -> Case:
    """Decode attention: bytes of the cache, and one unit per sequence and key-value head."""
    cache = "bfloat16" if dtype == "bf16" else "fp8"
    keep = (
        (table["window_size"] == 0)
        & (table["kv_cache_dtype"] == cache)
        & (table["head_dim"] <= 128)
        & (table["num_key_value_heads"] <= 16)
        & (table["step"] >= 127)
    )
    b, c, kv, d, ms = columns(
        table, keep, "batch_size", "step", "num_key_value_heads", "head_dim", "latency"
    )
    moved = b * (c + 1) * kv * d * 2 * WEIGHT_BYTES[dtype]
    return Case(ms * 1e-3, b * kv, moved, lambda half: np.zeros_like(b) * half, PEAK["bf16"])


def prefill_case(table: Table, dtype: str) -> Case:
    """Causal prefill attention of whole prompts, head size 128, with a cache of this precision.

    With an fp8 cache in the precision that the engine multiplies in then: fp8 where measured.
    """
    cache = "bfloat16" if dtype == "bf16" else "fp8"
    of_cache = table["kv_cache_dtype"] == cache
    compute = cache if (table["attn_dtype"][of_cache] == cache).any() else "bfloat16"
    keep = (
        (table["window_size"] == 0)
        & of_cache
        & (table["attn_dtype"] == compute)
        & (table["head_dim"] == 128)
        & (table["isl"] >= 64)
    )
    b, s, h, kv, ms = columns(
        table, keep, "batch_size", "isl", "num_heads", "num_key_value_heads", "latency"
    )
    return Case(
        ms * 1e-3,
        np.zeros_like(b),
        b * s * (2 * h + 2 * kv) * 128 * 2,
        lambda half: b * 4 * h * 128 * s * (s / 2 + half),
        PEAK[dtype],
    )


def latent_decode_case(table: Table) -> Case:
    """Absorbed latent attention: 512 + 64 cached values, 2 H (2 x 512 + 64) FLOPs per pair."""
    keep = (table["kv_cache_dtype"] == "bfloat16") & (table["step"] >= 127)
    heads, b, c, ms = columns(table, keep, "num_heads", "batch_size", "step", "latency")
    pairs = b * (c + 1)
    return Case(
        ms * 1e-3, b, pairs * 576 * 2, lambda half: pairs * 2 * heads * (1088 + half), PEAK["bf16"]
    )


def latent_prefill_case(table: Table) -> Case:
    """Expanded latent attention: query and key of 192, value of 128."""
    keep = (table["kv_cache_dtype"] == "bfloat16") & (table["isl"] >= 64) & (table["step"] == 0)
    heads, b, s, ms = columns(table, keep, "num_heads", "batch_size", "isl", "latency")
    return Case(
        ms * 1e-3,
        np.zeros_like(b),
        b * s * heads * (2 * 192 + 2 * 128) * 2,
        lambda half: b * 2 * heads * 320 * s * (s / 2 + half),
        PEAK["bf16"],
    )
