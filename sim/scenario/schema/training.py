"""Training jobs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Name, Strict, Whole
from sim.scenario.schema.layout import LayoutSpec


class Checkpointing(Strict):
    """When a training job saves its state.

    `young-daly` saves as often as loses least under the job's failures.
    """

    rule: Literal["fixed", "young-daly"] = "fixed"
    interval_s: float = Field(1800.0, gt=0, le=604_800)


class NoFailures(Strict):
    """Nothing interrupts the job."""

    kind: Literal["none"]


class PoissonFailures(Strict):
    """Interruptions at a constant rate per GPU; each throws the job back to its checkpoint.

    Left out, a figure is the one of `sim/data/training/failures.yaml`. Nodes that the layout
    leaves over are the spares.
    """

    kind: Literal["poisson"]
    gpu_mtbf_h: float | None = Field(None, gt=0, le=1e9)
    restart_s: float | None = Field(None, ge=0, le=1e7)
    repair_h: float | None = Field(None, ge=0, le=1e5)


FailuresSpec = Annotated[NoFailures | PoissonFailures, Field(discriminator="kind")]


class TrainingSpec(Strict):
    """A training job. Give `budget_flops` or `tokens`."""

    kind: Literal["training"]
    name: Name = "training"
    arch: str
    budget_flops: float | None = Field(None, gt=0, le=1e32)
    tokens: float | None = Field(None, gt=0, le=1e18)
    gpus: Whole | None = Field(None, ge=1, description="default: all GPUs of the site left over")
    layout: LayoutSpec = LayoutSpec()
    precision: Literal["bf16"] = "bf16"
    sequence_tokens: Whole = Field(8192, ge=1, le=10_000_000)
    global_batch_tokens: Whole = Field(16_777_216, ge=1, le=10_000_000_000)
    micro_batch_sequences: Whole = Field(1, ge=1, le=4096)
    recompute: Literal["none", "selective", "full"] = "selective"
    checkpoint: Checkpointing = Checkpointing()
    failures: FailuresSpec = NoFailures(kind="none")

    @model_validator(mode="after")
    def _young_daly_needs_failures(self) -> Self:
        if self.checkpoint.rule == "young-daly" and self.failures.kind == "none":
            raise ValueError("young-daly needs failures; give failures: {kind: poisson}")
        return self

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if (self.budget_flops is None) == (self.tokens is None):
            raise ValueError("a training job needs one amount; give either budget_flops or tokens")
        return self
