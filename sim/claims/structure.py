"""A05, A16: what blocks are made of, read from the specs."""

from __future__ import annotations

from sim import arch
from sim.arch import Architecture, Attention, DenseFFN, LatentAttention, MoE
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import fact

CLASSIC = ("gpt2", "gpt-3-175b")
ARTICLE = ("llama-2-7b", "llama-3-8b", "mistral-7b-v0.1", "mixtral-8x7b", "jamba-v0.1")


def _matrices(name: str) -> float:
    """Matrices of the model's FFN: three where gated."""
    blocks = [b for b, _, _ in arch.load(name).blocks() if isinstance(b, DenseFFN | MoE)]
    return max(3.0 if block.gated else 2.0 for block in blocks)


def measure_matrices() -> Numbers:
    """Matrices per FFN of classic models and of the article's own."""
    return {name: _matrices(name) for name in (*CLASSIC, *ARTICLE)}


@claim(
    "A05",
    measure_matrices,
    "matrices in the FFN, from the specs",
    archs=(*CLASSIC, *ARTICLE),
)
def judge_matrices(numbers: Numbers) -> Judgement:
    """Two in every model, only in classic ones, or in none."""
    classic = all(numbers[name] == 2 for name in CLASSIC)
    others = [name for name in ARTICLE if numbers[name] != 2]
    return Judgement(
        "false" if not classic else "true-if" if others else "true",
        max(numbers[name] for name in ARTICLE),
        "matrices in the article's own models",
        "if the FFN is not gated (GPT-2, GPT-3, the original Transformer); SwiGLU, which the "
        f"article names itself, has three matrices and a product: {', '.join(others) or 'none'}",
        tuple(f"{name}: {numbers[name]:.0f} matrices" for name in (*CLASSIC, *ARTICLE)),
    )


DECODERS = (
    "llama-2-7b",
    "llama-2-70b",
    "llama-3-8b",
    "llama-3-70b",
    "mistral-7b-v0.1",
    "mixtral-8x7b",
    "deepseek-moe-16b",
    "qwen2-7b",
    "gemma-2-9b",
    "jamba-v0.1",
)
"""Open models of the article's time (to mid-2024) with softmax attention."""


def _has_biases(model: Architecture) -> bool:
    kinds = Attention | LatentAttention | DenseFFN
    return any(
        getattr(block, field, False)
        for block, _, _ in model.blocks()
        if isinstance(block, kinds)
        for field in ("qkv_bias", "out_bias", "bias")
    )


def _is_swiglu(model: Architecture) -> bool:
    blocks = [b for b, _, _ in model.blocks() if isinstance(b, DenseFFN | MoE)]
    return model.activation == "silu" and all(block.gated for block in blocks)


def measure_changes() -> Numbers:
    """Share of the models that made each change; whether AdamW is published."""
    models = [arch.load(name) for name in DECODERS]
    made = {
        "rmsnorm": [m.norm == "rmsnorm" for m in models],
        "rope": [m.position == "rope" for m in models],
        "no_bias": [not _has_biases(m) for m in models],
        "swiglu": [_is_swiglu(m) for m in models],
    }
    shares = {f"{change}.share": sum(has) / len(has) for change, has in made.items()}
    return {**shares, "adamw.published": fact("llama.uses_adamw")}


@claim(
    "A16",
    measure_changes,
    "share of ten open models (to mid-2024) that made each change, from the specs",
    archs=DECODERS,
    facts=("llama.uses_adamw",),
)
def judge_changes(numbers: Numbers) -> Judgement:
    """Most models made each change."""
    shares = {n.removesuffix(".share"): v for n, v in numbers.items() if n.endswith(".share")}
    common = all(share > 0.5 for share in shares.values()) and numbers["adamw.published"] > 0
    rare = [change for change, share in shares.items() if share <= 0.5]
    return Judgement(
        "true" if common else "true-if" if len(rare) < len(shares) else "false",
        min(shares.values()),
        "of the models, for the rarest change",
        "as the usual recipe (Llama); exceptions: Qwen2 keeps biases on Q, K, V, Gemma gates with "
        "GELU, Jamba has no position encoding; AdamW is read for Llama-2, training recipes are "
        "not in the configs; the original had LayerNorm, sinusoids, ReLU and Adam",
        (
            *(f"{change}: {share:.0%} of {len(DECODERS)}" for change, share in shares.items()),
            f"AdamW published (Llama-2): {numbers['adamw.published']:.0f}",
        ),
    )
