"""Serving rows as fits: what is measured, what is known, which constants explain the rest."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from sim.cost.steps import StepModel
from sim.validation import load
from sim.validation.predict import measured_state, most_running, row_model, row_requests
from sim.validation.rows import CannotPredictError, MeasuredRow

Floats = NDArray[np.float64]
PRIOR_WEIGHT = 0.03
"""Holds a coefficient that the kept models say nothing of at its start."""


@dataclass(frozen=True)
class Problem:
    """One fit: `model(x)` against `measured`, per row.

    `groups` (models, of each set) weigh alike; a model is left out with all of its groups.
    """

    names: tuple[str, ...]
    start: Floats
    low: Floats
    high: Floats
    model: Callable[[Floats], Floats]
    measured: Floats
    groups: NDArray[np.str_]
    models: NDArray[np.str_]

    def solve(self, keep: NDArray[np.bool_]) -> Floats:
        """Coefficients from the rows of `keep`; each model weighs the same."""
        weight = np.array([1 / np.sqrt((self.groups[keep] == g).sum()) for g in self.groups[keep]])
        # In units of each coefficient: the solver's step tolerance is one number for all.
        found = least_squares(
            lambda x: np.append(
                weight * np.log(self.model(x * self.start)[keep] / self.measured[keep]),
                PRIOR_WEIGHT * (x - 1),
            ),
            np.ones_like(self.start),
            bounds=(self.low / self.start, self.high / self.start),
            loss="soft_l1",
            f_scale=0.1,
        )
        return np.asarray(found.x * self.start)

    def score(self, error: Floats) -> float:
        """Median over models of their medians."""
        medians = [np.median(error[self.groups == g]) for g in np.unique(self.groups)]
        return float(np.median(medians))


@dataclass(frozen=True)
class Case:
    """A row with the parts of its two kinds of steps (without and with prompts)."""

    row: MeasuredRow
    model: StepModel
    state: load.SteadyState


def cases(
    rows: list[MeasuredRow], configs: Path, keep: Callable[[MeasuredRow], bool]
) -> list[Case]:
    """Rows that can be predicted, with their steady states."""
    found = []
    for row in filter(keep, rows):
        try:
            model = row_model(row, configs)
            found.append(Case(row, model, measured_state(row, model, row_requests(row))))
        except CannotPredictError as error:
            print(f"left out {row.id}: {error}")
    return found


def engine_problem(chosen: list[Case], names: tuple[str, ...], start: list[float]) -> Problem:
    """Time per output token, linear in the engine's constants."""
    counts = np.array([[host_counts(case)[name] for name in names] for case in chosen])
    device_s = np.array([c.state.step_s - c.state.host_s for c in chosen])
    measured = np.array([c.row.measured["tpot_mean_ms"] for c in chosen]) * 1e-3
    fixed = np.zeros(len(chosen))
    for i, case in enumerate(chosen):
        for name, count in host_counts(case).items():
            if name not in names:
                fixed[i] += count * getattr(case.model.engine, name)
    x0 = np.array(start)
    return Problem(
        names, x0, np.zeros_like(x0), x0 * 30 + 1e-9,
        lambda x: device_s + fixed + counts @ x,
        measured, np.array([f"{c.row.config} {c.row.set}" for c in chosen]),
        np.array([c.row.config for c in chosen]),
    )  # fmt: skip


def host_counts(case: Case) -> dict[str, float]:
    """How often a mean step pays each constant of the engine."""
    model, share = case.model, case.state.prompt_share
    logits = case.state.running * model.arch.vocab / (model.layout.dp * model.layout.pp)
    kind = model.sampling
    return {
        "step_s": 1.0,
        "layer_s": float(model.arch.n_layers),
        "logit_s": logits * (kind == "sorted"),
        "plain_logit_s": logits * (kind == "plain"),
        "eager_layer_s": share * model.arch.n_layers,
        "scan_layer_s": share * model.scan_layers,
        "chunk_layer_s": model.chunk_layers,
    }


def _first_token_parts(case: Case) -> load.FirstToken:
    requests, clients = row_requests(case.row), case.row.running or 1.0
    at_once = min(clients, most_running(case.model, requests))
    return load.first_token_parts(case.model, requests, at_once)


def first_problem(chosen: list[Case]) -> Problem:
    """Time to the first token in closed loops that the cache holds."""
    parts = [_first_token_parts(case) for case in chosen]
    alone_s = np.array([p.alone_s for p in parts])
    counts = np.array([[p.burst_s, 1.0] for p in parts])
    start = np.array([0.045, 0.01])
    return Problem(
        ("burst_frac", "request_s"),
        start, np.zeros(2), start * 30,
        lambda x: alone_s + counts @ x,
        np.array([c.row.measured["ttft_ms"] for c in chosen]) * 1e-3,
        np.array([f"{c.row.config} {c.row.engine}" for c in chosen]),
        np.array([c.row.config for c in chosen]),
    )  # fmt: skip


