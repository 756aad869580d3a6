"""Policies on what is run: another architecture, less data."""

from __future__ import annotations

from sim import arch
from sim.errors import InputError
from sim.policy.patch import each_workload
from sim.policy.registry import Parameter, PolicyKind, Values, number, register, word
from sim.scenario.resolve import resolve
from sim.scenario.schema import Scenario, ServingSpec, TrainingSpec, Workload
from sim.scenario.schema.serving_parts import DisaggregationSpec, SpeculationSpec

BUSY_FRAC = 0.7


def _architecture(scenario: Scenario, values: Values) -> Scenario:
    """The same requests, or the same tokens, with another model."""
    name = word(values, "arch")
    arch.load(name)
    workloads = [w for site in scenario.sites for w in site.workloads]
    if all(w.arch == name for w in workloads):
        return scenario

    def change(workload: Workload) -> Workload:
        layout = workload.layout
        if tp := int(number(values, "tp")):
            layout = layout.model_copy(update={"tp": tp, "ep": min(layout.ep, tp), "dp": None})
        changes: dict[str, object] = {"arch": name, "layout": layout}
        if isinstance(workload, ServingSpec):
            changes |= _sized_again(workload, number(values, "busy_frac"))
        elif workload.budget_flops is not None:
            changes |= {"tokens": None}
        return workload.model_copy(update=changes)

    return resolve(each_workload(_with_open_clusters(scenario), change))


def _with_open_clusters(scenario: Scenario) -> Scenario:
    """Sites that only serve take the servers that their fleets need."""
    sites = []
    for site in scenario.sites:
        if all(isinstance(w, ServingSpec) for w in site.workloads):
            cluster = site.cluster.model_copy(update={"nodes": None, "gpus": None})
            site = site.model_copy(update={"cluster": cluster})  # noqa: PLW2901
        sites.append(site)
    return scenario.model_copy(update={"sites": sites})


ARCHITECTURE = register(
    PolicyKind(
        kind="architecture",
        patch=_architecture,
        parameters={
            "arch": Parameter("model of the zoo that takes the place of all", default=None),
            "tp": Parameter("its tensor parallelism, 0 for that of the scenario", "", 0.0, 0, 64),
            "busy_frac": Parameter("how busy its replicas are sized for", "", BUSY_FRAC, 0.05, 1),
        },
        says="serve the same requests (or spend the same FLOPs) with another architecture",
        metric="gpus",
        assumes=("the other model's answers are as good: compare models of like quality",),
    )
)


def _served(scenario: Scenario, changes: dict[str, object]) -> Scenario:
    """Every serving workload changed."""
    fleets = [w for s in scenario.sites for w in s.workloads if isinstance(w, ServingSpec)]
    if not fleets:
        raise InputError("there is no serving workload in the scenario", "give one")

    busy_frac = changes.get("sized_for_frac")

    def change(workload: Workload) -> Workload:
        if not isinstance(workload, ServingSpec):
            return workload
        sized = {} if busy_frac is None else _sized_again(workload, busy_frac)
        return workload.model_copy(update=changes | sized)

    if busy_frac is not None:
        scenario = _with_open_clusters(scenario)
    return each_workload(scenario, change)


def _sized_again(spec: ServingSpec, busy_frac: object) -> dict[str, object]:
    """The GPUs of a fleet are worked out anew, and so are those of them that read prompts."""
    pools = spec.disaggregated
    if isinstance(pools, DisaggregationSpec):
        pools = pools.model_copy(update={"prefill_replicas": None})
    return {"gpus": None, "sized_for_frac": busy_frac, "disaggregated": pools}


def _with_gpus(values: Values, changes: dict[str, object]) -> dict[str, object]:
    """The changes, and how busy a fleet is sized for again, if that is asked for."""
    busy = number(values, "busy_frac")
    return changes | ({"sized_for_frac": busy} if busy else {})


SAME_SERVICE = Parameter(
    "size the fleet again for the same requests, this busy; 0: keep its GPUs", "", 0.0, 0, 1
)

