"""Kernels on a GPU with PyTorch, and its energy counter with NVML (an optional extra)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Final

import numpy as np

from sim.errors import InputError
from sim.validation.calibrate import Kernel, Measurement

STEADY_S: Final = 2.0
"""Each kernel runs this long before it is measured, and again while it is: NVML's power of
an H100 is a mean over the last second."""
CALLS: Final = 20
FIELD_POWER_INSTANT: Final = 186
"""NVML's field of the instantaneous power of the GPU [mW]."""


@dataclass(slots=True)
class _Watch:
    """What was read beside the energy counter while a kernel ran."""

    power_w: list[float] = field(default_factory=list)
    clock_mhz: list[float] = field(default_factory=list)


class TorchBackend:
    """Runs the suite on CUDA device 0.

    Args:
        steady_s: seconds to warm up, and to measure, each kernel.

    Raises:
        InputError: PyTorch, NVML or a GPU is missing.
    """

    def __init__(self, steady_s: float = STEADY_S) -> None:
        self._steady_s = steady_s
        try:
            self._torch: Any = import_module("torch")
            self._nvml: Any = import_module("pynvml")
        except ImportError as error:
            raise InputError(
                f"calibrate needs PyTorch and nvidia-ml-py: {error}",
                "install them beside flopgrid, on a machine with an NVIDIA GPU",
            ) from error
        if not self._torch.cuda.is_available():
            raise InputError("calibrate: no CUDA GPU is visible", "run it where one is")
        self._nvml.nvmlInit()
        self._gpu = self._nvml.nvmlDeviceGetHandleByIndex(0)
        self._torch.zeros(1, device="cuda")

    def describe(self) -> dict[str, str]:
        """GPU, driver, PyTorch and the clocks."""
        nvml = self._nvml
        limit = nvml.nvmlDeviceGetMaxClockInfo(self._gpu, nvml.NVML_CLOCK_SM)
        memory = nvml.nvmlDeviceGetMaxClockInfo(self._gpu, nvml.NVML_CLOCK_MEM)
        return {
            "GPU": self._torch.cuda.get_device_name(0),
            "driver": str(nvml.nvmlSystemGetDriverVersion()),
            "torch": str(self._torch.__version__),
            "SM clock limit MHz": str(limit),
            "memory clock MHz": str(memory),
        }

    def limit_w(self) -> float:
        """The enforced power limit."""
        return float(self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._gpu)) / 1e3

    def idle_w(self) -> float:
        """Mean power over a while without work."""
        self._torch.cuda.synchronize()
        time.sleep(self._steady_s)
        start, begin = self._energy_j(), time.perf_counter()
        time.sleep(self._steady_s)
        return (self._energy_j() - start) / (time.perf_counter() - begin)

    def measure(self, kernel: Kernel) -> Measurement:
        """Warm up, then run for a while and read time and the energy counter."""
        call = self._call(kernel)
        self._run_for(call, self._steady_s, _Watch())
        watch = _Watch()
        start, begin = self._energy_j(), time.perf_counter()
        calls = self._run_for(call, self._steady_s, watch)
        spent_s = time.perf_counter() - begin
        power_w = (self._energy_j() - start) / spent_s
        peak_w = max(watch.power_w, default=None)
        clock_mhz = float(np.mean(watch.clock_mhz)) if watch.clock_mhz else None
        return Measurement(kernel, spent_s / calls, power_w, peak_w, clock_mhz)

    def _energy_j(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1e3

    def _instant_w(self) -> float | None:
        """Instantaneous power; None where the driver does not give it."""
        try:
            value = self._nvml.nvmlDeviceGetFieldValues(self._gpu, [FIELD_POWER_INSTANT])[0]
        except self._nvml.NVMLError:
            return None
        return float(value.value.uiVal) / 1e3 if value.nvmlReturn == 0 else None

    def _run_for(self, call: Callable[[], object], seconds: float, watch: _Watch) -> int:
        """Calls in `seconds`; power and clock are read while a batch of calls runs."""
        nvml, calls, begin = self._nvml, 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            for _ in range(CALLS):
                call()
            power_w = self._instant_w()
            if power_w is not None:
                watch.power_w.append(power_w)
            watch.clock_mhz.append(
                float(nvml.nvmlDeviceGetClockInfo(self._gpu, nvml.NVML_CLOCK_SM))
            )
            self._torch.cuda.synchronize()
            calls += CALLS
        return calls

    def _made(self, *size: int, dtype: Any = None) -> Any:
        """A random tensor on the GPU, bf16 unless said otherwise."""
        torch = self._torch
        return torch.randn(*size, device="cuda", dtype=torch.bfloat16 if dtype is None else dtype)

    def _call(self, kernel: Kernel) -> Callable[[], object]:
        """The kernel as a function without arguments, its operands on the GPU."""
        made: dict[str, Callable[..., Callable[[], object]]] = {
            "launch": self._launch,
            "gemm": self._gemm,
            "copy": self._copy,
            "attention": self._attention,
            "decode_attention": self._decode_attention,
            "mixture": self._mixture,
            "scan": self._scan,
            "sort": self._sort,
        }
        return made[kernel.kind](*kernel.shape)

    def _launch(self) -> Callable[[], object]:
        one = self._made(1)
        return lambda: one.add_(1)

    def _gemm(self, m: int, n: int, k: int) -> Callable[[], object]:
        a, b = self._made(m, k), self._made(k, n)
        return lambda: a @ b

    def _copy(self, size: int) -> Callable[[], object]:
        source = self._torch.empty(size, device="cuda", dtype=self._torch.uint8)
        target = self._torch.empty_like(source)
        return lambda: target.copy_(source)

    def _attention(
        self, sequences: int, tokens: int, heads: int, size: int
    ) -> Callable[[], object]:
        q, k, v = (self._made(sequences, heads, tokens, size) for _ in range(3))
        attend = self._torch.nn.functional.scaled_dot_product_attention
        return lambda: attend(q, k, v, is_causal=True)

    def _decode_attention(
        self, sequences: int, tokens: int, heads: int, size: int
    ) -> Callable[[], object]:
        q = self._made(sequences, heads, 1, size)
        k, v = (self._made(sequences, heads, tokens, size) for _ in range(2))
        attend = self._torch.nn.functional.scaled_dot_product_attention
        return lambda: attend(q, k, v)

    def _mixture(self, tokens: int, width: int, experts: int) -> Callable[[], object]:
        x = self._made(experts, max(tokens // experts, 1), width)
        w = self._made(experts, width, width)
        return lambda: self._torch.bmm(x, w)

    def _scan(self, sequences: int, heads: int, size: int) -> Callable[[], object]:
        state = self._made(sequences, heads, size, size, dtype=self._torch.float32)
        return lambda: state.mul_(0.999)

    def _sort(self, sequences: int, vocabulary: int) -> Callable[[], object]:
        logits = self._made(sequences, vocabulary, dtype=self._torch.float32)
        return lambda: self._torch.sort(logits, dim=-1)
