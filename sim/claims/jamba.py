"""A20-A24: Jamba."""

from __future__ import annotations

from sim import arch
from sim.arch import Attention, Mamba1
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import LONG_TOKENS, fact, moe_of
from sim.claims.fleets import RENT, fleet
from sim.flops import memory, parameters
from sim.units import GIGA

JAMBA = "jamba-v0.1"


def measure_context() -> Numbers:
    """Longest context, and Mamba releases before it."""
    return {
        "max_context": arch.load(JAMBA).max_context,
        "earlier_releases": fact("jamba.earlier_mamba_releases"),
    }


@claim(
    "A20",
    measure_context,
    "longest context of the config; Mamba releases before Jamba",
    archs=(JAMBA,),
    facts=("jamba.earlier_mamba_releases", "jamba.matches_size_class"),
)
def judge_context(numbers: Numbers) -> Judgement:
    """The context is exact; 'first' depends on what counts as production."""
    exact = numbers["max_context"] == LONG_TOKENS
    first = numbers["earlier_releases"] == 0
    return Judgement(
        "false" if not exact else "true" if first else "true-if",
        numbers["max_context"],
        "tokens of context",
        "the 256K context is exact; 'first production-grade' is AI21's own label and holds if "
        f"the {numbers['earlier_releases']:.0f} earlier release (Mamba itself, up to 2.8B, "
        "December 2023) counts as research",
        (f"256 x 1024 = {LONG_TOKENS:,}; config: {numbers['max_context']:,.0f}",),
    )


def measure_structure() -> Numbers:
    """Layers by kind and the mixture of experts, from the spec."""
    model = arch.load(JAMBA)
    layers = dict.fromkeys((Attention, Mamba1), 0)
    for block, count, _ in model.blocks():
        for kind in layers:
            layers[kind] += count * isinstance(block, kind)
    moe = moe_of(model)
    return {
        "attention_layers": layers[Attention],
        "mamba_layers": layers[Mamba1],
        "block_layers": model.n_layers / layers[Attention],
        "n_experts": moe.n_experts,
        "top_k": moe.top_k,
        "moe_layers": next(count for block, count, _ in model.blocks() if block == moe),
    }


@claim("A21", measure_structure, "layers by kind and experts, from the spec", archs=(JAMBA,))
def judge_structure(numbers: Numbers) -> Judgement:
    """1:7, blocks of 8, 16 experts, 2 active."""
    ratio = numbers["mamba_layers"] / numbers["attention_layers"]
    found = (ratio, numbers["block_layers"], numbers["n_experts"], numbers["top_k"])
    return Judgement(
        "true" if found == (7, 8, 16, 2) else "false",
        ratio,
        "Mamba layers per attention layer",
        f"exact; only {numbers['moe_layers']:.0f} of the 32 layers are MoE, the others have a "
        "dense FFN",
        (
            (
                f"{numbers['attention_layers']:.0f} attention and {numbers['mamba_layers']:.0f} "
                f"Mamba layers: 1:{ratio:g}, one block of {numbers['block_layers']:g} layers"
            ),
            f"{numbers['n_experts']:.0f} experts, {numbers['top_k']:.0f} per token",
        ),
    )


def measure_size() -> Numbers:
    """Parameters, total and active."""
    count = parameters(arch.load(JAMBA))
    return {"total": count.total, "active": count.active}


@claim("A22", measure_size, "parameters counted by the engine", archs=(JAMBA,))
def judge_size(numbers: Numbers) -> Judgement:
    """52 and 12 after rounding to whole billions."""
    rounded = (round(numbers["total"] / GIGA), round(numbers["active"] / GIGA))
    return Judgement(
        "true" if rounded == (52, 12) else "false",
        numbers["active"] / GIGA,
        "B active parameters",
        "active parameters include the input embedding",
        (f"total {numbers['total']:,.0f}, active {numbers['active']:,.0f}",),
    )


def measure_quality() -> Numbers:
    """What its makers state, and how large its rivals are."""
    active = {
        name: parameters(arch.load(name)).active for name in (JAMBA, "llama-2-70b", "mixtral-8x7b")
    }
    return {
        "stated": fact("jamba.matches_size_class"),
        **{f"{name}.active": count for name, count in active.items()},
        "mixtral_mmlu": fact("moe.mixtral_mmlu"),
        "llama_2_70b_mmlu": fact("moe.llama_2_70b_mmlu"),
    }


