"""An island that a cascade leaves: its machines, its load, and the gap between them.

Nothing is measured of an island. It takes the share of governors that responds and the stages of
load shedding from ERCOT, the only interconnection whose stages are all known (assumption).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sim.datum import data
from sim.errors import InputError, UnknownNameError
from sim.grid.dynamic.interconnections import (
    DYNAMICS,
    inertia_fuels,
    interconnection,
    online_from_output,
)
from sim.grid.dynamic.model import FastResponse, Island, Relay, Step

LIKE: Final = "ercot"
WITHOUT_INERTIA: Final = ("wind", "solar", "storage")


def island_from_output(
    output_mw: Mapping[str, float], load_mw: float, name: str = "island"
) -> tuple[Island, Step]:
    """An island and the step that its imbalance is, at 1 s.

    Args:
        output_mw: generation by fuel at the moment of the split; wind, solar and storage give
            power but neither inertia nor response.
        load_mw: load of the island.

    Returns:
        the island; a step of load less generation (> 0: frequency falls).

    Raises:
        UnknownNameError: a fuel that is not known.
        InputError: an output below 0, no load, or no machine that turns.
    """
    known = (*inertia_fuels(), *WITHOUT_INERTIA)
    for fuel, mw in output_mw.items():
        if fuel not in known:
            raise UnknownNameError("fuel", fuel, known)
        if not mw >= 0:
            raise InputError(f"output of {fuel}: {mw:g} MW", "give >= 0 MW")
    if not load_mw > 0:
        raise InputError(f"load of {load_mw:g} MW", "give > 0 MW")
    online = online_from_output(output_mw, load_mw)
    if not any(mw > 0 for mw in online.rating_mw.values()):
        raise InputError("no machine that turns is in the island", "give coal, gas, nuclear, ...")
    # Shares of the usual ERCOT on the island's own machines: what is on line decides.
    usual = interconnection(LIKE).governors[0]
    own = interconnection(LIKE, online=online)
    governors = tuple(
        replace(
            machine,
            share_up=usual.share_up,
            share_down=usual.share_down,
            headroom_mw=machine.capacity_mw * usual.headroom_mw / usual.capacity_mw,
            down_mw=machine.capacity_mw * usual.down_mw / usual.capacity_mw,
            rate_mw_per_s=machine.capacity_mw * usual.rate_mw_per_s / usual.capacity_mw,
        )
        for machine in own.governors
    )
    stages = tuple(relay for relay in own.relays if _is_stage(relay))
    notes = (
        f"governor share {usual.share_up:.3f} and load shedding as in ERCOT (assumption)",
        *own.assumptions,
    )
    island = replace(own, name=name, governors=governors, relays=stages, fast=(), assumptions=notes)
    return island, Step(1.0, load_mw - sum(output_mw.values()))


def _is_stage(relay: Relay) -> bool:
    return relay.is_ufls


def with_response(island: Island, response_mw: float) -> Island:
    """The island with data centres that drop load fast when frequency is low.

    Raises:
        InputError: a response below 0.
    """
    if not response_mw >= 0:
        raise InputError(f"response of {response_mw:g} MW", "give >= 0 MW")
    if response_mw == 0:
        return island
    table = data(DYNAMICS)
    at_hz, full_s = table["data_centre.response_hz"], table["data_centre.response_s"]
    unit = FastResponse("data centres", at_hz.value, response_mw, 0.0, full_s.value)
    return replace(
        island,
        fast=(*island.fast, unit),
        assumptions=(*island.assumptions, at_hz.describe(), full_s.describe()),
    )
