"""What the summary tells of the parts of a serving fleet beside its requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.protocol import BreakingFleet, PrefixFleet, SessionFleet
from sim.scenario.fleets import Fleet
from sim.scenario.pools_summary import pools_json
from sim.scenario.prefix_store import block_tokens, store_blocks
from sim.scenario.replica_failures import failures_json

Json = dict[str, Any]


def parts_json(fleet: Fleet, result: FleetResult, end_ps: int) -> Json:
    """Two pools, prefix stores, failures and sessions, where the fleet has them.

    Args:
        result: of the fleet. end_ps: of the run.
    """
    found = pools_json(fleet, result, end_ps) | prefix_json(fleet, result.simulated)
    whole = fleet.fleet
    parts = whole.parts if isinstance(whole, CellFleet) else (whole,)
    breaking = [part for part in parts if isinstance(part, BreakingFleet)]
    found |= failures_json(breaking, result.simulated, end_ps)
    turning = [part for part in parts if isinstance(part, SessionFleet)]
    return found | sessions_json(turning, result.simulated)


def sessions_json(fleets: Sequence[SessionFleet], simulated: int) -> Json:
    """What became of the sessions in the whole run, at the simulated replicas."""
    counts = [fleet.sessions for fleet in fleets if fleet.sessions]
    if not counts:
        return {}
    keys = ("started", "ended", "cut_short", "turns")
    found = {key: sum(getattr(count, key) for count in counts) for key in keys}
    return {"sessions": found | {"simulated_replicas": simulated}}


def prefix_json(fleet: Fleet, simulated: int) -> Json:
    """Size of each replica's prefix store, and what came from the simulated ones in the run."""
    spec = fleet.costs.spec
    if spec.prefix_cache is None or not isinstance(fleet.fleet, PrefixFleet):
        return {}
    hit, read = fleet.fleet.prefix_tokens
    return {
        "prefix_cache": {
            "store_blocks": store_blocks(spec, fleet.costs.prefill.at(None)),
            "block_tokens": block_tokens(spec),
            "hit_tokens": hit,
            "prompt_tokens": read,
            "hit_frac": hit / read if read else None,
            "simulated_replicas": simulated,
        }
    }
