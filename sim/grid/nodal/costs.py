"""Generation costs as straight lines from below: exact where straight, refined where curved.

A convex cost is the upper envelope of its tangents. A program starts with a few and is given
the tangent at each point it visits until it no longer underestimates (Kelley 1960).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.tables import Cost, Floats, Network

FIRST_TANGENTS = 9
"""Tangents of a curved cost to begin with, evenly spaced over the output range."""

SAME_SLOPE_FRAC = 1e-4
"""Fall of a marginal cost that counts as rounding in a published table (one RTS-GMLC unit)."""

Line = tuple[float, float]
"""USD/h at 0 MW and USD/MWh."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The convex cost of one generator between two outputs."""

    cost: Cost
    min_mw: float
    max_mw: float

    @property
    def is_straight(self) -> bool:
        """One line says it all."""
        coefficients = self.cost.polynomial
        return not self.cost.points and not any(coefficients[2:])

    @property
    def is_curved(self) -> bool:
        """A polynomial of second or higher degree."""
        return not self.cost.points and any(self.cost.polynomial[2:])

    def usd_per_h(self, output_mw: float) -> float:
        """Cost per hour at an output."""
        if self.cost.points:
            return max(at_zero + slope * output_mw for at_zero, slope in self.lines())
        return float(np.polynomial.polynomial.polyval(output_mw, self.cost.polynomial))

    def tangent(self, output_mw: float) -> Line:
        """The line that touches the cost at an output."""
        coefficients = np.array(self.cost.polynomial)
        slope = float(
            np.polynomial.polynomial.polyval(
                output_mw, np.polynomial.polynomial.polyder(coefficients)
            )
        )
        return self.usd_per_h(output_mw) - slope * output_mw, slope

    def lines(self) -> list[Line]:
        """The first lines under the cost (all of them, if it is in pieces)."""
        points = self.cost.points
        if points:
            return [
                (y0 - (y1 - y0) / (x1 - x0) * x0, (y1 - y0) / (x1 - x0))
                for (x0, y0), (x1, y1) in itertools.pairwise(points)
            ] or [(points[0][1], 0.0)]
        if self.is_straight:
            return [self.tangent(0.0)]
        at = np.linspace(self.min_mw, self.max_mw, FIRST_TANGENTS)
        return [self.tangent(float(output)) for output in at]


def curves(network: Network, min_mw: Floats, max_mw: Floats) -> list[Curve]:
    """The cost curve of every generator; zero where the case holds none.

    Raises:
        InputError: a generator in service has a cost that is not convex.
    """
    costs = network.generators.cost or (Cost(),) * len(network.generators)
    result = [
        Curve(cost, float(low), float(high))
        for cost, low, high in zip(costs, min_mw, max_mw, strict=True)
    ]
    for row in np.flatnonzero(network.generator_on).tolist():
        if not _is_convex(result[row]):
            raise InputError(
                f"case {network.name}: the cost of generator row {row + 1} is not convex",
                "a linear program cannot follow it: give rising marginal costs",
            )
    return result


def _is_convex(curve: Curve) -> bool:
    if curve.cost.points:
        slope = [line[1] for line in curve.lines()]
        return all(b >= a - SAME_SLOPE_FRAC * max(1, abs(a)) for a, b in itertools.pairwise(slope))
    second = np.polynomial.polynomial.polyder(np.array(curve.cost.polynomial), 2)
    at = np.linspace(curve.min_mw, curve.max_mw, 17)
    return bool((np.polynomial.polynomial.polyval(at, second) >= -1e-12).all())
