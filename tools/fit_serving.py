"""Fits the constants of the serving engines on measured rows, and scores them and the power.

    python tools/fit_serving.py FACTS steps --write   then fit_power.py, and `scores`

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
from pathlib import Path

import numpy as np
from serving_problems import VLLM_NAMES, Floats, Problem, engine_chain

from sim.datum import data, read_yaml
from sim.validation.rows import MeasuredRow, read_rows

TODAY = "2026-11-24"
DATA = Path("sim/data/hardware")


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


MLE = "ml.energy H100 rows (ml-energy/leaderboard@0cd52dab)"
SILICON = "closed loops of ai-dynamo/aiconfigurator@095f58a5 silicon_sample.csv"
ROWS = {"vllm": f"{MLE} and {SILICON}", "trtllm": SILICON}


def fit(engine: str, rows: list[MeasuredRow], configs: Path, *, keep: bool) -> None:
    """Both fits of an engine: print, and write if asked to."""
    chain = engine_chain(engine, rows, configs)
    inside = chain.solve()
    outside = chain.left_out(inside)
    for title, problem, found, left, of in (
        ("time per output token", inside.steps, inside.step_s, outside.step_s, ROWS[engine]),
        ("time to the first token", inside.first, inside.first_s, outside.first_s, SILICON),
    ):
        scores = report(f"{engine}, {title}", problem, inside.values, found, left)
        source = (
            f"fitted on {len(problem.measured)} {of}, tools/fit_serving.py; "
            f"median of model medians {scores[0]:.1%}, leaving one model out {scores[1]:.1%}"
        )
        if keep:
            values = {name: inside.values[name] for name in problem.names}
            write(DATA / f"engines/{engine}.yaml", values, source)


def report(
    title: str, problem: Problem, values: dict[str, float], inside: Floats, outside: Floats
) -> tuple[float, float]:
    """Errors in-sample and with each model left out; printed with the coefficients."""
    errors = [np.abs(found / problem.measured - 1) for found in (inside, outside)]
    scores = problem.score(errors[0]), problem.score(errors[1])
    print(f"{title}: {len(problem.measured)} rows of {len(np.unique(problem.groups))} models")
    for name in problem.names:
        print(f"    {name} = {values[name]:.4g}")
    print(f"    median of model medians: in-sample {scores[0]:.3f}, left out {scores[1]:.3f}")
    for group in np.unique(problem.groups):
        mine = problem.groups == group
        print(f"        {group}: {np.median(errors[0][mine]):.3f} {np.median(errors[1][mine]):.3f}")
    return scores


def copy_to_sglang() -> None:
    """SGLang has no measured rows: vLLM's fitted figures, as assumptions."""
    figures = {key: f.value for key, f in data("hardware/engines/vllm.yaml").items()}
    names = (*VLLM_NAMES, "request_s", "burst_frac")
    source = "assumption: no measured row of SGLang; vLLM's figure"
    write(DATA / "engines/sglang.yaml", {name: figures[name] for name in names}, source)


PARTS = ("steps", "scores")


def main() -> None:
    """Fit, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facts", type=Path)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = read_rows(options.facts / "measured" / "serving_h100.csv")
    if options.part == "scores":
        from serving_scores import scores

        scores(rows, options.facts / "arch" / "configs", keep=options.write)
        return
    for engine in ("vllm", "trtllm"):
        fit(engine, rows, options.facts / "arch" / "configs", keep=options.write)
    if options.write:
        for memory in (read_yaml, data):
            memory.cache_clear()
        copy_to_sglang()


if __name__ == "__main__":
    main()
