"""Arrivals fitted to a trace: a daily course, bursts of the rate, and small batches.

Batches come as a Poisson process whose rate is `rate_per_s / mean batch x course(t) x
sum_k w_k Y_k(t)`. Each Y_k is constant over blocks of a length of its own, with a random
phase; its values are independent gamma numbers of mean 1 and variance `spread / copies`. A
batch holds a geometric number of requests, of mean 1 + `batch_extra`, which come at uniform
times of a window of one of `windows_s`. So the index of dispersion of counts is

    IDC(w) = 1 + rate E[course^2] sum_k w_k^2 (spread / copies) g(w, L_k)
               + 2 batch_extra sum_j share_j g(w, M_j) / M_j,
    g(w, L) = w - w^2 / (3 L) for w <= L, else L - L^2 / (3 w),

with blocks L_k and windows M_j (a pair of one batch, or of one block, lies in one window of
counting with the probability that two uniform times do).

`copies` superposed independent processes of rate r each have the same law as one process of
rate `copies x r` with `copies` times less variance: the sum of gamma numbers is gamma, and
batches are as they were. So scaling by superposition keeps IDC(w) at every scale, whatever
the rate; scaling the rate with `copies` kept lets all users have their bursts together; and
thinning (a coin for each arrival) multiplies IDC(w) - 1 by the share kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sim.errors import InputError
from sim.workload.course import DailyCourse

FloatArray = NDArray[np.float64]
Shares = tuple[float, ...]

CALM_BLOCK_S = 60.0
"""Blocks of a process without bursts: they only carry the daily course."""
MOST_BLOCK_S = 900.0
"""Longer blocks are drawn in parts, so that the course moves within them."""


def window_factor(window_s: float | FloatArray, block_s: float | FloatArray) -> FloatArray:
    """g(w, L) of the module's text [s]."""
    w, length = np.asarray(window_s, dtype=float), np.asarray(block_s, dtype=float)
    inside, beyond = w - w**2 / (3 * length), length - length**2 / (3 * w)
    return np.asarray(np.where(w <= length, inside, beyond))


