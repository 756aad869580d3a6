"""Quantisation that an engine fuses into the kernel before is not launched again."""

from __future__ import annotations

import pytest

from sim import arch
from sim.cost.kernels import StepKernels
from sim.cost.layout import Layout
from sim.cost.rows import kernel_rows, row_law
from sim.flops import FP8, compile_step
from sim.hardware.device import load_device
from sim.hardware.engine import load_engine
from sim.hardware.kernels import kernel_law

PROGRAM = compile_step(arch.load("llama-3.1-70b"), FP8, "absorbed")
ROWS = {row.name: row for row in kernel_rows(PROGRAM, Layout(tp=2))}


@pytest.mark.parametrize("name", ["attention.qkv", "ffn.up", "ffn.down"])
def test_products_behind_norms_and_activations_are_launched_like_bf16(name: str) -> None:
    law = row_law("vllm", ROWS[name])
    assert law.fixed_s == kernel_law("vllm", "gemm", "bf16").fixed_s
    assert law.memory_frac == kernel_law("vllm", "gemm", "fp8").memory_frac


def test_what_is_not_fused_keeps_the_measured_launch() -> None:
    """The output of attention (off by default), other engines, block scales, bf16."""
    assert row_law("vllm", ROWS["attention.out"]) == kernel_law("vllm", "gemm", "fp8")
    assert row_law("trtllm", ROWS["ffn.up"]) == kernel_law("trtllm", "gemm", "fp8")
    assert row_law("vllm", ROWS["lm_head"]) == kernel_law("vllm", "gemm", "bf16")
    block = {r.name: r for r in kernel_rows(PROGRAM, Layout(tp=2), fp8_block=True)}
    assert row_law("vllm", block["ffn.up"]) == kernel_law("vllm", "gemm", "fp8_block")


def test_a_decode_step_saves_three_launches_a_layer() -> None:
    """80 layers x 3 x (4.911 - 3.327) microseconds, at most, times the measured ratio."""
    features = PROGRAM.uniform_features(4, 1, 1024)
    steps = [
        StepKernels(PROGRAM, Layout(tp=2), load_device(), load_engine(name)).evaluate(features)
        for name in ("vllm", "sglang")  # SGLang takes vLLM's tables, unfused
    ]
    fused_s, plain_s = (float(work.kernel_s(work.rows_s())[0]) for work in steps)
    saved_s = 80 * 3 * (4.911e-6 - 3.327e-6)
    assert plain_s - fused_s == pytest.approx(saved_s, rel=0.05)
