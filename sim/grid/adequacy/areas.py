"""Sequential Monte Carlo of several areas that help each other over limited ties.

At every hour first the generation of all areas is shared (least unserved energy, the balance
program of this room), then the stores help; a store recharges from its own area's surplus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sim.errors import InputError, UnknownNameError
from sim.grid.adequacy.monte_carlo import (
    Sampled,
    Store,
    available_mw,
    by_year,
    draw_load,
    summarise,
)
from sim.grid.adequacy.units import Unit, check_load
from sim.grid.balance import Balance, State
from sim.grid.network import FloatArray
from sim.randomness import stream


@dataclass(frozen=True, slots=True)
class Area:
    """An area with its units, hourly load (shape (n_hours,)) and store."""

    name: str
    units: tuple[Unit, ...]
    load_mw: FloatArray
    store: Store = field(default_factory=Store)


@dataclass(frozen=True, slots=True)
class Tie:
    """A limit between two areas, `forward_mw` from source to target."""

    source: str
    target: str
    forward_mw: float
    reverse_mw: float


def simulate_areas(
    areas: Sequence[Area],
    ties: Sequence[Tie],
    years: int = 100,
    seed: int = 1,
    load_uncertainty_frac: float = 0.0,
) -> dict[str, Sampled]:
    """Indices of every area by name.

    Raises:
        InputError: no area or year, loads of different length, a limit below 0.
        UnknownNameError: a tie ends in no area.
    """
    _check(areas, ties, years)
    model = _Sharing(areas, ties)
    rng = stream(seed, "grid", "adequacy areas")
    found: list[list[FloatArray]] = [[] for _ in areas]
    for _ in range(years):
        short = np.stack([_short(area, load_uncertainty_frac, rng) for area in areas])
        left = model.year(short)
        for k, area in enumerate(areas):
            found[k].append(by_year(left[k][None, :], area.load_mw))
    return {
        area.name: summarise(np.concatenate(rows), seed)
        for area, rows in zip(areas, found, strict=True)
    }


def _short(area: Area, uncertainty: float, rng: np.random.Generator) -> FloatArray:
    load = draw_load(area.load_mw, 1, uncertainty, rng)
    return np.asarray((load - available_mw(area.units, len(area.load_mw), 1, rng))[0])


def _check(areas: Sequence[Area], ties: Sequence[Tie], years: int) -> None:
    if not areas or years < 1:
        raise InputError(f"{len(areas)} areas, {years} years", "give at least one of each")
    for area in areas:
        check_load(area.load_mw, area.name)
    if len({len(area.load_mw) for area in areas}) > 1:
        raise InputError("the areas have loads of different length", "give the same hours")
    names = [area.name for area in areas]
    if len(set(names)) != len(names):
        raise InputError("an area name stands twice", "name each area once")
    for tie in ties:
        for end in (tie.source, tie.target):
            if end not in names:
                raise UnknownNameError("area", end, names)
        if min(tie.forward_mw, tie.reverse_mw) < 0:
            raise InputError(f"tie {tie.source}-{tie.target} below 0 MW", "give limits >= 0 MW")


class _Sharing:
    """Shares surplus and stores among the areas, hour by hour."""

    def __init__(self, areas: Sequence[Area], ties: Sequence[Tie]):
        self.areas = areas
        names = tuple(area.name for area in areas)
        ends = np.array(
            [(names.index(t.source), names.index(t.target)) for t in ties], dtype=np.int64
        ).reshape(-1, 2)
        self.balance = Balance(names, ends, tuple(f"{t.source}-{t.target}" for t in ties))
        self.forward = np.array([t.forward_mw for t in ties], dtype=float)
        self.reverse = np.array([t.reverse_mw for t in ties], dtype=float)
        self.power = np.array([a.store.power_mw for a in areas], dtype=float)
        self.energy = np.array([a.store.energy_mwh for a in areas], dtype=float)
        self.efficiency = np.array([a.store.efficiency_frac for a in areas])

    def year(self, short_mw: FloatArray) -> FloatArray:
        """What stays short, shape (n_areas, n_hours); the stores begin full."""
        left = np.maximum(short_mw, 0.0)
        stored = self.energy.astype(float)
        needy = np.flatnonzero(left.any(axis=0))
        if not self.power.any():
            for h in needy:
                left[:, h] = self._share(short_mw[:, h])[0]
            return left
        busy = {int(h) for h in needy}
        for hour in range(short_mw.shape[1]):
            if hour in busy:
                left[:, hour], surplus, stored = self._hour(short_mw[:, hour], stored)
            else:
                surplus = -short_mw[:, hour]
            stored = self._recharge(surplus, stored)
        return left

    def _hour(
        self, short: FloatArray, stored: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Unserved, surplus left for charging, and what stays stored."""
        unserved, used = self._share(short)
        surplus = np.maximum(np.maximum(-short, 0.0) - used, 0.0)
        if unserved.sum() <= 1e-9:
            return unserved, surplus, stored
        reach = np.minimum(self.power, stored)
        unserved, used = self._share(short, reach)
        given = np.clip(used - np.maximum(-short, 0.0), 0.0, reach)
        return unserved, np.zeros(len(short)), stored - given

    def _share(
        self, short: FloatArray, extra: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        surplus = np.maximum(-short, 0.0) + (0.0 if extra is None else extra)
        state = State(np.maximum(short, 0.0), surplus, self.forward, self.reverse)
        found = self.balance.least_unserved(state)
        return found.unserved_mw, found.generation_mw

    def _recharge(self, surplus: FloatArray, stored: FloatArray) -> FloatArray:
        taken = np.minimum(
            np.clip(surplus, 0.0, self.power), (self.energy - stored) / self.efficiency
        )
        return np.asarray(stored + taken * self.efficiency)
