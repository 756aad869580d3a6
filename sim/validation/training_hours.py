"""Runs of which only GPU hours were published: what step they would mean, and what others measure.

Hours are step time over goodput, and two unknowns cannot be judged by one figure. So the step
that the hours imply, at the model's goodput, stands beside the model's own and beside steps that
were measured by themselves on the same GPU at about the same size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim.cost.layout import most_experts
from sim.datum import read_yaml
from sim.flops import parameters
from sim.units import S_PER_H
from sim.validation.training_runs import RUNS, PredictedRun, RunScore, predict_run
from sim.validation.training_steps import StepScore

STEP_MEASURES: Final = frozenset({"mfu", "step_s", "tokens_per_gpu_s"})
LIKE_FRAC: Final = 0.3
"""Sizes that count as about the same: parameters apart by less."""


@dataclass(frozen=True, slots=True)
class HoursScore:
    """A run whose step was not published.

    Attributes:
        implied_mfu: of its steps, if its goodput was the model's.
        implied_goodput_frac: if its steps were the model's.
        measured: steps of others on its GPU at about its size, (table, model, MFU, GPUs).
    """

    run: str
    predicted: PredictedRun
    gpu_hours: float
    measured: tuple[tuple[str, str, float, int], ...]

    @property
    def tokens_per_gpu_s(self) -> float:
        """Tokens of the run over all of its hours."""
        row = read_yaml(RUNS)[self.run]
        return float(row["tokens"]) / self.gpu_hours / S_PER_H

    @property
    def of_steps(self) -> bool:
        """Whether the hours are a rate times the tokens: steps alone."""
        return bool(read_yaml(RUNS)[self.run].get("rate"))

    @property
    def goodput_frac(self) -> float:
        """The model's; 1 where the hours hold steps alone."""
        return 1.0 if self.of_steps else self._expected

    @property
    def _expected(self) -> float:
        return self.predicted.expected.goodput_frac

    @property
    def implied_mfu(self) -> float:
        """MFU of the steps, if the run lost what the model says beside them."""
        return self.predicted.step.mfu * self._step_hours / (self.gpu_hours * self.goodput_frac)

    @property
    def implied_goodput_frac(self) -> float:
        """Share of the hours in steps, if those were the model's; above 1: they are too slow."""
        return self._step_hours / self.gpu_hours

    @property
    def _step_hours(self) -> float:
        return self.predicted.step_gpu_hours

    @property
    def verdict(self) -> str:
        """What the measured steps of others say of the implied one.

        Hours of steps alone cannot hold more than steps; and where the model's steps take longer
        than all the hours, they are too slow, whatever others measured.
        """
        mfus = [mfu for _, _, mfu, _ in self.measured]
        if self.implied_goodput_frac > 1:
            over = self.implied_goodput_frac - 1
            return f"the model's steps alone take {over:.1%} more than the hours"
        if not mfus:
            return "no step of this size was measured"
        if self.implied_mfu < min(mfus):
            why = "a slower stack" if self.of_steps else "the hours hold more, or a slower stack"
            return f"below every measured step: {why}"
        if self.predicted.step.mfu > max(mfus):
            return "the model's step is above every measured one"
        return "both are steps that others measured"


def score_hours(scores: Sequence[RunScore], steps: Sequence[StepScore]) -> list[HoursScore]:
    """Every run with hours and without a figure of its step."""
    by_run: dict[str, dict[str, RunScore]] = {}
    for score in scores:
        by_run.setdefault(score.run, {})[score.measure] = score
    return [
        HoursScore(name, run := predict_run(name), found["gpu_hours"].published.value,
                   tuple(_like(run, steps)))
        for name, found in by_run.items()
        if "gpu_hours" in found and not STEP_MEASURES & found.keys()
    ]  # fmt: skip


def _like(run: PredictedRun, steps: Sequence[StepScore]) -> list[tuple[str, str, float, int]]:
    """Measured steps on the run's GPU at about its size, dense beside dense."""
    mine = run.setup.arch
    size, mixture = parameters(mine).total, bool(most_experts(mine))
    return [
        (s.table, s.setup.arch.name, s.published_mfu, s.setup.layout.gpus)
        for s in steps
        if s.node == run.node.name
        and s.published_mfu is not None
        and bool(most_experts(s.setup.arch)) == mixture
        and abs(parameters(s.setup.arch).total / size - 1) < LIKE_FRAC
    ]


def hours_lines(found: Sequence[HoursScore]) -> list[str]:
    """The table for the terminal."""
    head = (
        f"{'run':14} {'GPUs':>6} {'tokens/s/GPU':>12} {'MFU implied':>12} {'predicted':>10} "
        f"{'measured by others':>29} {'goodput implied':>16} {'predicted':>10}  verdict"
    )
    lines = [head, "-" * len(head)]
    for one in found:
        span = _span(one)
        lines.append(
            f"{one.run:14} {one.predicted.step.gpus:6,} {one.tokens_per_gpu_s:12,.0f} "
            f"{one.implied_mfu:12.1%} {one.predicted.step.mfu:10.1%} {span:>29} "
            f"{one.implied_goodput_frac:16.0%} {one.goodput_frac:10.0%}  {one.verdict}"
        )
    return lines


def _span(one: HoursScore) -> str:
    """MFU of the measured steps, and on how many GPUs they were."""
    if not one.measured:
        return "-"
    mfus, counts = [m[2] for m in one.measured], [m[3] for m in one.measured]
    few, most = min(counts), max(counts)
    on = f"{few}" if few == most else f"{few} to {most}"
    return f"{min(mfus):.0%} to {max(mfus):.0%} ({len(mfus)}; {on} GPUs)"


def hours_json(found: Sequence[HoursScore]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "run": one.run,
            "gpus": one.predicted.step.gpus,
            "tokens_per_gpu_s": one.tokens_per_gpu_s,
            "implied_mfu": one.implied_mfu,
            "predicted_mfu": one.predicted.step.mfu,
            "implied_goodput_frac": one.implied_goodput_frac,
            "predicted_goodput_frac": one.goodput_frac,
            "measured": [
                {"table": table, "model": model, "mfu": mfu, "gpus": gpus}
                for table, model, mfu, gpus in one.measured
            ],
            "verdict": one.verdict,
        }
        for one in found
    ]
