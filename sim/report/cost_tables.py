"""The cost of one step, and of many batch sizes, as plain rows for `flopgrid cost`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sim import arch as archs
from sim.cost.assumed import assumption_lines
from sim.cost.breakdown import breakdown
from sim.cost.fit import SERVED_PRECISIONS, Fit, check_batch, check_serving
from sim.cost.layout import Layout
from sim.cost.steps import StepModel
from sim.errors import CapacityError, InputError, UnknownNameError
from sim.flops import precision
from sim.hardware.node import node_of
from sim.hardware.prices import gpu_price

if TYPE_CHECKING:
    from sim.cost.breakdown import OperationCost, StepBreakdown
    from sim.cost.steps import Steps
    from sim.flops import Precision
    from sim.hardware.device import Device

Row = dict[str, Any]
Sweep = Literal["batch", "context", "cap"]
MAX_SWEEP = 4096
CAP_STEP_FRAC = 1 / 28
"""25 W on a GPU of 700 W."""
CONTEXTS = tuple(128 * 2**n for n in range(14))
"""128 to 1M tokens."""
LEAST_CAP_FRAC = 0.4
"""Of the limit: how far down capping a data-centre GPU was measured (V100, ml-energy/zeus); further
down the law of the clock is a guess that makes caps look free."""


ONE_GPU = Layout()
BF16_PEAK = "peak.matmul_bf16_flops"
HBM_PEAK = "peak.hbm_bytes_per_s"


@dataclass(frozen=True, slots=True)
class Question:
    """What `flopgrid cost` is asked.

    Attributes:
        gpu: a name or a device file. batch: sequences of the replica.
        new_tokens: of each sequence, 1 for a decode step. context: tokens already cached.
        usd_per_gpu_h: None for the price that ships.
    """

    arch: str
    gpu: str = "h100-sxm"
    layout: Layout = ONE_GPU
    dtype: str = "bf16"
    engine: str = "vllm"
    batch: int = 1
    new_tokens: int = 1
    context: int = 1024
    cap_w: float | None = None
    usd_per_gpu_h: float | None = None


def served_precision(name: str) -> Precision:
    """A precision that has measured kernels.

    Raises:
        UnknownNameError: it has none.
    """
    if name not in SERVED_PRECISIONS:
        raise UnknownNameError("precision of serving kernels", name, SERVED_PRECISIONS)
    return precision(name)


def step_model(asked: Question) -> StepModel:
    """The model of a question's steps.

    Raises:
        InputError: a wrong name, or a layout that cannot serve the model.
    """
    node, arch = node_of(asked.gpu), archs.load(asked.arch)
    chosen = served_precision(asked.dtype)
    check_serving(arch, asked.layout, node)
    if asked.cap_w is not None and asked.cap_w <= node.device.idle_w:
        raise InputError(
            f"a cap of {asked.cap_w:g} W is below the {node.device.idle_w:.0f} W that an idle "
            f"{node.device.name} draws",
            "give a higher cap",
        )
    return StepModel(
        arch, asked.layout, node, engine=asked.engine, precision=chosen, cap_w=asked.cap_w
    )


def cost(asked: Question) -> Row:
    """Everything about one step (`cost --json`, DESIGN.md section 10).

    Raises:
        InputError: a wrong name, layout or number; CapacityError where it does not fit.
    """
    model = step_model(asked)
    fit = check_batch(model, asked.batch, asked.context + asked.new_tokens)
    features = model.program.uniform_features(asked.batch, asked.new_tokens, asked.context)[0]
    found = breakdown(model, features)
    return {
        **_asked(asked, model),
        **_totals(found, model, asked),
        "memory": _memory(fit),
        "limits_share_of_time": found.limit_shares(),
        "operations": [_operation(op, found.time_s) for op in found.operations],
        "assumptions": assumption_lines(model),
    }


def _asked(asked: Question, model: StepModel) -> Row:
    layout = asked.layout
    return {
        "arch": model.arch.name,
        "gpu": gpu_row(model.node.device),
        "layout": {
            "tp": layout.tp,
            "pp": layout.pp,
            "ep": layout.ep,
            "dp": layout.dp,
            "gpus": layout.gpus,
        },
        "dtype": asked.dtype,
        "engine": asked.engine,
        "cap_w": asked.cap_w,
        "batch": asked.batch,
        "new_tokens": asked.new_tokens,
        "context": asked.context,
        "phase": "decode" if asked.new_tokens == 1 else "prefill",
    }


def gpu_row(device: Device) -> Row:
    """A GPU's name, its peaks, and whether it is calibrated."""
    return {
        "name": device.name,
        "calibrated": device.calibrated,
        "basis": device.basis or "fitted on measured kernels and serving rows",
        "matmul_bf16_flops": device.sheet(BF16_PEAK),
        "matmul_fp8_flops": device.sheet("peak.matmul_fp8_flops"),
        "hbm_bytes_per_s": device.sheet(HBM_PEAK),
        "memory_bytes": device.memory_bytes,
        "limit_w": device.limit_w,
    }


