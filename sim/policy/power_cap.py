"""Policies that cap GPUs: all the time, or so that more servers share a breaker."""

from __future__ import annotations

from sim.errors import InputError
from sim.policy.loads import scaled_serving
from sim.policy.patch import each_site, with_rule
from sim.policy.registry import Parameter, PolicyKind, Values, number, register
from sim.scenario.resolve import resolve
from sim.scenario.schema import Scenario, ServingSpec, Site, Workload
from sim.scenario.schema.control import StaticCap
from sim.scenario.sizes import provisioned_site_mw


def _patch(scenario: Scenario, values: Values) -> Scenario:
    cap = StaticCap(kind="static", gpu_w=number(values, "gpu_w"))
    control = scenario.control.model_copy(update={"power_cap": cap})
    return scenario.model_copy(update={"control": control})


POWER_CAP = register(
    PolicyKind(
        kind="power-cap",
        patch=_patch,
        parameters={"gpu_w": Parameter("cap of each GPU", "W", None, 100, 700)},
        says="cap the power of every GPU; the clock falls and compute-bound work slows",
        metric="mean_load_mw",
        assumes=("power above idle goes as clock^2 (1.8 to 2.27), see power.clock_exponent",),
        neutral={"gpu_w": 700.0},
        everywhere=True,
    )
)


def _oversubscribe(scenario: Scenario, values: Values) -> Scenario:
    """More servers, and what the site was built for before as its limit."""
    extra = number(values, "extra_frac")
    if not extra:
        return scenario
    resolved = resolve(scenario)
    for site in resolved.sites:
        limit_mw = provisioned_site_mw(resolved, site)
        rule = {"kind": "import-limit", "limit_mw": limit_mw, "sites": [site.name]}
        resolved = with_rule(resolved, rule)
    return each_site(resolved, lambda site: _larger(site, extra))


def _larger(site: Site, extra: float) -> Site:
    nodes = round((site.cluster.nodes or 0) * (1 + extra))
    if not site.cluster.nodes:
        raise InputError(f"site {site.name} has no servers to add to", "give cluster.nodes")
    cluster = site.cluster.model_copy(update={"nodes": nodes, "gpus": None})
    workloads = [_grown(w, 1 + extra) for w in site.workloads]
    return site.model_copy(update={"cluster": cluster, "workloads": workloads})


def _grown(workload: Workload, factor: float) -> Workload:
    """The workload on its share of the new servers, with its share of new requests."""
    layout = workload.layout.model_copy(update={"dp": None})
    changes: dict[str, object] = {"gpus": int((workload.gpus or 0) * factor), "layout": layout}
    if isinstance(workload, ServingSpec):
        changes |= scaled_serving(workload, factor)
    return workload.model_copy(update=changes)


OVERSUBSCRIPTION = register(
    PolicyKind(
        kind="oversubscription",
        patch=_oversubscribe,
        parameters={
            "extra_frac": Parameter(
                "servers added under the power that the site was built for",
                "",
                0.3,
                0,
                2,
                source="30 % more servers (POLCA, arXiv 2308.12908, 2023)",
            )
        },
        says="add servers under the same limit; caps answer when it would be passed",
        metric="missed_mwh",
        assumes=("the site was built for every GPU at its power limit",),
        neutral={"extra_frac": 0.0},
    )
)
