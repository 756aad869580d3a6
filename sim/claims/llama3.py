"""A39-A47: Llama-3 against Llama-2. MB in the article is MiB at two bytes per parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sim import arch
from sim.arch import Architecture, DenseFFN
from sim.claims.base import Judgement, Numbers, claim, near
from sim.claims.figures import attention_of, component_parameters, fact, mib, prefill
from sim.flops import parameters

OLD, NEW = "llama-2-7b", "llama-3-8b"
PAIRS = {"8B": (OLD, NEW), "70B": ("llama-2-70b", "llama-3-70b")}
MODELS = (OLD, NEW)


def _kinds(model: Architecture) -> tuple[object, ...]:
    ffn = next(b for b, _, _ in model.blocks() if isinstance(b, DenseFFN))
    block = attention_of(model)
    names = tuple(type(b).__name__ for b, _, _ in model.blocks())
    flags = (block.qkv_bias, block.out_bias, block.qk_norm, block.reach.kind, ffn.gated, ffn.bias)
    return (model.norm, model.position, model.activation, model.tied_embeddings, *names, *flags)


def _shapes(model: Architecture) -> tuple[int, ...]:
    ffn = next(b for b, _, _ in model.blocks() if isinstance(b, DenseFFN))
    block = attention_of(model)
    return (
        model.hidden,
        model.n_layers,
        block.n_heads,
        block.n_kv_heads,
        block.head_dim,
        ffn.width,
    )


def _differences(a: tuple[object, ...], b: tuple[object, ...]) -> int:
    return (
        sum(x != y for x, y in zip(a, b, strict=True))
        if len(a) == len(b)
        else max(map(len, (a, b)))
    )


def measure_architecture() -> Numbers:
    """Differences in kinds of blocks, in layer shapes, and around the layers."""
    numbers: dict[str, float] = {}
    for label, (old, new) in PAIRS.items():
        a, b = arch.load(old), arch.load(new)
        numbers[f"{label}.kinds"] = _differences(_kinds(a), _kinds(b))
        numbers[f"{label}.shapes"] = _differences(_shapes(a), _shapes(b))
        numbers[f"{label}.kv_heads_old"] = attention_of(a).n_kv_heads
        numbers[f"{label}.kv_heads_new"] = attention_of(b).n_kv_heads
        numbers[f"{label}.vocab_differs"] = a.vocab != b.vocab
    return numbers


@claim(
    "A39",
    measure_architecture,
    "difference of the two specs: kinds of blocks, shapes of layers",
    archs=("llama-2-7b", "llama-3-8b", "llama-2-70b", "llama-3-70b"),
)
def judge_architecture(numbers: Numbers) -> Judgement:
    """Same kinds and same shapes, same kinds only, or neither."""
    kinds = sum(numbers[f"{label}.kinds"] for label in PAIRS)
    shapes = sum(numbers[f"{label}.shapes"] for label in PAIRS)
    return Judgement(
        "false" if kinds else "true-if" if shapes else "true",
        numbers["8B.shapes"],
        "layer shapes differ (7B to 8B)",
        "if architecture means the kinds of blocks (the code), not their shapes: 7B to 8B changes "
        f"KV heads {numbers['8B.kv_heads_old']:.0f} to {numbers['8B.kv_heads_new']:.0f} "
        "(multi-head to grouped-query attention) and the FFN width; at 70B "
        f"{numbers['70B.shapes']:.0f} layer shapes differ, only vocabulary and context",
        tuple(
            f"{label}: {numbers[f'{label}.kinds']:.0f} kinds and "
            f"{numbers[f'{label}.shapes']:.0f} shapes differ"
            for label in PAIRS
        ),
    )


def measure_vocabulary() -> Numbers:
    """Vocabulary sizes, embedding width, and the parameters of both tables."""
    old, new = arch.load(OLD), arch.load(NEW)
    parts = [component_parameters(name)["vocabulary"] for name in MODELS]
    return {
        "old": old.vocab,
        "new": new.vocab,
        "hidden": new.hidden,
        "delta_mib": mib(parts[1] - parts[0]),
    }


@claim("A40", measure_vocabulary, "vocabulary of both configs", archs=MODELS)
def judge_vocabulary(numbers: Numbers) -> Judgement:
    """Exact."""
    exact = (numbers["old"], numbers["new"]) == (32_000, 128_256)
    return Judgement(
        "true" if exact else "false",
        numbers["new"],
        "entries",
        "exact",
        (f"{numbers['old']:,.0f} -> {numbers['new']:,.0f}",),
    )


def _size_judgement(delta_mib: float, claimed_mib: float, condition: str, line: str) -> Judgement:
    return Judgement(
        "true" if near(delta_mib, claimed_mib) else "false",
        delta_mib,
        "MiB",
        condition,
        (line, f"= {delta_mib:,.2f} MiB; claimed {claimed_mib:,.0f}"),
    )


@claim("A41", measure_vocabulary, "parameters of embedding and lm_head, bf16", archs=MODELS)
def judge_vocabulary_size(numbers: Numbers) -> Judgement:
    """1504 MiB."""
    return _size_judgement(
        numbers["delta_mib"],
        1504,
        "MB read as MiB (2^20 bytes), 2 bytes per parameter, embedding and lm_head not tied",
        f"({numbers['new']:,.0f} - {numbers['old']:,.0f}) x {numbers['hidden']:,.0f} x 2 tables "
        "x 2 B",
    )


def measure_positions() -> Numbers:
    """FLOPs with another longest context, and per token at full length."""
    model = arch.load(NEW)
    shorter = replace(model, max_context=4096)
    numbers = {
        "same_input_ratio": prefill(model, 4096).total_flops / prefill(shorter, 4096).total_flops
    }
    per_token = [prefill(model, n).total_flops / n for n in (4096, 8192)]
    return {
        **numbers,
        "per_token_4096": per_token[0],
        "per_token_8192": per_token[1],
        "parameters_ratio": parameters(model).total / parameters(shorter).total,
    }


@claim(
    "A42",
    measure_positions,
    "FLOPs of Llama-3-8B with both settings, and per token at both full lengths",
    archs=(NEW,),
)
def judge_positions(numbers: Numbers) -> Judgement:
    """No difference for the same input; some for the longer input that it allows."""
    same = near(numbers["same_input_ratio"], 1) and near(numbers["parameters_ratio"], 1)
    longer = numbers["per_token_8192"] / numbers["per_token_4096"]
    return Judgement(
        "false" if not same else "true-if" if longer > 1.01 else "true",
        longer - 1,
        "more FLOPs per token at 8,192 than at 4,096 tokens",
        "for the same input: the setting changes neither parameters nor FLOPs; inputs that use it "
        f"cost {longer - 1:.1%} more per token (causal), as attention sees more keys",
        (
            f"same 4,096 tokens: ratio {numbers['same_input_ratio']:.6f}",
            (
                f"per token: {numbers['per_token_4096']:.5g} at 4,096, "
                f"{numbers['per_token_8192']:.5g} FLOPs at 8,192"
            ),
        ),
    )


def measure_component(component: str) -> Callable[[], Numbers]:
    """Measure the change of one component's size."""

    def measure() -> Numbers:
        old, new = (component_parameters(name)[component] for name in MODELS)
        first, second = (attention_of(arch.load(name)) for name in MODELS)
        return {
            "old": old,
            "new": new,
            "delta_mib": mib(new - old),
            "kv_share": second.kv_width / first.kv_width,
        }

    return measure


