"""Every exact figure of the reference table, per model.

Convention: parameters and bytes are exact for all rows. Prefill FLOPs are exact where a
model has attention only; decode too, outside latent attention. For SSM, recurrent and
hybrid rows the closed forms of the formulas hold (test_closed_forms).
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sim.arch import (
    Architecture,
    Attention,
    DenseFFN,
    LatentAttention,
    MoE,
    Norms,
    Projection,
    load,
)
from sim.flops import Batch, flops_matmul_full, memory, parameters, step_operations

FACTS = Path(__file__).resolve().parents[3] / "shared" / "facts" / "arch"
COUNTS = {
    "params_total": "total",
    "params_active_incl_embeddings": "active",
    "params_active_excl_input_embedding": "active_excl_input_embedding",
    "params_input_embedding": "input_embedding",
    "params_lm_head": "lm_head",
    "params_routed_experts": "routed_experts",
}


def _rows() -> list[dict[str, str]]:
    path = FACTS / "ground_truth.csv"
    if not path.is_file():
        return []
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


ROWS = _rows()
RECURRENT = ("mamba", "rwkv", "zamba", "jamba", "nemotron_h", "qwen3_next")
ATTENTION_ROWS = [row for row in ROWS if not row["model_type"].startswith(RECURRENT)]
pytestmark = pytest.mark.usefixtures("facts")


def _arch(row: dict[str, str]) -> Architecture:
    return load(str(FACTS / "configs" / f"{row['name']}.json"))


def _figures(row: dict[str, str], *columns: str) -> list[tuple[str, int]]:
    return [(column, int(row[column])) for column in columns if row[column]]


def _mixers(arch: Architecture) -> set[type]:
    return {type(block) for block, _, _ in arch.blocks()} - {Norms, DenseFFN, MoE, Projection}


def _attention_only(arch: Architecture) -> bool:
    return _mixers(arch) <= {Attention, LatentAttention}


def test_the_table_is_there() -> None:
    assert len(ROWS) == 49


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_parameters(row: dict[str, str]) -> None:
    counts = parameters(_arch(row))
    for column, expected in _figures(row, *COUNTS):
        assert getattr(counts, COUNTS[column]) == expected, column


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_memory(row: dict[str, str]) -> None:
    held = memory(_arch(row))
    state = held.state_bytes_per_sequence
    found = {
        "weight_bytes_bf16": held.weight_bytes,
        "kv_bytes_per_token_bf16_growing": held.kv_bytes_per_token,
        "kv_bytes_per_token_bf16_window_layers": held.window_kv_bytes_per_token,
        "kv_bytes_at_2048": float(held.cache_bytes(2048)) - state,
        "kv_bytes_at_262144": float(held.cache_bytes(262144)) - state,
        "ssm_state_elements_per_seq": held.ssm_state_elements,
        "conv_state_elements_per_seq": held.short_state_elements,
        "state_bytes_fp32_ssm_bf16_conv": state,
    }
    for column, expected in _figures(row, *found):
        assert found[column] == expected, column


def test_the_attention_only_models_are_found() -> None:
    assert [row for row in ROWS if _attention_only(_arch(row))] == ATTENTION_ROWS
    assert len(ATTENTION_ROWS) > 30


@pytest.mark.parametrize("row", ATTENTION_ROWS, ids=lambda row: row["name"])
def test_flops_of_attention_only_models(row: dict[str, str]) -> None:
    arch = _arch(row)
    for length in (128, 2048, 8192):
        column = f"counter_prefill_flops_1x{length}"
        assert flops_matmul_full(arch, Batch.uniform(1, length)) == int(row[column]), column
    for length in (2048, 8192):
        column = f"prefill_1x{length}_causal_lastlogit_only"
        assert step_operations(arch, Batch.uniform(1, length)).total_flops == int(row[column])
    decode = Batch.uniform(1, 1, 2048)
    expected = int(row["counter_decode_flops_kv2048"])
    assert flops_matmul_full(arch, decode) == expected
    if LatentAttention not in _mixers(arch):
        assert step_operations(arch, decode).total_flops == expected


def test_the_check_can_fail() -> None:
    row = next(row for row in ROWS if row["name"] == "meta-llama--Llama-2-7b-hf")
    with pytest.raises(AssertionError, match="params_total"):
        test_parameters({**row, "params_total": "1"})
