"""Draws of the assumptions: row 0 holds the nominal figures, rows 1 to n the samples.

One Sobol dimension per purpose (a fuel in an interconnection, the peak of a zone, ...), so
that a reading asks for a purpose and gets the same numbers whatever else is assessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from sim.datum import Datum
from sim.errors import InputError, UnknownNameError
from sim.grid.network import FUELS, FloatArray, HourView, Network
from sim.randomness import stream


@dataclass(frozen=True, slots=True)
class Draws:
    """Uniform numbers by purpose, shape (n_samples,) each."""

    n_samples: int
    uniform: dict[str, FloatArray]

    def of(self, purpose: str, figure: Datum | None) -> FloatArray:
        """Values of a figure, shape (1 + n_samples,); ones where there is no figure."""
        if figure is None:
            return np.ones(1 + self.n_samples)
        if not figure.is_assumption:
            return np.full(1 + self.n_samples, figure.value)
        if purpose not in self.uniform:
            raise UnknownNameError("assumption", purpose, self.uniform)
        drawn = [figure.quantile(float(u)) for u in self.uniform[purpose]]
        return np.array([figure.value, *drawn])


def sobol(n_samples: int, purposes: Iterable[str], rng: np.random.Generator) -> Draws:
    """Scrambled Sobol numbers, one dimension per purpose.

    Raises:
        InputError: fewer than one sample.
    """
    if n_samples < 1:
        raise InputError(f"samples: {n_samples} is below 1", "ask for at least one sample")
    names = list(purposes)
    power = max(0, int(n_samples - 1).bit_length())
    points = qmc.Sobol(len(names), scramble=True, rng=rng).random_base2(power)[:n_samples]
    return Draws(n_samples, {name: points[:, i] for i, name in enumerate(names)})


def draw(network: Network, n_samples: int, seed: int) -> Draws:
    """Draws of everything that a network assumes."""
    return sobol(n_samples, _purposes(network), stream(seed, "grid", "assumptions"))


def _purposes(network: Network) -> list[str]:
    areas = sorted({zone.interconnection for zone in network.zones})
    return [
        *(f"fuel.{fuel}.{ic}" for ic in areas for fuel in FUELS),
        *(f"limit.{ic}" for ic in areas),
        *(f"load.{ic}" for ic in areas),
        *(f"response.{ic}" for ic in areas),
        *(f"loss.{ic}" for ic in areas),
        *(f"band.{ic}" for ic in areas),
        *(f"peak.{zone.name}" for zone in network.zones),
        *(f"area.{area.name}" for area in network.areas),
        "split",
    ]


def available_mw(network: Network, draws: Draws) -> FloatArray:
    """What every zone can generate, shape (n_hours, 1 + n_samples, n_zones)."""
    result = np.empty((len(network.hours), 1 + draws.n_samples, len(network.zones)))
    capacity = _capacity_mw(network, draws)
    for h, hour in enumerate(network.hours):
        shares = _shares(network, hour.availability, draws)
        for i, zone in enumerate(network.zones):
            result[h, :, i] = (capacity[:, i, :] * shares[zone.interconnection]).sum(axis=1)
    return result


def _shares(
    network: Network, availability: tuple[Datum, ...], draws: Draws
) -> dict[str, FloatArray]:
    """By interconnection: share of the rating by fuel, shape (1 + n_samples, n_fuels)."""
    return {
        ic: np.stack(
            [draws.of(f"fuel.{FUELS[k]}.{ic}", share) for k, share in enumerate(availability)],
            axis=1,
        )
        for ic in {zone.interconnection for zone in network.zones}
    }


def _capacity_mw(network: Network, draws: Draws) -> FloatArray:
    """Ratings, shape (1 + n_samples, n_zones, n_fuels); two zones may share a state's."""
    rating = np.array([zone.capacity_mw for zone in network.zones], dtype=float)
    result = np.repeat(rating[None], 1 + draws.n_samples, axis=0)
    if network.split:
        a, b = network.index(network.split.first), network.index(network.split.second)
        share = draws.of("split", network.split.share)[:, None]
        whole = rating[a] + rating[b]
        result[:, a], result[:, b] = share * whole, (1 - share) * whole
    return result


def limits_mw(network: Network, draws: Draws) -> tuple[FloatArray, FloatArray]:
    """Forward and reverse limits, shape (1 + n_samples, n_interfaces) each."""
    factor = (
        np.stack(
            [
                draws.of(
                    f"limit.{network.zone(line.source).interconnection}",
                    network.interface_limit_factor if line.kind == "ac" else None,
                )
                for line in network.interfaces
            ],
            axis=1,
        )
        if network.interfaces
        else np.empty((1 + draws.n_samples, 0))
    )
    forward = np.array([line.forward_mw for line in network.interfaces])
    reverse = np.array([line.reverse_mw for line in network.interfaces])
    return factor * forward, factor * reverse


def demand_mw(network: Network, view: HourView, draws: Draws) -> FloatArray:
    """Load of every zone at an hour, shape (1 + n_samples, n_zones); 0 where unknown.

    Zones with a measured peak keep it; derived ones are scaled together so that their
    interconnection sums to its measured load at that hour.
    """
    result = np.zeros((1 + draws.n_samples, len(network.zones)))
    for i, zone in enumerate(network.zones):
        if zone.peak_mw is not None and network.is_balanced_zone(zone):
            factor = draws.of(f"peak.{zone.name}", zone.peak_factor)
            result[:, i] = zone.peak_mw * view.load_frac[i] * factor
    for ic, total in view.totals_mw:
        _scale(network, result, ic, total)
    for ic in {zone.interconnection for zone in network.zones} - {""}:
        members = [i for i, z in enumerate(network.zones) if z.interconnection == ic]
        year = draws.of(f"load.{ic}", network.interconnection_load_factor)
        result[:, members] *= year[:, None]
    return result


def _scale(network: Network, demand: FloatArray, ic: str, total_mw: float) -> None:
    """Scale the derived loads of an interconnection to its measured total, in place."""
    inside = [i for i, zone in enumerate(network.zones) if zone.interconnection == ic]
    derived = [i for i in inside if network.zones[i].peak_is_derived]
    if derived:
        rest = total_mw - demand[:, [i for i in inside if i not in derived]].sum(axis=1)
        demand[:, derived] *= (rest / demand[:, derived].sum(axis=1))[:, None]
