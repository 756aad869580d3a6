"""A20-A24: Jamba."""

from __future__ import annotations

from sim import arch
from sim.arch import Attention, Mamba1
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import LONG_TOKENS, fact, moe_of
from sim.flops import Batch, memory, parameters, step_operations
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


def measure_price() -> Numbers:
    """Work and cache per decoded token against Mixtral and Llama-2-70B, short and long."""
    numbers = {"published_throughput_ratio": fact("jamba.throughput_over_mixtral")}
    for name in (JAMBA, "mixtral-8x7b", "llama-2-70b"):
        model = arch.load(name)
        for label, context in (("2k", 2048), ("256k", LONG_TOKENS)):
            step = step_operations(model, Batch.uniform(1, 1, context))
            numbers[f"{name}.flops_{label}"] = step.total_flops
        numbers[f"{name}.cache_gb"] = float(memory(model).cache_bytes(LONG_TOKENS)) / GIGA
    return numbers


@claim(
    "A24",
    measure_price,
    "published throughput; FLOPs and cache per decoded token from the engine",
    archs=(JAMBA, "mixtral-8x7b", "llama-2-70b"),
    facts=("jamba.throughput_over_mixtral", "jamba.matches_size_class"),
)
def judge_price(numbers: Numbers) -> Judgement:
    """A published throughput well above Mixtral's."""
    ratio = numbers["published_throughput_ratio"]

    def against(other: str, what: str) -> float:
        return numbers[f"{other}.{what}"] / numbers[f"{JAMBA}.{what}"]

    return Judgement(
        "sourced" if ratio >= 1.5 else "false",
        ratio,
        "times Mixtral's throughput (published)",
        "for long contexts or large batches, measured by its makers on A100s; at 2k tokens its "
        f"FLOPs per token are Mixtral's ({against('mixtral-8x7b', 'flops_2k'):.2f} times), at 256k "
        f"{against('mixtral-8x7b', 'flops_256k'):.1f} times fewer with "
        f"{against('mixtral-8x7b', 'cache_gb'):.0f} times less cache; price and energy need a "
        "serving model calibrated on Mamba layers, which is missing",
        tuple(
            f"{name}: {numbers[f'{name}.flops_2k'] / GIGA:.1f} and "
            f"{numbers[f'{name}.flops_256k'] / GIGA:.1f} GFLOP per token at 2k and 256k, cache "
            f"{numbers[f'{name}.cache_gb']:.1f} GB at 256k"
            for name in (JAMBA, "mixtral-8x7b", "llama-2-70b")
        ),
    )
