"""Published runs that the model misses: by how much, and what is known of the cause."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Final

from sim.datum import read_yaml
from sim.validation.training_runs import RUNS, RunScore, predict_on

UNKNOWN: Final = "cause not known"
WIDTH: Final = 100


def miss_lines(scores: Sequence[RunScore]) -> list[str]:
    """One paragraph for each run with a miss."""
    lines = []
    for name in dict.fromkeys(s.run for s in scores if not s.holds):
        missed = [s for s in scores if s.run == name and not s.holds]
        errors = ", ".join(f"{s.measure} {s.error_frac:+.0%}" for s in missed)
        text = f"{name} ({errors}): {read_yaml(RUNS)[name].get('cause', UNKNOWN)}"
        told = _on_other_counts(name, scores)
        text += f". On other numbers of GPUs, which are not published: {told}" if told else ""
        lines += wrap(f"{text}.", WIDTH, subsequent_indent="  ")
    return lines


def _on_other_counts(name: str, scores: Sequence[RunScore]) -> str:
    """Errors of the GPU hours on numbers of GPUs that are as likely."""
    score = next((s for s in scores if s.run == name and s.measure == "gpu_hours"), None)
    if score is None:
        return ""
    told = []
    for gpus in read_yaml(RUNS)[name].get("other_gpus", ()):
        run = predict_on(name, gpus)
        if run:
            told.append(f"{gpus:,} {run.gpu_hours / score.published.value - 1:+.0%}")
    return ", ".join(told)
