"""Errors of the serving and power models, each model left out in turn, and the gate's scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fit_power import PowerProblem, StepTimes, kernel_prior
from numpy.typing import NDArray
from serving_floor import levels, repeats
from serving_problems import (
    VLLM_NAMES,
    VLLM_START,
    Case,
    Floats,
    Problem,
    cases,
    engine_chain,
    engine_problem,
    host_counts,
)

from sim.validation.rows import MeasuredRow, shipped_rows
from sim.validation.score import predicted_points, summary

SCORES = Path("sim/data/validation/scores.csv")
SCORES_HEADER = """\
# Median over models of their median absolute errors: in_sample with all models in the fit,
# left_out with each model's rows left out of the fit that predicts them (engine constants
# and power, the power with the times that the engine constants give; kernel laws come from kernel
# tables, which no serving row enters). p90 and bias (the median signed error) are of the left-out
# predictions. `aim` is the project's aim for models never measured. The set `ml.energy, node
# known` has each sweep's median error taken out: the same run on two nodes drew 477 and 547 W per
# GPU, and no row says which node it had. `no fit`: nothing was fitted for these rows. How far
# measured runs lie apart (tools/serving_floor.py): floor_repeats is half of the difference of
# equal runs (median pair), floor_levels the median distance of a sweep from its model's mean.
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
    floor: tuple[float, ...] = ()

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
        shown = ",".join(f"{number:.4f}" for number in numbers)
        floor = ",".join(f"{number:.3f}" for number in self.floor) or ","
        models = len(np.unique(self.groups))
        head = f'"{self.set}",{self.measure},{len(error)},{models}'
        return f"{head},{shown},{floor},{AIMS[self.measure]}"

    def within(self, sweeps: NDArray[np.str_]) -> Held:
        """With the median error of each sweep taken out."""
        found = [self.inside.copy(), self.outside.copy()]
        for sweep in np.unique(sweeps):
            mine = sweeps == sweep
            for predicted in found:
                predicted[mine] /= np.median(predicted[mine] / self.measured[mine])
        return Held(f"{self.set}, node known", self.measure, self.measured, *found, self.groups)


@dataclass(frozen=True)
class EnergyChain:
    """Step times and power of the ml.energy rows, each from its own fit."""

    chosen: list[Case]
    steps: Problem
    prior: dict[str, float]

    def predict(self, kept: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Seconds and watts of all rows, both fits made from the rows of `kept`.

        A step that an engine constant makes longer waits longer: it draws less power, but
        takes more energy. So the power is fitted and predicted with the times of these constants.
        """
        constants = self.steps.solve(kept)
        step_s = self.steps.model(constants)
        values = dict(zip(VLLM_NAMES, constants.tolist(), strict=True))
        counts = [host_counts(case) for case in self.chosen]
        sampling_s = np.array(
            [sum(count[k] * values[k] for k in ("logit_s", "plain_logit_s")) for count in counts]
        )
        power = PowerProblem(self.chosen, self.prior, StepTimes(step_s, sampling_s))
        return step_s, power.model(power.solve(kept))

    def left_out(self) -> tuple[Floats, Floats]:
        """The same, each model's rows from fits without them."""
        step_s, watts = np.zeros(len(self.chosen)), np.zeros(len(self.chosen))
        for model in np.unique(self.steps.models):
            mine = self.steps.models == model
            found = self.predict(~mine)
            step_s[mine], watts[mine] = found[0][mine], found[1][mine]
        return step_s, watts


def energy_chain(rows: list[MeasuredRow], configs: Path) -> list[Held]:
    """The measures of ml.energy; time and power with each model left out of both fits."""
    chosen = cases(rows, configs, lambda r: r.set == "ml.energy")
    steps = engine_problem(chosen, VLLM_NAMES, VLLM_START)
    prior = kernel_prior(configs.parents[1] / "measured/kernels_h200_power")
    chain = EnergyChain(chosen, steps, prior)
    sweeps = PowerProblem(chosen, prior).sweeps
    running = np.array([c.state.running for c in chosen])
    gpus = np.array([c.model.layout.gpus for c in chosen])
    inside, outside = chain.predict(np.ones(len(chosen), dtype=bool)), chain.left_out()
    found = []
    for measure, predict in (
        ("tpot_mean_ms", lambda t, _: t * 1e3),
        ("out_tokens_per_s", lambda t, _: running / t),
        ("power_w_per_gpu", lambda _, w: w),
        ("energy_j_per_output_token", lambda t, w: w * t * gpus / running),
    ):
        measured = np.array([c.row.measured[measure] for c in chosen])
        left = predict(*outside)
        floor = (
            float(np.median(repeats(sweeps, running, measured))),
            levels(sweeps, steps.models, left / measured),
        )
        parts = (measured, predict(*inside), left, steps.models, floor)
        held = Held("ml.energy", measure, *parts)
        found.append(held)
        if measure in {"power_w_per_gpu", "energy_j_per_output_token"}:
            found.append(held.within(sweeps))
    return found


def closed_loops(rows: list[MeasuredRow], configs: Path) -> list[Held]:
    """Times of the closed loops of TensorRT-LLM and vLLM with models left out of all fits."""
    found = []
    for engine in ("trtllm", "vllm"):
        chain = engine_chain(engine, rows, configs)
        inside = chain.solve()
        outside = chain.left_out(inside)
        keep = np.array([group.endswith(" silicon") for group in inside.steps.groups])
        steps, first = inside.steps, inside.first
        parts = (steps.measured, inside.step_s, outside.step_s, steps.groups)
        found.append(Held(f"silicon-{engine}", "tpot_mean_ms", *(part[keep] for part in parts)))
        firsts = (first.measured, inside.first_s, outside.first_s, first.groups)
        if engine == "trtllm":
            found.append(Held("silicon-trtllm", "ttft_ms", *firsts))
        else:  # One model: left out, no first token of this engine is in any fit.
            firsts = (first.measured, outside.first_s, outside.first_s, first.groups)
            found.append(Held("silicon-vllm, no fit", "ttft_ms", *firsts))
    return found


def first_tokens_online(rows: list[MeasuredRow], configs: Path) -> Held:
    """First tokens of NVIDIA's online serving of the larger model: every request followed."""
    online = [r for r in rows if r.load.startswith("QPS") and "70B" in r.config]
    points = [p for p in predicted_points(online, configs)[0] if p.measure == "ttft_ms"]
    predicted, measured = (
        np.array([getattr(p, name) for p in points]) for name in ("predicted", "measured")
    )
    models = np.array([p.model for p in points])
    return Held("trtllm 70B online, no fit", "ttft_ms", measured, predicted, predicted, models)


HEAD = (
    "set,measure,rows,models,in_sample,left_out,left_out_p90,left_out_bias,"
    "floor_repeats,floor_levels,aim"
)


def scores(rows: list[MeasuredRow], configs: Path, *, keep: bool) -> None:
    """Errors with models left out, and the scores that the gate holds."""
    held = energy_chain(rows, configs) + closed_loops(rows, configs)
    held.append(first_tokens_online(rows, configs))
    lines = "\n".join([HEAD, *(one.line() for one in held)]) + "\n"
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