PRECISION = register(
    PolicyKind(
        kind="precision",
        patch=lambda scenario, values: _served(
            scenario, _with_gpus(values, {"precision": word(values, "weights")})
        ),
        parameters={
            "weights": Parameter(
                "format of the weights",
                default="fp8",
                choices=("bf16", "fp8", "fp8-kv8", "mxfp4"),
            ),
            "busy_frac": SAME_SERVICE,
        },
        says="serve with smaller numbers: fewer bytes to read, faster matrix units",
        metric="energy_j_per_output_token",
        assumes=("answers stay as good with the smaller numbers",),
        neutral={"weights": "bf16", "busy_frac": 0.0},
    )
)


def _speculative(scenario: Scenario, values: Values) -> Scenario:
    drafts = int(number(values, "draft_tokens"))
    if not drafts:
        return _served(scenario, _with_gpus(values, {"speculation": None}))
    spec = SpeculationSpec(draft_tokens=drafts, acceptance_frac=number(values, "acceptance_frac"))
    return _served(scenario, _with_gpus(values, {"speculation": spec}))


SPECULATIVE_DECODING = register(
    PolicyKind(
        kind="speculative-decoding",
        patch=_speculative,
        parameters={
            "draft_tokens": Parameter("tokens proposed for each pass", "", 4.0, 0, 16),
            "acceptance_frac": Parameter("share of them that is accepted", "", 0.7, 0, 1),
            "busy_frac": SAME_SERVICE,
        },
        says="a draft proposes tokens, the model verifies several in one pass",
        metric="energy_j_per_output_token",
        assumes=("acceptance and draft cost depend on the pair of models: assumptions",),
        neutral={"draft_tokens": 0.0, "busy_frac": 0.0},
    )
)

PREFIX_CACHING = register(
    PolicyKind(
        kind="prefix-caching",
        patch=lambda scenario, values: _served(
            scenario,
            _with_gpus(
                values, {"prefix_hit_frac": number(values, "hit_frac"), "fidelity": "fluid"}
            ),
        ),
        parameters={
            "hit_frac": Parameter(
                "share of a prompt that an earlier request has left in a cache",
                "",
                0.37,
                0,
                0.99,
                source="36.6 % of the blocks of Mooncake's conversation trace (12,031 requests, "
                "2024) stand in an earlier one, cache without limit; counted 2026-11-24",
            ),
            "busy_frac": SAME_SERVICE,
        },
        says="do not read again what an earlier request has left in the cache",
        metric="energy_j_per_output_token",
        assumes=("every prompt hits the same share; holding the prefixes costs no GPU memory",),
        neutral={"hit_frac": 0.0, "busy_frac": 0.0},
    )
)


def _in_two_pools(scenario: Scenario, values: Values) -> Scenario:
    """Prefill and decode apart, with each fleet's own fidelity; whole cells for single replicas."""

    def change(workload: Workload) -> Workload:
        if not isinstance(workload, ServingSpec):
            return workload
        fidelity = "cells" if workload.fidelity == "sampled" else workload.fidelity
        pools = workload.disaggregated or True
        return workload.model_copy(update={"disaggregated": pools, "fidelity": fidelity})

    return each_workload(_served(scenario, _with_gpus(values, {})), change)


DISAGGREGATION = register(
    PolicyKind(
        kind="disaggregation",
        patch=_in_two_pools,
        parameters={"busy_frac": SAME_SERVICE},
        says="read prompts on replicas of their own, so that decoding is not held up",
        metric="energy_j_per_output_token",
        assumes=("a transfer of the cache takes time on its link, and no energy",),
    )
)


def _less_data(scenario: Scenario, values: Values) -> Scenario:
    share = 1 - number(values, "saved_frac")
    jobs = [w for s in scenario.sites for w in s.workloads if isinstance(w, TrainingSpec)]
    if not jobs:
        raise InputError("there is no training job in the scenario", "give one")

    def change(workload: Workload) -> Workload:
        if isinstance(workload, ServingSpec):
            return workload
        key = "tokens" if workload.tokens is not None else "budget_flops"
        return workload.model_copy(update={key: getattr(workload, key) * share})

    return each_workload(scenario, change)


LESS_DATA = register(
    PolicyKind(
        kind="less-data",
        patch=_less_data,
        parameters={"saved_frac": Parameter("tokens saved at equal loss", "", 0.3, 0, 0.95)},
        says="fewer but better tokens for the same loss",
        metric="days_to_finish",
        assumes=("the share of tokens saved at equal loss is an assumption, 0 to 0.7",),
        neutral={"saved_frac": 0.0},
    )
)
