"""Training jobs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.cost.training_network import Fabric, RegionMode, Regions
from sim.cost.training_setup import Dispatcher, Schedule
from sim.scenario.schema.base import Name, Strict, Whole, refuse_idle
from sim.scenario.schema.layout import LayoutSpec


class Checkpointing(Strict):
    """When and how a training job saves its state.

    `young-daly` saves as often as loses least under the job's failures. `synchronous`: all
    GPUs wait until it is written. `asynchronous`: they wait for the copy to their hosts, and
    the writing goes on beside the steps.
    """

    rule: Literal["fixed", "young-daly"] = "fixed"
    interval_s: float = Field(1800.0, gt=0, le=604_800)
    mode: Literal["synchronous", "asynchronous"] = "synchronous"
    storage_bytes_per_s: float | None = Field(
        None, gt=0, le=1e16, description="default: the share of the storage that belongs to the job"
    )
    first_after_s: float | None = Field(
        None, ge=0, le=604_800, description="shifts the checkpoints of a job against another's"
    )

    @model_validator(mode="after")
    def _one_interval(self) -> Self:
        if self.rule == "young-daly":
            refuse_idle(self, ["interval_s"], "with rule young-daly, which chooses it")
        return self


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


class FailuresByCause(Strict):
    """Interruptions by cause, at the rates of the published Llama-3 run: per GPU or per node.

    Detection, a spare node where hardware failed, start of the processes and reading the
    checkpoint each take their time. `rate_factor` scales all rates.
    """

    kind: Literal["by-cause"]
    rate_factor: float = Field(1.0, gt=0, le=1000)
    detect_s: float | None = Field(None, ge=0, le=1e6)
    swap_s: float | None = Field(None, ge=0, le=1e6)
    start_s: float | None = Field(None, ge=0, le=1e6)
    repair_h: float | None = Field(None, ge=0, le=1e5)


FailuresSpec = Annotated[
    NoFailures | PoissonFailures | FailuresByCause, Field(discriminator="kind")
]


class StragglersSpec(Strict):
    """Slow nodes, each of which slows the whole job until it is replaced by a spare."""

    node_mtbf_h: float | None = Field(None, gt=0, le=1e9)
    slow_frac: float | None = Field(None, gt=0, le=10)
    detect_s: float | None = Field(None, gt=0, le=1e7)


class MaintenanceSpec(Strict):
    """Planned interruptions, saved before; default: as often as in the published Llama-3 run."""

    interval_h: float | None = Field(None, gt=0, le=10_000)
    duration_s: float | None = Field(None, ge=0, le=1e6)


class EvaluationSpec(Strict):
    """After so many steps all GPUs evaluate the model for a time, at the power of forward."""

    every_steps: Whole = Field(ge=1, le=10_000_000)
    time_s: float = Field(gt=0, le=1e6)


class NetworkSpec(Strict):
    """The fat tree between nodes."""

    pod_gpus: Whole = Field(3072, ge=8, le=1_000_000)
    oversubscription: float = Field(1.0, ge=1.0, le=100.0)
    rail_optimised: bool = True

    def to_fabric(self) -> Fabric:
        """The same for the cost model."""
        return Fabric(self.pod_gpus, self.oversubscription, self.rail_optimised)


class RegionsSpec(Strict):
    """Sites that share the job, each with an equal part of its replicas.

    Give `count` sites a training workload of the same name, with these settings and the GPUs
    and the layout of one part; `tokens` or `budget_flops` and `global_batch_tokens` are those
    of the whole job. All parts step, fail and recover together.
    """

    count: Whole = Field(ge=2, le=64)
    link_bytes_per_s: float = Field(gt=0, le=1e15, description="of a site, each direction")
    latency_s: float = Field(0.02, ge=0, le=1.0, description="one way between two sites")
    mode: RegionMode = "hierarchical"
    local_steps: Whole = Field(100, ge=1, le=100_000, description="mode local-sgd only")

    @model_validator(mode="after")
    def _local_steps_are_of_local_sgd(self) -> Self:
        if self.mode != "local-sgd":
            refuse_idle(self, ["local_steps"], f"with mode {self.mode}, which averages each step")
        return self

    def to_regions(self) -> Regions:
        """The same for the cost model."""
        return Regions(
            self.count, self.link_bytes_per_s, self.latency_s, self.mode, self.local_steps
        )


class Smoothing(Strict):
    """What keeps the job's power steady: dummy work, which costs energy.

    Args:
        floor_gpu_w: least power of a GPU while the job works.
        ramp_gpu_w_per_s: fastest change of a GPU's power, within steps and around pauses.
        start_s: time over which a cold start is spread.
    """

    floor_gpu_w: float = Field(0.0, ge=0, le=2000)
    ramp_gpu_w_per_s: float | None = Field(None, gt=0, le=1e6)
    start_s: float = Field(0.0, ge=0, le=86_400)


class WindowSpec(Strict):
    """A stretch of the run in which every phase of every step is recorded."""

    from_s: float = Field(ge=0, le=1e9)
    to_s: float = Field(gt=0, le=1e9)


class TrainingSpec(Strict):
    """A training job. Give `budget_flops`, `tokens` or `target_loss`.

    `target_loss` (nats per token of the scaling law's own data) becomes tokens by the law; a
    mixture counts as a dense model between its active and its whole size.
    """

    kind: Literal["training"]
    name: Name = "training"
    arch: str
    budget_flops: float | None = Field(None, gt=0, le=1e32)
    tokens: float | None = Field(None, gt=0, le=1e18)
    target_loss: float | None = Field(None, gt=0, le=20)
    scaling_law: Literal["besiroglu-2024", "hoffmann-2022", "hoffmann-2022-unrounded"] = (
        "besiroglu-2024"
    )
    gpus: Whole | None = Field(None, ge=1, description="default: all GPUs of the site left over")
    layout: LayoutSpec = LayoutSpec()
    precision: Literal["bf16", "fp8"] = "bf16"
    sequence_tokens: Whole = Field(8192, ge=1, le=10_000_000)
    global_batch_tokens: Whole = Field(16_777_216, ge=1, le=10_000_000_000)
    micro_batch_sequences: Whole = Field(1, ge=1, le=4096)
    recompute: Literal["none", "selective", "full"] = "selective"
    context_parallel: Whole = Field(1, ge=1, le=1024, description="GPUs that share a sequence")
    schedule: Schedule = Field(
        "1f1b",
        description="of the pipeline; zb1p: zero bubble; dualpipe: both directions at once",
    )
    dispatcher: Dispatcher = Field(
        "deepep",
        description="of tokens to experts; deepep: once to each node and GPU that holds any of "
        "them; all-to-all: once for each expert",
    )
    routed_nodes: Whole | None = Field(
        None, ge=1, le=4096, description="most nodes that a token's experts lie on; default: any"
    )
    multi_token: Whole = Field(0, ge=0, le=8, description="modules of multi-token prediction")
    network: NetworkSpec = NetworkSpec()
    regions: RegionsSpec | None = None
    checkpoint: Checkpointing = Checkpointing()
    failures: FailuresSpec = NoFailures(kind="none")
    stragglers: StragglersSpec | None = None
    maintenance: MaintenanceSpec | None = None
    evaluation: EvaluationSpec | None = None
    smoothing: Smoothing = Smoothing()
    fidelity: Literal["interval", "step"] = "interval"
    windows: list[WindowSpec] = Field([WindowSpec(from_s=0.0, to_s=60.0)], max_length=32)

    @model_validator(mode="after")
    def _young_daly_needs_failures(self) -> Self:
        if self.checkpoint.rule == "young-daly" and self.failures.kind == "none":
            raise ValueError("young-daly needs failures; give failures: {kind: poisson}")
        return self

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        amounts = (self.budget_flops, self.tokens, self.target_loss)
        if sum(amount is not None for amount in amounts) != 1:
            raise ValueError(
                "a training job needs one amount; give either budget_flops or tokens "
                "(or target_loss)"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_said_in_vain(self) -> Self:
        if self.target_loss is None:
            refuse_idle(self, ["scaling_law"], "without target_loss, which it turns into tokens")
        if self.fidelity == "step":
            refuse_idle(self, ["windows"], "with fidelity step, which records every step")
        return self

    @model_validator(mode="after")
    def _windows_have_a_length(self) -> Self:
        for window in self.windows:
            if window.to_s <= window.from_s:
                raise ValueError(
                    f"window from {window.from_s:g} s to {window.to_s:g} s is empty; "
                    "give to_s above from_s"
                )
        return self
