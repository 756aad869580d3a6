"""Many hosting questions at once: in this process or spread over several.

Sites are cut into chunks that do not depend on the number of workers, and each chunk starts
afresh, so the answers do not depend on it either.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from sim.grid.nodal.hosting import FixedDispatch, Hosted, Site
from sim.grid.nodal.redispatch import FreeDispatch
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints, Network

CHUNK = 64
"""Sites in a chunk with a fixed dispatch."""

FREE_CHUNK = 16
"""Sites in a chunk with redispatch: each takes long enough to spread even a few dozen."""

_worker: list[Study] = []
"""The study of a worker process."""


def host(study: Study, sites: Sequence[Site]) -> Iterator[Hosted]:
    """Answers for several sites, each alone, in order."""
    if study.settings.redispatch == "none":
        yield from FixedDispatch(study).at_sites(sites)
        return
    for i in range(0, len(sites), FREE_CHUNK):
        yield from FreeDispatch(study).at_sites(sites[i : i + FREE_CHUNK])


def host_all(study: Study, sites: Sequence[Site], *, workers: int = 1) -> list[Hosted]:
    """Answers for many sites, each alone, spread over processes if `workers` is above 1."""
    size = CHUNK if study.settings.redispatch == "none" else FREE_CHUNK
    if workers <= 1 or len(sites) <= size:
        return list(host(study, sites))
    chunks = [list(sites[i : i + size]) for i in range(0, len(sites), size)]
    with ProcessPoolExecutor(
        max_workers=min(workers, len(chunks)),
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(study.network, study.settings),
    ) as pool:
        return [hosted for part in pool.map(_host_chunk, chunks) for hosted in part]


def _start_worker(network: Network, settings: Settings) -> None:
    _worker[:] = [Study(network, settings)]


def _host_chunk(sites: list[Site]) -> list[Hosted]:
    return list(host(_worker[0], sites))


def single(buses: Ints) -> list[Site]:
    """One site for each bus."""
    return [((int(bus), 1.0),) for bus in buses]


def together(buses: Ints) -> Site:
    """One site of several buses with equal shares: how much in total, if all come at once."""
    return weighted(buses, np.full(len(buses), 1.0 / len(buses)))


def weighted(buses: Ints, shares: Floats) -> Site:
    """One site of several buses with given shares (sum 1)."""
    return tuple(zip(buses.tolist(), shares.tolist(), strict=True))


def growing(hosted: Sequence[Hosted]) -> list[tuple[int, ...]]:
    """Sets of 1, 2, ... buses, those that host most alone first; for a curve of MW by sites."""
    order = sorted(hosted, key=lambda h: (-h.hosting_mw, h.bus))
    buses = [h.bus for h in order]
    return [tuple(buses[: i + 1]) for i in range(len(buses))]


def curve(study: Study, hosted: Sequence[Hosted], most_sites: int) -> list[tuple[int, Hosted]]:
    """Joint hosting of the best 1, 2, ... `most_sites` buses: (number of buses, answer)."""
    sets = growing(hosted)[:most_sites]
    sites = [together(np.array(buses, dtype=np.int64)) for buses in sets]
    return [(len(s), h) for s, h in zip(sites, host(study, sites), strict=True)]
