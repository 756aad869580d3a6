"""A13-A15: FlashAttention, grouped and multi-query attention: which cost they cut."""

from __future__ import annotations

from dataclasses import replace

from sim import arch
from sim.arch import Attention, Reach
from sim.claims.base import Judgement, Numbers, claim, near
from sim.claims.figures import prefill, with_attention, with_blocks
from sim.flops import OperationTable, memory
from sim.flops.training import backward_factor
from sim.units import GIGA, MEGA

MODEL = "llama-2-7b"
TOKENS = 4096


def _core(table: OperationTable) -> int:
    return next(i for i, name in enumerate(table.name) if name.endswith(".core"))


def measure_flash() -> Numbers:
    """Bytes and FLOPs of the attention core with both kernels."""
    model = arch.load(MODEL)
    numbers: dict[str, float] = {}
    for kernel in ("naive", "flash"):
        table = prefill(with_attention(model, kernel=kernel), TOKENS)
        row = _core(table)
        numbers[f"{kernel}.core_bytes"] = float(
            table.activation_bytes[row] + table.cache_bytes[row]
        )
        numbers[f"{kernel}.total_bytes"] = table.total_bytes
        numbers[f"{kernel}.flops"] = float(table.flops[row])
        numbers[f"{kernel}.backward_factor"] = backward_factor("attention.core", kernel)
    return numbers


@claim(
    "A13",
    measure_flash,
    f"memory traffic and FLOPs of attention with a naive and a flash kernel, {TOKENS} tokens",
    archs=(MODEL,),
    references=("Dao et al. 2022, FlashAttention, arXiv 2205.14135",),
)
def judge_flash(numbers: Numbers) -> Judgement:
    """Fewer bytes for the same forward FLOPs, more FLOPs in backward."""
    ratio = numbers["naive.core_bytes"] / numbers["flash.core_bytes"]
    whole = numbers["naive.total_bytes"] / numbers["flash.total_bytes"]
    saves = ratio > 1.1 and near(numbers["naive.flops"], numbers["flash.flops"])
    recomputes = numbers["flash.backward_factor"] > numbers["naive.backward_factor"]
    return Judgement(
        "true" if saves and recomputes else "false",
        ratio,
        f"times fewer bytes in attention (Llama-2-7B, {TOKENS} tokens)",
        "it saves bytes, not FLOPs: forward FLOPs are the same, backward recomputes the scores "
        f"({numbers['flash.backward_factor']:g} instead of {numbers['naive.backward_factor']:g} "
        f"times forward); over the whole prefill {whole:.1f} times fewer bytes",
        tuple(
            f"{kernel}: {numbers[f'{kernel}.core_bytes'] / GIGA:,.1f} GB, "
            f"{numbers[f'{kernel}.flops']:.4g} FLOPs in the attention core"
            for kernel in ("naive", "flash")
        ),
    )


GROUPS = {"mha": 32, "gqa": 8, "mqa": 1}


def measure_groups() -> Numbers:
    """Llama-2-7B with 32, 8 and 1 key-value heads."""
    numbers: dict[str, float] = {}
    for label, heads in GROUPS.items():
        model = with_attention(arch.load(MODEL), n_kv_heads=heads)
        table = prefill(model, TOKENS)
        numbers[f"{label}.score_flops"] = float(table.flops[_core(table)])
        numbers[f"{label}.total_flops"] = float(table.total_flops)
        numbers[f"{label}.cache_bytes_per_token"] = memory(model).kv_bytes_per_token
    return numbers


@claim(
    "A14",
    measure_groups,
    f"FLOPs and cache of Llama-2-7B with 32, 8 and 1 KV heads, prefill of {TOKENS} tokens",
    archs=(MODEL,),
)
def judge_groups(numbers: Numbers) -> Judgement:
    """Are the score FLOPs smaller, or only the projections?"""
    score = numbers["gqa.score_flops"] / numbers["mha.score_flops"]
    total = numbers["gqa.total_flops"] / numbers["mha.total_flops"]
    cache = numbers["mha.cache_bytes_per_token"] / numbers["gqa.cache_bytes_per_token"]
    return Judgement(
        "true" if score < 0.999 else "true-if" if total < 0.999 else "false",
        1 - total,
        "of the prefill FLOPs saved by 8 instead of 32 KV heads",
        "only in the K and V projections; the score FLOPs, the O(N^2) part, do not change "
        f"(ratio {score:.3f}), and a wider FFN usually takes the saved parameters; what it cuts "
        f"is memory: {cache:g} times less cache and cache traffic",
        tuple(
            f"{label} ({heads} KV heads): scores {numbers[f'{label}.score_flops']:.5g}, "
            f"all {numbers[f'{label}.total_flops']:.5g} FLOPs, cache "
            f"{numbers[f'{label}.cache_bytes_per_token'] / MEGA:.3f} MB per token"
            for label, heads in GROUPS.items()
        ),
    )


FAR_TOKENS = 1 << 20
WINDOW = Reach("window", TOKENS)


def measure_order() -> Numbers:
    """Growth of the attention core when a long sequence doubles, per variant."""
    model = arch.load(MODEL)
    variants = {
        "naive": with_attention(model, kernel="naive"),
        "flash": model,
        "gqa": with_attention(model, n_kv_heads=8),
        "mqa": with_attention(model, n_kv_heads=1),
        "window": with_blocks(
            model, lambda b: replace(b, reach=WINDOW) if isinstance(b, Attention) else b
        ),
    }
    return {f"{label}.growth": _core_growth(variant) for label, variant in variants.items()}


def _core_growth(model: arch.Architecture) -> float:
    once, twice = prefill(model, FAR_TOKENS), prefill(model, 2 * FAR_TOKENS)
    return float(twice.flops[_core(twice)] / once.flops[_core(once)])


@claim(
    "A15",
    measure_order,
    "growth of attention's FLOPs when a sequence of a million tokens doubles",
    archs=(MODEL,),
)
def judge_order(numbers: Numbers) -> Judgement:
    """Four times in each of the named variants."""
    named = [numbers[f"{label}.growth"] for label in ("flash", "gqa", "mqa")]
    return Judgement(
        "true" if min(named) >= 3.9 else "false",
        min(named),
        "times the FLOPs for twice the tokens",
        "for exact attention over the whole context; a sliding window does end it: "
        f"{numbers['window.growth']:.3f} times (and so do state-space layers)",
        tuple(f"{label.removesuffix('.growth')}: {n:.4f} times" for label, n in numbers.items()),
    )
