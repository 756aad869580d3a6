"""Errors of the serving and power models, each model left out in turn, and the gate's scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from fit_power import PowerProblem, kernel_prior
from numpy.typing import NDArray
from serving_problems import (
    TRTLLM_NAMES,
    VLLM_NAMES,
    VLLM_START,
    Floats,
    cases,
    engine_problem,
    first_problem,
    is_first,
)

from sim.validation.rows import MeasuredRow, shipped_rows
from sim.validation.score import predicted_points, summary

SCORES = Path("sim/data/validation/scores.csv")
SCORES_HEADER = """\
# Median over models of their median absolute errors: in_sample with all models in the fit,
# left_out with each model's rows left out of the fit that predicts them (engine constants
# and power; kernel laws come from kernel tables, which no serving row enters). p90 and bias
# (the median signed error) are of the left-out predictions. `aim` is the project's aim for
# models never measured. The set `ml.energy, node known` has each sweep's median error taken
# out: the same run on two nodes drew 477 and 547 W per GPU, and no row says which node it had.
# Reproduce: python tools/fit_serving.py FACTS scores --write
"""
COMMITTED = Path("sim/data/validation/committed.csv")
COMMITTED_HEADER = """\
# Scores (median of model medians) that a change must not worsen by more than 10 %, with all
# fitted figures as committed: of the rows that flopgrid ships, and of all reference rows.
# Reproduce: python tools/fit_serving.py FACTS scores --write
"""
AIMS = {
    "tpot_mean_ms": 0.05, "out_tokens_per_s": 0.07, "power_w_per_gpu": 0.05,
    "energy_j_per_output_token": 0.06, "ttft_ms": 0.12,
}  # fmt: skip


@dataclass(frozen=True)
class Held:
    """Predictions of one measure: `inside` with all models in the fit, `outside` left out."""

    set: str
    measure: str
    measured: Floats
    inside: Floats
    outside: Floats
    groups: NDArray[np.str_]

    def score(self, predicted: Floats) -> float:
        """Median over models of their medians."""
        error = np.abs(predicted / self.measured - 1)
        medians = [np.median(error[self.groups == g]) for g in np.unique(self.groups)]
        return float(np.median(medians))

    def line(self) -> str:
        """A row of the table of scores."""
        error = self.outside / self.measured - 1
        numbers = (
            self.score(self.inside), self.score(self.outside),
            np.quantile(np.abs(error), 0.9), np.median(error),
        )  # fmt: skip
        shown = ",".join(f"{number:.3f}" for number in numbers)
        models = len(np.unique(self.groups))
        return f'"{self.set}",{self.measure},{len(error)},{models},{shown},{AIMS[self.measure]}'

    def within(self, sweeps: NDArray[np.str_]) -> Held:
        """With the median error of each sweep taken out."""
        found = [self.inside.copy(), self.outside.copy()]
        for sweep in np.unique(sweeps):
            mine = sweeps == sweep
            for predicted in found:
                predicted[mine] /= np.median(predicted[mine] / self.measured[mine])
        return Held(f"{self.set}, node known", self.measure, self.measured, *found, self.groups)


def energy_chain(rows: list[MeasuredRow], configs: Path) -> list[Held]:
    """The measures of ml.energy; time and power with each model left out of both fits."""
    chosen = cases(rows, configs, lambda r: r.set == "ml.energy")
    steps = engine_problem(chosen, VLLM_NAMES, VLLM_START)
    power = PowerProblem(chosen, kernel_prior(configs.parents[1] / "measured/kernels_h200_power"))
    everything = np.ones(len(chosen), dtype=bool)
    running = np.array([c.state.running for c in chosen])
    gpus = np.array([c.model.layout.gpus for c in chosen])
    inside = steps.model(steps.solve(everything)), power.model(power.solve(everything))
    outside = steps.left_out(), power.left_out()
    found = []
    for measure, predict in (
        ("tpot_mean_ms", lambda t, _: t * 1e3),
        ("out_tokens_per_s", lambda t, _: running / t),
        ("power_w_per_gpu", lambda _, w: w),
        ("energy_j_per_output_token", lambda t, w: w * t * gpus / running),
    ):
        measured = np.array([c.row.measured[measure] for c in chosen])
        held = Held(
            "ml.energy", measure, measured, predict(*inside), predict(*outside), power.groups
        )
        found.append(held)
        if measure in {"power_w_per_gpu", "energy_j_per_output_token"}:
            found.append(held.within(power.sweeps))
    return found


def closed_loops(rows: list[MeasuredRow], configs: Path) -> list[Held]:
    """Times of the closed loops of TensorRT-LLM and vLLM with models left out."""
    trt = cases(rows, configs, lambda r: r.set == "silicon" and r.engine == "trtllm")
    first = cases(rows, configs, partial(is_first, engine="trtllm"))
    vllm = cases(
        rows, configs,
        lambda r: r.set == "ml.energy" or (r.set == "silicon" and r.engine == "vllm"),
    )  # fmt: skip
    found = []
    for name, measure, problem in (
        ("silicon-trtllm", "tpot_mean_ms", engine_problem(trt, TRTLLM_NAMES, [5e-4, 5e-6, 1e-4])),
        ("silicon-trtllm", "ttft_ms", first_problem(first)),
        ("silicon-vllm", "tpot_mean_ms", engine_problem(vllm, VLLM_NAMES, VLLM_START)),
    ):
        everything = np.ones(len(problem.measured), dtype=bool)
        inside, outside = problem.model(problem.solve(everything)), problem.left_out()
        keep = everything
        if name == "silicon-vllm":
            keep = np.array([group.endswith(" silicon") for group in problem.groups])
        parts = (problem.measured, inside, outside, problem.groups)
        found.append(Held(name, measure, *(part[keep] for part in parts)))
    return found


def scores(rows: list[MeasuredRow], configs: Path, *, keep: bool) -> None:
    """Errors with models left out, and the scores that the gate holds."""
    held = energy_chain(rows, configs) + closed_loops(rows, configs)
    head = "set,measure,rows,models,in_sample,left_out,left_out_p90,left_out_bias,aim"
    lines = "\n".join([head, *(one.line() for one in held)]) + "\n"
    print(lines)
    made = committed_lines(rows, configs)
    if keep:
        SCORES.write_text(SCORES_HEADER + lines, "utf-8")
        COMMITTED.write_text(COMMITTED_HEADER + made, "utf-8")


def committed_lines(rows: list[MeasuredRow], configs: Path) -> str:
    """The table of committed scores."""
    lines = ["rows,set,measure,score"]
    for name, chosen, folder in (("shipped", shipped_rows(), None), ("reference", rows, configs)):
        points, _ = predicted_points(chosen, folder)
        for key, measures in summary(points, chosen).items():
            for measure, errors in measures.items():
                score = errors["median_of_model_medians"]
                if score is not None and key != "all":
                    lines.append(f"{name},{key},{measure},{score:.4f}")
    return "\n".join(lines) + "\n"
