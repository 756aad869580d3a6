"""Calibration on made devices: what went in comes out, and what is missing is named."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sim.errors import InputError
from sim.hardware.device import device_figures, load_device
from sim.validation.calibrate import (
    SUITE,
    Calibration,
    Kernel,
    Measurement,
    at_nominal_clock,
    attention,
    calibrate,
    copy,
    decode_attention,
    device_yaml,
    gemm,
    launch,
    mixture,
    run_suite,
    scan,
    sort,
)
from sim.validation.made_backend import MadeBackend
from sim.validation.torch_backend import TorchBackend

H100 = load_device()
KNOWN = {name: figure.value for name, figure in device_figures("h100-sxm").items()}
MADE = replace(
    H100,
    matmul_frac=0.72,
    attention_frac=0.5,
    hbm_frac=0.9,
    static_w=110.0,
    idle_w=90.0,
    limit_w=650.0,
    gemm_w=180.0,
    attention_w=250.0,
    mixture_w=200.0,
    block_mixture_w=220.0,
    hbm_byte_j=5.5e-11,
)
"""A device whose every figure differs from the known one's."""


def found(device: Any = MADE, suite: tuple[Kernel, ...] = SUITE) -> Calibration:
    backend = MadeBackend(device)
    return calibrate(
        run_suite(backend, suite), KNOWN, limit_w=backend.limit_w(), idle_w=backend.idle_w()
    )


def test_efficiencies_of_a_made_device_are_found_again() -> None:
    figures = found().figures
    assert figures["matmul_frac"] == pytest.approx(0.72, rel=1e-3)
    assert figures["attention_frac"] == pytest.approx(0.5, rel=1e-3)
    assert figures["hbm_frac"] == pytest.approx(0.9, rel=1e-3)
    assert figures["static_w"] == pytest.approx(110)
    assert (figures["idle_w"], figures["limit_w"]) == (90, 650)


def test_a_device_like_the_known_one_gets_its_figures() -> None:
    figures = found(H100).figures
    for name in ("flop_j", "hbm_byte_j", "gemm_w", "attention_w", "mixture_w"):
        assert figures[name] == pytest.approx(KNOWN[f"power.{name}"], rel=1e-6)


def test_the_fitted_power_is_that_of_the_made_device() -> None:
    """Its parts are held to the known device's, but their sum must be the measured power."""
    result = found()
    assert result.power_error_frac < 0.01
    assert result.used + result.throttled == len(SUITE)
    figures = result.figures
    for kernel in (copy(2**29), decode_attention(64, 2048, 32, 128), mixture(64, 2048, 64)):
        m = MadeBackend(MADE).measure(kernel)
        name = {"copy": "gemm_w", "decode_attention": "attention_w", "mixture": "mixture_w"}
        said_w = (
            figures["static_w"]
            + figures[name[kernel.kind]]
            + (figures["flop_j"] * kernel.flops + figures["hbm_byte_j"] * kernel.hbm_bytes)
            / m.time_s
        )
        assert said_w == pytest.approx(m.power_w, rel=0.02)


def test_throttled_kernels_are_left_out_of_the_power_fit() -> None:
    """A cooler limit throttles more; what is fitted on the rest stays."""
    assert found(replace(MADE, limit_w=560.0)).throttled > found().throttled
    off = Measurement(copy(2**29), 1.0, 649.0, None, 1980.0)  # far off the law, at the limit
    measured = [*run_suite(MadeBackend(MADE)), off]
    result = calibrate(measured, KNOWN, limit_w=650.0, idle_w=90.0)
    assert result.figures["gemm_w"] == pytest.approx(found().figures["gemm_w"])


def test_a_throttled_product_counts_at_the_clock_of_the_others() -> None:
    hot = Measurement(gemm(16384, 8192, 8192), 4.0, 700.0, 700.0, 1500.0)
    cold = Measurement(launch(), 4e-6, 130.0, 130.0, 2000.0)
    assert at_nominal_clock(hot, [hot, cold], 700.0).time_s == pytest.approx(3.0)
    assert at_nominal_clock(cold, [hot, cold], 700.0) is cold
    in_memory = replace(hot, kernel=gemm(1, 8192, 8192))
    assert at_nominal_clock(in_memory, [in_memory, cold], 700.0) is in_memory
    unknown = replace(hot, clock_mhz=None)
    assert at_nominal_clock(unknown, [unknown, cold], 700.0) is unknown


