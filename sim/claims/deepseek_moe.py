"""A34-A38: DeepSeekMoE.

Training FLOPs as its paper counts them: three times the forward pass over one sequence of
4,096 tokens, the whole score matrix (1 MAC = 2 FLOPs).
"""

from __future__ import annotations

from math import comb

from sim import arch
from sim.arch import Architecture
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import fact, moe_of, prefill, with_top_k
from sim.flops import Batch, flops_matmul_full
from sim.units import TERA

TOKENS = 4096
TRAINING_OVER_FORWARD = 3
SMALL, LARGE = "deepseek-moe-16b", "deepseek-moe-145b"


def training_tflop(model: Architecture) -> float:
    """TFLOP to train on one sequence of 4,096 tokens."""
    forward = flops_matmul_full(model, Batch.uniform(1, TOKENS, 0))
    return TRAINING_OVER_FORWARD * forward / TERA


def measure_cost() -> Numbers:
    """DeepSeekMoE 16B beside 7B dense models and beside itself run densely."""
    model = arch.load(SMALL)
    return {
        "moe_tflop": training_tflop(model),
        "llama_2_7b_tflop": training_tflop(arch.load("llama-2-7b")),
        "own_dense_tflop": training_tflop(with_top_k(model, moe_of(model).n_experts)),
        "published_moe_tflop": fact("deepseek_moe.tflop_16b"),
        "published_llama_2_7b_tflop": fact("deepseek_moe.tflop_llama_2_7b"),
        "published_deepseek_7b_tflop": fact("deepseek_moe.tflop_deepseek_7b"),
    }


COST_FACTS = (
    "deepseek_moe.tflop_16b",
    "deepseek_moe.tflop_llama_2_7b",
    "deepseek_moe.tflop_deepseek_7b",
)


def _about_40_percent(ratio: float) -> bool:
    return 0.375 <= ratio <= 0.425


@claim(
    "A34",
    measure_cost,
    "training FLOPs per 4,096 tokens, DeepSeekMoE 16B over Llama-2-7B",
    archs=(SMALL, "llama-2-7b"),
    facts=COST_FACTS,
)
def judge_cost(numbers: Numbers) -> Judgement:
    """About 40 % of a 7B dense model."""
    ratio = numbers["moe_tflop"] / numbers["llama_2_7b_tflop"]
    published = numbers["published_moe_tflop"] / numbers["published_llama_2_7b_tflop"]
    return Judgement(
        "true" if _about_40_percent(ratio) else "false",
        ratio,
        "of Llama-2-7B's training FLOPs",
        "against 7B dense models; that its quality matches theirs is its makers' measurement; "
        "memory is not saved (16.4B parameters are held)",
        (
            (
                f"engine: {numbers['moe_tflop']:.2f} / {numbers['llama_2_7b_tflop']:.2f} TFLOP = "
                f"{ratio:.1%}"
            ),
            (
                f"published: {numbers['published_moe_tflop']} / "
                f"{numbers['published_llama_2_7b_tflop']} TFLOP = {published:.1%}"
            ),
        ),
    )


@claim(
    "A35",
    measure_cost,
    "the 40 % against each candidate for 'the original'",
    archs=(SMALL, "llama-2-7b"),
    facts=COST_FACTS,
)
def judge_baseline(numbers: Numbers) -> Judgement:
    """Against which baseline is it 40 %?"""
    ratios = {
        "Llama-2-7B": numbers["moe_tflop"] / numbers["llama_2_7b_tflop"],
        "DeepSeek 7B dense": numbers["published_moe_tflop"]
        / numbers["published_deepseek_7b_tflop"],
        "itself with all experts": numbers["moe_tflop"] / numbers["own_dense_tflop"],
    }
    fits = [name for name, ratio in ratios.items() if _about_40_percent(ratio)]
    own = ratios["itself with all experts"]
    if len(fits) == len(ratios):
        return Judgement("true", own, "of every baseline", "", ())
    return Judgement(
        "true-if" if fits else "false",
        own,
        "of its own cost with all experts active",
        f"if 'the original' is a dense model half its size ({', '.join(fits) or 'none fits'}); "
        f"against the same 16B model run densely it is {own:.0%}",
        tuple(f"over {name}: {ratio:.1%}" for name, ratio in ratios.items()),
    )


def measure_large() -> Numbers:
    """DeepSeekMoE 145B: engine, published, and the published dense 67B."""
    return {
        "engine_tflop": training_tflop(arch.load(LARGE)),
        "published_tflop": fact("deepseek_moe.tflop_145b"),
        "dense_tflop": fact("deepseek_moe.tflop_67b_dense"),
    }


