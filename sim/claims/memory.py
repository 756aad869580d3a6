"""A09-A12: how compute and memory grow with the context; caches at 256k tokens."""

from __future__ import annotations

from sim import arch
from sim.claims.base import Judgement, Numbers, claim, near
from sim.claims.figures import LONG_TOKENS, attention_of, fact, prefill, without_window
from sim.flops import memory
from sim.units import GIB, KIB

SHORT_TOKENS = 2 * KIB


def measure_growth() -> Numbers:
    """FLOPs per token and cache of Llama-2-7B at a short and a long context."""
    model = arch.load("llama-2-7b")
    held = memory(model)
    numbers = {"weights_gib": held.weight_bytes / GIB}
    for label, tokens in (("short", SHORT_TOKENS), ("long", LONG_TOKENS)):
        numbers[f"{label}.flops_per_token"] = prefill(model, tokens).total_flops / tokens
        numbers[f"{label}.cache_gib"] = float(held.cache_bytes(tokens)) / GIB
    return numbers


@claim(
    "A09",
    measure_growth,
    "FLOPs per token and cache of Llama-2-7B at 2k and 256k tokens, causal, as served",
    archs=("llama-2-7b",),
)
def judge_growth(numbers: Numbers) -> Judgement:
    """Compute per token more than doubles and the cache passes the weights."""
    growth = numbers["long.flops_per_token"] / numbers["short.flops_per_token"]
    small = numbers["short.cache_gib"] < numbers["weights_gib"]
    large = numbers["long.cache_gib"] > numbers["weights_gib"]
    compute, held = growth > 2, small and large
    return Judgement(
        "true" if compute and held else "true-if" if compute or held else "false",
        growth,
        "times the FLOPs per token (256k against 2k)",
        "for full attention; the cache grows linearly, not quadratically (128 times the tokens, "
        "128 times the cache); a sliding window or state-space layers stop both",
        tuple(
            f"{label}: {numbers[f'{label}.flops_per_token']:.4g} FLOPs per token, cache "
            f"{numbers[f'{label}.cache_gib']:.3g} GiB, weights {numbers['weights_gib']:.3g} GiB"
            for label in ("short", "long")
        ),
    )


def measure_words() -> Numbers:
    """Words per token: the article's and the published rule."""
    return {
        "claimed_words": 192.0,
        "claimed_tokens": 256.0,
        "published_ratio": fact("tokens.words_per_token"),
    }


@claim(
    "A10",
    measure_words,
    "words per token against the published rule of thumb",
    facts=("tokens.words_per_token",),
)
def judge_words(numbers: Numbers) -> Judgement:
    """The published rule gives the same ratio."""
    ratio = numbers["claimed_words"] / numbers["claimed_tokens"]
    return Judgement(
        "sourced" if near(ratio, numbers["published_ratio"], 0.05) else "false",
        ratio,
        "words per token",
        "a rule of thumb for English text; it depends on tokenizer and language, and a Chinese "
        "character (which the article's word also means) is not an English word",
        (f"192 / 256 = {ratio:.3f}; published: {numbers['published_ratio']:.2f}",),
    )


def measure_llama_cache() -> Numbers:
    """Cache and weights of Llama-2-7B at 256k tokens."""
    model = arch.load("llama-2-7b")
    held = memory(model)
    return {
        "layers": model.n_layers,
        "kv_width": attention_of(model).kv_width,
        "bytes_per_token": held.kv_bytes_per_token,
        "cache_gib": float(held.cache_bytes(LONG_TOKENS)) / GIB,
        "weights_gib": held.weight_bytes / GIB,
        "max_context": model.max_context,
    }


@claim(
    "A11",
    measure_llama_cache,
    "KV cache of Llama-2-7B at 262,144 tokens, bf16",
    archs=("llama-2-7b",),
    references=("Lieber et al. 2024, Jamba, arXiv 2403.19887, table 1 (128 GB)",),
)
def judge_llama_cache(numbers: Numbers) -> Judgement:
    """128 GiB of cache."""
    total = numbers["cache_gib"] + numbers["weights_gib"]
    return Judgement(
        "true" if near(numbers["cache_gib"], 128) else "false",
        numbers["cache_gib"],
        "GiB of KV cache",
        f"GB read as GiB, the 16-bit cache alone; with the weights {total:.1f} GiB; a memory "
        f"figure only, the model was trained for {numbers['max_context']:,.0f} tokens",
        (
            _per_token(numbers),
            f"x {LONG_TOKENS:,} tokens = {numbers['cache_gib']:.2f} GiB",
        ),
    )


def _per_token(numbers: Numbers) -> str:
    return (
        f"2 (K, V) x {numbers['layers']:.0f} layers x {numbers['kv_width']:,.0f} (KV heads x "
        f"head_dim) x 2 B = {numbers['bytes_per_token']:,.0f} B per token"
    )


def measure_mistral_cache() -> Numbers:
    """Cache of Mistral-7B at 256k tokens, with and without its window."""
    model = arch.load("mistral-7b-v0.1")
    full = memory(without_window(model))
    return {
        "layers": model.n_layers,
        "kv_width": attention_of(model).kv_width,
        "bytes_per_token": full.kv_bytes_per_token,
        "full_gib": float(full.cache_bytes(LONG_TOKENS)) / GIB,
        "windowed_gib": float(memory(model).cache_bytes(LONG_TOKENS)) / GIB,
        "window_tokens": memory(model).windows[0][0],
    }


@claim(
    "A12",
    measure_mistral_cache,
    "KV cache of Mistral-7B at 262,144 tokens, bf16, with and without its sliding window",
    archs=("mistral-7b-v0.1",),
    references=("Lieber et al. 2024, Jamba, arXiv 2403.19887, table 1 (32 GB)",),
)
def judge_mistral_cache(numbers: Numbers) -> Judgement:
    """32 GiB without the window; does the window matter?"""
    full, windowed = numbers["full_gib"], numbers["windowed_gib"]
    without, always = near(full, 32), near(windowed, 32)
    return Judgement(
        "true" if without and always else "true-if" if without else "false",
        full,
        "GiB of KV cache without the window",
        "if every layer keeps the whole context (v0.2 and later); v0.1's window of "
        f"{numbers['window_tokens']:,.0f} tokens caps it at {windowed:.2f} GiB; GB read as GiB, "
        "cache alone",
        (
            _per_token(numbers),
            f"x {LONG_TOKENS:,} tokens = {full:.2f} GiB",
            f"x {numbers['window_tokens']:,.0f} tokens = {windowed:.2f} GiB",
        ),
    )