@dataclass(frozen=True, slots=True)
class FittedArrivals:
    """Arrivals with a daily course, bursts and batches (see the module's text).

    Attributes:
        rate_per_s: mean rate.
        blocks_s: lengths of the blocks of each component; empty for no bursts.
        weights: shares of the components, sum 1.
        spread: variance of each component's rate over its mean, of one copy.
        copies: independent processes that are superposed, at least 1.
        batch_extra: requests of a batch beyond the first, mean.
        windows_s: of batches. shares: of batches with each window, sum 1.
        course: of the day, from the run's begin on.
    """

    rate_per_s: float
    blocks_s: Shares = ()
    weights: Shares = ()
    spread: float = 0.0
    copies: float = 1.0
    batch_extra: float = 0.0
    windows_s: Shares = ()
    shares: Shares = ()
    course: DailyCourse = field(default_factory=DailyCourse)

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s < np.inf:
            raise InputError(f"rate_per_s = {self.rate_per_s}, must be a positive number")
        if not 1 <= self.copies < np.inf:
            raise InputError(f"copies = {self.copies}, must be at least 1", path="copies")
        for name in ("spread", "batch_extra"):
            if not 0 <= getattr(self, name) < np.inf:
                raise InputError(f"{name} = {getattr(self, name)}, must be at least 0", path=name)
        _check_shares("blocks", self.blocks_s, self.weights)
        _check_shares("batches", self.windows_s, self.shares)
        if self.batch_extra and not self.windows_s:
            raise InputError(f"batches of {1 + self.batch_extra:g} requests without a window")

    def dispersion(self, window_s: float | FloatArray) -> FloatArray:
        """IDC by scale, around the daily course; shape as given."""
        window = np.asarray(window_s, dtype=float)
        index = np.ones_like(window)
        each = self.rate_per_s * self.course.mean_square * self.spread / self.copies
        for weight, block_s in zip(self.weights, self.blocks_s, strict=True):
            index = index + each * weight**2 * window_factor(window, block_s)
        for share, length_s in zip(self.shares, self.windows_s, strict=True):
            pairs = window_factor(window, length_s) / length_s
            index = index + 2 * self.batch_extra * share * pairs
        return np.asarray(index)

    def times_s(self, horizon_s: float, rng: np.random.Generator) -> FloatArray:
        """Sorted arrival times in [0, horizon_s), shape (n,)."""
        before_s = max(self.windows_s, default=0.0)
        span_s = horizon_s + before_s
        variance = self.spread / self.copies
        parts = [
            self._batches(weight, block_s, variance, before_s, span_s, rng)
            for weight, block_s in zip(self.weights, self.blocks_s, strict=True)
        ]
        if not parts or variance == 0:
            parts = [self._batches(1.0, CALM_BLOCK_S, 0.0, before_s, span_s, rng)]
        times = np.concatenate(parts)
        if self.batch_extra:
            times = self._members(times, rng)
        return np.sort(times[(times >= 0) & (times < horizon_s)])

    def _batches(
        self,
        weight: float,
        block_s: float,
        variance: float,
        before_s: float,
        span_s: float,
        rng: np.random.Generator,
    ) -> FloatArray:
        """Batches of one component from -before_s on, not sorted; some may lie outside."""
        count = int(np.ceil(span_s / block_s)) + 1
        begin_s = (np.arange(count) - rng.random()) * block_s - before_s
        level = rng.gamma(1 / variance, variance, count) if variance else np.ones(count)
        cuts = int(np.ceil(block_s / MOST_BLOCK_S))
        part_s = block_s / cuts
        begin_s = (begin_s[:, None] + np.arange(cuts) * part_s).ravel()
        rate = self.rate_per_s / (1 + self.batch_extra) * weight
        mean = rate * self.course.factor(np.asarray(begin_s + part_s / 2)) * part_s
        many = rng.poisson(mean * np.repeat(level, cuts))
        return np.repeat(begin_s, many) + rng.random(int(many.sum())) * part_s

    def _members(self, batch_s: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Times of the requests of each batch."""
        size = rng.geometric(1 / (1 + self.batch_extra), len(batch_s))
        window_s = rng.choice(np.array(self.windows_s), len(batch_s), p=np.array(self.shares))
        return np.repeat(batch_s, size) + np.repeat(window_s, size) * rng.random(int(size.sum()))

    def thinned(self, keep_frac: float) -> FittedArrivals:
        """What a coin keeps of each arrival: the same course and bursts, smaller batches."""
        if not 0 < keep_frac <= 1:
            raise InputError(f"keep_frac = {keep_frac}, must be in (0, 1]", path="keep_frac")
        rate, extra = self.rate_per_s * keep_frac, self.batch_extra * keep_frac
        return replace(self, rate_per_s=rate, batch_extra=extra)

    def scaled(self, rate_per_s: float, copies: float | None = None) -> FittedArrivals:
        """The same traffic at another mean rate.

        Args:
            rate_per_s: of all of it.
            copies: independent processes to superpose, which share the rate; by default each
                has the rate that was fitted, which keeps IDC(w). A rate below that thins.
        """
        if not 0 < rate_per_s < np.inf:
            raise InputError(f"rate {rate_per_s} per s, must be above 0", path="rate_per_s")
        own = self.rate_per_s / self.copies
        if copies is None:
            copies = max(1.0, rate_per_s / own)
        base = self if rate_per_s >= own else self.thinned(rate_per_s / self.rate_per_s)
        return replace(base, rate_per_s=rate_per_s, copies=copies)


def _check_shares(what: str, lengths_s: Shares, shares: Shares) -> None:
    if len(shares) != len(lengths_s) or any(not 0 < length < np.inf for length in lengths_s):
        raise InputError(f"{what} of {lengths_s} s with shares {shares}: a share for each length")
    if shares and (min(shares) < 0 or abs(sum(shares) - 1) > 1e-6):
        raise InputError(f"shares {shares} of the {what} must be at least 0 and sum to 1")