@claim(
    "A23",
    measure_quality,
    "the makers' statement; no benchmark is run here",
    archs=(JAMBA, "llama-2-70b", "mixtral-8x7b"),
    facts=("jamba.matches_size_class", "moe.mixtral_mmlu", "moe.llama_2_70b_mmlu"),
)
def judge_quality(numbers: Numbers) -> Judgement:
    """Sourced while the makers state it; no independent measurement is at hand."""
    ratio = numbers["llama-2-70b.active"] / numbers[f"{JAMBA}.active"]
    return Judgement(
        "sourced" if numbers["stated"] else "indeterminate",
        ratio,
        "times fewer active parameters than Llama-2-70B",
        "AI21's own evaluation, for its size class and on average over benchmarks; the two rivals "
        f"are close to each other (MMLU {numbers['mixtral_mmlu']} and "
        f"{numbers['llama_2_70b_mmlu']}); quality is not simulated here",
        tuple(
            f"{name}: {numbers[f'{name}.active'] / GIGA:.2f} B active"
            for name in (JAMBA, "mixtral-8x7b", "llama-2-70b")
        ),
    )


SHORT, LONG = (2048, 512), (28_672, 1024)
"""Tokens in and out of the requests that the fleets serve; Mixtral takes 32,768 in all."""
RIVALS = (("mixtral-8x7b", 2, "mixtral"), ("llama-2-70b", 4, "llama"))
"""Model, GPUs of a replica, and the name of its numbers."""
MUCH = 1.5


def measure_price() -> Numbers:
    """The same service side by side: GPUs, energy and rent of each fleet, and the cache."""
    numbers = {"published_throughput_ratio": fact("jamba.throughput_over_mixtral")}
    for label, lengths in (("short", SHORT), ("long", LONG)):
        own = fleet(JAMBA, 2, *lengths)
        numbers |= {f"jamba_{label}_gpus": own.gpus, f"jamba_{label}_j_per_token": own.j_per_token}
        numbers[f"jamba_{label}_usd_per_mtoken"] = own.usd_per_mtoken
        for name, tp, key in RIVALS:
            if sum(lengths) > arch.load(name).max_context:
                continue
            other = fleet(name, tp, *lengths)
            numbers[f"{key}_{label}_gpus"] = other.gpus
            numbers[f"{key}_{label}_j_per_token"] = other.j_per_token
            numbers[f"{key}_{label}_usd_per_mtoken"] = other.usd_per_mtoken
    for name in (JAMBA, "mixtral-8x7b"):
        cache = memory(arch.load(name)).cache_bytes(LONG_TOKENS)
        numbers[f"{name}.cache_gb"] = float(cache) / GIGA
    return numbers


@claim(
    "A24",
    measure_price,
    "fleets side by side that serve the same requests, sized 70 % busy: GPUs, joules at the meter "
    "and rent per output token; published throughput beside them",
    archs=(JAMBA, "mixtral-8x7b", "llama-2-70b"),
    facts=("jamba.throughput_over_mixtral", "jamba.matches_size_class"),
    references=RENT,
)
def judge_price(numbers: Numbers) -> Judgement:
    """Much cheaper against which rival, and at which length."""

    def times(key: str, what: str = "gpus") -> float:
        length = key.partition("_")[2]
        return numbers[f"{key}_{what}"] / numbers[f"jamba_{length}_{what}"]

    short, long, dense = times("mixtral_short"), times("mixtral_long"), times("llama_short")
    saved = numbers["mixtral-8x7b.cache_gb"] / numbers[f"{JAMBA}.cache_gb"]
    return Judgement(
        "true" if min(short, long, dense) >= MUCH else "true-if" if long >= MUCH else "false",
        long,
        f"times fewer GPUs than Mixtral ({LONG[0]:,} tokens in, {LONG[1]:,} out)",
        f"much cheaper than a dense model of its class ({dense:.1f} times fewer GPUs than "
        f"Llama-2-70B at {SHORT[0]:,} tokens in; it takes no longer ones than 4,096); than Mixtral "
        f"only with long prompts ({short:.2f} times fewer GPUs at {SHORT[0]:,} tokens, {long:.1f} "
        f"at {LONG[0]:,}; {saved:.0f} times less cache); the makers measured "
        f"{numbers['published_throughput_ratio']:g} times on A100s; bf16 on H100, the laws of its "
        "Mamba layers are not calibrated; that it is 'as good' is the makers' word (A23)",
        tuple(
            f"{label}, {key}: {numbers[f'{key}_{label}_gpus']:,.0f} GPUs for 1,000 requests/s, "
            f"{numbers[f'{key}_{label}_j_per_token']:.2f} J a token and "
            f"{numbers[f'{key}_{label}_usd_per_mtoken']:.2f} USD a million output tokens"
            for label in ("short", "long")
            for key in ("jamba", "mixtral", "llama")
            if f"{key}_{label}_gpus" in numbers
        ),
    )