@claim("A43", measure_component("attention"), "parameters of attention, bf16", archs=MODELS)
def judge_groups(numbers: Numbers) -> Judgement:
    """-1536 MiB, K and V a quarter."""
    quarter = numbers["kv_share"] == 0.25
    found = _size_judgement(
        numbers["delta_mib"],
        -1536,
        f"MB read as MiB; K and V matrices are {numbers['kv_share']:g} of their size",
        f"({numbers['new']:,.0f} - {numbers['old']:,.0f}) parameters x 2 B",
    )
    return found if quarter else replace(found, verdict="false")


@claim("A44", measure_component("ffn"), "parameters of the FFN, bf16", archs=MODELS)
def judge_ffn(numbers: Numbers) -> Judgement:
    """2496 MiB."""
    return _size_judgement(
        numbers["delta_mib"],
        2496,
        "MB read as MiB, three matrices per layer (gated)",
        f"({numbers['new']:,.0f} - {numbers['old']:,.0f}) parameters x 2 B",
    )


def measure_total() -> Numbers:
    """All parameters of both."""
    old, new = (parameters(arch.load(name)).total for name in MODELS)
    return {"old": old, "new": new, "delta_mib": mib(new - old)}


@claim("A45", measure_total, "all parameters, bf16", archs=MODELS)
def judge_total(numbers: Numbers) -> Judgement:
    """2464 MiB, 7B to 8B."""
    found = _size_judgement(
        numbers["delta_mib"],
        2464,
        "MB read as MiB; 1504 - 1536 + 2496 = 2464, norms and other parts do not change",
        f"({numbers['new']:,.0f} - {numbers['old']:,.0f}) x 2 B",
    )
    rounded = (round(numbers["old"] / 1e9), round(numbers["new"] / 1e9)) == (7, 8)
    return found if rounded else replace(found, verdict="false")


def measure_tokens() -> Numbers:
    """Published token counts and the published code ratio."""
    return {
        "old": fact("llama.tokens_llama_2"),
        "new": fact("llama.tokens_llama_3"),
        "code_ratio": fact("llama.code_ratio"),
    }


@claim(
    "A46",
    measure_tokens,
    "ratio of the published token counts",
    facts=("llama.tokens_llama_3", "llama.tokens_llama_2", "llama.code_ratio"),
)
def judge_tokens(numbers: Numbers) -> Judgement:
    """More than seven times the tokens, four times the code."""
    ratio = numbers["new"] / numbers["old"]
    holds = ratio >= 7 and numbers["new"] >= 15e12 and numbers["code_ratio"] >= 4
    return Judgement(
        "sourced" if holds else "false",
        ratio,
        "times Llama-2's tokens",
        "both counts are Meta's; that code grew four times is its statement and cannot be "
        "recomputed, as the shares of code are not published",
        (
            f"{numbers['new']:.3g} / {numbers['old']:.3g} = {ratio:.2f}",
            f"code: {numbers['code_ratio']:g} times (published)",
        ),
    )


def measure_samples() -> Numbers:
    """The published count."""
    return {"samples": fact("llama.annotated_samples")}


@claim("A47", measure_samples, "the published count", facts=("llama.annotated_samples",))
def judge_samples(numbers: Numbers) -> Judgement:
    """At least 10 million."""
    return Judgement(
        "sourced" if numbers["samples"] >= 10e6 else "false",
        numbers["samples"],
        "human-annotated samples",
        "Meta's own count ('over 10M human-annotated examples'); nothing here can check it",
        (f"published: more than {numbers['samples']:,.0f}",),
    )
