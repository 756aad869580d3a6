"""A01-A08: what a Transformer block costs, and how that grows with the sequence.

Counted as the article counts: multiply-accumulates per layer (1 MAC = 2 FLOPs), the whole
score matrix without causal saving, d = width of one head, hd = width of all heads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim import arch
from sim.claims.base import Judgement, Numbers, claim, near
from sim.claims.figures import attention_of, block_macs, coefficients

CLASSIC = ("gpt2", "gpt-3-175b")
"""Blocks as the article draws them: multi-head attention, two FFN matrices of 4x width."""
MODERN = ("llama-2-7b", "llama-3-8b")
COUNTING = "counted in MAC (twice that in FLOPs), whole score matrix, d = width of one head"
EXAMPLE_TOKENS = 2048


def measure_formula(parts: tuple[str, ...]) -> Callable[[], Numbers]:
    """Measure the coefficients of block parts for classic and modern models."""

    def measure() -> Numbers:
        numbers: dict[str, float] = {}
        for name in (*CLASSIC, *MODERN):
            a, b, error = coefficients(arch.load(name), parts)
            numbers |= {f"{name}.linear": a, f"{name}.quadratic": b, f"{name}.error_frac": error}
        model = arch.load("gpt-3-175b")
        macs = block_macs(model, EXAMPLE_TOKENS)
        numbers["example_mac"] = sum(macs[part] for part in parts)
        numbers["example_width"] = attention_of(model).width
        return numbers

    return measure


def _holds(numbers: Numbers, name: str, linear: float, quadratic: float) -> bool:
    found = (numbers[f"{name}.linear"], numbers[f"{name}.quadratic"])
    close = abs(found[0] - linear) < 1e-6 and abs(found[1] - quadratic) < 1e-6
    return close and numbers[f"{name}.error_frac"] < 1e-9


def _form(numbers: Numbers, name: str) -> str:
    a, b = numbers[f"{name}.linear"], numbers[f"{name}.quadratic"]
    return f"{name}: {a:.4g} s (hd)^2 + {b:.4g} s^2 (hd)"


def judge_formula(numbers: Numbers, linear: float, quadratic: float, condition: str) -> Judgement:
    """True if both classic models have exactly these coefficients."""
    holds = all(_holds(numbers, name, linear, quadratic) for name in CLASSIC)
    width = numbers["example_width"]
    formula = linear * EXAMPLE_TOKENS * width**2 + quadratic * EXAMPLE_TOKENS**2 * width
    return Judgement(
        verdict="true" if holds else "false",
        value=numbers["example_mac"],
        unit=f"MAC per layer (GPT-3, s = {EXAMPLE_TOKENS})",
        condition=condition,
        arithmetic=(
            f"claimed: {linear:g} s (hd)^2 + {quadratic:g} s^2 (hd)",
            *(_form(numbers, name) for name in (*CLASSIC, *MODERN)),
            (
                f"GPT-3, s = {EXAMPLE_TOKENS}, hd = {width:,.0f}: formula {formula:.6g} MAC, "
                f"engine {numbers['example_mac']:.6g} MAC"
            ),
        ),
    )


ENGINE = {"archs": (*CLASSIC, *MODERN)}


@claim("A01", measure_formula(("qkv",)), "coefficients of Q, K, V in the FLOP engine", **ENGINE)
def judge_projections(numbers: Numbers) -> Judgement:
    """3 s (hd)^2."""
    grouped = numbers["llama-3-8b.linear"]
    return judge_formula(
        numbers,
        3,
        0,
        f"for multi-head attention, {COUNTING}; with grouped queries K and V shrink: "
        f"Llama-3-8B has {grouped:.3g} s (hd)^2",
    )


@claim("A02", measure_formula(("core", "out")), "coefficients of scores and output", **ENGINE)
def judge_scores(numbers: Numbers) -> Judgement:
    """S (hd)^2 + 2 s^2 (hd)."""
    return judge_formula(
        numbers, 1, 2, f"{COUNTING}; a causal kernel does half of the s^2 part; softmax not counted"
    )


@claim("A03", measure_formula(("qkv", "core", "out")), "coefficients of attention", **ENGINE)
def judge_attention(numbers: Numbers) -> Judgement:
    """4 s (hd)^2 + 2 s^2 (hd)."""
    grouped = numbers["llama-3-8b.linear"]
    return judge_formula(
        numbers,
        4,
        2,
        f"for multi-head attention, {COUNTING}; Llama-3-8B (8 of 32 KV heads) has "
        f"{grouped:.3g} s (hd)^2 + 2 s^2 (hd)",
    )


@claim("A04", measure_formula(("ffn",)), "coefficient of the FFN in the FLOP engine", **ENGINE)
def judge_ffn(numbers: Numbers) -> Judgement:
    """8 s (hd)^2, in every model or only in classic ones."""
    everywhere = all(_holds(numbers, name, 8, 0) for name in MODERN)
    condition = (
        f"if the FFN has two matrices and 4 times the model's width, {COUNTING}; the article's "
        f"own models are gated: Llama-2-7B {numbers['llama-2-7b.linear']:.4g}, "
        f"Llama-3-8B {numbers['llama-3-8b.linear']:.4g} s (hd)^2"
    )
    found = judge_formula(numbers, 8, 0, condition)
    if found.verdict == "false" or everywhere:
        return found
    return Judgement("true-if", found.value, found.unit, condition, found.arithmetic)


SHORT_TOKENS = 128
BLOCK_MODELS = (*CLASSIC, *MODERN, "mistral-7b-v0.1", "mixtral-8x7b")


def measure_ffn_share() -> Numbers:
    """Share of the FFN in a block at a short length."""
    numbers = {}
    for name in BLOCK_MODELS:
        macs = block_macs(arch.load(name), SHORT_TOKENS)
        numbers[f"{name}.share"] = macs["ffn"] / sum(macs.values())
    return numbers


@claim(
    "A06",
    measure_ffn_share,
    f"share of the FFN in a block's MAC at s = {SHORT_TOKENS}",
    archs=BLOCK_MODELS,
)
def judge_ffn_share(numbers: Numbers) -> Judgement:
    """More than half, in every model."""
    shares = [numbers[f"{name}.share"] for name in BLOCK_MODELS]
    mainly = [share > 0.5 for share in shares]
    return Judgement(
        "true" if all(mainly) else "true-if" if any(mainly) else "false",
        numbers["gpt-3-175b.share"],
        f"of a GPT-3 block's MAC (s = {SHORT_TOKENS})",
        "short means s < 2 hd in a classic block, where the share falls from 2/3 to 1/2; "
        f"over the article's models it is {min(shares):.0%} to {max(shares):.0%}; lm_head apart",
        tuple(f"{name}: {numbers[f'{name}.share']:.1%}" for name in BLOCK_MODELS),
    )


def _crossing(larger: Callable[[int], bool], high: int = 1 << 24) -> int:
    """The shortest sequence for which `larger` holds."""
    low = 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if larger(middle) else (middle + 1, high)
    return low


def _attention_macs(macs: dict[str, float]) -> float:
    return macs["qkv"] + macs["core"] + macs["out"]


def measure_crossings() -> Numbers:
    """Where attention passes the FFN, and its quadratic part everything linear, in GPT-3."""
    model = arch.load("gpt-3-175b")
    width = attention_of(model).width

    def total(tokens: int) -> float:
        return sum(block_macs(model, tokens).values())

    def passes_ffn(tokens: int) -> bool:
        macs = block_macs(model, tokens)
        return _attention_macs(macs) >= macs["ffn"]

    def passes_linear(tokens: int) -> bool:
        macs = block_macs(model, tokens)
        return macs["core"] >= macs["qkv"] + macs["out"] + macs["ffn"]

    at = 2 * width
    return {
        "width": width,
        "ffn_crossing_tokens": _crossing(passes_ffn),
        "linear_crossing_tokens": _crossing(passes_linear),
        "doubling_ratio": total(2 * at) / total(at),
        "exponent": float(np.log(total(at + 64) / total(at - 64)) / np.log((at + 64) / (at - 64))),
    }


@claim(
    "A07",
    measure_crossings,
    "crossings of attention, FFN and linear work, located in the engine (GPT-3 block)",
    archs=("gpt-3-175b",),
)
def judge_threshold(numbers: Numbers) -> Judgement:
    """Is 2 hd the length from which the quadratic part dominates, or attention the FFN?"""
    width = numbers["width"]
    by_ffn = numbers["ffn_crossing_tokens"] / width
    by_linear = numbers["linear_crossing_tokens"] / width
    for_total, for_attention = near(by_linear, 2, 0.01), near(by_ffn, 2, 0.01)
    return Judgement(
        "true" if for_total else "true-if" if for_attention else "false",
        by_ffn,
        "hd, where attention passes the FFN",
        "if it is read as 'attention costs more than the FFN', and d as the width of all heads; "
        f"the total is still nearly linear there (it grows as s^{numbers['exponent']:.2f}, "
        f"doubling costs {numbers['doubling_ratio']:.2f} times): the quadratic part passes the "
        f"linear work of the block only at s = {by_linear:.3g} hd",
        (
            f"hd = {width:,.0f} (GPT-3)",
            f"attention >= FFN from s = {numbers['ffn_crossing_tokens']:,.0f} = {by_ffn:.4g} hd",
            "4 s (hd)^2 + 2 s^2 (hd) = 8 s (hd)^2  =>  s = 2 hd",
            (
                f"quadratic >= linear from s = {numbers['linear_crossing_tokens']:,.0f} "
                f"= {by_linear:.4g} hd"
            ),
            "2 s^2 (hd) = 12 s (hd)^2  =>  s = 6 hd",
        ),
    )


OWN_CONTEXTS = ("gpt-3-175b", "llama-2-7b", "llama-3-8b")
QUADRUPLE = 3.9
"""From this ratio on, a doubling counts as four times."""


def _doubling(name: str, tokens: int) -> float:
    model = arch.load(name)
    return sum(block_macs(model, 2 * tokens).values()) / sum(block_macs(model, tokens).values())


def measure_doubling() -> Numbers:
    """What a doubling costs at the longest context that models have, and in the limit."""
    numbers: dict[str, float] = {}
    for name in OWN_CONTEXTS:
        context = arch.load(name).max_context
        numbers[f"{name}.context_tokens"] = context
        numbers[f"{name}.ratio"] = _doubling(name, context // 2)
    numbers["limit_ratio"] = _doubling("gpt-3-175b", 1 << 26)
    width = attention_of(arch.load("gpt-3-175b")).width
    reached = _crossing(lambda s: _doubling("gpt-3-175b", s) >= QUADRUPLE, 1 << 27)
    numbers["quadruple_from_hd"] = reached / width
    numbers["quadruple_from_tokens"] = reached
    return numbers


@claim(
    "A08",
    measure_doubling,
    "MAC of 2 s over MAC of s in a block, over s",
    archs=OWN_CONTEXTS,
)
def judge_doubling(numbers: Numbers) -> Judgement:
    """Four times at the contexts in use, only far beyond them, or never."""
    ratios = {name: numbers[f"{name}.ratio"] for name in OWN_CONTEXTS}
    reached = numbers["limit_ratio"] >= QUADRUPLE
    holds = min(ratios.values()) >= QUADRUPLE
    return Judgement(
        "true" if holds else "true-if" if reached else "false",
        ratios["llama-2-7b"],
        "times (Llama-2-7B, up to its full context)",
        f"only for s far above 6 hd: a doubling costs at least {QUADRUPLE} times from "
        f"s = {numbers['quadruple_from_hd']:.0f} hd on (GPT-3: "
        f"{numbers['quadruple_from_tokens']:,.0f} tokens); at the contexts that the models have it "
        f"costs {min(ratios.values()):.2f} to {max(ratios.values()):.2f} times",
        (
            *(
                f"{name}: {numbers[f'{name}.context_tokens'] / 2:,.0f} -> "
                f"{numbers[f'{name}.context_tokens']:,.0f} tokens costs {ratio:.3f} times"
                for name, ratio in ratios.items()
            ),
            "C(2s)/C(s) = (24 x + 8 x^2) / (12 x + 2 x^2), x = s / hd: 2 for small x, 4 for large",
        ),
    )
