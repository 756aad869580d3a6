"""Calibration on a made device: what went in comes out."""

from __future__ import annotations

import importlib.util

import pytest
from ruamel.yaml import YAML

from sim.datum import to_datum
from sim.errors import InputError
from sim.hardware.device import build_device, device_figures
from sim.validation.calibrate import (
    SUITE,
    Kernel,
    Measurement,
    attention,
    calibrate,
    copy,
    device_yaml,
    gemm,
    mixture,
    run_suite,
    scan,
)
from sim.validation.torch_backend import TorchBackend

PEAK, HBM, LIMIT = 1e15, 3e12, 700.0
STATIC, FLOP, BYTE = 150.0, 0.5e-12, 1.0e-10


class MadeDevice:
    """A roofline at 0.8 and 0.9 of its peaks with a linear power law."""

    def describe(self) -> dict[str, str]:
        return {"GPU": "made", "driver": "1"}

    def limit_w(self) -> float:
        return LIMIT

    def idle_w(self) -> float:
        return 100.0

    def measure(self, kernel: Kernel) -> Measurement:
        time_s = max(kernel.flops / (0.8 * PEAK), kernel.hbm_bytes / (0.9 * HBM))
        power_w = STATIC + (FLOP * kernel.flops + BYTE * kernel.hbm_bytes) / time_s
        if power_w > LIMIT:  # throttled: slower at the limit
            time_s, power_w = time_s * 1.2, LIMIT
        return Measurement(kernel, time_s, power_w)


def test_a_made_device_is_found_again() -> None:
    result = calibrate(run_suite(MadeDevice()), matmul_peak_flops=PEAK, hbm_peak=HBM, limit_w=LIMIT)
    assert result.figures["static_w"] == pytest.approx(STATIC, rel=1e-6)
    assert result.figures["flop_j"] == pytest.approx(FLOP, rel=1e-6)
    assert result.figures["hbm_byte_j"] == pytest.approx(BYTE, rel=1e-6)
    assert result.figures["matmul_frac"] == pytest.approx(0.8)
    assert result.figures["hbm_frac"] == pytest.approx(0.9)
    assert result.power_error_frac < 1e-9
    assert result.used + result.throttled == len(SUITE)


def test_throttled_kernels_are_left_out_of_the_power_fit() -> None:
    hot = Measurement(gemm(4096, 8192, 8192), 1.0, LIMIT)  # far off the law, at the limit
    measured = [*run_suite(MadeDevice()), hot]
    result = calibrate(measured, matmul_peak_flops=PEAK, hbm_peak=HBM, limit_w=LIMIT)
    assert result.figures["static_w"] == pytest.approx(STATIC, rel=1e-6)


def test_too_few_cold_kernels_are_refused_with_the_numbers() -> None:
    hot = [Measurement(gemm(1, 64, 64), 1.0, 699.0)] * 5
    with pytest.raises(InputError, match="0 of 5 kernels stay below the power limit of 700 W"):
        calibrate(hot, matmul_peak_flops=PEAK, hbm_peak=HBM, limit_w=LIMIT)


def test_a_suite_without_copies_is_refused() -> None:
    suite = [kernel for kernel in SUITE if kernel.kind != "copy"]
    measured = run_suite(MadeDevice(), suite)
    with pytest.raises(InputError, match="no copy kernel"):
        calibrate(measured, matmul_peak_flops=PEAK, hbm_peak=HBM, limit_w=LIMIT)


def test_the_device_file_is_read_back() -> None:
    result = calibrate(run_suite(MadeDevice()), matmul_peak_flops=PEAK, hbm_peak=HBM, limit_w=LIMIT)
    text = device_yaml(result, device_figures("h100-sxm"), {"GPU": "made"}, "2026-11-24")
    tree = YAML(typ="safe", pure=True).load(text)
    figures = {
        f"{section}.{name}": to_datum(name, entry)
        for section, entries in tree.items()
        for name, entry in entries.items()
    }
    device = build_device("mine", figures)
    assert device.static_w == pytest.approx(STATIC, rel=1e-4)
    assert device.matmul_frac == pytest.approx(0.8)
    assert figures["power.flop_j"].source == "measured by flopgrid calibrate: GPU made"


def test_work_of_kernels_by_hand() -> None:
    assert gemm(2, 3, 4) == Kernel("gemm", (2, 3, 4), 48.0, 2.0 * (8 + 12 + 6))
    assert copy(10).hbm_bytes == 20
    assert attention(1, 3, 2, 4).flops == 4 * 6 * 2 * 4
    assert mixture(8, 4, 2).flops == 2 * 8 * 16
    assert scan(1, 2, 4).hbm_bytes == 8 * 32


def test_progress_names_every_kernel() -> None:
    seen: list[str] = []
    run_suite(MadeDevice(), SUITE[:2], seen.append)
    assert seen == ["gemm 1x8192x8192", "gemm 16x8192x8192"]


def test_without_pytorch_the_message_says_what_to_install() -> None:
    if importlib.util.find_spec("torch") is None:
        with pytest.raises(InputError, match="needs PyTorch"):
            TorchBackend()
