"""Policy `spread`: the same GPUs, in equal shares over several zones.

Each share is a site of its own with the same workloads on its part of the GPUs. What the
links between the regions cost a synchronous job is not modelled: the result says so.
"""

from __future__ import annotations

from sim.errors import InputError
from sim.grid.us_states import resolve_zone, us_states
from sim.policy.loads import scaled_serving
from sim.policy.registry import Parameter, PolicyKind, Values, number, register, word
from sim.scenario.resolve import resolve
from sim.scenario.schema import (
    At,
    Cluster,
    Scenario,
    ServingSpec,
    Site,
    TrainingSpec,
    Workload,
)

MAX_STATES = 50


def _patch(scenario: Scenario, values: Values) -> Scenario:
    resolved = resolve(scenario)
    zones = _zones(resolved, values)
    if all([site.at.zone] == zones for site in resolved.sites):
        return scenario
    sites = [
        _share(site, zone, number, len(zones))
        for site in resolved.sites
        for number, zone in enumerate(zones)
    ]
    return Scenario.model_validate(
        scenario.model_copy(update={"sites": sites}).model_dump(mode="python")
    )


def _zones(scenario: Scenario, values: Values) -> list[str]:
    """The named zones, or the site's own and the largest others of the contiguous grid."""
    network = us_states()
    if "zones" in values:
        if "states" in values:
            raise InputError("states and zones are both given", "give one of them")
        named = word(values, "zones").split("+")
        names = [resolve_zone(network, name).name for name in named]
        if len(set(names)) < len(names):
            raise InputError(f"zones={word(values, 'zones')} names a zone twice", "name each once")
        return names
    if "states" not in values:
        raise InputError("neither states nor zones is given", "give states=NUMBER or zones=A+B")
    count = int(number(values, "states"))
    own = list(dict.fromkeys(site.at.zone for site in scenario.sites))
    # Alaska and Hawaii are islands: no neighbour helps, and little is known of them.
    by_size = sorted(
        (z for z in network.zones if z.name not in {*own, "AK", "HI"}),
        key=lambda z: (-(z.peak_mw or 0.0), z.name),
    )
    return (own + [z.name for z in by_size])[:count]


def _share(site: Site, zone: str, number: int, count: int) -> Site:
    """Share `number` of `count` of a resolved site, in a zone."""
    nodes = site.cluster.nodes or 0
    mine = nodes // count + (number < nodes % count)
    if mine < 1:
        raise InputError(
            f"{nodes} nodes of site {site.name} do not spread over {count} zones",
            "give fewer zones",
        )
    workloads = [_smaller(w, mine / nodes, count) for w in site.workloads]
    return site.model_copy(
        update={
            "name": f"{site.name}-{zone.lower()}",
            "at": At(zone=zone),
            "cluster": Cluster(node=site.cluster.node, nodes=mine),
            "workloads": workloads,
        }
    )


def _smaller(workload: Workload, share: float, count: int) -> Workload:
    """The workload on its share of the GPUs, with its share of the work."""
    whole = workload.layout.tp * workload.layout.pp
    gpus = int((workload.gpus or 0) * share) // whole * whole
    layout = workload.layout.model_copy(update={"dp": None})
    changes: dict[str, object] = {"gpus": max(gpus, whole), "layout": layout}
    if isinstance(workload, ServingSpec):
        changes |= scaled_serving(workload, share)
    else:
        changes |= _smaller_training(workload, count)
    return workload.model_copy(update=changes)


def _smaller_training(workload: TrainingSpec, count: int) -> dict[str, object]:
    changes: dict[str, object] = {"global_batch_tokens": workload.global_batch_tokens // count}
    if workload.tokens is not None:
        changes["tokens"] = workload.tokens / count
    if workload.budget_flops is not None:
        changes["budget_flops"] = workload.budget_flops / count
    return changes


SPREAD = register(
    PolicyKind(
        kind="spread",
        patch=_patch,
        parameters={
            "states": Parameter(
                "number of zones: the site's own and the largest others",
                "states",
                None,
                2,
                MAX_STATES,
                optional=True,
            ),
            "zones": Parameter("names joined with +, for example TX-ERCOT+VA+OH", optional=True),
        },
        says="put the same GPUs into several zones in equal shares",
        metric="largest_site_mw",
        decides="where the sites stand",
        everywhere=True,
        assumes=("the links between the sites cost a synchronous training job nothing",),
    )
)
