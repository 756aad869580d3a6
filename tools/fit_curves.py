"""Tables what measured kernels take over their laws: `sim/data/hardware/kernel_curves.csv`.

    python tools/fit_curves.py FACTS/measured/kernels_h100

Run `tools/fit_kernels.py` first: the ratio is to the laws that it wrote. A node is the median
over the measured kernels within half a step of it; a node with fewer than three is 1, the law.
Matrix products that ran throttled count at the nominal clock (`gemm_ratios`).
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import kernel_cases as kernels
import numpy as np
from numpy.typing import NDArray

from sim.hardware.kernels import Dtype, gemm_flops, joined, kernel_law

Floats = NDArray[np.float64]
OUT = Path("sim/data/hardware/kernel_curves.csv")
NODES = {
    "gemm": (np.arange(0, 14.5, 0.5), np.array([19, 21, 22.5, 23.5, 24.5, 25.5, 26.5, 27.5, 29])),
    "moe": (np.arange(-7.0, 11), np.arange(4.0)),
    "decode_attention": (np.arange(7.0, 18), np.arange(14.0)),
}
GROUPS = (2.0, 16.0)
"""Queries per key-value head of the models served today; larger groups run other kernels."""
ROUTING = "power_law_1.01"
LEAST = 3
LARGE = 1024
SUSTAINED: dict[str, float] = {}
HEADER = """\
# Time of measured kernels over their laws (kernels.csv), medians around nodes, H100 SXM.
# x, y of each family: sim/hardware/curves.py. Tables of ai-dynamo/aiconfigurator
# (Apache-2.0), read 2026-11-24: vLLM 0.24.0, TensorRT-LLM 1.3.0rc20. Mixtures with
# power-law routing (1.01). Reproduce: python tools/fit_curves.py FACTS/measured/kernels_h100
"""


@dataclass(frozen=True)
class Ratios:
    """Measured over law, at places in powers of two."""

    x: Floats
    y: Floats
    ratio: Floats


def gemm_ratios(folder: Path, engine: str, dtype: Dtype) -> Ratios:
    """Matrix products of every size; those at the power limit at the nominal clock.

    The clock that they sustain is what bf16 products at the limit lose against the law, which
    was fitted on products below it.
    """
    table = kernels.read(folder / f"gemm_{kernels.TABLES[engine]}_gemm_perf.parquet")
    hot = kernels.hot_shapes(folder.parent / "kernels_h200_power")
    twin = "bfloat16" if dtype == "bf16" else "fp8_block"
    shapes = zip(table["m"].tolist(), table["n"].tolist(), table["k"].tolist(), strict=True)
    cold = np.array([(twin, m, n, k) not in hot for m, n, k in shapes])
    keep = table["gemm_dtype"] == kernels.GEMM_NAMES[dtype]
    m, n, k, ms = kernels.columns(table, keep, "m", "n", "k", "latency")
    moved = n * k * kernels.WEIGHT_BYTES[dtype] + (m * k + m * n) * 2.0
    moved += 2 * m * k * (dtype != "bf16")
    law = kernel_law(engine, "gemm", dtype)
    flops = gemm_flops(m, n, k, kernels.MULTIPROCESSORS, law.half)
    memory_s = moved / (law.memory_frac * kernels.HBM)
    compute_s = flops / (law.compute_frac * kernels.PEAK[dtype])
    law_s = law.fixed_s + joined(memory_s, compute_s, law.sharpness)
    ratio = ms * 1e-3 / law_s
    if dtype == "bf16":
        large = ~cold[keep] & (np.minimum(n, k) >= LARGE) & (m >= LARGE)
        SUSTAINED[engine] = min(1.0, float(1 / np.median(ratio[large])))
        print(engine, f"sustained clock at the limit {SUSTAINED[engine]:.3f}")
    return Ratios(np.log2(m), np.log2(n * k), np.where(cold[keep], 1.0, SUSTAINED[engine]) * ratio)


def moe_ratios(folder: Path, engine: str, dtype: Dtype) -> Ratios:
    """Mixtures with power-law routing; experts touched as if tokens chose independently."""
    kernel, name = kernels.MOE_KERNELS[engine, dtype]
    table = kernels.read(folder / f"moe_{kernels.TABLES[engine]}_moe_perf.parquet")
    keep = (
        np.array([kernel in text for text in table["kernel_source"].tolist()])
        & (table["moe_dtype"] == name)
        & (table["distribution"] == ROUTING)
        & (table["inter_size"] // table["moe_tp_size"] >= 128)
    )
    n, h, f, top, experts, tp, ep, ms = kernels.columns(
        table, keep, "num_tokens", "hidden_size", "inter_size", "topk", "num_experts",
        "moe_tp_size", "moe_ep_size", "latency",
    )  # fmt: skip
    narrow = f / tp
    touched = experts * (1 - (1 - top / experts) ** n) / ep
    routed = n * top / ep
    moved = touched * 3 * h * narrow * kernels.WEIGHT_BYTES[dtype]
    moved += routed * (2 * h + 3 * narrow) * 2
    law = kernel_law(engine, "moe", dtype)
    flops = 6 * h * narrow * (routed + touched * law.half)
    memory_s = moved / (law.memory_frac * kernels.HBM)
    compute_s = flops / (law.compute_frac * kernels.PEAK[dtype])
    law_s = law.fixed_s + law.unit_s * touched + joined(memory_s, compute_s, law.sharpness)
    return Ratios(np.log2(n * top / experts), np.log2(ep), ms * 1e-3 / law_s)


def decode_ratios(folder: Path, engine: str, dtype: Dtype) -> Ratios:
    """Decode attention with grouped queries, head size 128."""
    table = kernels.read(
        folder / f"attention_{kernels.TABLES[engine]}_generation_attention_perf.parquet"
    )
    group = table["num_heads"] / table["num_key_value_heads"]
    keep = (
        (table["window_size"] == 0)
        & (table["kv_cache_dtype"] == ("bfloat16" if dtype == "bf16" else "fp8"))
        & (table["head_dim"] == 128)
        & (group >= GROUPS[0])
        & (group <= GROUPS[1])
        & (table["step"] >= 100)
    )
    b, c, kv, ms = kernels.columns(
        table, keep, "batch_size", "step", "num_key_value_heads", "latency"
    )
    moved = b * (c + 1) * kv * 128 * 2 * kernels.WEIGHT_BYTES[dtype]
    law = kernel_law(engine, "decode_attention", dtype)
    law_s = law.fixed_s + law.unit_s * b * kv + moved / (law.memory_frac * kernels.HBM)
    return Ratios(np.log2(c + 1), np.log2(b * kv), ms * 1e-3 / law_s)


def nodes(found: Ratios, xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    """Medians and counts around the nodes, shape (n_y, n_x)."""
    ratio, counts = np.ones((len(ys), len(xs))), np.zeros((len(ys), len(xs)))
    x_at = np.abs(found.x[:, None] - xs[None, :]).argmin(axis=1)
    y_at = np.abs(found.y[:, None] - ys[None, :]).argmin(axis=1)
    for j in range(len(ys)):
        for i in range(len(xs)):
            mine = found.ratio[(x_at == i) & (y_at == j)]
            counts[j, i] = len(mine)
            if len(mine) >= LEAST:
                ratio[j, i] = np.median(mine)
    return ratio, counts


def curves(folder: Path) -> list[dict[str, str]]:
    """All rows of the table; the errors of law and curve are printed."""
    made = {"gemm": gemm_ratios, "moe": moe_ratios, "decode_attention": decode_ratios}
    dtypes = {
        "gemm": ("bf16", "fp8", "fp8_block"), "moe": get_args(Dtype),
        "decode_attention": ("bf16", "fp8"),
    }  # fmt: skip
    rows = []
    for engine in kernels.TABLES:
        for family, ratios in made.items():
            for dtype in dtypes[family]:
                found = ratios(folder, engine, dtype)
                xs, ys = NODES[family]
                ratio, counts = nodes(found, xs, ys)
                x_at = np.abs(found.x[:, None] - xs[None, :]).argmin(axis=1)
                y_at = np.abs(found.y[:, None] - ys[None, :]).argmin(axis=1)
                law, curve = (
                    np.abs(1 / found.ratio - 1),
                    np.abs(ratio[y_at, x_at] / found.ratio - 1),
                )
                print(engine, family, dtype, len(law), f"law {np.median(law):.3f} p90",
                      f"{np.quantile(law, 0.9):.3f}, curve {np.median(curve):.3f} p90",
                      f"{np.quantile(curve, 0.9):.3f}")  # fmt: skip
                rows += [
                    {
                        "engine": engine, "family": family, "dtype": dtype,
                        "y_log2": f"{y:g}", "x_log2": f"{x:g}", "ratio": f"{ratio[j, i]:.3f}",
                        "rows": f"{counts[j, i]:.0f}",
                    }
                    for j, y in enumerate(ys)
                    for i, x in enumerate(xs)
                ]  # fmt: skip
    return rows


def main() -> None:
    """Table and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    rows = curves(parser.parse_args().folder)
    with OUT.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
