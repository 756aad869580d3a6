"""Sequential Monte Carlo of one area: outages begin and end in time; a battery helps.

A unit is up for an exponential time, then out or derated for an exponential time of mean
`mttr_h`; the mean time up follows from the probabilities. States are read at full hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.errors import InputError
from sim.grid.adequacy.indices import HOURS_PER_DAY, load_factors
from sim.grid.adequacy.units import Unit, check_load
from sim.grid.network import FloatArray
from sim.randomness import stream

CHUNK_YEARS: Final = 100


@dataclass(frozen=True, slots=True)
class Store:
    """A battery: `efficiency_frac` is the round trip, lost while charging.

    Raises:
        InputError: a negative size or an efficiency outside 0 to 1.
    """

    power_mw: float = 0.0
    energy_mwh: float = 0.0
    efficiency_frac: float = 0.85

    def __post_init__(self) -> None:
        if min(self.power_mw, self.energy_mwh) < 0 or not 0 < self.efficiency_frac <= 1:
            raise InputError(
                f"store {self.power_mw:g} MW, {self.energy_mwh:g} MWh, "
                f"efficiency {self.efficiency_frac:g}",
                "give >= 0 MW and MWh, efficiency of 0 to 1",
            )


@dataclass(frozen=True, slots=True)
class Sampled:
    """Means over the years drawn, and the standard errors of the means."""

    years: int
    seed: int
    lole_d_per_y: float
    lolh_h_per_y: float
    eue_mwh: float
    lole_error: float
    lolh_error: float
    eue_error: float


def simulate(
    units: Sequence[Unit],
    load_mw: FloatArray,
    years: int = 1000,
    seed: int = 1,
    load_uncertainty_frac: float = 0.0,
    store: Store | None = None,
) -> Sampled:
    """Run `years` years of one area against the same hourly load.

    Args:
        load_mw: shape (n_hours,).

    Raises:
        InputError: no year, or a load that is negative.
    """
    check_load(load_mw, "load")
    if years < 1:
        raise InputError(f"years: {years} is below 1", "ask for at least one year")
    rng = stream(seed, "grid", "adequacy")
    found = np.concatenate(
        [_chunk(units, load_mw, n, rng, load_uncertainty_frac, store) for n in _chunks(years)]
    )
    return summarise(found, seed)


def summarise(found: FloatArray, seed: int) -> Sampled:
    """Means and standard errors of (LOLE, LOLH, EUE) by year, shape (n_years, 3)."""
    years = len(found)
    mean = found.mean(axis=0)
    error = found.std(axis=0, ddof=1) / np.sqrt(years) if years > 1 else np.full(3, np.inf)
    return Sampled(years, seed, *(float(x) for x in (*mean, *error)))


def _chunks(years: int) -> Iterator[int]:
    for start in range(0, years, CHUNK_YEARS):
        yield min(CHUNK_YEARS, years - start)


def _chunk(
    units: Sequence[Unit],
    load_mw: FloatArray,
    years: int,
    rng: np.random.Generator,
    uncertainty: float,
    store: Store | None,
) -> FloatArray:
    available = available_mw(units, len(load_mw), years, rng)
    short = draw_load(load_mw, years, uncertainty, rng) - available
    if store is not None and store.power_mw > 0:
        short = _with_store(short, store)
    return by_year(short, load_mw)


def draw_load(
    load_mw: FloatArray, years: int, uncertainty: float, rng: np.random.Generator
) -> FloatArray:
    """The load times each year's factor, shape (n_years, n_hours)."""
    factors = load_factors(uncertainty)
    weights = np.array([weight for _, weight in factors])
    chosen = rng.choice(len(factors), size=years, p=weights / weights.sum())
    return np.array([factors[k][0] for k in chosen])[:, None] * load_mw[None, :]


def by_year(short_mw: FloatArray, load_mw: FloatArray) -> FloatArray:
    """(LOLE, LOLH, EUE) of each year, shape (n_years, 3), from the shortfalls (> 0 is short)."""
    lacks = short_mw > 1e-9
    peaks = _peak_hours(load_mw)
    return np.stack(
        [
            lacks[:, peaks].sum(axis=1),
            lacks.sum(axis=1),
            np.maximum(short_mw, 0.0).sum(axis=1),
        ],
        axis=1,
    ).astype(float)


def _peak_hours(load_mw: FloatArray) -> list[int]:
    """The hour of the highest load of each day."""
    starts = range(0, len(load_mw), HOURS_PER_DAY)
    return [s + int(np.argmax(load_mw[s : s + HOURS_PER_DAY])) for s in starts]


def available_mw(
    units: Sequence[Unit], n_hours: int, years: int, rng: np.random.Generator
) -> FloatArray:
    """Available capacity at every hour, shape (n_years, n_hours).

    The years are one long stretch of time, so an outage may last over New Year.
    """
    span = n_hours * years
    change = np.zeros(span + 1)
    change[0] = sum(unit.capacity_mw for unit in units)
    for unit in units:
        if unit.forced_outage_rate + unit.derated_probability > 0:
            begin, end, loss = _outages(unit, span, rng)
            np.add.at(change, begin, -loss)
            np.add.at(change, end, loss)
    return np.cumsum(change[:-1]).reshape(years, n_hours)


def _outages(
    unit: Unit, span: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """Begin and end (full hours, at most `span`) and MW lost of a unit's outages."""
    out, derated = unit.forced_outage_rate, unit.derated_probability
    chance = out + derated
    mean_up = unit.mttr_h * (1 - chance) / chance
    count = 8 + int(1.5 * span / (unit.mttr_h + mean_up))
    times = np.empty(0)
    offset = 0.0 if rng.random() >= chance else -rng.exponential(max(mean_up, 1e-12))
    while offset < span:
        up = rng.exponential(mean_up, count) if mean_up > 0 else np.zeros(count)
        pair = np.stack([up, rng.exponential(unit.mttr_h, count)], axis=1)
        if not len(times) and offset < 0:
            pair[0, 0] = -offset  # it is out when the time begins
        times = np.concatenate([times, offset + np.cumsum(pair.ravel())])
        offset = float(times[-1])
    begin, end = (np.ceil(np.clip(t, 0, span)).astype(np.int64) for t in (times[::2], times[1::2]))
    full = rng.random(len(begin)) < out / chance
    loss = np.where(full, unit.capacity_mw, unit.capacity_mw - unit.derated_mw)
    return begin, end, loss


def _with_store(short_mw: FloatArray, store: Store) -> FloatArray:
    """What is still short when a full store discharges at need and recharges from surplus."""
    years, hours = short_mw.shape
    stored = np.full(years, float(store.energy_mwh))
    left = np.empty_like(short_mw)
    for h in range(hours):
        need = short_mw[:, h]
        given = np.minimum(np.clip(need, 0.0, store.power_mw), stored)
        taken = np.minimum(
            np.clip(-need, 0.0, store.power_mw),
            (store.energy_mwh - stored) / store.efficiency_frac,
        )
        stored += taken * store.efficiency_frac - given
        left[:, h] = need - given
    return left
