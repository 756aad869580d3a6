"""Serving fleets and their requests."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sim.scenario.schema.base import Name, Strict, Whole, refuse_duplicates, refuse_idle
from sim.scenario.schema.layout import LayoutSpec
from sim.scenario.schema.serving_parts import (
    Disaggregated,
    PrefixCacheSpec,
    ReplicaFailuresSpec,
    SpeculationSpec,
    check_two_pools,
)


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
    cv: float = Field(ge=0.01, le=100)
    lengths: LengthsSpec = CONVERSATIONS


class OnOffRequests(Strict):
    """Poisson arrivals whose rate switches between two values."""

    kind: Literal["on-off"]
    on_rate_per_s: float = Field(gt=0, le=1e9)
    off_rate_per_s: float = Field(0.0, ge=0, le=1e9)
    mean_on_s: float = Field(gt=0, le=1e7)
    mean_off_s: float = Field(gt=0, le=1e7)
    lengths: LengthsSpec = CONVERSATIONS


class FileRequests(Strict):
    """What requests that a file tells of have in common."""

    file: str = Field(description="CSV or Parquet, relative to the scenario file")
    rate_per_s: float | None = Field(None, gt=0, le=1e9)
    on_bad_rows: Literal["stop", "skip"] = "stop"


class TraceRequests(FileRequests):
    """Arrivals that follow a trace file, with lengths drawn from its joint histogram.

    `rate_per_s` scales the trace to a mean rate of the whole fleet; without it the recorded
    arrivals are repeated end to end.
    """

    kind: Literal["trace"]
    scaling: Literal["shape", "copies"] = Field(
        "shape",
        description="shape: all users follow the trace's rate at once; copies: independent "
        "copies of the trace, each begun elsewhere, which keeps its index of dispersion",
    )

    @model_validator(mode="after")
    def _scaling_needs_a_rate(self) -> Self:
        if self.rate_per_s is None:
            refuse_idle(self, ["scaling"], "without rate_per_s, to which it scales")
        return self


class FittedRequests(FileRequests):
    """Arrivals and lengths from a model fitted to a trace: daily course, bursts, batches.

    `file` is a trace, or a model of `flopgrid trace fit --out` (.json). `rate_per_s` scales it
    by independent copies, which keeps its burstiness; `copies` sets how many share that rate.
    """

    kind: Literal["fitted"]
    copies: float | None = Field(None, ge=1, le=1e9)


class SessionRequests(Strict):
    """Conversations of several turns: the next one comes a think time after the last answer.

    A prompt is all that was said before and what is new; `lengths` are of a turn's new prompt
    and its answer. The number of turns is geometric, the think time exponential above its
    least value. A session ends early when a turn is refused. With a prefix cache a turn finds
    the whole blocks of the prompt before it, if it comes to the same replica.
    """

    kind: Literal["sessions"]
    starts_per_s: float = Field(gt=0, le=1e9, description="new sessions of the whole fleet")
    mean_turns: float = Field(ge=1, le=10_000)
    mean_think_s: float = Field(gt=0, le=1e7)
    least_think_s: float = Field(
        1.0, ge=0.001, le=1e7, description="a run with shorter ones takes longer"
    )
    lengths: LengthsSpec = CONVERSATIONS

    @model_validator(mode="after")
    def _mean_above_least(self) -> Self:
        if self.mean_think_s <= self.least_think_s:
            raise ValueError("mean_think_s must be above least_think_s")
        return self


class ServiceRequests(Strict):
    """A part of the requests of one of the scenario's `services`, by weight.

    Workloads at several sites that name the same service share its stream; those of one site
    with different models are a pool of models.
    """

    kind: Literal["service"]
    service: Name
    weight: float = Field(
        1.0, gt=0, le=1e9, description="of this workload among those that the service feeds"
    )


StreamRequests = Annotated[
    PoissonRequests
    | GammaRequests
    | OnOffRequests
    | TraceRequests
    | FittedRequests
    | SessionRequests,
    Field(discriminator="kind"),
]
Requests = Annotated[
    PoissonRequests
    | GammaRequests
    | OnOffRequests
    | TraceRequests
    | FittedRequests
    | SessionRequests
    | ServiceRequests,
    Field(discriminator="kind"),
]


def _tells(requests: Requests) -> bool:
    """Whether requests may tell their sessions and blocks; what a service brings is seen later."""
    rows = requests.kind == "trace" and requests.rate_per_s is None
    return rows or requests.kind in ("sessions", "service")


class ClassSpec(Strict):
    """A class of requests; the one named first comes first.

    `max_queue_tokens` sheds: a request is refused when more prompt tokens than that, its own
    included, would wait at its replica. The objectives say what counts as served in time.
    """

    name: Name
    share_frac: float = Field(gt=0, le=1, description="of the fleet's requests; they sum to 1")
    max_queue_tokens: Whole | None = Field(None, ge=1, le=1_000_000_000)
    slo_ttft_s: float | None = Field(None, gt=0, le=1e6)
    slo_tpot_s: float | None = Field(None, gt=0, le=1e6)


class AutoscalerSpec(Strict):
    """Replicas are switched on and off with the load.

    What is off draws what GPUs without a model draw, and what loads the power of loading.

    `utilisation`: requests in the system per sequence of the ready replicas (`max_num_seqs`
    each) are brought to `target_frac`. `slo`: the mean stay of a request is kept below
    `slo_e2e_s`, one replica more or fewer at a time. A model loads in the bytes of its
    weights over `storage_bytes_per_s`.
    """

    kind: Literal["utilisation", "slo"]
    target_frac: float = Field(0.5, gt=0, le=1)
    slo_e2e_s: float | None = Field(None, gt=0, le=1e6)
    min_replicas: Whole = Field(1, ge=1, le=10_000_000)
    max_replicas: Whole | None = Field(None, ge=1, le=10_000_000, description="default: all")
    start_replicas: Whole | None = Field(None, ge=1, description="default: max_replicas")
    interval_s: float = Field(15.0, gt=0, le=86_400, description="between two decisions")
    storage_bytes_per_s: float = Field(gt=0, le=1e15, description="to one replica")
    tolerance_frac: float = Field(0.1, ge=0, lt=1, description="deviation that changes nothing")
    patience: Whole = Field(
        20, ge=1, le=10_000, description="decisions in a row that must ask for fewer"
    )

    @model_validator(mode="after")
    def _target_is_of_utilisation(self) -> Self:
        if self.kind == "slo":
            refuse_idle(self, ["target_frac"], "with kind: slo, which looks at slo_e2e_s")
        return self

    @model_validator(mode="after")
    def _slo_has_a_limit(self) -> Self:
        if (self.kind == "slo") != (self.slo_e2e_s is not None):
            raise ValueError("kind: slo and slo_e2e_s need each other; give both")
        return self


class ServingSpec(Strict):
    """A serving fleet of equal replicas. Its size: `gpus`, `sized_for_frac`, or what is left."""

    kind: Literal["serving"]
    name: Name = "serving"
    arch: str
    gpus: Whole | None = Field(None, ge=1, description="default: all GPUs of the site left over")
    layout: LayoutSpec = LayoutSpec()
    precision: Literal["bf16", "fp8", "fp8-kv8", "mxfp4"] = Field(
        "bf16", description="of weights; fp8-kv8: of the cache too; mxfp4: of the experts"
    )
    engine: Literal["vllm", "trtllm", "sglang"] = "vllm"
    speculation: SpeculationSpec | None = None
    prefix_hit_frac: float = Field(
        0.0, ge=0, le=0.99, description="share of a prompt found in a prefix cache; fluid only"
    )
    prefix_cache: PrefixCacheSpec | None = Field(None, description="not with fidelity fluid")
    failures: ReplicaFailuresSpec | None = Field(
        None, description="of replicas; not with fidelity fluid"
    )
    disaggregated: Disaggregated = Field(
        False,
        description="prompts are read on replicas of their own; true, or how; not with sampled",
    )
    requests: Requests
    router: Literal[
        "round-robin",
        "random",
        "join-shortest-queue",
        "power-of-two",
        "least-kv",
        "session-sticky",
        "prefix-affinity",
    ] = "power-of-two"
    batcher: Literal["chunked-prefill", "prefill-priority", "decode-priority"] = "chunked-prefill"
    sized_for_frac: float | None = Field(
        None,
        gt=0,
        le=1,
        description="choose the GPUs so that replicas are this busy; in place of gpus",
    )
    autoscaler: AutoscalerSpec | None = Field(None, description="fidelity request only")
    max_num_seqs: Whole = Field(256, ge=1, le=65_536)
    max_num_batched_tokens: Whole = Field(8192, ge=1, le=1_000_000)
    kv_block_tokens: Whole = Field(16, ge=1, le=4096, description="tokens of a cache block")
    kv_watermark_frac: float = Field(
        0.01, ge=0, le=0.9, description="share of the cache blocks that admission leaves free"
    )
    preemption: Literal["recompute", "swap"] = Field(
        "recompute", description="what a request loses when the cache is full"
    )
    swap_s_per_block: float | None = Field(
        None, ge=0, le=1, description="with swap: time of moving a cache block to or from the host"
    )
    classes: list[ClassSpec] = Field(
        [], max_length=4, description="of requests, first come first served within each"
    )
    fidelity: Literal["request", "cells", "sampled", "fluid"] = Field(
        "cells",
        description="request: all replicas request by request; cells: four whole routing cells of "
        "up to 125 replicas, scaled; sampled: some replicas step by step, scaled (near saturation "
        "their first tokens come far too late); fluid: mean rates only",
    )
    tick_s: float = Field(
        1.0,
        gt=0,
        le=3600,
        description="fidelity request or cells: resolution of the power and of changes by control",
    )
    representative_replicas: Whole = Field(
        4,
        ge=2,
        le=1024,
        description="fidelity sampled: replicas simulated, the rest is scaled; cells: at least as "
        "many",
    )
    warmup_s: float = Field(60.0, ge=0)

    @model_validator(mode="after")
    def _rates_only(self) -> Self:
        if self.prefix_hit_frac and self.fidelity != "fluid":
            raise ValueError("prefix_hit_frac is known as a rate only; give fidelity: fluid")
        return self

    @model_validator(mode="after")
    def _two_pools_stand_as_they_are(self) -> Self:
        if self.disaggregated:
            check_two_pools(self.fidelity, self.autoscaler, self.failures, self.swap_s_per_block)
        return self

    @model_validator(mode="after")
    def _prefixes_are_known(self) -> Self:
        if self.prefix_cache is None:
            return self
        if self.fidelity == "fluid":
            raise ValueError(
                "prefix_cache needs single requests; give prefix_hit_frac with fidelity: fluid"
            )
        if self.preemption == "swap":
            raise ValueError("prefix_cache needs preemption: recompute")
        if not _tells(self.requests):
            raise ValueError(
                "prefix_cache needs to know the blocks of each prompt; give requests of kind "
                "sessions, or trace, row by row (no rate_per_s), from a file with hash_ids"
            )
        return self

    @model_validator(mode="after")
    def _routers_see_what_they_look_at(self) -> Self:
        if self.router == "prefix-affinity" and self.prefix_cache is None:
            raise ValueError("router prefix-affinity looks at prefix stores; give prefix_cache")
        if self.router == "session-sticky" and not _tells(self.requests):
            raise ValueError(
                "router session-sticky needs to know the session of each request; give requests "
                "of kind sessions, or trace, row by row (no rate_per_s), from a file with sessions"
            )
        return self

    @model_validator(mode="after")
    def _turns_wait_for_answers(self) -> Self:
        if self.requests.kind == "sessions" and self.fidelity == "fluid":
            raise ValueError(
                "sessions wait for single answers, which fidelity fluid does not know; "
                "give fidelity: request, cells or sampled"
            )
        return self

    @model_validator(mode="after")
    def _single_replicas_break(self) -> Self:
        if self.failures is not None and self.fidelity == "fluid":
            raise ValueError(
                "failures are of single replicas, fidelity fluid does not tell them; "
                "give fidelity: request, cells or sampled"
            )
        return self

    @model_validator(mode="after")
    def _rules_of_single_requests(self) -> Self:
        single = (
            "kv_block_tokens", "kv_watermark_frac", "preemption", "classes", "router", "batcher",
        )  # fmt: skip
        for key in single if self.fidelity == "fluid" else ():
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} needs single requests, fidelity fluid cannot tell them; "
                    "give fidelity: request, cells or sampled"
                )
        return self

    @model_validator(mode="after")
    def _ticks_are_of_whole_fleets(self) -> Self:
        if self.fidelity in ("sampled", "fluid"):
            refuse_idle(self, ["tick_s"], f"with fidelity {self.fidelity}")
        return self

    @model_validator(mode="after")
    def _swaps_take_time(self) -> Self:
        if (self.preemption == "swap") != (self.swap_s_per_block is not None):
            raise ValueError("preemption: swap and swap_s_per_block need each other; give both")
        return self

    @model_validator(mode="after")
    def _classes_share_all(self) -> Self:
        refuse_duplicates("class", [kind.name for kind in self.classes])
        total = sum(kind.share_frac for kind in self.classes)
        if self.classes and abs(total - 1) > 1e-9:
            raise ValueError(f"the shares of the classes sum to {total:g}; let them sum to 1")
        return self

    @model_validator(mode="after")
    def _all_are_switched(self) -> Self:
        if self.autoscaler is not None and self.fidelity != "request":
            raise ValueError(
                f"autoscaler switches single replicas, fidelity {self.fidelity} does not know "
                "all of them; give fidelity: request"
            )
        return self
