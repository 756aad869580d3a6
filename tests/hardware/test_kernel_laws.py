"""Kernel laws, engines, and their data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.datum import read_table
from sim.errors import UnknownNameError
from sim.hardware.device import DEVICES, load_device
from sim.hardware.engine import ENGINES, load_engine
from sim.hardware.kernels import TABLE, gemm_flops, joined, kernel_law, tile_waves
from sim.hardware.power import clock_for_cap, clock_under_cap, stretch_under_cap

times = st.floats(0, 1)


@given(times, times, st.floats(1, 12))
def test_joined_lies_between_the_larger_and_the_sum(a: float, b: float, q: float) -> None:
    found = float(joined(a, b, q))
    assert max(a, b) * (1 - 1e-12) <= found <= (a + b) * (1 + 1e-12)


def test_joined_is_exact_for_one_side() -> None:
    assert joined(3.0, 0.0, 2.0) == 3.0
    assert joined(0.0, 0.0, 2.0) == 0.0
    assert joined(3.0, 4.0, 2.0) == pytest.approx(5.0)


def test_full_tiles_count_whole() -> None:
    # 1024 x 4096: 8 rows of tiles (and half a tile of slack) by 32 columns over 132
    assert tile_waves(1024, 4096, 132, 0.0) == pytest.approx(8.5 * 32 / 132)
    assert gemm_flops(1024, 4096, 512, 132, 0.0) == pytest.approx(2 * 1088 * 4096 * 512)


@given(st.integers(1, 20000), st.integers(1, 20000))
def test_more_rows_never_cost_less(m: int, more: int) -> None:
    assert tile_waves(m + more, 4096, 132, 0.1) >= tile_waves(m, 4096, 132, 0.1)


@pytest.mark.parametrize("row", read_table(TABLE), ids=lambda r: f"{r['engine']}-{r['family']}")
def test_coefficients_are_physical(row: dict[str, str]) -> None:
    assert 0 < float(row["fixed_s"]) < 1e-3
    assert 0 <= float(row["unit_s"]) < 1e-5
    assert 0 < float(row["memory_frac"]) <= 1
    assert 0 < float(row["compute_frac"]) <= 1.01
    assert float(row["sharpness"]) >= 1
    assert row["source"]
    assert row["source"].startswith("assumption") or float(row["median_error_frac"]) <= 0.18


def test_a_measured_matrix_product_by_its_law() -> None:
    """8192 x 8192 bf16 at one row: 51.6 us measured (vLLM 0.24 table), 40.1 us at the peak."""
    law, device = kernel_law("vllm", "gemm"), load_device()
    memory_s = 2 * (8192 * 8192 + 2 * 8192) / device.hbm_bytes_per_s / law.memory_frac
    compute_s = gemm_flops(1, 8192, 8192, 132, law.half) / (
        device.matmul_bf16_flops * law.compute_frac
    )
    found_s = law.fixed_s + float(joined(memory_s, compute_s, law.sharpness))
    assert found_s == pytest.approx(51.6e-6, rel=0.1)


def test_engines_without_their_own_kernels_take_vllms() -> None:
    assert kernel_law("sglang", "gemm") == kernel_law("vllm", "gemm")
    with pytest.raises(UnknownNameError, match="kernel"):
        kernel_law("vllm", "elementwise", "fp8")


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_figure_has_a_source(name: str) -> None:
    engine = load_engine(name)
    assert all(figure.source and figure.as_of for figure in engine.figures)
    assert engine.step_s > 0
    assert engine.sampling_s_per_logit("greedy") == 0


def test_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'trtllm'"):
        load_engine("trtlm")


def test_clocks_of_many_steps_are_those_of_each() -> None:
    device, powers = load_device(), np.array([300.0, 550.0, 900.0])
    each = [clock_for_cap(device, float(p), 500.0) for p in powers]
    assert clock_under_cap(device, powers, 500.0) == pytest.approx(each)


def test_what_memory_draws_a_cap_takes_from_the_rest() -> None:
    """At 400 W: of 650 W, 120 idle and 130 for memory stay; 150 of 400 are left, clock^2."""
    device = load_device()
    powers = np.array([650.0, 650.0, 300.0])
    kept = device.idle_w + 130.0
    found = clock_under_cap(device, powers, 400.0, np.array([130.0, 0.0, 130.0]))
    alone = (400.0 - kept) / (650.0 - kept)
    assert found[0] == pytest.approx(alone ** (1 / device.clock_exponent))
    assert found[0] < found[1] < found[2] == 1.0


def test_the_clock_stays_at_its_lowest_where_memory_alone_passes_a_cap() -> None:
    device = load_device()
    found = clock_under_cap(device, np.array([600.0]), 200.0, np.array([500.0]))
    assert found == pytest.approx([device.min_clock_frac])


def test_a_lower_cap_takes_longer_where_memory_alone_passes_it_and_energy_stays() -> None:
    """300 W, of which memory draws 130: at the lowest clock it draws more than 200 and 180 W."""
    device = load_device()
    power, memory = np.array([300.0]), np.array([130.0])
    longer = {}
    for cap_w in (200.0, 180.0, 290.0):
        clock = clock_under_cap(device, power, cap_w, memory)
        longer[cap_w] = float(stretch_under_cap(device, power, cap_w, memory, clock)[0])
    assert longer[290.0] == pytest.approx(1.0)
    assert 1 < longer[200.0] < longer[180.0]
    spent = [(cap_w - device.idle_w) * longer[cap_w] for cap_w in (200.0, 180.0)]
    assert spent[0] == pytest.approx(spent[1])


@pytest.mark.parametrize("name", DEVICES)
def test_a_gpu_with_a_model_draws_more_than_one_without(name: str) -> None:
    device = load_device(name)
    assert 0 < device.unloaded_w <= device.idle_w <= device.loading_w
