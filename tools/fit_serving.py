"""Fits the constants of the serving engines on measured rows, and scores them and the power.

    python tools/fit_serving.py FACTS steps --write   then fit_power.py, `first`, and `scores`

FACTS/measured/serving_h100.csv and FACTS/arch/configs. Step times are linear in an
engine's constants once the kernels are known, so a fit is a robust least squares on the
logarithm of the time (of the power), each model weighing the same. Printed: the
coefficients, the errors in-sample, and those of each model when it is left out of the fit
(median of the per-model medians). With --write the values go into `sim/data/hardware`;
`scores` writes the errors of all measures into `sim/data/validation/scores.csv`.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from sim.cost.steps import StepModel
from sim.datum import data
from sim.validation import load
from sim.validation.predict import measured_state, row_model, row_requests
from sim.validation.rows import CannotPredictError, MeasuredRow, read_rows, shipped_rows
from sim.validation.score import predicted_points, summary

Floats = NDArray[np.float64]
TODAY = "2026-11-24"
DATA = Path("sim/data/hardware")
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

    def report(self, title: str) -> tuple[Floats, float, float]:
        """Coefficients, error in-sample and with each model left out; printed."""
        everything = np.ones(len(self.measured), dtype=bool)
        x = self.solve(everything)
        inside = np.abs(self.model(x) / self.measured - 1)
        alone = len(np.unique(self.models)) == 1
        outside = inside if alone else np.abs(self.left_out() / self.measured - 1)
        scores = self.score(inside), self.score(outside)
        print(f"{title}: {len(self.measured)} rows of {len(np.unique(self.groups))} models")
        for name, value in zip(self.names, x, strict=True):
            print(f"    {name} = {value:.4g}")
        print(f"    median of model medians: in-sample {scores[0]:.3f}, left out {scores[1]:.3f}")
        for group in np.unique(self.groups):
            mine = self.groups == group
            print(f"        {group}: {np.median(inside[mine]):.3f} {np.median(outside[mine]):.3f}")
        return x, *scores

    def left_out(self) -> Floats:
        """Predictions of each row by the fit without its model."""
        found = np.zeros_like(self.measured)
        for model in np.unique(self.models):
            mine = self.models == model
            found[mine] = self.model(self.solve(~mine))[mine]
        return found

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


def first_problem(chosen: list[Case]) -> Problem:
    """Time to the first token in closed loops that the cache holds."""
    parts = [load.first_token_parts(c.model, row_requests(c.row), c.state.running) for c in chosen]
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


def write(file: Path, values: dict[str, float], source: str) -> None:
    """Replace the values and sources of entries of a YAML file of figures, one a line."""
    text = file.read_text("utf-8")
    for name, value in values.items():
        line = re.compile(
            rf"^(\s*{name}: \{{value: )[^,]+(, unit: [^,]+, source: )\"[^\"]*\"(, as_of: )[\d-]+",
            re.MULTILINE,
        )
        text, count = line.subn(rf'\g<1>{value:.4g}\g<2>"{source}"\g<3>{TODAY}', text)
        if count != 1:
            raise SystemExit(f"{file}: no entry {name}")
    file.write_text(text, "utf-8")


@dataclass(frozen=True)
class Fit:
    """One fit of the script: its problem, its data file, and where its rows are from."""

    title: str
    file: str
    rows: str
    problem: Problem

    def run(self, *, keep: bool) -> None:
        """Solve, print, and write if asked to."""
        x, inside, outside = self.problem.report(self.title)
        source = (
            f"fitted on {len(self.problem.measured)} {self.rows}, tools/fit_serving.py; "
            f"median of model medians {inside:.1%}, leaving one model out {outside:.1%}"
        )
        if keep:
            write(DATA / self.file, dict(zip(self.problem.names, x, strict=True)), source)


VLLM_NAMES = (
    "step_s", "layer_s", "logit_s", "plain_logit_s", "eager_layer_s", "scan_layer_s",
    "chunk_layer_s",
)  # fmt: skip
VLLM_START = [6e-4, 2e-5, 3.4e-10, 3.4e-10, 1e-4, 3e-4, 2.5e-4]
TRTLLM_NAMES = ("step_s", "layer_s", "eager_layer_s")
MLE = "ml.energy H100 rows (ml-energy/leaderboard@0cd52dab)"
SILICON = "closed loops of ai-dynamo/aiconfigurator@095f58a5 silicon_sample.csv"
FIRST_LIMIT_MS = 2000.0
"""Beyond it a first token waits for a place, not for its pass."""


def is_first(row: MeasuredRow, engine: str) -> bool:
    """A closed loop whose first tokens do not wait for a place."""
    return (
        row.set == "silicon" and row.engine == engine and row.measured["ttft_ms"] < FIRST_LIMIT_MS
    )


def fits(part: str, rows: list[MeasuredRow], configs: Path) -> list[Fit]:
    """The fits of one part; later parts use what earlier ones wrote."""
    vllm = lambda: cases(rows, configs, lambda r: r.set == "ml.energy")  # noqa: E731
    if part == "steps":
        closed = cases(rows, configs, lambda r: r.set == "silicon" and r.engine == "vllm")
        trt = cases(rows, configs, lambda r: r.set == "silicon" and r.engine == "trtllm")
        return [
            Fit("vLLM, time per output token", "engines/vllm.yaml", f"{MLE} and {SILICON}",
                engine_problem(vllm() + closed, VLLM_NAMES, VLLM_START)),
            Fit("TensorRT-LLM, time per output token", "engines/trtllm.yaml", SILICON,
                engine_problem(trt, TRTLLM_NAMES, [5e-4, 5e-6, 1e-4])),
        ]  # fmt: skip
    return [
        Fit(f"{engine}, time to the first token", f"engines/{engine}.yaml", SILICON,
            first_problem(cases(rows, configs, partial(is_first, engine=engine))))
        for engine in ("vllm", "trtllm")
    ]  # fmt: skip


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
    from fit_power import PowerProblem, kernel_prior

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


def copy_to_sglang() -> None:
    """SGLang has no measured rows: vLLM's fitted figures, as assumptions."""
    figures = {key: f.value for key, f in data("hardware/engines/vllm.yaml").items()}
    names = (*VLLM_NAMES, "request_s", "burst_frac")
    source = "assumption: no measured row of SGLang; vLLM's figure"
    write(DATA / "engines/sglang.yaml", {name: figures[name] for name in names}, source)


PARTS = ("steps", "first", "scores")


def main() -> None:
    """Fit, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facts", type=Path)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = read_rows(options.facts / "measured" / "serving_h100.csv")
    if options.part == "scores":
        scores(rows, options.facts / "arch" / "configs", keep=options.write)
        return
    for found in fits(options.part, rows, options.facts / "arch" / "configs"):
        found.run(keep=options.write)
    if options.write:
        data.cache_clear()
        copy_to_sglang()


if __name__ == "__main__":
    main()
