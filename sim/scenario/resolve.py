"""Fill in what a scenario leaves open, and refuse what cannot be built.

`resolve` is idempotent: resolving a resolved scenario changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sim import arch
from sim.datum import data_names
from sim.errors import InputError, UnknownNameError
from sim.files import is_file
from sim.hardware.node import load_node
from sim.scenario.job_regions import check_parts
from sim.scenario.places import resolve_place, with_copies
from sim.scenario.schema import (
    Cluster,
    EmpiricalLengthsSpec,
    LayoutSpec,
    Requests,
    Scenario,
    ServiceSpec,
    ServingSpec,
    Site,
    TrainingSpec,
    Workload,
)
from sim.scenario.schema.serving_parts import Disaggregated, DisaggregationSpec
from sim.scenario.services import Part, Target, divide, own_stream
from sim.scenario.sizing import sized_gpus
from sim.scenario.zone_weather import with_zone_weather
from sim.workload.lengths import TRACE_FOLDER


@contextmanager
def within(path: str) -> Iterator[None]:
    """Give errors from deeper layers their full dotted path."""
    try:
        yield
    except InputError as error:
        error.path = f"{path}.{error.path}" if error.path else path
        raise


def resolve(scenario: Scenario) -> Scenario:
    """The same scenario with sizes, layouts and names filled in.

    Raises:
        InputError: with the dotted path of the field at fault.
    """
    sites = []
    placed = [_placed(number, site, scenario) for number, site in with_copies(scenario)]
    parts = divide(scenario.services, placed)
    _check_streams(scenario.services)
    for number, site in placed:
        with within(f"sites[{number}]"):
            sites.append((number, _resolve_site(site, parts)))
    check_parts(sites)
    return scenario.model_copy(update={"sites": [site for _, site in sites]})


def _placed(number: int, site: Site, scenario: Scenario) -> tuple[int, Site]:
    with within(f"sites[{number}]"):
        at = resolve_place(site.at, scenario.grid)
    return number, site.model_copy(update={"at": at})


def _check_streams(services: Sequence[ServiceSpec]) -> None:
    for number, service in enumerate(services):
        with within(f"services[{number}].requests"):
            _check_lengths(service.requests)


def _resolve_site(site: Site, parts: Mapping[Target, Part]) -> Site:
    workloads = _sized_workloads(site, parts)
    cluster = _resolve_cluster(site.cluster, workloads)
    workloads = _resolve_workloads(workloads, cluster.gpus or 0)
    facility = with_zone_weather(site.facility, site.at.zone)
    changes = {"cluster": cluster, "workloads": workloads, "facility": facility}
    return site.model_copy(update=changes)


def _sized_workloads(site: Site, parts: Mapping[Target, Part]) -> list[Workload]:
    """Workloads that ask for their size get it, for their part of a service's stream."""
    with within("cluster.node"):
        node = load_node(site.cluster.node)
    sized: list[Workload] = []
    for number, workload in enumerate(site.workloads):
        part = parts.get((site.name, workload.name))
        with within(f"workloads[{number}]"):
            own = own_stream(workload, part) if isinstance(workload, ServingSpec) else None
        busy_frac = own.sized_for_frac if own is not None else None
        if own is not None and busy_frac is not None:
            with within(f"workloads[{number}]"):
                if workload.gpus is not None:
                    raise InputError(
                        "gpus and sized_for_frac are both given", "give one of them", path="gpus"
                    )
                share_frac = part.share_frac if part else 1.0
                gpus = sized_gpus(own, node, busy_frac, share_frac)
            workload = workload.model_copy(update={"gpus": gpus, "sized_for_frac": None})  # noqa: PLW2901
        sized.append(workload)
    return sized


