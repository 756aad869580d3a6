"""Every verdict follows from its numbers: perturb them and it flips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from sim.claims import claims
from sim.claims.base import VERDICTS, Verdict
from sim.claims.structure import ARTICLE, CLASSIC

pytestmark = pytest.mark.xdist_group("measured claims")
"""What a claim is measured with is kept for its other tests, in one process."""

Numbers = Mapping[str, float]
Change = Callable[[Numbers], dict[str, float]]

NEEDS_A_ROW = {"true", "false", "true-if", "sourced", "indeterminate"}


def put(**values: float) -> Change:
    """Set numbers; a double underscore in a name stands for a dot, a single one for itself."""
    names = {name.replace("__", "."): value for name, value in values.items()}

    def change(numbers: Numbers) -> dict[str, float]:
        assert names.keys() <= numbers.keys(), f"no such number: {names.keys() - numbers.keys()}"
        return {**numbers, **names}

    return change


def scale(name: str, factor: float) -> Change:
    """Multiply one number."""
    return lambda numbers: {**numbers, name: numbers[name] * factor}


def each(suffix: str, value: float, starts: str = "") -> Change:
    """Set every number whose name ends so."""

    def change(numbers: Numbers) -> dict[str, float]:
        names = [n for n in numbers if n.endswith(suffix) and n.startswith(starts)]
        assert names
        return {**numbers, **dict.fromkeys(names, value)}

    return change


def both(*changes: Change) -> Change:
    """One change after another."""

    def change(numbers: Numbers) -> dict[str, float]:
        changed = dict(numbers)
        for one in changes:
            changed = one(changed)
        return changed

    return change


def names(values: Mapping[str, float]) -> Change:
    """Set numbers whose names are no identifiers."""

    def change(numbers: Numbers) -> dict[str, float]:
        assert values.keys() <= numbers.keys(), f"no such number: {values.keys() - numbers.keys()}"
        return {**numbers, **values}

    return change


def room(factor: float, zone: str = "") -> Change:
    """Room in one zone or in all, as a multiple of the load, without a range."""

    def change(numbers: Numbers) -> dict[str, float]:
        ends = (".hosting_mw", ".low_mw", ".high_mw")
        found = [n for n in numbers if n.endswith(ends) and n.startswith(zone)]
        assert found
        return {**numbers, **dict.fromkeys(found, factor * numbers["load_mw"])}

    return change


FLIPS: list[tuple[str, Change, Verdict]] = [
    ("A01", names({"gpt-3-175b.linear": 3.1}), "false"),
    ("A01", names({"gpt2.error_frac": 0.01}), "false"),
    ("A02", names({"gpt-3-175b.quadratic": 1.0}), "false"),
    ("A03", names({"gpt2.linear": 2.5}), "false"),
    ("A04", each(".linear", 8.0), "true"),
    ("A04", names({"gpt-3-175b.linear": 4.0}), "false"),
    ("A05", names(dict.fromkeys(ARTICLE, 2.0)), "true"),
    ("A05", names(dict.fromkeys(CLASSIC, 3.0)), "false"),
    ("A06", each(".share", 0.4), "false"),
    ("A06", names({"gpt2.share": 0.4}), "true-if"),
    ("A07", scale("linear_crossing_tokens", 1 / 3), "true"),
    ("A07", scale("ffn_crossing_tokens", 2), "false"),
    ("A08", each(".ratio", 4.0), "true"),
    ("A08", put(limit_ratio=3.0), "false"),
    ("A09", scale("long.flops_per_token", 1 / 6), "true-if"),
    ("A09", both(scale("long.flops_per_token", 1 / 6), scale("long.cache_gib", 0.01)), "false"),
    ("A10", put(published_ratio=0.5), "false"),
    ("A11", scale("cache_gib", 0.25), "false"),
    ("A12", put(windowed_gib=32.0), "true"),
    ("A12", put(full_gib=128.0), "false"),
    ("A13", scale("naive.core_bytes", 0.01), "false"),
    ("A13", scale("flash.flops", 0.5), "false"),
    ("A13", scale("flash.backward_factor", 0.5), "false"),
    ("A14", scale("gqa.score_flops", 0.25), "true"),
    ("A14", lambda n: {**n, "gqa.total_flops": n["mha.total_flops"]}, "false"),
    ("A15", put(gqa__growth=2.0), "false"),
    ("A16", each(".share", 0.2), "false"),
    ("A16", put(swiglu__share=0.3), "true-if"),
    ("A17", room(0.5), "true"),
    ("A17", room(0.5, "TX-ERCOT."), "true-if"),
    ("A17", lambda n: {**n, "CT.low_mw": 0.5 * n["load_mw"]}, "true-if"),
    ("A17", scale("load_mw", 1000), "true"),
    ("A18", put(parameters_ratio=2.0), "false"),
    ("A18", both(put(context_ratio=4.0), scale("ai_high_twh", 20)), "true"),
    ("A19", put(reported_usd=1e10), "false"),
    ("A20", put(earlier_releases=0), "true"),
    ("A20", put(max_context=4096), "false"),
    ("A21", put(top_k=4), "false"),
    ("A21", put(mamba_layers=16), "false"),
    ("A22", scale("active", 2), "false"),
    ("A23", put(stated=0), "indeterminate"),
    ("A24", scale("mixtral_long_gpus", 0.4), "false"),
    ("A24", scale("mixtral_short_gpus", 2.0), "true"),
    ("A25", put(mamba_2_8b=7.5), "false"),
    ("A26", put(named_h3=0), "false"),
    ("A26", put(named_s3=1), "true"),
    ("A27", scale("mamba-2.8b.bytes_256k", 2), "false"),
    ("A27", scale("llama-2-7b.bytes_256k", 0.5), "false"),
    ("A28", lambda n: {**n, "bytes_256k": n["bytes_1k"]}, "true"),
    ("A29", names({"gpt_4.published": 1}), "true"),
    ("A29", names({"jamba-v0.1.is_moe": 0}), "false"),
    ("A30", both(scale("all.flops", 1.2), put(bytes_ratio_16=4.0)), "true"),
    ("A30", scale("all.expert_flops", 0.5), "false"),
    ("A31", put(moe_mmlu=60.0), "false"),
    ("A32", put(published=1), "true"),
    ("A32", both(put(published=1), names({"gpt-3-175b.active_share": 0.3})), "false"),
    ("A33", put(one_service_twh=20.0), "true"),
    ("A33", both(put(one_service_twh=0.0), put(projected_low_twh=0.0)), "false"),
    ("A34", scale("moe_tflop", 2), "false"),
    ("A35", scale("own_dense_tflop", 0.46), "true"),
    ("A35", both(scale("moe_tflop", 2), scale("published_moe_tflop", 2)), "false"),
    ("A36", scale("engine_tflop", 2), "false"),
    ("A36", scale("published_tflop", 1.2), "indeterminate"),
    ("A37", put(loss_without_shared=1.8), "false"),
    ("A38", put(shared_token_share=0.5), "false"),
    ("A39", both(names({"8B.shapes": 0})), "true"),
    ("A39", names({"70B.kinds": 1}), "false"),
    ("A40", put(new=128_000), "false"),
    ("A41", scale("delta_mib", 0.5), "false"),
    ("A42", lambda n: {**n, "per_token_8192": n["per_token_4096"]}, "true"),
    ("A42", put(same_input_ratio=1.1), "false"),
    ("A43", put(kv_share=0.5), "false"),
    ("A43", put(delta_mib=-1535.0), "false"),
    ("A44", put(delta_mib=2495.0), "false"),
    ("A45", put(delta_mib=2465.0), "false"),
    ("A45", put(new=9.6e9), "false"),
    ("A46", put(new=10e12), "false"),
    ("A46", put(code_ratio=2), "false"),
    ("A47", put(samples=1e6), "false"),
    ("A48", put(tokens_ratio=0.5), "sourced"),
    ("A49", put(served_share=0.6), "true"),
    ("A49", put(long_share=0.1), "false"),
]


@cache
def measured(identifier: str) -> Numbers:
    return claims()[identifier].measure()


@pytest.mark.parametrize(
    ("identifier", "change", "expected"),
    FLIPS,
    ids=[f"{row[0]}-{row[2]}-{n}" for n, row in enumerate(FLIPS)],
)
def test_verdict_flips(identifier: str, change: Change, expected: Verdict) -> None:
    found = claims()[identifier]
    before = found.judge(measured(identifier))
    after = found.judge(change(measured(identifier)))
    assert before.verdict != expected
    assert after.verdict == expected


@pytest.mark.parametrize("identifier", claims())
def test_every_computed_verdict_has_a_row(identifier: str) -> None:
    found = claims()[identifier]
    judgement = found.judge(measured(identifier))
    assert judgement.verdict in VERDICTS
    if judgement.verdict in NEEDS_A_ROW:
        assert identifier in {row[0] for row in FLIPS}


@pytest.mark.parametrize("identifier", claims())
def test_judging_is_pure(identifier: str) -> None:
    """The same numbers give the same judgement, and are left alone."""
    numbers = dict(measured(identifier))
    judge = claims()[identifier].judge
    assert judge(numbers) == judge(dict(measured(identifier)))
    assert numbers == dict(measured(identifier))
