"""What the replicas of a fluid fleet did, booked apart from the power that the fleet tells.

A steady curve is a line from point to point; a replica at a rate between two points is booked as
so many seconds at the one and so many at the other. Energy, requests and time all follow from
the seconds at each point, and none of them is read off the curve by the fleet's own way.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sim.cluster.serving.steady import SteadyCurve


class CurveBook:
    """Replica-seconds at the points of each curve under which a fleet ran.

    Args:
        loading_power_w: of a replica with power that does not serve yet; None for its idle power.
    """

    def __init__(self, loading_power_w: float | None = None) -> None:
        self._pages: dict[int, _Page] = {}
        self._loading_power_w = loading_power_w
        self.dark_s = self.loading_s = 0.0

    def add(
        self,
        curve: SteadyCurve,
        replicas: tuple[float, float, float],
        rate_per_s: float,
        span_s: float,
    ) -> None:
        """Book a stretch of time.

        Args:
            replicas: how many serve, have power but do not serve yet, and have none.
            rate_per_s: requests per second that those that serve complete together.
        """
        page = self._pages.get(id(curve))
        if page is None:
            page = self._pages[id(curve)] = _Page(curve)
        up, loading, dark = replicas
        if self._loading_power_w is None:
            page.seconds[0] += loading * span_s
        else:
            self.loading_s += loading * span_s
        self.dark_s += dark * span_s
        if up > 0:
            page.add(rate_per_s / up, up * span_s)

    @property
    def energy_j(self) -> float:
        """Chip energy of all replicas."""
        stood_j = self.loading_s * (self._loading_power_w or 0.0)
        return math.fsum([stood_j, *(page.total(page.power_w) for page in self._pages.values())])

    @property
    def served(self) -> float:
        """Requests that were completed, those that were lost again included."""
        return math.fsum(page.total(page.rates) for page in self._pages.values())

    @property
    def replica_s(self) -> float:
        """Time of all replicas."""
        still_s = (self.dark_s, self.loading_s)
        return math.fsum([*still_s, *(math.fsum(p.seconds) for p in self._pages.values())])


class _Page:
    """The points of one curve. It keeps the curve: its place in memory is its name."""

    __slots__ = ("curve", "power_w", "rates", "seconds")

    def __init__(self, curve: SteadyCurve) -> None:
        self.curve = curve
        self.rates: list[float] = curve.rate_per_s.tolist()
        self.power_w: list[float] = curve.power_w.tolist()
        self.seconds = [0.0] * len(self.rates)

    def add(self, rate_per_s: float, replica_s: float) -> None:
        """Replica-seconds at a rate, shared between the two points around it."""
        above = min(max(bisect_right(self.rates, rate_per_s), 1), len(self.rates) - 1)
        below_per_s = self.rates[above - 1]
        share = (rate_per_s - below_per_s) / (self.rates[above] - below_per_s)
        self.seconds[above] += share * replica_s
        self.seconds[above - 1] += (1 - share) * replica_s

    def total(self, of_point: list[float]) -> float:
        """Sum over the points, by their seconds."""
        return math.fsum(s * each for s, each in zip(self.seconds, of_point, strict=True))
