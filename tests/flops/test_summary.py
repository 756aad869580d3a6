"""Tables: show, list, compare, diff."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sim.arch import load, names
from sim.flops import NF4, Batch, compile_step, step_operations
from sim.flops.summary import compare, component, diff, show, weight_components, zoo_rows


def test_show_has_the_contracts_keys_and_is_json() -> None:
    shown = show(load("jamba-v0.1"), Batch.uniform(2, 1, 100), NF4)
    assert shown.keys() >= {
        "params_total",
        "params_active",
        "params_active_excl_input_embedding",
        "weight_bytes",
        "kv_bytes_per_token",
        "window_kv_bytes_per_token",
        "state_bytes_per_sequence",
        "flops",
        "flops_matmul_full",
        "defaults_used",
        "operations",
    }
    row = shown["operations"][0]
    assert row.keys() >= {
        "name",
        "layers",
        "flops",
        "weight_bytes",
        "activation_bytes",
        "cache_bytes",
    }
    assert json.loads(json.dumps(shown)) == shown
    counted = sum(row["flops"] for row in shown["operations"] if row["counted"])
    assert counted == shown["flops"]


def test_the_articles_differences_of_llama_2_and_3() -> None:
    rows = {
        r["component"]: r["difference_mib"] for r in diff(load("llama-2-7b"), load("llama-3-8b"))
    }
    assert rows == {
        "vocabulary": 1504,
        "norms": 0,
        "attention": -1536,
        "ffn": 2496,
        "total": 2464,
    }


def test_diff_of_different_kinds_lists_both_sides() -> None:
    rows = {r["component"]: r for r in diff(load("mamba-2.8b"), load("mixtral-8x7b"))}
    assert rows["mixers"]["second_mib"] == rows["experts"]["first_mib"] == 0
    total = rows.pop("total")
    assert total["difference_mib"] == pytest.approx(sum(r["difference_mib"] for r in rows.values()))


@pytest.mark.parametrize("name", names())
def test_components_cover_all_weights(name: str) -> None:
    shown = show(load(name))
    assert sum(weight_components(load(name)).values()) == pytest.approx(shown["weight_bytes"])


def test_component_names() -> None:
    found = {component(row) for row in compile_step(load("gpt-oss-20b")).name}
    assert found == {"vocabulary", "attention", "experts", "norms"}
    assert component("shared norm#2") == "norms"
    assert component("mamba2.ssd") == "mixers"


def test_zoo_rows_have_flops_at_both_contexts() -> None:
    rows = zoo_rows(map(load, ("llama-3-8b", "mamba-2.8b", "mistral-7b-v0.1")))
    llama, mamba, mistral = rows
    exact = step_operations(load("llama-3-8b"), Batch.uniform(1, 1, 2048)).total_flops
    assert llama["flops_per_token_at_2048"] == exact
    assert mamba["flops_per_token_at_2048"] == mamba["flops_per_token_at_131072"]
    assert llama["flops_per_token_at_131072"] > 2 * mistral["flops_per_token_at_131072"]


def test_compare_marks_where_curves_cross() -> None:
    curves = compare([load("llama-3-8b"), load("jamba-v0.1")])
    assert curves.context_tokens[[0, -1]].tolist() == [1024, 1048576]
    crossings = {quantity: at for quantity, _, _, at in curves.crossovers}
    gap = curves.flops_per_token[0] - curves.flops_per_token[1]
    before = curves.context_tokens < crossings["flops_per_token"]
    assert (gap[before] < 0).all()
    assert (gap[~before] > 0).all()
    assert (np.diff(curves.cache_bytes, axis=1) > 0).all()


def test_curves_that_do_not_cross_mark_nothing() -> None:
    assert compare([load("llama-2-7b"), load("llama-2-13b")]).crossovers == ()