def test_too_few_cold_kernels_are_refused_with_the_numbers() -> None:
    measured = [
        replace(m, power_w=699.0) if m.kernel.kind != "launch" else m
        for m in run_suite(MadeBackend(MADE))
    ]
    with pytest.raises(InputError, match=r"0 of 27 kernels stay below the power limit of 650 W"):
        calibrate(measured, KNOWN, limit_w=650.0, idle_w=90.0)


@pytest.mark.parametrize("kind", ["launch", "gemm", "attention"])
def test_a_suite_without_a_kind_is_refused(kind: str) -> None:
    suite = tuple(kernel for kernel in SUITE if kernel.kind != kind)
    with pytest.raises(InputError, match=f"no {kind} kernel"):
        found(suite=suite)


def test_the_device_file_is_accepted_as_a_device(tmp_path: Path) -> None:
    described = {"GPU": 'made "by hand"', "driver": "1"}
    text = device_yaml(found(), device_figures("h100-sxm"), described, "2026-11-24")
    path = tmp_path / "mine.device.yaml"
    path.write_text(text, encoding="utf-8")
    device = load_device(str(path))
    assert device.calibrated
    assert device.basis.startswith("measured by flopgrid calibrate: GPU made 'by hand'")
    assert device.limit_w == 650
    achieved = device.hbm_bytes_per_s * device.hbm_frac
    assert achieved == pytest.approx(0.9 * KNOWN["peak.hbm_bytes_per_s"], rel=1e-3)
    figures = {figure.name: figure for figure in device.figures}
    assert figures["power.flop_j"].source.startswith("measured by flopgrid calibrate: GPU made")
    taken = device_figures("h100-sxm")["power.clock_exponent"]
    assert figures["power.clock_exponent"].low == taken.low
    assert figures["power.clock_exponent"].source == taken.source


def test_a_made_up_file_says_that_it_is_not_calibrated(tmp_path: Path) -> None:
    path = tmp_path / "fake.yaml"
    figures = device_figures("h100-sxm")
    text = device_yaml(found(), figures, {"GPU": "x"}, "2026-11-24", calibrated=False)
    path.write_text(text, encoding="utf-8")
    assert not load_device(str(path)).calibrated


def test_work_of_kernels_by_hand() -> None:
    assert gemm(2, 3, 4) == Kernel("gemm", (2, 3, 4), 48.0, 2.0 * (8 + 12 + 6))
    assert copy(10).hbm_bytes == 20
    assert attention(1, 3, 2, 4).flops == 4 * 6 * 2 * 4
    assert decode_attention(2, 3, 4, 8).hbm_bytes == 2 * 6 * 4 * 8 * 2
    assert mixture(8, 4, 2).flops == 2 * 8 * 16
    assert scan(1, 2, 4).hbm_bytes == 8 * 32
    assert sort(2, 10).hbm_bytes == 320
    assert launch().name == "launch"


def test_progress_names_every_kernel() -> None:
    seen: list[str] = []
    run_suite(MadeBackend(H100), SUITE[:2], seen.append)
    assert seen == ["1/2 launch", "2/2 gemm 1x8192x8192"]


def test_every_operand_is_larger_than_a_second_level_cache() -> None:
    """50 MB on an H100: smaller ones would be read from there and not from HBM."""
    assert all(k.hbm_bytes > 50e6 or k.kind == "launch" for k in SUITE)


# A GPU that is not there: PyTorch and NVML with tensors that remember what was called.


class Tensor:
    def __init__(self, log: list[str], *size: int):
        self.log, self.size = log, size

    def __matmul__(self, other: Tensor) -> Tensor:
        self.log.append(f"matmul {self.size}x{other.size}")
        return self

    def copy_(self, source: Tensor) -> None:
        self.log.append(f"copy {source.size}")

    def mul_(self, _: float) -> None:
        self.log.append(f"mul {self.size}")

    def add_(self, _: float) -> None:
        self.log.append("add")


