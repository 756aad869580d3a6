"""The requests of each routing cell of a fleet: drawn, or dealt from a trace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.classes import ClassedSource, with_classes, with_session_classes
from sim.cluster.serving.compiled_spec import CompiledFleetSpec
from sim.cluster.serving.feed import Feed, recorded_feed
from sim.cluster.serving.source import DrawnSource, Source, Staircase
from sim.cluster.serving.turns import Turns, counted_draws, store_block_tokens
from sim.units import to_ps
from sim.workload.arrivals import PoissonArrivals
from sim.workload.counter import counter_key, uniforms
from sim.workload.lengths import EmpiricalLengths
from sim.workload.requests import RequestTable, coins_by_session, draw_requests
from sim.workload.sessions import SessionShape, draw_sessions

FloatArray = NDArray[np.float64]


def cell_feeds(
    spec: CompiledFleetSpec, sizes: list[int], seed: int, recorded: RequestTable | None
) -> tuple[Feed, ...]:
    """The requests of each cell.

    Args:
        sizes: replicas of each cell.
        recorded: a trace of the whole fleet's requests, in place of drawn ones.
    """
    if recorded is not None:
        return _recorded_feeds(spec, sizes, seed, recorded)
    return tuple(_drawn_feed(spec, cell, size, seed) for cell, size in enumerate(sizes))


def cell_turns(
    spec: CompiledFleetSpec, shape: SessionShape, sizes: list[int], seed: int
) -> tuple[Turns, ...]:
    """The sessions of each cell: one stays at its cell."""
    found = []
    for cell, size in enumerate(sizes):
        purpose = (spec.name, f"cell{cell}")
        part = spec.arrivals.thinned(size / spec.replicas)
        table = draw_sessions(part, spec.lengths, shape, spec.horizon_s, seed, ".".join(purpose))
        kind_key = counter_key(seed, *purpose, "class")
        table = with_session_classes(table, spec.class_shares, kind_key)
        keys = [counter_key(seed, *purpose, name) for name in ("route", "admission")]
        found.append(Turns(table, counted_draws(keys[0]), keys[1], store_block_tokens(spec.rules)))
    return tuple(found)


def _drawn_feed(spec: CompiledFleetSpec, cell: int, size: int, seed: int) -> Feed:
    """A cell's part of the arrivals; by the engine where it can, else all at once."""
    part = spec.arrivals.thinned(size / spec.replicas)
    purpose = (spec.name, f"cell{cell}")
    key, move_key = (counter_key(seed, *purpose, name) for name in ("admission", "move"))
    kind_key = counter_key(seed, *purpose, "class")
    if isinstance(part, PoissonArrivals) and isinstance(spec.lengths, EmpiricalLengths):
        rates = Staircase(np.array([part.rate_per_s]), 3600.0)
        source: Source = DrawnSource(rates, spec.lengths, seed, *purpose)
        if spec.class_shares:
            source = ClassedSource(source, spec.class_shares, kind_key)
        return Feed(source, key, move_key)
    table = draw_requests(part, spec.lengths, spec.horizon_s, seed, ".".join(purpose))
    table = with_classes(table, spec.class_shares, kind_key)
    return recorded_feed(table, key, counter_key(seed, *purpose, "route"), move_key)


def cell_coins(spec: CompiledFleetSpec, seed: int, table: RequestTable) -> FloatArray:
    """Where each row of a trace falls among the cells, 0 to 1; a session stays at one cell."""
    key = counter_key(seed, spec.name, "cells")
    return coins_by_session(table, uniforms(key, np.arange(len(table), dtype=np.uint64)))


def _recorded_feeds(
    spec: CompiledFleetSpec, sizes: list[int], seed: int, table: RequestTable
) -> tuple[Feed, ...]:
    """Each row or session of a trace goes to a cell by a coin, by the cells' replicas."""
    table = with_classes(table, spec.class_shares, counter_key(seed, spec.name, "class"))
    coins = cell_coins(spec, seed, table)
    cells = np.searchsorted(np.cumsum(sizes) / spec.replicas, coins, side="right")
    inside = table.arrival_ps < to_ps(spec.horizon_s)
    feeds = []
    for cell in range(len(sizes)):
        keep = inside & (cells == cell)
        purpose = (spec.name, f"cell{cell}")
        keys = [counter_key(seed, *purpose, name) for name in ("admission", "route", "move")]
        prefixes = spec.rules.prefix_blocks > 0
        feeds.append(recorded_feed(table.rows(keep), *keys, prefixes=prefixes))
    return tuple(feeds)
