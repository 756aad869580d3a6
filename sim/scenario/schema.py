"""What a scenario file may say. Closed: an unknown key is an error.

Names carry their unit. `Field` limits are the ones that errors quote.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sim.cost.layout import Layout

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]


def _whole(value: object) -> object:
    """1e5 is a whole number; true and "5" are not."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Strict(BaseModel):
    """Base of all scenario parts: closed and frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class At(Strict):
    """Where a site connects."""

    zone: str = Field(description="zone of the grid case, for example TX-ERCOT or VA")


class Cluster(Strict):
    """The servers of a site. Give `nodes` or `gpus`; without, what its workloads need."""

    node: str = "dgx-h100"
    nodes: Whole | None = Field(None, ge=1, le=10_000_000)
    gpus: Whole | None = Field(None, ge=8, le=80_000_000)


class Facility(Strict):
    """The building of a site."""

    pue_design: float = Field(1.2, ge=1.0, le=3.0, description="facility energy / IT energy")


class LayoutSpec(Strict):
    """Parallel layout; `dp` is filled up to the GPUs of the workload if left out."""

    tp: Whole = Field(1, ge=1, le=64)
    pp: Whole = Field(1, ge=1, le=512)
    dp: Whole | None = Field(None, ge=1, le=1_000_000)
    ep: Whole = Field(1, ge=1, le=4096)
    zero: Literal[0, 1, 2, 3] = 0
    virtual_stages: Whole = Field(1, ge=1, le=64)

    def to_layout(self) -> Layout:
        """The layout, with dp 1 where it is left out."""
        return Layout(self.tp, self.pp, self.dp or 1, self.ep, self.zero, self.virtual_stages)


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


class EmpiricalLengthsSpec(Strict):
    """Lengths drawn from the joint histogram of a trace that ships with the product."""

    kind: Literal["empirical"]
    name: str = "azure-conv-2023"


class ConstantLengthsSpec(Strict):
    """All requests alike."""

    kind: Literal["constant"]
    input_tokens: Whole = Field(ge=1, le=10_000_000)
    output_tokens: Whole = Field(ge=1, le=10_000_000)


LengthsSpec = Annotated[EmpiricalLengthsSpec | ConstantLengthsSpec, Field(discriminator="kind")]
CONVERSATIONS = EmpiricalLengthsSpec(kind="empirical")


class PoissonRequests(Strict):
    """Independent arrivals at a constant rate to the whole fleet."""

    kind: Literal["poisson"]
    rate_per_s: float = Field(gt=0, le=1e9)
    lengths: LengthsSpec = CONVERSATIONS


class GammaRequests(Strict):
    """Gamma-distributed gaps; `cv` above 1 is burstier than Poisson."""

    kind: Literal["gamma"]
    rate_per_s: float = Field(gt=0, le=1e9)
    cv: float = Field(gt=0, le=100)
    lengths: LengthsSpec = CONVERSATIONS


class OnOffRequests(Strict):
    """Poisson arrivals whose rate switches between two values."""

    kind: Literal["on-off"]
    on_rate_per_s: float = Field(gt=0, le=1e9)
    off_rate_per_s: float = Field(0.0, ge=0, le=1e9)
    mean_on_s: float = Field(gt=0, le=1e7)
    mean_off_s: float = Field(gt=0, le=1e7)
    lengths: LengthsSpec = CONVERSATIONS


class TraceRequests(Strict):
    """Arrivals that follow a trace file, with lengths drawn from its joint histogram.

    `rate_per_s` scales the trace to a mean rate of the whole fleet; without it the recorded
    arrivals are repeated end to end.
    """

    kind: Literal["trace"]
    file: str = Field(description="CSV or Parquet, relative to the scenario file")
    rate_per_s: float | None = Field(None, gt=0, le=1e9)
    on_bad_rows: Literal["stop", "skip"] = "stop"


Requests = Annotated[
    PoissonRequests | GammaRequests | OnOffRequests | TraceRequests, Field(discriminator="kind")
]


class ServingSpec(Strict):
    """A serving fleet of equal replicas. Its size: `gpus`, `sized_for_frac`, or what is left."""

    kind: Literal["serving"]
    name: Name = "serving"
    arch: str
    gpus: Whole | None = Field(None, ge=1, description="default: all GPUs of the site left over")
    layout: LayoutSpec = LayoutSpec()
    precision: Literal["bf16"] = "bf16"
    requests: Requests
    router: Literal["round-robin", "join-shortest-queue", "power-of-two"] = "power-of-two"
    batcher: Literal["chunked-prefill", "prefill-priority"] = "chunked-prefill"
    sized_for_frac: float | None = Field(
        None,
        gt=0,
        le=1,
        description="choose the GPUs so that replicas are this busy; in place of gpus",
    )
    max_num_seqs: Whole = Field(256, ge=1, le=65_536)
    max_num_batched_tokens: Whole = Field(8192, ge=1, le=1_000_000)
    representative_replicas: Whole = Field(
        4, ge=2, le=1024, description="replicas simulated request by request; the rest is scaled"
    )
    warmup_s: float = Field(60.0, ge=0)


Workload = Annotated[TrainingSpec | ServingSpec, Field(discriminator="kind")]


class Site(Strict):
    """A data centre: a cluster in a building at a place, with its workloads."""

    name: Name
    at: At
    cluster: Cluster
    facility: Facility = Facility()
    workloads: list[Workload] = Field(min_length=1, max_length=64)

    @model_validator(mode="after")
    def _distinct_workloads(self) -> Self:
        _refuse_duplicates("workload", [w.name for w in self.workloads])
        return self


class ZonalGrid(Strict):
    """The zonal view of the grid."""

    kind: Literal["zonal"] = "zonal"
    case: Literal["us-states"] = "us-states"
    samples: Whole = Field(128, ge=8, le=65_536, description="samples over the assumptions' ranges")
    hosting: bool = Field(True, description="also ask what fits in every other zone")
    peak_window_s: float = Field(900.0, gt=0, le=86_400, description="window of the meter's peak")


class NoCap(Strict):
    """No power cap."""

    kind: Literal["none"] = "none"


class StaticCap(Strict):
    """Every GPU is capped, all the time."""

    kind: Literal["static"]
    gpu_w: float = Field(ge=100, le=700)


class Control(Strict):
    """Run-time rules."""

    power_cap: Annotated[NoCap | StaticCap, Field(discriminator="kind")] = NoCap()


class Record(Strict):
    """What a run writes beside its summary."""

    requests: Literal["none", "all"] = "none"
    signals: bool = True


class Scenario(Strict):
    """A scenario, with every default filled in."""

    name: Name
    question: str = ""
    epoch: datetime = Field(datetime(2024, 8, 20, tzinfo=UTC), strict=False)
    horizon_h: float = Field(gt=0, le=2500)
    seeds: list[Annotated[Whole, Field(ge=0, le=2**31 - 1)]] = Field([1], min_length=1)
    sites: list[Site] = Field(min_length=1, max_length=256)
    grid: ZonalGrid = ZonalGrid()
    control: Control = Control()
    record: Record = Record()

    @model_validator(mode="after")
    def _distinct_sites(self) -> Self:
        _refuse_duplicates("site", [s.name for s in self.sites])
        return self


def _refuse_duplicates(kind: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{kind} name {name!r} is used twice; give each its own name")
