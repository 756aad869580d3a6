"""What the summary tells of the parts of a serving fleet beside its requests."""

from __future__ import annotations

from typing import Any

from sim.cluster.serving.protocol import PrefixFleet
from sim.scenario.fleets import Fleet
from sim.scenario.prefix_store import block_tokens, store_blocks

Json = dict[str, Any]


def parts_json(fleet: Fleet) -> Json:
    """Prefix stores, where the fleet has them."""
    return prefix_json(fleet)


def prefix_json(fleet: Fleet) -> Json:
    """Size of each replica's prefix store, and what came from them in the whole run."""
    spec = fleet.costs.spec
    if spec.prefix_cache is None or not isinstance(fleet.fleet, PrefixFleet):
        return {}
    hit, read = fleet.fleet.prefix_tokens
    return {
        "prefix_cache": {
            "store_blocks": store_blocks(spec, fleet.costs.at(None)),
            "block_tokens": block_tokens(spec),
            "hit_tokens": hit,
            "prompt_tokens": read,
            "hit_frac": hit / read if read else None,
        }
    }
