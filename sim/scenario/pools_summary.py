"""What the summary tells of a fleet in two pools: their sizes and powers, and the links."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fleet_cells import PoolMeter
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.histograms import pooled_distribution
from sim.cluster.serving.pair import PairedReplicas
from sim.scenario.disaggregation import cache_link
from sim.scenario.fleets import Fleet
from sim.units import to_s

Json = dict[str, Any]
NAMES = ("prefill", "decode")


def pools_json(fleet: Fleet, result: FleetResult, end_ps: int) -> Json:
    """Both pools of a fleet that has two; nothing of others.

    Powers are of the window, all else of the whole run, at the simulated replicas.

    Args:
        result: of the fleet. end_ps: of the run.
    """
    costs, whole = fleet.costs, fleet.fleet
    if costs.pools is None:
        return {}
    kinds = zip(NAMES, costs.pools, (costs.prefill, costs), strict=True)
    found: Json = {
        name: {"replicas": count, "gpus": count * kind.at(None).gpus} for name, count, kind in kinds
    }
    link = cache_link(costs.spec, costs.prefill.at(None), costs.at(None))
    found["link"] = {"s_per_token": link.s_per_token, "latency_s": link.latency_s}
    parts = whole.parts if isinstance(whole, CellFleet) else (whole,)
    simulated = [part for part in parts if isinstance(part, CompiledFleet)]
    if simulated:
        pairs = [c for part in simulated for c in part.cells if isinstance(c, PairedReplicas)]
        for number, name in enumerate(NAMES):
            meters = [part.meters[number] for part in simulated]
            found[name] |= _pool_json(meters, result.window_s)
            found[name]["busy_frac"] = _busy_frac([pair.pools[number] for pair in pairs], end_ps)
        found |= _handed_json(pairs, found["link"], end_ps)
    return {"disaggregated": found}


def _pool_json(meters: Sequence[PoolMeter], window_s: float) -> Json:
    """A pool's simulated replicas, and what they drew in the window."""
    energy_j = sum(meter.window_j for meter in meters)
    gpus = sum(meter.gpus for meter in meters)
    return {
        "simulated_replicas": sum(meter.replicas for meter in meters),
        "mean_power_w_per_gpu": energy_j / window_s / gpus,
        "energy_j": energy_j,
    }


def _busy_frac(pools: Sequence[Any], end_ps: int) -> float:
    """Share of the run in which the replicas had a step under way."""
    busy_s = sum(pool.totals(end_ps).busy_s for pool in pools)
    return float(busy_s / to_s(end_ps) / sum(len(pool.cell.due) for pool in pools))


def _handed_json(pairs: Sequence[PairedReplicas], link: Json, end_ps: int) -> Json:
    """What went over the links."""
    busy_ps = [sent for pair in pairs for sent in pair.links.sent_ps(end_ps)]
    took = pooled_distribution(
        np.sum([pair.transfers for pair in pairs], axis=0), sum(pair.transfer_ps for pair in pairs)
    )
    return {
        "link": link | {"busy_frac": sum(busy_ps) / len(busy_ps) / end_ps},
        "handed_over": sum(pair.handed for pair in pairs),
        "handed_over_tokens": sum(pair.handed_tokens for pair in pairs),
        "under_way": sum(pair.under_way for pair in pairs),
        "transfer_s": took
        and {key: getattr(took, key).value for key in ("p50", "p90", "p99", "mean")},
    }