def installed(
    monkeypatch: pytest.MonkeyPatch, *, gpu: bool = True, instant: bool = True
) -> list[str]:
    """Put a torch and a pynvml into the module table; returns the log of their calls."""
    log: list[str] = []
    monkeypatch.setitem(sys.modules, "torch", false_torch(log, gpu=gpu))
    monkeypatch.setitem(sys.modules, "pynvml", false_nvml(instant=instant))
    return log


def false_torch(log: list[str], *, gpu: bool) -> Any:
    """A torch that writes down what it is asked to compute."""

    def attend(q: Tensor, k: Tensor, _: Tensor, *, is_causal: bool = False) -> None:
        log.append(f"attend {q.size} {k.size} {is_causal}")

    return SimpleNamespace(
        __version__="9.9",
        bfloat16="bf16",
        float32="fp32",
        uint8="u8",
        cuda=SimpleNamespace(
            is_available=lambda: gpu, get_device_name=lambda _: "H100", synchronize=lambda: None
        ),
        zeros=lambda *_, **__: None,
        randn=lambda *size, **_: Tensor(log, *size),
        empty=lambda size, **_: Tensor(log, size),
        empty_like=lambda other: Tensor(log, *other.size),
        bmm=lambda x, w: log.append(f"bmm {x.size} {w.size}"),
        sort=lambda x, dim: log.append(f"sort {x.size} {dim}"),
        nn=SimpleNamespace(functional=SimpleNamespace(scaled_dot_product_attention=attend)),
    )


def false_nvml(*, instant: bool) -> Any:
    """A pynvml whose counter rises by 0.5 J a reading; power at the instant, or not."""
    spent = {"mj": 0.0}

    def energy(_: object) -> float:
        spent["mj"] += 500.0
        return spent["mj"]

    def fields(_: object, wanted: list[int]) -> list[Any]:
        if not instant:
            raise RuntimeError
        assert wanted == [186]
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=512_000))]

    return SimpleNamespace(
        NVMLError=RuntimeError,
        NVML_CLOCK_SM=1,
        NVML_CLOCK_MEM=2,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda _: object(),
        nvmlDeviceGetMaxClockInfo=lambda _, kind: {1: 1980, 2: 2619}[kind],
        nvmlDeviceGetClockInfo=lambda _, __: 1755,
        nvmlSystemGetDriverVersion=lambda: "570",
        nvmlDeviceGetEnforcedPowerLimit=lambda _: 700_000,
        nvmlDeviceGetTotalEnergyConsumption=energy,
        nvmlDeviceGetFieldValues=fields,
    )


def test_the_backend_runs_every_kind_of_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    log = installed(monkeypatch)
    backend = TorchBackend(steady_s=1e-4)
    assert backend.limit_w() == 700
    assert backend.describe()["SM clock limit MHz"] == "1980"
    assert backend.idle_w() > 0
    wanted = {
        launch(): "add",
        gemm(2, 3, 4): "matmul (2, 4)x(4, 3)",
        copy(8): "copy (8,)",
        attention(1, 2, 3, 4): "attend (1, 3, 2, 4) (1, 3, 2, 4) True",
        decode_attention(1, 2, 3, 4): "attend (1, 3, 1, 4) (1, 3, 2, 4) False",
        mixture(8, 4, 2): "bmm (2, 4, 4) (2, 4, 4)",
        scan(1, 2, 3): "mul (1, 2, 3, 3)",
        sort(2, 5): "sort (2, 5) -1",
    }
    for kernel, said in wanted.items():
        log.clear()
        m = backend.measure(kernel)
        assert set(log) == {said}
        assert (m.kernel, m.peak_w, m.clock_mhz) == (kernel, 512.0, 1755.0)
        assert m.time_s > 0
        assert m.power_w > 0


def test_a_driver_without_instantaneous_power(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, instant=False)
    assert TorchBackend(steady_s=1e-4).measure(gemm(2, 3, 4)).peak_w is None


def test_without_a_gpu_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, gpu=False)
    with pytest.raises(InputError, match="no CUDA GPU is visible"):
        TorchBackend()


def test_without_pytorch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="needs PyTorch and nvidia-ml-py"):
        TorchBackend()
    assert importlib.util.find_spec("sim.validation.torch_backend") is not None
