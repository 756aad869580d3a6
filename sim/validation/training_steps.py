"""Measured step rates of training frameworks: is the step off, or what a run loses beside it?

Published GPU hours hold a step and everything that stops it. These tables hold the step alone,
with its layout. Tables with `first_speed_frac` were unseen when first predicted; the law of rings
was mended after them, so that their present errors are seen. A run of the same size on
the same GPU whose hours miss by more than these rows misses elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from textwrap import fill
from typing import Any

from sim import arch
from sim.arch import Architecture
from sim.cost.layout import Layout, check_layout
from sim.cost.training import ASSUMPTIONS, step_without_memory_check
from sim.cost.training_memory import training_memory
from sim.cost.training_setup import TrainingSetup, check_setup
from sim.datum import datum, read_yaml
from sim.errors import InputError
from sim.hardware.node import load_node
from sim.units import gib
from sim.validation.training_runs import WITHIN_FRAC

STEPS = "training/published_steps.yaml"
MODELS = "models"
WIDTH = 100


@dataclass(frozen=True, slots=True)
class StepScore:
    """A published rate against the model's, tokens per second and GPU.

    Attributes:
        predicted: None where the model has no such layout; `why` says what is wrong.
        lacks_bytes: of memory, by the model's count: a framework may keep states in bf16, or
            free activations earlier.
        published_mfu: what the published rate is of the GPU's dense bf16 peak. node: its server.
    """

    table: str
    setup: TrainingSetup
    published: float
    predicted: float | None
    why: str = ""
    lacks_bytes: float = 0.0
    published_mfu: float | None = None
    node: str = ""

    @property
    def error_frac(self) -> float | None:
        """Predicted over published, less 1: above 0 is too fast."""
        return None if self.predicted is None else self.predicted / self.published - 1

    @property
    def holds(self) -> bool:
        """Within 10 %."""
        return self.error_frac is not None and abs(self.error_frac) <= WITHIN_FRAC


def score_steps() -> list[StepScore]:
    """Every row of every table."""
    tables = {name: t for name, t in read_yaml(STEPS).items() if name != MODELS}
    return [_score(name, t, entry) for name, t in tables.items() for entry in t["rows"]]


def _score(name: str, table: dict[str, Any], entry: dict[str, Any]) -> StepScore:
    setup, node = _setup(table | entry), load_node(table["node"])
    published = float(entry["row"][-1])
    try:
        check_layout(setup.trained, setup.layout, node)
        check_setup(setup)
    except InputError as error:
        return StepScore(name, setup, published, None, str(error))
    memory = training_memory(setup)
    step = step_without_memory_check(setup, node, memory)
    lacks_bytes = max(0.0, sum(memory.values()) - node.device.usable_bytes)
    rate = step.tokens / step.time_s / step.gpus
    mfu = step.mfu * published / rate
    return StepScore(
        name, setup, published, rate, lacks_bytes=lacks_bytes, published_mfu=mfu, node=node.name
    )


def _setup(entry: dict[str, Any]) -> TrainingSetup:
    """A row with what its table says of all rows."""
    model, gpus, tokens, sequences, micro, tp, pp, cp, ep, virtual, _ = entry["row"]
    attention = entry.get("attention")
    return TrainingSetup(
        arch=_model(model),
        layout=Layout(tp, pp, gpus // (tp * pp), ep, entry["zero"], virtual),
        sequence_tokens=tokens,
        global_batch_tokens=sequences * tokens,
        micro_batch_sequences=micro,
        recompute=entry["recompute"],
        precision=entry.get("precision", "bf16"),
        context_parallel=cp,
        dispatcher=entry.get("dispatcher", "deepep"),
        routed_nodes=entry.get("routed_nodes"),
        routed_gpus=entry.get("routed_gpus"),
        attention_speed_frac=datum(ASSUMPTIONS, f"attention.{attention}").value
        if attention
        else 1.0,
    )


def _model(name: str) -> Architecture:
    own = read_yaml(STEPS)[MODELS]
    return arch.from_config(own[name], name) if name in own else arch.load(name)


def step_lines(scores: Sequence[StepScore]) -> list[str]:
    """Rows and what they say by table, for the terminal."""
    head = (
        f"{'table':20} {'model':16} {'GPUs':>5} {'tokens':>7} {'published':>10} {'predicted':>10} "
        f"{'error':>8}  verdict"
    )
    lines = [head, "-" * len(head)]
    for s in scores:
        where = f"{s.table:20} {s.setup.arch.name:16} {s.setup.layout.gpus:5}"
        row = f"{where} {s.setup.sequence_tokens:7} {s.published:10.4g}"
        if s.predicted is None or s.error_frac is None:
            lines.append(f"{row} {'-':>10} {'-':>8}  {s.why.partition(' (')[0]}")
            continue
        verdict = "within 10 %" if s.holds else "MISS (wanted 10 %)"
        if s.lacks_bytes:
            verdict += f"; lacks {gib(s.lacks_bytes)} by the model's count"
        lines.append(f"{row} {s.predicted:10.4g} {s.error_frac:+8.1%}  {verdict}")
    return [*lines, *(_table_line(name, found) for name, found in _by_table(scores).items())]


def _by_table(scores: Sequence[StepScore]) -> dict[str, list[StepScore]]:
    names = dict.fromkeys(s.table for s in scores)
    return {name: [s for s in scores if s.table == name] for name in names}


def _table_line(name: str, scores: Sequence[StepScore]) -> str:
    errors = [s.error_frac for s in scores if s.error_frac is not None]
    if not errors:
        return f"{name}: none of {len(scores)} rows can be laid out"
    table = read_yaml(STEPS)[name]
    first, note = table.get("first_speed_frac"), table.get("note")
    seen = "unseen" if first is None else f"when first predicted {first:+.1%}"
    line = (
        f"{name}: {len(errors)} of {len(scores)} rows, median error "
        f"{median(abs(e) for e in errors):.1%}, speed {median(errors):+.1%} ({seen}); "
        f"{sum(s.holds for s in scores)} hold"
    )
    return fill(f"{line}. {note}" if note else line, WIDTH, subsequent_indent="  ")


def steps_json(scores: Sequence[StepScore]) -> list[dict[str, Any]]:
    """The same for machines."""
    tables = read_yaml(STEPS)
    return [
        {
            "table": s.table,
            "model": s.setup.arch.name,
            "gpus": s.setup.layout.gpus,
            "sequence_tokens": s.setup.sequence_tokens,
            "tokens_per_gpu_s": s.published,
            "predicted": s.predicted,
            "error_frac": s.error_frac,
            "holds": s.holds,
            "lacks_bytes": s.lacks_bytes,
            "why": s.why,
            "source": f"{tables[s.table]['source']} ({tables[s.table]['as_of']})",
        }
        for s in scores
    ]