def _resolve_cluster(cluster: Cluster, workloads: list[Workload]) -> Cluster:
    per_node = load_node(cluster.node).gpus
    if cluster.nodes is None and cluster.gpus is None:
        wanted = [_wanted_gpus(w) for w in workloads]
        if None in wanted:
            raise InputError(
                "the cluster has no size, and neither has a workload",
                "give nodes or gpus",
                path="cluster",
            )
        nodes = -(-sum(w or 0 for w in wanted) // per_node)
        return cluster.model_copy(update={"nodes": nodes, "gpus": nodes * per_node})
    nodes = cluster.nodes if cluster.nodes is not None else (cluster.gpus or 0) // per_node
    gpus = nodes * per_node
    if cluster.gpus is not None and cluster.gpus != gpus:
        held = f"{cluster.nodes} nodes hold {gpus}"
        known = held if cluster.nodes else f"a node holds {per_node}"
        raise InputError(
            f"{cluster.gpus} GPUs do not fit the servers: {known}",
            f"give a multiple of {per_node}, and only one of gpus and nodes",
            path="cluster.gpus",
        )
    return cluster.model_copy(update={"nodes": nodes, "gpus": gpus})


def _resolve_workloads(workloads: list[Workload], gpus: int) -> list[Workload]:
    """Workloads with a size take it; at most one without takes what is left."""
    resolved: list[Workload] = []
    open_ends = [n for n, w in enumerate(workloads) if _wanted_gpus(w) is None]
    if len(open_ends) > 1:
        raise InputError(
            f"{len(open_ends)} workloads have no size, but only one can take what is left",
            "give gpus",
            path=f"workloads[{open_ends[1]}].gpus",
        )
    left = gpus - sum(_wanted_gpus(w) or 0 for w in workloads)
    for number, workload in enumerate(workloads):
        with within(f"workloads[{number}]"):
            wanted = _wanted_gpus(workload)
            if left < 0 and wanted is not None:
                raise InputError(
                    f"the workloads want {gpus - left} GPUs, the site has {gpus}",
                    f"give at least {-left} fewer",
                    path="gpus" if workload.gpus else "layout.dp",
                )
            resolved.append(_resolve_workload(workload, left if wanted is None else wanted))
    return resolved


def _wanted_gpus(workload: Workload) -> int | None:
    if workload.gpus is not None:
        return workload.gpus
    layout = workload.layout
    if isinstance(workload, TrainingSpec) and layout.dp is not None:
        return layout.tp * layout.pp * layout.dp
    return None


def _resolve_workload(workload: Workload, gpus: int) -> Workload:
    with within("arch"):
        model = arch.load(workload.arch)
    if not is_file(workload.arch):
        workload = workload.model_copy(update={"arch": model.name})
    layout = workload.layout
    if isinstance(workload, ServingSpec):
        with within("requests"):
            _check_lengths(workload.requests)
        replica_gpus = layout.tp * layout.pp * (layout.dp or 1)
        replicas = gpus // replica_gpus
        if replicas < _simulated(workload):
            raise InputError(
                f"{gpus} GPUs hold {replicas} replicas of {replica_gpus} GPUs, fewer than the "
                f"{_simulated(workload)} to simulate",
                "give more GPUs or fewer representative_replicas",
                path="representative_replicas",
            )
        pools = _filled_pools(workload.disaggregated)
        filled = {"gpus": gpus, "layout": _filled(layout, 1), "disaggregated": pools}
        return workload.model_copy(update=filled)
    dp = layout.dp if layout.dp is not None else gpus // (layout.tp * layout.pp)
    if dp < 1 or layout.tp * layout.pp * dp > gpus:
        raise InputError(
            f"a layout of tp {layout.tp} x pp {layout.pp} x dp {max(dp, 1)} needs "
            f"{layout.tp * layout.pp * max(dp, 1)} GPUs, the workload has {gpus}",
            "give a smaller layout or more GPUs",
            path="layout",
        )
    return workload.model_copy(update={"gpus": gpus, "layout": _filled(layout, dp)})


def _check_lengths(requests: Requests) -> None:
    """Refuse lengths that are those of no shipped trace."""
    lengths, known = getattr(requests, "lengths", None), data_names(TRACE_FOLDER, ".csv")
    if isinstance(lengths, EmpiricalLengthsSpec) and lengths.name not in known:
        raise UnknownNameError("trace", lengths.name, known, path="lengths.name")


def _simulated(workload: ServingSpec) -> int:
    """Replicas that the fidelity simulates one by one."""
    return workload.representative_replicas if workload.fidelity == "sampled" else 1


def _filled(layout: LayoutSpec, dp: int) -> LayoutSpec:
    return layout.model_copy(update={"dp": dp if layout.dp is None else layout.dp})


def _filled_pools(given: Disaggregated) -> Disaggregated:
    """The layout of the prefill replicas in full, where there is one."""
    if not isinstance(given, DisaggregationSpec) or given.prefill_layout is None:
        return given
    return given.model_copy(update={"prefill_layout": _filled(given.prefill_layout, 1)})
