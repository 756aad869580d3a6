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
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from serving_problems import (
    TRTLLM_NAMES,
    VLLM_NAMES,
    VLLM_START,
    Problem,
    cases,
    engine_problem,
    first_problem,
    is_first,
)

from sim.datum import data
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


MLE = "ml.energy H100 rows (ml-energy/leaderboard@0cd52dab)"
SILICON = "closed loops of ai-dynamo/aiconfigurator@095f58a5 silicon_sample.csv"


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
        from serving_scores import scores

        scores(rows, options.facts / "arch" / "configs", keep=options.write)
        return
    for found in fits(options.part, rows, options.facts / "arch" / "configs"):
        found.run(keep=options.write)
    if options.write:
        data.cache_clear()
        copy_to_sglang()


if __name__ == "__main__":
    main()
