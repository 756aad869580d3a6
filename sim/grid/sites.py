"""New load placed in the zones: its size, its range, its swing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sim.datum import Datum
from sim.errors import InputError
from sim.grid.network import FloatArray, Network
from sim.grid.sampling import sobol
from sim.grid.us_states import resolve_zone
from sim.randomness import stream


@dataclass(frozen=True, slots=True)
class Site:
    """New load in a zone: its range, and the swing of its power within a training iteration.

    Raises:
        InputError: a negative or unordered figure.
    """

    zone: str
    load_mw: float
    load_low_mw: float
    load_high_mw: float
    swing_mw: float = 0.0

    def __post_init__(self) -> None:
        ordered = (0.0, self.load_low_mw, self.load_mw, self.load_high_mw)
        figures = (*ordered, self.swing_mw)
        if not all(math.isfinite(x) for x in figures) or list(ordered) != sorted(ordered):
            raise InputError(
                f"load in {self.zone}: {self.load_mw:g} MW, "
                f"range {self.load_low_mw:g} to {self.load_high_mw:g} MW",
                "give 0 <= low <= load <= high",
            )
        if self.swing_mw < 0:
            raise InputError(f"swing in {self.zone}: {self.swing_mw:g} MW", "give >= 0 MW")


def sites_from(
    network: Network,
    loads_mw: Mapping[str, float],
    swing_mw: Mapping[str, float] | None = None,
    load_low_mw: Mapping[str, float] | None = None,
    load_high_mw: Mapping[str, float] | None = None,
) -> tuple[Site, ...]:
    """Sites by zone, in the network's order; a load without a range is exact."""
    names = {given: resolve_zone(network, given).name for given in loads_mw}
    if len(set(names.values())) != len(names):
        raise InputError("a zone is named twice among the loads", "sum its loads")
    for given in [*(swing_mw or {}), *(load_low_mw or {}), *(load_high_mw or {})]:
        if given not in names:
            raise InputError(f"{given!r} has a range or a swing but no load", "give its load")
    sites = [
        Site(
            zone,
            load,
            (load_low_mw or {}).get(given, load),
            (load_high_mw or {}).get(given, load),
            (swing_mw or {}).get(given, 0.0),
        )
        for (given, load), zone in zip(loads_mw.items(), names.values(), strict=True)
    ]
    return tuple(sorted(sites, key=lambda site: network.index(site.zone)))


def site_loads_mw(
    network: Network, sites: tuple[Site, ...], n_samples: int, seed: int
) -> FloatArray:
    """New load by sample and zone, shape (1 + n_samples, n_zones); row 0 nominal.

    All sites share one draw: what makes one larger (utilisation, PUE) makes all larger.
    """
    common = sobol(n_samples, ["load"], stream(seed, "grid", "load"))
    result = np.zeros((1 + n_samples, len(network.zones)))
    for site in sites:
        figure = Datum(
            "load",
            site.load_mw,
            "MW",
            "given",
            "given",
            site.load_low_mw,
            site.load_high_mw,
            "triangular",
        )
        result[:, network.index(site.zone)] += common.of("load", figure)
    return result
