"""The numbers behind the claims against hand counts and published figures."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sim import arch
from sim.claims import Judgement, claims
from sim.claims.attention import BLOCK_MODELS
from sim.claims.energy import quadratic_share
from sim.claims.figures import (
    block_macs,
    component_parameters,
    countries_twh,
    with_attention,
    with_top_k,
    without_window,
)
from sim.flops import Batch, flops_matmul_full, memory, parameters


def judged(identifier: str) -> Judgement:
    found = claims()[identifier]
    return found.judge(found.measure())


@pytest.mark.parametrize(
    ("identifier", "value"),
    [
        ("A01", 3 * 2048 * 12288**2),
        ("A02", 2048 * 12288**2 + 2 * 2048**2 * 12288),
        ("A03", 4 * 2048 * 12288**2 + 2 * 2048**2 * 12288),
        ("A04", 8 * 2048 * 12288**2),
        ("A07", 2.0),
        ("A11", 128.0),
        ("A12", 32.0),
        ("A20", 262_144),
        ("A21", 7),
        ("A40", 128_256),
        ("A41", 1504),
        ("A43", -1536),
        ("A44", 2496),
        ("A45", 2464),
        ("A46", 7.5),
    ],
)
def test_values_by_hand(identifier: str, value: float) -> None:
    assert judged(identifier).value == value


def test_crossings_by_hand() -> None:
    numbers = claims()["A07"].measure()
    assert numbers["ffn_crossing_tokens"] == 2 * 12288
    assert numbers["linear_crossing_tokens"] == 6 * 12288
    assert numbers["doubling_ratio"] == pytest.approx(80 / 32)


def test_doubling_reaches_3_9_where_algebra_says() -> None:
    """(24 x + 8 x^2) / (12 x + 2 x^2) = 3.9 at x = 114."""
    assert claims()["A08"].measure()["quadruple_from_hd"] == pytest.approx(114, rel=1e-4)


def test_expert_bytes_by_hand() -> None:
    numbers = claims()["A30"].measure()
    assert numbers["bytes_ratio_1"] == pytest.approx(4)
    assert numbers["bytes_ratio_16"] == pytest.approx(1 / (1 - 0.75**16))


@pytest.mark.parametrize("name", BLOCK_MODELS)
@pytest.mark.parametrize("tokens", [2, 100, 4096])
def test_block_parts_sum_to_the_matmul_count(name: str, tokens: int) -> None:
    """Parts of all layers and the lm_head make the whole count: no part is lost."""
    model = arch.load(name)
    head = 2 * tokens * model.hidden * model.vocab
    total = flops_matmul_full(model, Batch.uniform(1, tokens, 0))
    parts = sum(block_macs(model, tokens).values()) * 2 * model.n_layers
    assert parts + head == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("name", ["llama-2-7b", "llama-3-8b", "mixtral-8x7b"])
def test_components_sum_to_all_parameters(name: str) -> None:
    assert sum(component_parameters(name).values()) == parameters(arch.load(name)).total


def test_changed_models_change_only_what_they_say() -> None:
    mixtral, mistral = arch.load("mixtral-8x7b"), arch.load("mistral-7b-v0.1")
    assert parameters(with_top_k(mixtral, 8)).active == parameters(mixtral).total
    assert memory(without_window(mistral)).kv_bytes_per_token == 131_072
    assert memory(mistral).kv_bytes_per_token == 0
    assert parameters(with_attention(mistral, kernel="naive")) == parameters(mistral)


def test_quadratic_share_by_hand() -> None:
    """Llama-2-7B: 4 d l s(s+1)/2 of that plus 2 s (matrices) and one position's logits."""
    s, core = 4096, 4 * 4096 * 32 * 4096 * 4097 / 2
    linear = 2 * s * 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 2 * 4096 * 32_000
    assert quadratic_share("llama-2-7b", s) == pytest.approx(core / (core + linear), rel=1e-12)


def test_deepseek_training_flops_match_the_paper() -> None:
    numbers = claims()["A34"].measure()
    for name in ("moe", "llama_2_7b"):
        published = numbers[f"published_{name}_tflop"]
        assert numbers[f"{name}_tflop"] == pytest.approx(published, rel=0.025)


def test_facts_agree_with_the_reference_tables(facts: Path) -> None:
    with (facts / "grid" / "countries_electricity.csv").open(encoding="utf-8") as file:
        rows = {r["country"]: float(r["net_consumption_2022_twh"]) for r in csv.DictReader(file)}
    world = rows.pop("World")
    used = {country: twh for country, twh in rows.items() if twh > 0}
    assert countries_twh().keys() == used.keys()
    for country, twh in countries_twh().items():
        assert twh == pytest.approx(used[country], rel=1e-3)
    assert claims()["A18"].measure()["world_twh"] == pytest.approx(world, rel=1e-4)


def test_every_claim_of_the_reference_table_is_answered(facts: Path) -> None:
    with (facts / "article_claims.csv").open(encoding="utf-8") as file:
        assert list(claims()) == [row["id"] for row in csv.DictReader(file)]
