"""A25-A28: Mamba: scaling curves as published, memory of the context as computed."""

from __future__ import annotations

from sim import arch
from sim.claims.base import Judgement, Numbers, claim
from sim.claims.figures import LONG_TOKENS, fact
from sim.flops import memory
from sim.units import GIB, KIB, MIB

PERPLEXITY = ("mamba_2_8b", "pythia_2_8b", "rwkv_3b")


def measure_scaling() -> Numbers:
    """Published perplexities at about 2.8B parameters and 300B tokens."""
    numbers = {name: fact(f"mamba.pile_perplexity_{name}") for name in PERPLEXITY}
    return {**numbers, "largest_params": fact("mamba.largest_scaling_run_params")}


@claim(
    "A25",
    measure_scaling,
    "published perplexities and the extent of the published scaling curves",
    facts=(
        *(f"mamba.pile_perplexity_{name}" for name in PERPLEXITY),
        "mamba.largest_scaling_run_params",
    ),
)
def judge_scaling(numbers: Numbers) -> Judgement:
    """Mamba is not worse than a Transformer of its size on the same tokens."""
    best = all(numbers["mamba_2_8b"] <= numbers[name] for name in PERPLEXITY)
    return Judgement(
        "sourced" if best else "false",
        numbers["mamba_2_8b"],
        "perplexity on the Pile (Mamba-2.8B)",
        f"shown for 125M to {numbers['largest_params'] / 1e9:g}B parameters, contexts of 2k and "
        "8k, as curves without published coefficients; Pythia is a plain Transformer, not "
        "Transformer++; nothing follows for the sizes of today's models",
        tuple(f"{name}: {numbers[name]:.2f}" for name in PERPLEXITY),
    )


def measure_names() -> Numbers:
    """Published curves under the article's name and under the paper's."""
    return {
        "named_s3": fact("mamba.curves_named_s3"),
        "named_h3": fact("mamba.curves_named_h3"),
    }


@claim(
    "A26",
    measure_names,
    "names of the curves in the published figure",
    facts=("mamba.curves_named_h3", "mamba.curves_named_s3"),
)
def judge_names(numbers: Numbers) -> Judgement:
    """The comparison exists; is the name right?"""
    right, slip = numbers["named_s3"] > 0, numbers["named_h3"] > 0
    return Judgement(
        "true" if right else "sourced" if slip else "false",
        numbers["named_s3"],
        "curves of the name S3++",
        "the comparison is published, but the earlier state-space model in it is H3++: 'S3++' is "
        "a slip; the figure's order is Mamba = Transformer++, then H3++, RWKV, Hyena",
        (f"curves named H3++: {numbers['named_h3']:.0f}, S3++: {numbers['named_s3']:.0f}",),
    )


RECURRENT = ("mamba-2.8b", "rwkv-4-7b")
TRANSFORMER = "llama-2-7b"
POINTS = {"1k": KIB, "256k": LONG_TOKENS}


def _held(name: str, tokens: int) -> float:
    return float(memory(arch.load(name)).cache_bytes(tokens))


def measure_recurrent() -> Numbers:
    """Bytes per sequence at 1k and 256k tokens."""
    return {
        f"{name}.bytes_{label}": _held(name, tokens)
        for name in (*RECURRENT, TRANSFORMER)
        for label, tokens in POINTS.items()
    }


def _growth(numbers: Numbers, name: str) -> float:
    return numbers[f"{name}.bytes_256k"] / numbers[f"{name}.bytes_1k"]


@claim(
    "A27",
    measure_recurrent,
    "cache and state per sequence at 1k and 256k tokens",
    archs=(*RECURRENT, TRANSFORMER),
)
def judge_recurrent(numbers: Numbers) -> Judgement:
    """Growth 1 for recurrent models, 256 for the Transformer."""
    constant = all(_growth(numbers, name) == 1 for name in RECURRENT)
    linear = _growth(numbers, TRANSFORMER) == POINTS["256k"] / POINTS["1k"]
    return Judgement(
        "true" if constant and linear else "false",
        _growth(numbers, "mamba-2.8b"),
        "times the memory for 256 times the context (Mamba-2.8B)",
        "per sequence; constant is not small for every such model (a large state equals the "
        "cache of some tokens), and a sliding window also makes a Transformer's cache constant",
        tuple(
            f"{name}: {numbers[f'{name}.bytes_1k'] / MIB:,.1f} MiB at 1k, "
            f"{numbers[f'{name}.bytes_256k'] / MIB:,.1f} MiB at 256k"
            for name in (*RECURRENT, TRANSFORMER)
        ),
    )


def measure_jamba() -> Numbers:
    """Jamba's cache and state beside those of Mistral-7B without a window."""
    held = memory(arch.load("jamba-v0.1"))
    return {
        "bytes_1k": float(held.cache_bytes(POINTS["1k"])),
        "bytes_256k": float(held.cache_bytes(LONG_TOKENS)),
        "kv_bytes_per_token": held.kv_bytes_per_token,
        "state_bytes": held.state_bytes_per_sequence,
        "mixtral_bytes_256k": _held("mixtral-8x7b", LONG_TOKENS),
    }


@claim(
    "A28",
    measure_jamba,
    "cache and state per sequence at 1k and 256k tokens",
    archs=("jamba-v0.1", "mixtral-8x7b"),
    references=("Lieber et al. 2024, Jamba, arXiv 2403.19887, table 1 (4 GB)",),
)
def judge_jamba(numbers: Numbers) -> Judgement:
    """Constant only if nothing grows."""
    growth = numbers["bytes_256k"] / numbers["bytes_1k"]
    rival = numbers["mixtral_bytes_256k"] / numbers["bytes_256k"]
    return Judgement(
        "true" if growth == 1 else "false",
        numbers["bytes_256k"] / GIB,
        "GiB at 256k tokens",
        "it would hold for the Mamba layers alone; Jamba's 4 attention layers keep "
        f"{numbers['kv_bytes_per_token']:,.0f} B per token, so it grows linearly, at 1/{rival:.0f} "
        "of Mixtral's rate",
        (
            (
                f"{numbers['bytes_1k'] / MIB:,.1f} MiB at 1k, "
                f"{numbers['bytes_256k'] / MIB:,.1f} MiB at 256k: {growth:.0f} times"
            ),
            f"of which constant: {numbers['state_bytes'] / MIB:.1f} MiB",
        ),
    )
