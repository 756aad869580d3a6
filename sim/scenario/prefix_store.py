"""The prefix stores of a scenario's replicas: how large, and what requests must tell of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.cluster.serving.cell_fleet import LEAST_CELLS
from sim.cluster.serving.cells import CELL_REPLICAS
from sim.cost.capacity import UNBOUNDED_TOKENS, cache_tokens
from sim.cost.serving import ReplicaCost
from sim.errors import InputError
from sim.workload.traces import BLOCK_TOKENS

if TYPE_CHECKING:
    from sim.scenario.schema.serving import ServingSpec
    from sim.workload.requests import RequestTable

BLOCK_BYTES = 48
"""Of memory of this machine for a block of a store: six numbers of the compiled engine."""
MOST_BYTES = 4 * 2**30


def kept_tokens(spec: ServingSpec, capacity_tokens: int) -> int:
    """Tokens of a replica's cache that its prefix store keeps.

    Raises:
        InputError: the model's cache does not grow with its context.
    """
    given = spec.prefix_cache
    if given is None or given.kv_frac is None:
        return 0
    if capacity_tokens >= UNBOUNDED_TOKENS:
        raise InputError(
            f"the cache of {spec.arch} does not grow with the context, so it keeps no prefixes",
            "leave prefix_cache out",
            path="prefix_cache.kv_frac",
        )
    return int(given.kv_frac * capacity_tokens)


def store_blocks(spec: ServingSpec, cost: ReplicaCost) -> int:
    """Blocks of the prefix store of each replica, 0 for none.

    Raises:
        InputError: not one block, or more than can be simulated.
    """
    given = spec.prefix_cache
    if given is None:
        return 0
    blocks = given.store_blocks
    if blocks is None:
        whole = cache_tokens(cost.program, cost.layout, cost.node.device, cost.max_sequences)
        blocks = kept_tokens(spec, whole) // block_tokens(spec)
    if not 1 <= blocks <= MOST_BYTES // BLOCK_BYTES // simulated(spec, cost):
        raise InputError(
            f"a prefix store of {blocks:,} blocks of {block_tokens(spec)} tokens at each of "
            f"{simulated(spec, cost)} replicas: not one, or more than fit into the memory of a run",
            "give another size",
            path="prefix_cache",
        )
    return blocks


def block_tokens(spec: ServingSpec) -> int:
    """Tokens of a block of a prompt: the trace's, or those of the cache with sessions."""
    return spec.kv_block_tokens if spec.requests.kind == "sessions" else BLOCK_TOKENS


def simulated(spec: ServingSpec, cost: ReplicaCost) -> int:
    """Replicas that are simulated one by one, at most."""
    whole = (spec.gpus or 0) // cost.gpus
    least = spec.representative_replicas
    cells = max(LEAST_CELLS * CELL_REPLICAS, least + CELL_REPLICAS)
    most = {"sampled": least, "cells": cells}.get(spec.fidelity, whole)
    return max(1, min(whole, most))


def check_sessions(spec: ServingSpec, recorded: RequestTable | None) -> None:
    """Refuse a trace without sessions where the router goes by them.

    Raises:
        InputError: all its requests would go to one replica.
    """
    if spec.router != "session-sticky" or recorded is None:
        return
    if recorded.session is None or not recorded.session.any():
        raise InputError(
            "the trace does not say which session its requests belong to",
            "give one with sessions (BurstGPT), or another router",
            path="router",
        )


def check_blocks(spec: ServingSpec, recorded: RequestTable | None) -> None:
    """Refuse requests that do not tell the blocks of their prompts to a prefix store.

    Raises:
        InputError: they do not.
    """
    if spec.prefix_cache is None or spec.requests.kind == "sessions":
        return
    if recorded is None or not recorded.blocks:
        raise InputError(
            "the trace does not say which blocks its prompts have",
            "give one with hash_ids (Mooncake), or leave prefix_cache out",
            path="prefix_cache",
        )
