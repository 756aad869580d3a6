"""Kernels on a GPU with PyTorch, and its energy counter with NVML (an optional extra)."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from sim.errors import InputError
from sim.validation.calibrate import Kernel, Measurement

STEADY_S: Final = 2.0
"""Each kernel runs this long before it is measured, and again while it is: NVML's power of
an H100 is a mean over the last second."""
CALLS: Final = 20


class TorchBackend:
    """Runs the suite on CUDA device 0.

    Raises:
        InputError: PyTorch, NVML or a GPU is missing.
    """

    def __init__(self) -> None:
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
        """GPU, driver, PyTorch and the maximum clock."""
        clock = self._nvml.nvmlDeviceGetMaxClockInfo(self._gpu, self._nvml.NVML_CLOCK_SM)
        return {
            "GPU": self._torch.cuda.get_device_name(0),
            "driver": str(self._nvml.nvmlSystemGetDriverVersion()),
            "torch": str(self._torch.__version__),
            "SM clock limit MHz": str(clock),
        }

    def limit_w(self) -> float:
        """The enforced power limit."""
        return float(self._nvml.nvmlDeviceGetEnforcedPowerLimit(self._gpu)) / 1e3

    def idle_w(self) -> float:
        """Mean power over a while without work."""
        self._torch.cuda.synchronize()
        time.sleep(STEADY_S)
        start, begin = self._energy_j(), time.perf_counter()
        time.sleep(STEADY_S)
        return (self._energy_j() - start) / (time.perf_counter() - begin)

    def measure(self, kernel: Kernel) -> Measurement:
        """Warm up, then run for a while and read time and the energy counter."""
        call = self._call(kernel)
        self._run_for(call, STEADY_S)
        start, begin = self._energy_j(), time.perf_counter()
        calls = self._run_for(call, STEADY_S)
        spent_s = time.perf_counter() - begin
        return Measurement(kernel, spent_s / calls, (self._energy_j() - start) / spent_s)

    def _energy_j(self) -> float:
        return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._gpu)) / 1e3

    def _run_for(self, call: Callable[[], object], seconds: float) -> int:
        calls, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            for _ in range(CALLS):
                call()
            self._torch.cuda.synchronize()
            calls += CALLS
        return calls

    def _call(self, kernel: Kernel) -> Callable[[], object]:
        """The kernel as a function without arguments, its operands on the GPU."""
        torch, shape = self._torch, kernel.shape

        def made(*size: int, dtype: Any = torch.bfloat16) -> Any:
            return torch.randn(*size, device="cuda", dtype=dtype)

        if kernel.kind == "gemm":
            m, n, k = shape
            a, b = made(m, k), made(k, n)
            return lambda: a @ b
        if kernel.kind == "copy":
            source = torch.empty(shape[0], device="cuda", dtype=torch.uint8)
            target = torch.empty_like(source)
            return lambda: target.copy_(source)
        if kernel.kind == "attention":
            sequences, tokens, heads, size = shape
            q, k, v = (made(sequences, heads, tokens, size) for _ in range(3))
            attend = torch.nn.functional.scaled_dot_product_attention
            return lambda: attend(q, k, v, is_causal=True)
        if kernel.kind == "mixture":
            tokens, width, experts = shape
            x, w = made(experts, max(tokens // experts, 1), width), made(experts, width, width)
            return lambda: torch.bmm(x, w)
        sequences, heads, size = shape
        state = made(sequences, heads, size, size, dtype=torch.float32)
        return lambda: state.mul_(0.999)
