"""A29-A32: mixture of experts."""

from __future__ import annotations

from sim import arch
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import fact, has_moe, moe_of, prefill, with_top_k
from sim.flops import experts_touched, parameters

NAMED = ("mixtral-8x7b", "jamba-v0.1")
DENSE = ("llama-3-8b", "llama-3-70b")


def measure_named() -> Numbers:
    """Which named models are MoE, from configs and publications."""
    return {
        **{f"{name}.is_moe": has_moe(name) for name in (*NAMED, *DENSE)},
        "gemini_1_5.is_moe": fact("moe.gemini_1_5_is_moe"),
        "gpt_4.published": fact("moe.gpt_4_published"),
    }


@claim(
    "A29",
    measure_named,
    "which of the four named models are MoE: two by config, one by its report, one unpublished",
    archs=(*NAMED, *DENSE),
    facts=("moe.gemini_1_5_is_moe", "moe.gpt_4_published"),
)
def judge_named(numbers: Numbers) -> Judgement:
    """All known and MoE, one known not to be, or one unknown."""
    known = [numbers[f"{name}.is_moe"] for name in NAMED] + [numbers["gemini_1_5.is_moe"]]
    unknown = not numbers["gpt_4.published"]
    dense = [name for name in DENSE if not numbers[f"{name}.is_moe"]]
    return Judgement(
        "false" if not all(known) else "indeterminate" if unknown else "true",
        sum(known),
        "of 4 named models confirmed as MoE",
        "GPT-4's architecture is not published, and the sentence contradicts itself: it lists "
        "GPT-4 as a fact and as a rumour; MoE was not everywhere either: the article's own "
        f"Llama-3 is dense ({', '.join(dense) or 'no longer'})",
        tuple(f"{name} = {value:.0f}" for name, value in numbers.items()),
    )


TOKENS = 2048
BATCHES = (1, 4, 16, 64)


def measure_saving() -> Numbers:
    """Mixtral with 8 and with 2 active experts: FLOPs; bytes read by batch size."""
    model = arch.load("mixtral-8x7b")
    moe = moe_of(model)
    numbers: dict[str, float] = {"n_experts": moe.n_experts, "top_k": moe.top_k}
    for label, top_k in (("all", moe.n_experts), ("two", moe.top_k)):
        table = prefill(with_top_k(model, top_k), TOKENS)
        numbers[f"{label}.flops"] = table.total_flops
        numbers[f"{label}.expert_flops"] = sum(
            float(flops)
            for name, flops in zip(table.name, table.flops, strict=True)
            if name.startswith("moe.experts")
        )
    for tokens in BATCHES:
        touched = float(experts_touched(moe.n_experts, moe.top_k, tokens))
        numbers[f"bytes_ratio_{tokens}"] = moe.n_experts / touched
    return numbers


@claim(
    "A30",
    measure_saving,
    "Mixtral with 8 against 2 active experts: FLOPs, and experts read by n tokens",
    archs=("mixtral-8x7b",),
)
def judge_saving(numbers: Numbers) -> Judgement:
    """Four times in everything, in the experts only, or nowhere."""
    experts = numbers["all.expert_flops"] / numbers["two.expert_flops"]
    whole = numbers["all.flops"] / numbers["two.flops"]
    batch = numbers["bytes_ratio_16"]
    everywhere = whole >= 3.95 and batch >= 3.95
    return Judgement(
        "true" if everywhere else "true-if" if experts >= 3.95 else "false",
        whole,
        f"times fewer FLOPs in the whole model ({TOKENS} tokens)",
        f"only for the experts' FLOPs ({experts:g} times); attention, router and lm_head stay, so "
        f"the model saves {whole:.2f} times; bytes of weights, which set the cost of decoding, "
        f"fall {numbers['bytes_ratio_1']:g} times for one token, {batch:.2f} times for a batch of "
        "16, and the memory for weights not at all",
        (
            f"all experts: {numbers['all.flops']:.5g} FLOPs, 2 of 8: {numbers['two.flops']:.5g}",
            f"experts alone: {numbers['all.expert_flops']:.5g} / {numbers['two.expert_flops']:.5g}",
            *(
                f"{n} tokens: 8 / (8 (1 - (1 - 2/8)^{n})) = {numbers[f'bytes_ratio_{n}']:.3f} "
                "times fewer expert bytes"
                for n in BATCHES
            ),
        ),
    )


def measure_quality() -> Numbers:
    """Published quality and active parameters, Mixtral against Llama-2-70B."""
    return {
        "moe_mmlu": fact("moe.mixtral_mmlu"),
        "dense_mmlu": fact("moe.llama_2_70b_mmlu"),
        "moe_active": parameters(arch.load("mixtral-8x7b")).active,
        "dense_active": parameters(arch.load("llama-2-70b")).active,
        "moe_total": parameters(arch.load("mixtral-8x7b")).total,
    }


@claim(
    "A31",
    measure_quality,
    "published MMLU beside active parameters of Mixtral and Llama-2-70B",
    archs=("mixtral-8x7b", "llama-2-70b"),
    facts=("moe.mixtral_mmlu", "moe.llama_2_70b_mmlu"),
)
def judge_quality(numbers: Numbers) -> Judgement:
    """At least as good with less work per token."""
    better = numbers["moe_mmlu"] >= numbers["dense_mmlu"]
    cheaper = numbers["moe_active"] < numbers["dense_active"]
    return Judgement(
        "sourced" if better and cheaper else "false",
        numbers["dense_active"] / numbers["moe_active"],
        "times fewer active parameters than Llama-2-70B",
        "against a dense model of equal work per token, with other training data; against a dense "
        "model of equal total size a MoE is not better, and it needs memory for all "
        f"{numbers['moe_total'] / 1e9:.0f}B parameters; quality is published, not simulated",
        (
            f"MMLU {numbers['moe_mmlu']} against {numbers['dense_mmlu']}",
            f"active {numbers['moe_active']:.4g} against {numbers['dense_active']:.4g}",
        ),
    )


def measure_dense() -> Numbers:
    """Share of parameters that a token uses, and whether ChatGPT's model is known."""
    shares = {}
    for name in ("gpt-3-175b", "mixtral-8x7b"):
        count = parameters(arch.load(name))
        shares[f"{name}.active_share"] = count.active / count.total
    return {**shares, "published": fact("moe.gpt_4_published")}


@claim(
    "A32",
    measure_dense,
    "share of the parameters that one token uses, dense and MoE",
    archs=("gpt-3-175b", "mixtral-8x7b"),
    facts=("moe.gpt_4_published",),
)
def judge_dense(numbers: Numbers) -> Judgement:
    """True for a dense model, false for a MoE; unknown which ChatGPT is."""
    dense, sparse = numbers["gpt-3-175b.active_share"], numbers["mixtral-8x7b.active_share"]
    known = numbers["published"] > 0
    return Judgement(
        "indeterminate" if not known else "true" if dense == 1 else "false",
        dense,
        "of GPT-3's parameters used per token",
        f"if ChatGPT's model is dense, as GPT-3 is; for a MoE it is false (Mixtral: {sparse:.0%}), "
        "and the article itself calls GPT-4 a MoE; its architecture is not published",
        (f"GPT-3: {dense:.0%} active, Mixtral-8x7B: {sparse:.1%} active",),
    )