def _totals(found: StepBreakdown, model: StepModel, asked: Question) -> Row:
    gpus, device = asked.layout.gpus, model.node.device
    tokens = asked.batch * asked.new_tokens
    energy_j = found.energy_j * gpus
    price = _price(asked)
    return {
        "time_s": found.time_s,
        "tokens": tokens,
        "tokens_per_s": tokens / found.time_s,
        "power_w_per_gpu": found.power_w,
        "power_w": found.power_w * gpus,
        "energy_j": energy_j,
        "energy_j_per_token": energy_j / tokens,
        "clock_frac": found.clock_frac,
        "flops": found.flops * gpus,
        "hbm_bytes": found.hbm_bytes * gpus,
        "link_bytes": found.link_bytes * gpus,
        "intensity_flop_per_byte": found.flops / found.hbm_bytes,
        "mfu": found.flops / found.time_s / device.sheet(BF16_PEAK),
        "hbm_utilisation": found.hbm_bytes / found.time_s / device.sheet(HBM_PEAK),
        "usd_per_gpu_h": price,
        "usd_per_million_tokens": None
        if price is None
        else price * gpus * found.time_s / 3600 / tokens * 1e6,
    }


def _price(asked: Question) -> float | None:
    if asked.usd_per_gpu_h is not None:
        return asked.usd_per_gpu_h
    known = gpu_price(asked.gpu)
    return None if known is None else known.value


def _memory(fit: Fit) -> Row:
    return {
        "weight_bytes_per_gpu": fit.weight_bytes,
        "usable_bytes_per_gpu": fit.usable_bytes,
        "cache_tokens_of_replica": fit.cache_tokens,
        "used_tokens": fit.used_tokens,
    }


def _operation(op: OperationCost, step_s: float) -> Row:
    return {
        "name": op.name,
        "kernel": op.family,
        "dtype": op.dtype,
        "layers": round(op.layers),
        "time_s": op.time_s,
        "time_share": op.time_s / step_s,
        "power_w": op.power_w,
        "energy_j": op.energy_j,
        "flops": op.flops,
        "hbm_bytes": op.hbm_bytes,
        "link_bytes": op.link_bytes,
        "intensity_flop_per_byte": op.intensity,
        "flops_per_s": op.flops / op.time_s,
        "bytes_per_s": op.hbm_bytes / op.time_s,
        "limit": op.limit,
    }


def sweep(asked: Question, what: Sweep) -> list[Row]:
    """One row a batch size, context or cap: time, throughput, power, J/token, the limit.

    Args:
        what: `batch` (1, 2, 4, ... that fit), `context`, or `cap` (from the power limit down
            to LEAST_CAP_FRAC of it, or to what the lowest clock draws).

    Raises:
        InputError: see `cost`; CapacityError where not even the first fits.
    """
    model = step_model(asked)
    if what == "cap":
        return _caps(asked)
    points = _batches(model, asked) if what == "batch" else _contexts(model, asked)
    return _rows(model, asked, points)


def _rows(model: StepModel, asked: Question, points: list[tuple[int, int]]) -> list[Row]:
    batch, context = np.array(points).T
    features = model.program.uniform_features(batch, asked.new_tokens, context)
    steps = model.evaluate(features)
    tokens = batch * asked.new_tokens
    gpus = asked.layout.gpus
    peak, bandwidth = (model.node.device.sheet(name) for name in (BF16_PEAK, HBM_PEAK))
    return [
        {
            "batch": int(batch[i]),
            "context": int(context[i]),
            "cap": model.cap_w,
            "time_s": float(steps.time_s[i]),
            "tokens_per_s": float(tokens[i] / steps.time_s[i]),
            "power_w_per_gpu": float(steps.power_w[i]),
            "energy_j_per_token": float(steps.energy_j[i] * gpus / tokens[i]),
            "mfu": float(steps.flops[i] / steps.time_s[i] / peak),
            "hbm_utilisation": float(steps.hbm_bytes[i] / steps.time_s[i] / bandwidth),
            "intensity_flop_per_byte": float(steps.flops[i] / steps.hbm_bytes[i]),
            "flops_per_s": float(steps.flops[i] / steps.time_s[i]),
            "clock_frac": float(steps.clock_frac[i]),
            "limit": _step_limit(steps, i),
        }
        for i in range(len(points))
    ]


def _caps(asked: Question) -> list[Row]:
    """From the power limit down, as far as caps were measured and the clock can follow."""
    device = node_of(asked.gpu).device
    least_w = max(device.idle_w, LEAST_CAP_FRAC * device.limit_w)
    rows: list[Row] = []
    for cap_w in np.arange(device.limit_w, least_w, -CAP_STEP_FRAC * device.limit_w):
        capped = replace(asked, cap_w=float(cap_w))
        try:
            rows += _rows(step_model(capped), capped, [(asked.batch, asked.context)])
        except CapacityError:
            break
    return rows[::-1]


def _step_limit(steps: Steps, i: int) -> str:
    """The largest part of a step's time."""
    kernel_s, share = float(steps.kernel_s[i]), float(steps.compute_share[i])
    spent = {
        "compute": kernel_s * share,
        "memory": kernel_s * (1 - share),
        "link": float(steps.link_s[i]),
        "host": float(steps.host_s[i]),
    }
    spent["pipeline"] = float(steps.time_s[i]) - sum(spent.values())
    return max(spent, key=lambda name: spent[name])


def _batches(model: StepModel, asked: Question) -> list[tuple[int, int]]:
    tokens = asked.context + asked.new_tokens
    check_batch(model, 1, tokens)
    sizes = [2**n for n in range(MAX_SWEEP.bit_length())]
    return [(size, asked.context) for size in sizes if _fits(model, size, tokens)]


def _contexts(model: StepModel, asked: Question) -> list[tuple[int, int]]:
    check_batch(model, asked.batch, CONTEXTS[0] + asked.new_tokens)
    return [
        (asked.batch, context)
        for context in CONTEXTS
        if _fits(model, asked.batch, context + asked.new_tokens)
    ]


def _fits(model: StepModel, sequences: int, tokens: int) -> bool:
    try:
        check_batch(model, sequences, tokens)
    except CapacityError:
        return False
    return True
