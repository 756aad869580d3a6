"""A18, A48: compute against scale, data against quality."""

from __future__ import annotations

from sim import arch
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import block_macs, fact
from sim.datum import datum
from sim.errors import InputError
from sim.flops import parameters
from sim.flops.scaling import law, laws

TOKENS_PER_PARAMETER = 20
"""Tokens per parameter of compute-optimal training (Hoffmann et al. 2022)."""
FLOPS_PER_PARAMETER_TOKEN = 6


def _optimal_flops(n_parameters: float) -> float:
    return FLOPS_PER_PARAMETER_TOKEN * n_parameters * TOKENS_PER_PARAMETER * n_parameters


def measure_demand() -> Numbers:
    """What twice the parameters and twice the context cost; AI's share of the world's use."""
    model = arch.load("llama-2-7b")
    context = model.max_context
    ai, world = datum("claims/facts.yaml", "electricity.ai_2027"), fact("electricity.world")
    longer = [sum(block_macs(model, n).values()) for n in (context, context // 2)]
    return {
        "parameters_ratio": _optimal_flops(2.0) / _optimal_flops(1.0),
        "context_ratio": longer[0] / longer[1],
        "ai_low_twh": ai.low or ai.value,
        "ai_high_twh": ai.high or ai.value,
        "world_twh": world,
    }


@claim(
    "A18",
    measure_demand,
    "training FLOPs for twice the parameters, FLOPs for twice the context, AI's share of the "
    "world's electricity",
    archs=("llama-2-7b",),
    facts=("electricity.ai_2027", "electricity.world"),
    references=("Hoffmann et al. 2022, arXiv 2203.15556 (20 tokens per parameter, C = 6 N D)",),
)
def judge_demand(numbers: Numbers) -> Judgement:
    """Quadratic in parameters, in context, or in neither; and a visible share of the world."""
    by_size = numbers["parameters_ratio"] >= 3.9
    by_context = numbers["context_ratio"] >= 3.9
    low, high = (numbers[f"ai_{end}_twh"] / numbers["world_twh"] for end in ("low", "high"))
    share = f"{low:.1%} to {high:.1%}"
    large = high >= 0.05
    return Judgement(
        "true" if by_size and by_context and large else "true-if" if by_size else "false",
        numbers["parameters_ratio"],
        "times the training FLOPs for twice the parameters",
        "if scale means parameters trained on proportionally more tokens; for twice the context "
        f"(to 4,096 tokens) compute grows {numbers['context_ratio']:.2f} times, not 4; the world's "
        f"energy is not the limit: AI's projection for 2027 is {share} of the world's use; limits "
        "are local (A17); how demand grows over time is a forecast, not computed here",
        (
            (
                f"C = 6 N D, D = {TOKENS_PER_PARAMETER} N  =>  C = "
                f"{FLOPS_PER_PARAMETER_TOKEN * TOKENS_PER_PARAMETER} N^2: "
                f"{numbers['parameters_ratio']:g} times for 2 N"
            ),
            f"twice the context: {numbers['context_ratio']:.3f} times",
            (
                f"{numbers['ai_low_twh']:g} to {numbers['ai_high_twh']:g} TWh of "
                f"{numbers['world_twh']:,.0f} TWh = {share}"
            ),
        ),
    )


BIG, SMALL = "llama-2-70b", "llama-3-8b"


def measure_data() -> Numbers:
    """Tokens of the article's example, and what better data would have to achieve.

    The what-if: how many old tokens one better token must be worth, so that an 8B model on
    15T tokens reaches the loss that the law gives a 70B model on 2T tokens.
    """
    old, new = fact("llama.tokens_llama_2"), fact("llama.tokens_llama_3")
    big, small = (parameters(arch.load(name)).total for name in (BIG, SMALL))
    numbers = {"tokens_ratio": new / old}
    for name in laws():
        fit = law(name)
        try:
            needed = fit.tokens_for(fit.loss(big, old), small)
        except InputError:  # out of reach for this size, however many tokens
            needed = 0.0
        numbers[f"{name}.quality"] = needed / new
    numbers["half_data_quality"] = law().quality_for_saving(small, new, 0.5).same_model
    return numbers


@claim(
    "A48",
    measure_data,
    "tokens of the article's example; worth of a better token that scaling laws would ask for",
    archs=(BIG, SMALL),
    facts=("llama.tokens_llama_3", "llama.tokens_llama_2"),
    references=(
        "Hoffmann et al. 2022, arXiv 2203.15556",
        "Besiroglu et al. 2024, arXiv 2404.10102 (refit)",
    ),
)
def judge_data(numbers: Numbers) -> Judgement:
    """The example must use less data to be evidence; a law without quality cannot decide."""
    less = numbers["tokens_ratio"] < 1
    fits = {n.removesuffix(".quality"): q for n, q in numbers.items() if n.endswith(".quality")}
    out_of_reach = [name for name, quality in fits.items() if quality == 0]
    return Judgement(
        "sourced" if less else "indeterminate",
        numbers["tokens_ratio"],
        "times the tokens in the article's own example",
        f"the example, Llama-3, used {numbers['tokens_ratio']:g} times more data, so it shows "
        "nothing about less data; published laws have no term for quality. Half the tokens would "
        f"need tokens worth {numbers['half_data_quality']:g} old ones each; for an 8B model to "
        "reach a 70B model's loss the laws ask for the factors below"
        + (f" or call it out of reach ({', '.join(out_of_reach)})" if out_of_reach else ""),
        tuple(
            f"{name}: one token worth {quality:.2f} old ones"
            if quality
            else f"{name}: out of reach at 8B, whatever the data"
            for name, quality in fits.items()
        ),
    )
