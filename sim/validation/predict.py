"""From a measured row to what the model predicts for it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from sim.cost.capacity import most_sequences
from sim.cost.layout import Layout, check_layout
from sim.cost.steps import StepModel
from sim.datum import data
from sim.errors import CapacityError, InputError
from sim.flops import Precision
from sim.hardware.device import DEVICES
from sim.hardware.engine import ENGINES, Sampling
from sim.hardware.node import node_of
from sim.validation.load import (
    Requests,
    SteadyState,
    closed_loop,
    static_batch_s,
    steady_state,
)
from sim.validation.replay import model_tables, poisson_s, replay
from sim.validation.rows import (
    CannotPredictError,
    MeasuredRow,
    architecture,
    row_precision,
    without_windows,
)

WORKLOADS: Final = "validation/workloads.yaml"
MOST: Final = "trtllm.max_num_seqs"
GREEDY: Final[Sampling] = "greedy"
NVIDIA: Final = "trtllm"
"""Set of the figures of NVIDIA's performance pages."""
STATIC: Final = "static batch"
GREEDY_SETS: Final = ("silicon", NVIDIA)
"""Sets whose load generators ask for no sampling (an assumption: they do not say)."""


def predict(row: MeasuredRow, configs: Path | None = None) -> dict[str, float]:
    """Every measure of `MEASURES` that the load defines, in the row's units.

    Raises:
        CannotPredictError: says why the row is skipped.
    """
    model = row_model(row, configs)
    requests = row_requests(row)
    rate = re.search(r"QPS=([\d.]+|INF)", row.load)
    if row.running is None and rate:
        return _benchmark(model, requests, float(rate.group(1)))
    if row.running is not None and STATIC in row.load:
        return _static(model, requests, row.running)
    state, ttft_s = _state(row, model, requests)
    energy_j = state.power_w * model.layout.gpus / state.tokens_per_s
    found = {
        "tpot_mean_ms": state.step_s * 1e3,
        "itl_p50_ms": state.median_step_s * 1e3,
        "out_tokens_per_s": state.tokens_per_s,
        "power_w_per_gpu": state.power_w,
        "energy_j_per_output_token": energy_j,
    }
    return found if ttft_s is None else {**found, "ttft_ms": ttft_s * 1e3}


def _static(model: StepModel, requests: Requests, batch: float) -> dict[str, float]:
    """A static batch: all prompts first, then all answers, and nobody takes a free place."""
    prompts_s, token_s = static_batch_s(model, requests, batch)
    total_s = prompts_s + (requests.osl - 1) * token_s
    return {
        "ttft_ms": prompts_s * 1e3,
        "tpot_mean_ms": token_s * 1e3,
        "out_tokens_per_s": batch * requests.osl / total_s,
    }


def _benchmark(model: StepModel, requests: Requests, per_s: float) -> dict[str, float]:
    """A benchmark that sends some hundred requests at a rate: every one is followed."""
    figures, budget = data(WORKLOADS), int(model.engine.max_batched_tokens)
    most = max(1, int(min(most_running(model, requests), figures[MOST].value)))
    count = int(figures["trtllm.online_requests"].value)
    run = replay(
        model_tables(model, most, budget),
        poisson_s(count, per_s),
        round(requests.isl),
        max(2, round(requests.osl)),
        most=most,
        budget=budget,
    )
    return {
        "ttft_ms": (run.first_token_s + figures["trtllm.request_s"].value) * 1e3,
        "tpot_mean_ms": run.token_s * 1e3,
        "out_tokens_per_s": run.tokens_per_s,
        "power_w_per_gpu": run.power_w / model.layout.gpus,
        "energy_j_per_output_token": run.power_w / run.tokens_per_s,
    }


def row_model(row: MeasuredRow, configs: Path | None) -> StepModel:
    """The step model of a row's architecture, layout, precision and engine."""
    if row.layout is None:
        raise CannotPredictError("the row does not say the parallel layout")
    if row.gpu not in DEVICES:
        raise CannotPredictError(f"no device {row.gpu!r}")
    if row.engine not in ENGINES:
        raise CannotPredictError(f"no profile of the engine {row.engine!r}")
    try:
        return _model(
            row.config, configs, row.layout, row.engine, row_precision(row), row.gpu,
            GREEDY if row.set in GREEDY_SETS else None,
            row.set == NVIDIA,
        )  # fmt: skip
    except InputError as error:
        raise CannotPredictError(str(error)) from error


@cache
def _model(
    config: str,
    configs: Path | None,
    layout: Layout,
    engine: str,
    precision: Precision,
    gpu: str,
    sampling: Sampling | None,
    of_nvidia: bool,
) -> StepModel:
    """NVIDIA's figures run its own checkpoints, with one scale per tensor, and no windows."""
    model = architecture(config, configs)
    if of_nvidia:
        model = without_windows(model)
    node = node_of(gpu)
    check_layout(model, layout, node)
    return StepModel(
        model, layout, node, engine=engine, precision=precision, sampling=sampling,
        fp8_block=False if of_nvidia else None,
    )  # fmt: skip


def row_requests(row: MeasuredRow) -> Requests:
    """Lengths; a prompt length that was not published is the task's assumption."""
    if row.osl is None or row.osl < 1:
        raise CannotPredictError("the row gives no output length")
    isl = row.isl
    if row.isl_is_assumed:
        key = f"{row.task}.prompt_tokens"
        known = data(WORKLOADS)
        isl = known[key].value if key in known else isl
    if isl is None:
        raise CannotPredictError("the prompt length is unknown, and so is the task")
    return Requests(isl, row.osl)


def measured_state(row: MeasuredRow, model: StepModel, requests: Requests) -> SteadyState:
    """The steady state of a row's load."""
    return _state(row, model, requests)[0]


def _state(
    row: MeasuredRow, model: StepModel, requests: Requests
) -> tuple[SteadyState, float | None]:
    """The steady state of the row's load, and the mean time to the first token [s]."""
    fit = most_running(model, requests)
    if row.running is not None:
        return _closed(row, model, requests, fit)
    if "max load" in row.load:
        return steady_state(model, requests, max(1.0, min(fit, data(WORKLOADS)[MOST].value))), None
    raise CannotPredictError(f"the load {row.load!r} is not understood")


def most_running(model: StepModel, requests: Requests) -> float:
    """Sequences that the cache holds, as the engine admits them."""
    held = requests.isl + model.engine.held_output_frac * requests.osl
    try:
        return most_sequences(model.program, model.layout, model.node.device, held)
    except CapacityError as error:
        raise CannotPredictError(str(error)) from error


def _closed(
    row: MeasuredRow, model: StepModel, requests: Requests, fit: float
) -> tuple[SteadyState, float | None]:
    """N clients that each wait for their answer. ml.energy gives the running batch itself."""
    clients = row.running or 1.0
    if row.set == "ml.energy":
        held = requests.isl + model.engine.held_output_frac * requests.osl
        per_sequence = fit * held / clients
        context = min(requests.isl + 0.5 * requests.osl, per_sequence)
        return steady_state(model, requests, clients, context), None
    request_s = data(WORKLOADS)["trtllm.request_s"].value if row.set == NVIDIA else None
    return closed_loop(model, requests, clients, fit, request_s)
