"""How many failures another cluster may have: the spread between clusters, beyond chance.

Counts of cluster i are Poisson with mean E_i theta_i: E_i what the rates of one known run
predict, theta_i a factor of the cluster (age, care, what is counted). The logarithms of the
factors vary normally with a variance tau^2 between clusters: a random-effects model, fitted by
moments (DerSimonian and Laird 1986, doi:10.1016/0197-2456(86)90046-2). The factor of a cluster
that is not in the data has a t distribution with k - 2 degrees of freedom around the fitted mean
(Higgins, Thompson and Spiegelhalter 2009, doi:10.1111/j.1467-985X.2008.00552.x, equation 12).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sim.errors import InputError

LEAST_CLUSTERS: Final = 3
"""Fewer leave no degree of freedom."""
MOST: Final = 10**12
"""Failures beyond which nothing is told apart."""
NODES: Final = 801
"""Points at which the distribution of the factor is taken, equally likely."""


@dataclass(frozen=True, slots=True)
class Count:
    """Failures of a cluster, and how many were expected."""

    observed: float
    expected: float


@dataclass(frozen=True, slots=True)
class Spread:
    """The factor by which a further cluster's failures differ from what is expected.

    Attributes:
        log_mean: of the factor. log_scale: of its t distribution, with the error of the mean.
        log_between: tau, the standard deviation between clusters. freedom: degrees.
    """

    log_mean: float
    log_scale: float
    log_between: float
    freedom: int

    @property
    def median(self) -> float:
        """As many clusters have a larger factor as a smaller one."""
        return math.exp(self.log_mean)

    def factor(self, probability: float) -> float:
        """A quantile of the factor."""
        from scipy.stats import t

        return math.exp(self.log_mean + self.log_scale * float(t.ppf(probability, self.freedom)))

    def interval(self, expected: float, level: float) -> tuple[float, float]:
        """Limits between which a count lies with a probability: both spread and chance.

        Args:
            expected: failures by the rates of the known run, above 0.
        """
        from scipy.stats import poisson, t

        nodes = (np.arange(NODES) + 0.5) / NODES
        logs = math.log(expected) + self.log_mean + self.log_scale * t.ppf(nodes, self.freedom)
        means = np.exp(np.minimum(logs, math.log(MOST)))

        def is_reached(count: int, probability: float) -> bool:
            return float(np.mean(poisson.cdf(count, means))) >= probability

        def quantile(probability: float) -> float:
            high = 1
            while high < MOST and not is_reached(high, probability):
                high *= 2
            return float(bisect_left(range(high), True, key=lambda n: is_reached(n, probability)))

        return quantile((1 - level) / 2), quantile((1 + level) / 2)


def spread_of(counts: Sequence[Count]) -> Spread:
    """The spread between clusters.

    Raises:
        InputError: fewer than three clusters, or one without a failure.
    """
    if len(counts) < LEAST_CLUSTERS or any(min(c.observed, c.expected) <= 0 for c in counts):
        raise InputError(
            f"{len(counts)} clusters tell no spread between clusters",
            f"give {LEAST_CLUSTERS} or more, each with a failure",
        )
    logs = np.log([c.observed / c.expected for c in counts])
    chance = 1 / np.array([c.observed for c in counts])  # variance of a Poisson count's logarithm
    between = _between(logs, chance)
    weights = 1 / (chance + between)
    mean = float(weights @ logs / weights.sum())
    scale = math.sqrt(between + 1 / float(weights.sum()))
    return Spread(mean, scale, math.sqrt(between), len(counts) - 2)


def _between(logs: np.ndarray, chance: np.ndarray) -> float:
    """Variance between clusters by moments: what Cochran's Q has beyond chance."""
    weights = 1 / chance
    mean = weights @ logs / weights.sum()
    q = float(weights @ (logs - mean) ** 2)
    room = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(0.0, (q - (len(logs) - 1)) / room)