WAVES = 10
"""Requests of one client: `--request-count` of genai-perf in the publisher's harness
(ai-dynamo/aiconfigurator@5e161875, src/aiconfigurator/eval/benchmarks/genai_perf_runner.py)."""
UNFITTED_FIRST = np.array([1 / (2 * WAVES), 0.0])
"""First tokens of clients that start together and send WAVES requests each, so that 1 / (2 WAVES)
of all prompts of a burst is waited for; nothing outside the steps."""
ROUNDS = 3


def restated(case: Case, values: dict[str, float]) -> Case:
    """The case with other constants of its engine; given batches keep their state.

    Closed loops sample greedily, so that no constant enters but through the engine.
    """
    if case.row.set != "silicon":
        return case
    model = copy(case.model)
    known: dict[str, Any] = dict(values)
    model.engine = replace(model.engine, **known)
    return Case(case.row, model, measured_state(case.row, model, row_requests(case.row)))


@dataclass(frozen=True)
class Solved:
    """Constants of an engine from some models, and both problems at the states that they give."""

    values: dict[str, float]
    steps: Problem
    step_s: Floats
    first: Problem
    first_s: Floats


@dataclass(frozen=True)
class EngineChain:
    """Step times and first tokens of one engine's loops.

    How many clients run depends on how long first tokens wait, and those on the steps: both are
    fitted in turn, ROUNDS times, and a model that is left out is left out of both.
    """

    chosen: list[Case]
    waiting: list[Case]
    names: tuple[str, ...]
    start: list[float] = field(default_factory=list)

    def solve(self, without: str | None = None) -> Solved:
        """Constants from all models but one."""
        values: dict[str, float] = {}
        for _ in range(ROUNDS):
            first = first_problem([restated(case, values) for case in self.waiting])
            kept = first.models != without
            y = first.solve(kept) if kept.any() else UNFITTED_FIRST
            values |= dict(zip(first.names, y.tolist(), strict=True))
            chosen = [restated(case, values) for case in self.chosen]
            steps = engine_problem(chosen, self.names, self.start)
            x = steps.solve(steps.models != without)
            values |= dict(zip(self.names, x.tolist(), strict=True))
        return Solved(values, steps, steps.model(x), first, first.model(y))

    def left_out(self, whole: Solved) -> Solved:
        """Predictions of each row by the fits without its model; `whole` has them with all."""
        step_s, first_s = whole.step_s.copy(), whole.first_s.copy()
        for model in np.unique(whole.steps.models):
            found = self.solve(model)
            mine, waiting = whole.steps.models == model, whole.first.models == model
            step_s[mine], first_s[waiting] = found.step_s[mine], found.first_s[waiting]
        return replace(whole, step_s=step_s, first_s=first_s)


VLLM_NAMES = (
    "step_s", "layer_s", "logit_s", "plain_logit_s", "eager_layer_s", "scan_layer_s",
    "chunk_layer_s",
)  # fmt: skip
VLLM_START = [6e-4, 2e-5, 3.4e-10, 3.4e-10, 1e-4, 3e-4, 2.5e-4]
TRTLLM_NAMES = ("step_s", "layer_s", "eager_layer_s")
TRTLLM_START = [5e-4, 5e-6, 1e-4]
FIRST_LIMIT_MS = 2000.0
"""Beyond it a first token waits for a place, not for its pass."""


def is_first(row: MeasuredRow, engine: str) -> bool:
    """A closed loop whose first tokens do not wait for a place."""
    return (
        row.set == "silicon" and row.engine == engine and row.measured["ttft_ms"] < FIRST_LIMIT_MS
    )


def engine_chain(engine: str, rows: list[MeasuredRow], configs: Path) -> EngineChain:
    """The loops of an engine: TensorRT-LLM's closed ones, vLLM's with the batches of ml.energy."""
    sets = ("silicon", "ml.energy") if engine == "vllm" else ("silicon",)
    chosen = cases(rows, configs, lambda r: r.set in sets and r.engine == engine)
    waiting = [c for c in chosen if is_first(c.row, engine)]
    names, start = (VLLM_NAMES, VLLM_START) if engine == "vllm" else (TRTLLM_NAMES, TRTLLM_START)
    return EngineChain(chosen, waiting, names, start)
