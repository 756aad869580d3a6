"""The largest load that may leave at once, from the swing equation, over the ranges.

A loss passes where the highest frequency stays within the limit: ERCOT's 60.4 Hz, and where no
limit was found half of that rise (an assumption that every answer lists).
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from sim.datum import Datum, data
from sim.errors import InputError
from sim.grid.dynamic.interconnections import DYNAMICS, RESPONSE, interconnection, limits_hz
from sim.grid.dynamic.model import NOMINAL_HZ, Island, Step
from sim.grid.dynamic.swing import simulate
from sim.grid.network import FloatArray
from sim.grid.sampling import sobol
from sim.randomness import stream

RANGED: Final = ("inertia_gws", "reference_loss_mw")
SAFE_RISE_HZ: Final = 0.2
"""Where no over-frequency limit was found: half of ERCOT's 0.4 Hz (assumption)."""
UNTIL_S: Final = 15.0
TURNS: Final = 5
SAMPLES: Final = 32


def highest_hz(name: str) -> tuple[float, bool]:
    """Limit on the highest frequency after a loss of load, and whether it is published."""
    limit = limits_hz(name)[1]
    return (NOMINAL_HZ + SAFE_RISE_HZ, False) if limit is None else (limit, True)


@cache
def allowed_loss_mw(name: str, samples: int = SAMPLES, seed: int = 1) -> FloatArray:
    """Largest load that may leave at once, shape (1 + samples,); row 0 at nominal figures."""
    limit = highest_hz(name)[0] - NOMINAL_HZ
    islands = [
        interconnection(name),
        *(_island(name, drawn) for drawn in draws(name, samples, seed)),
    ]
    found = np.array([largest_loss_mw(island, limit) for island in islands])
    found.setflags(write=False)
    return found


def largest_loss_mw(island: Island, rise_hz: float) -> float:
    """Loss of load whose highest frequency is `rise_hz` above 60 Hz, within a thousandth.

    The rise grows with the loss, at first less than in proportion: a chord from 0 falls short
    of the answer, and each turn starts from the last point.
    """
    low, rise_low, high = 0.0, 0.0, island.response_mw_per_tenth_hz(1e3) * rise_hz / 0.1
    for _ in range(20):
        rise_high = _rise(island, high)
        if rise_high >= rise_hz:
            break
        low, rise_low, high = high, rise_high, 1.5 * high
    for _ in range(TURNS):
        middle = low + (rise_hz - rise_low) / (rise_high - rise_low) * (high - low)
        rise = _rise(island, middle)
        if abs(rise - rise_hz) < 1e-3 * rise_hz:
            return middle
        if rise < rise_hz:
            low, rise_low = middle, rise
        else:
            high, rise_high = middle, rise
    return middle


def _rise(island: Island, loss_mw: float) -> float:
    return simulate(island, [Step(0.0, -loss_mw)], duration_s=UNTIL_S).zenith_hz - NOMINAL_HZ


def draws(name: str, samples: int, seed: int = 1) -> list[dict[str, float]]:
    """Inertia, reference loss, response and time constant, drawn from their ranges."""
    response = f"{name}.response_mw_per_0.1hz"
    ranges: dict[str, Datum] = {
        **{f"{kind}.{name}": data(DYNAMICS)[f"{kind}.{name}"] for kind in RANGED},
        "governor.time_s": data(DYNAMICS)["governor.time_s"],
        response: data(RESPONSE)[response],
    }
    numbers = sobol(samples, sorted(ranges), stream(seed, "grid", "frequency", name))
    columns = {key: numbers.of(key, figure) for key, figure in ranges.items()}
    return [
        {key: float(values[k]) for key, values in columns.items()} for k in range(1, samples + 1)
    ]


def _island(name: str, drawn: dict[str, float]) -> Island:
    try:
        return interconnection(name, changes=drawn)
    except InputError:  # a reference loss inside the dead band: the draw says nothing
        return interconnection(name)