@claim(
    "A36",
    measure_large,
    "training FLOPs per 4,096 tokens, 145B over DeepSeek 67B dense",
    archs=(LARGE,),
    facts=("deepseek_moe.tflop_145b", "deepseek_moe.tflop_67b_dense"),
)
def judge_large(numbers: Numbers) -> Judgement:
    """Less than half the compute, engine and paper agreeing."""
    ratio = numbers["engine_tflop"] / numbers["dense_tflop"]
    agree = abs(numbers["engine_tflop"] / numbers["published_tflop"] - 1) < 0.05
    return Judgement(
        "false" if ratio >= 0.5 else "true" if agree else "indeterminate",
        ratio,
        "of DeepSeek 67B's training FLOPs",
        "the larger dense model is 67B (fewer parameters, more work per token); comparable "
        "quality is the makers' preliminary result after 245B tokens",
        (
            f"engine {numbers['engine_tflop']:.1f}, published {numbers['published_tflop']} TFLOP",
            f"{numbers['engine_tflop']:.1f} / {numbers['dense_tflop']} = {ratio:.1%}",
        ),
    )


def measure_problems() -> Numbers:
    """Experts of the article's MoE models; loss without the shared expert."""
    return {
        "mixtral_experts": moe_of(arch.load("mixtral-8x7b")).n_experts,
        "deepseek_experts": moe_of(arch.load(SMALL)).n_experts,
        "loss": fact("deepseek_moe.pile_loss"),
        "loss_without_shared": fact("deepseek_moe.pile_loss_without_shared"),
    }


@claim(
    "A37",
    measure_problems,
    "experts per layer from the specs; the paper's ablation of its shared expert",
    archs=("mixtral-8x7b", SMALL),
    facts=("deepseek_moe.pile_loss", "deepseek_moe.pile_loss_without_shared"),
)
def judge_problems(numbers: Numbers) -> Judgement:
    """The paper's diagnosis, with the ablation that supports it."""
    rise = numbers["loss_without_shared"] - numbers["loss"]
    few = numbers["mixtral_experts"] < numbers["deepseek_experts"]
    return Judgement(
        "sourced" if rise > 0 and few else "false",
        rise,
        "nats more loss without the shared expert",
        "the diagnosis of the DeepSeekMoE authors ('knowledge hybridity' and 'redundancy'), "
        "supported by their own ablations; nothing here can compute it",
        (
            (
                f"experts per layer: Mixtral {numbers['mixtral_experts']:.0f}, DeepSeekMoE 16B "
                f"{numbers['deepseek_experts']:.0f}"
            ),
            f"Pile loss {numbers['loss']} -> {numbers['loss_without_shared']}",
        ),
    )


COARSE_ACTIVE = 2
"""Active experts of the paper's coarse example (top-2)."""


def measure_experts() -> Numbers:
    """Combinations of experts, and tokens that shared and routed experts see."""
    model = arch.load(SMALL)
    moe = moe_of(model)
    table = prefill(model, TOKENS)
    row = table.name.index("shared.up")
    per_token = 2.0 * table.n[row] * table.k[row] * table.layers[row]
    coarse = round(fact("deepseek_moe.gshard_experts"))
    return {
        "shared_token_share": float(table.flops[row]) / per_token / TOKENS,
        "routed_token_share": moe.top_k / moe.n_experts,
        "experts": moe.n_experts,
        "active": moe.top_k,
        "coarse_experts": coarse,
        "coarse_combinations": comb(coarse, COARSE_ACTIVE),
        "fine_combinations": comb(moe.n_experts, moe.top_k),
    }


@claim(
    "A38",
    measure_experts,
    "share of tokens that a shared expert processes; combinations of experts",
    archs=(SMALL,),
    facts=("deepseek_moe.gshard_experts", "deepseek_moe.pile_loss_without_shared"),
)
def judge_experts(numbers: Numbers) -> Judgement:
    """The structure is as said; that it specialises is the paper's finding."""
    shared = numbers["shared_token_share"] == 1
    more = numbers["fine_combinations"] > numbers["coarse_combinations"]
    return Judgement(
        "sourced" if shared and more else "false",
        numbers["shared_token_share"],
        "of the tokens pass the shared experts",
        "the structure is exact (all tokens pass the shared experts, "
        f"{numbers['routed_token_share']:.1%} each routed one); that more experts specialise more "
        "is the finding of their authors",
        (
            (
                f"{COARSE_ACTIVE} of {numbers['coarse_experts']:.0f} experts: "
                f"{numbers['coarse_combinations']:,.0f} combinations; {numbers['active']:.0f} of "
                f"{numbers['experts']:.0f}: {numbers['fine_combinations']:,.0f}"
            ),
        ),
    )
