"""What follows from the runs of a sweep: effects, indices, curves, fronts, probabilities.

All functions take the finished runs as `Columns`. A run whose value is missing is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import stats

from sim.errors import InputError
from sim.results.rbd_fast import first_order
from sim.results.store import Columns
from sim.sweep.condition import Condition, full_name

FloatArray = npt.NDArray[np.float64]
SURE: Final = 0.95
LEAST_ROWS: Final = 8
RESAMPLES: Final = 100
CHANCE: Final = 0.05
"""A rank correlation that chance gives with this probability among all figures is no finding."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What one varied column does to a figure.

    Args:
        share_frac: variance between the means of its levels over the whole variance.
        low, high: the least and the largest of those means.
        low_at, high_at: at which level.
    """

    factor: str
    share_frac: float
    low: float
    high: float
    low_at: Any
    high_at: Any


@dataclass(frozen=True, slots=True)
class Index:
    """How much of a figure's variance a sampled column makes.

    Args:
        first: first-order Sobol index: what is gone if this column were known.
        total: with everything that it does together with others; None without the design.
        first_range, total_range: half-width of the 95 % interval, None where not estimated.
        rank: Spearman's rank correlation with the figure.
        chance: probability of so large a correlation by chance (Bonferroni).
    """

    factor: str
    first: float
    total: float | None
    first_range: float | None
    total_range: float | None
    rank: float
    chance: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Mean over `x` with a 95 % t-interval over what else varies (seeds, samples)."""

    name: str
    x: tuple[Any, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Probability:
    """How often a condition holds.

    Args:
        holds, runs: counts. low, high: Wilson's 95 % interval of the probability.
        decided_by: the sampled column that moves the margin most, None where none stands out.
        rank: its rank correlation with the margin.
        next_by: the others that stand out, most first, with their rank correlations.
    """

    group: str
    holds: int
    runs: int
    low: float
    high: float
    decided_by: str | None
    rank: float
    next_by: tuple[tuple[str, float], ...] = ()

    @property
    def probability(self) -> float:
        """The share of the runs in which it holds."""
        return self.holds / self.runs


def numbers(columns: Columns, name: str) -> FloatArray:
    """A column as numbers, NaN where missing.

    Raises:
        InputError: it holds text.
    """
    values = columns[full_name(name, columns)]
    if any(isinstance(value, str) for value in values):
        raise InputError(f"column {name!r} holds text", "name a column of numbers")
    return np.array([np.nan if v is None else float(v) for v in values])


def main_effects(columns: Columns, value: str, factors: Sequence[str]) -> list[Effect]:
    """The effect of each factor, largest first."""
    figure = numbers(columns, value)
    known = np.isfinite(figure)
    effects = []
    for factor in factors:
        levels = _levels(columns, factor)
        names = list(dict.fromkeys(level for level, k in zip(levels, known, strict=True) if k))
        if len(names) < 2:
            continue
        groups = [figure[known & np.array([level == name for level in levels])] for name in names]
        effects.append(_effect(factor, names, groups))
    return sorted(effects, key=lambda effect: -effect.share_frac)


def _effect(factor: str, names: list[Any], groups: list[FloatArray]) -> Effect:
    means = [float(group.mean()) for group in groups]
    every = np.concatenate(groups)
    between = sum(len(g) * (m - every.mean()) ** 2 for g, m in zip(groups, means, strict=True))
    whole = float(((every - every.mean()) ** 2).sum())
    low, high = int(np.argmin(means)), int(np.argmax(means))
    share = float(between / whole) if whole else 0.0
    return Effect(factor, share, means[low], means[high], names[low], names[high])


def sobol_indices(
    columns: Columns, value: str, sampled: Sequence[str], *, saltelli: bool, seed: int = 1
) -> list[Index]:
    """Indices of the sampled columns, largest first.

    With the design of Saltelli first-order and total Sobol indices after Saltelli et al. 2010,
    by total, by SALib; else first-order ones (`rbd_fast`), by rank correlation, which few runs
    estimate better.

    Raises:
        InputError: SALib is wanted and not installed, or there are too few runs.
    """
    figure = numbers(columns, value)
    x = np.column_stack([numbers(columns, name) for name in sampled])
    known = np.isfinite(figure)
    if known.sum() < LEAST_ROWS:
        raise InputError(f"{int(known.sum())} runs are too few for indices", "run more samples")
    if saltelli and not known.all():
        raise InputError(
            f"{int((~known).sum())} runs of the design failed", "run them, then ask again"
        )
    ranks = _rank_correlations(x[known], figure[known])
    found = _sobol(x[known], figure[known], sampled, saltelli, seed)
    indices = []
    for k, name in enumerate(sampled):
        rank, chance = ranks[k]
        first, total, first_range, total_range = found[k]
        indices.append(Index(name, first, total, first_range, total_range, rank, chance))
    return sorted(indices, key=lambda i: -(abs(i.rank) if i.total is None else i.total))


def _sobol(
    x: FloatArray, y: FloatArray, names: Sequence[str], saltelli: bool, seed: int
) -> list[tuple[float, float | None, float | None, float | None]]:
    """(first, total, half-widths of both) of each column."""
    if not np.ptp(y):
        return [(0.0, 0.0 if saltelli else None, None, None)] * len(names)
    if not saltelli:
        pairs = first_order(x, y, resamples=RESAMPLES, sure=SURE, seed=seed)
        return [(first, None, half, None) for first, half in pairs]
    try:
        from SALib.analyze import sobol  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(
            "this needs the package SALib", "pip install 'flopgrid[analysis]'"
        ) from None
    bounds = [[float(a), float(b)] for a, b in zip(x.min(axis=0), x.max(axis=0), strict=True)]
    problem = {"num_vars": len(names), "names": list(names), "bounds": bounds}
    told = sobol.analyze(problem, y, calc_second_order=False, num_resamples=RESAMPLES, seed=seed)
    rows = zip(told["S1"], told["ST"], told["S1_conf"], told["ST_conf"], strict=True)
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in rows]


def _rank_correlations(x: FloatArray, y: FloatArray) -> list[tuple[float, float]]:
    """(Spearman's correlation, probability of it by chance) of each column with y.

    The probability is that of Student's t with n - 2 degrees of freedom, as scipy's `spearmanr`.
    """
    free = len(y) - 2
    varies = (np.ptp(x, axis=0) > 0) & (np.ptp(y) > 0)
    ranks = stats.rankdata(np.column_stack([x, y]), axis=0)
    ranks -= ranks.mean(axis=0)
    lengths = np.sqrt((ranks**2).sum(axis=0))
    together = np.where(varies, lengths[:-1] * lengths[-1], 1.0)
    rank = np.where(varies, np.clip(ranks[:, -1] @ ranks[:, :-1] / together, -1, 1), 0.0)
    with np.errstate(divide="ignore"):
        chance = 2 * stats.t.sf(np.abs(rank) * np.sqrt(free / (1 - rank**2)), free)
    chance = np.where(varies, np.minimum(1.0, chance * x.shape[1]), 1.0)
    return list(zip(rank.tolist(), chance.tolist(), strict=True))


def response_curves(columns: Columns, value: str, x: str, by: str | None = None) -> list[Curve]:
    """Curves of a figure over a column, one for each value of another."""
    figure = numbers(columns, value)
    places, names = _levels(columns, x), _levels(columns, by) if by else [""] * len(figure)
    curves = []
    for name in dict.fromkeys(names):
        points: dict[Any, list[float]] = {}
        for at, group, y in zip(places, names, figure, strict=True):
            if group == name and np.isfinite(y):
                points.setdefault(at, []).append(float(y))
        ordered = _sorted(points)
        rows = [_interval(points[at]) for at in ordered]
        mean, low, high = (tuple(row[k] for row in rows) for k in range(3))
        runs = tuple(len(points[at]) for at in ordered)
        curves.append(Curve(str(name), tuple(ordered), mean, low, high, runs))
    return curves


def _interval(values: list[float]) -> tuple[float, float, float]:
    """Mean and its 95 % t-interval; the interval of one value, or of equal ones, is a point."""
    mean = float(np.mean(values))
    if len(values) < 2 or not np.ptp(values):
        return mean, mean, mean
    half = float(stats.sem(values) * stats.t.ppf((1 + SURE) / 2, len(values) - 1))
    return mean, mean - half, mean + half


def heat_map(
    columns: Columns, value: str, x: str, y: str
) -> tuple[list[Any], list[Any], FloatArray]:
    """Columns, rows, and the mean of a figure in each cell, shape (n_y, n_x); NaN for none."""
    figure = numbers(columns, value)
    at_x, at_y = _levels(columns, x), _levels(columns, y)
    across, down = _sorted(at_x), _sorted(at_y)
    cells: dict[tuple[Any, Any], list[float]] = {}
    for a, b, v in zip(at_x, at_y, figure, strict=True):
        if np.isfinite(v):
            cells.setdefault((a, b), []).append(float(v))
    table = [[np.mean(cells[a, b]) if (a, b) in cells else np.nan for a in across] for b in down]
    return across, down, np.array(table)


def pareto_front(
    columns: Columns, minimise: Sequence[str], maximise: Sequence[str] = ()
) -> npt.NDArray[np.bool_]:
    """True for the runs that no other run equals or beats in all figures and beats in one."""
    costs = np.column_stack(
        [
            *(numbers(columns, name) for name in minimise),
            *(-numbers(columns, name) for name in maximise),
        ]
    )
    known: npt.NDArray[np.bool_] = np.asarray(np.isfinite(costs).all(axis=1))
    front = known.copy()
    for k in np.flatnonzero(known):
        if front[k]:
            no_better = (costs >= costs[k]).all(axis=1) & (costs > costs[k]).any(axis=1)
            front &= ~no_better
    return front


def probabilities(
    columns: Columns,
    holds: str,
    sampled: Sequence[str],
    margin: str | None = None,
    by: str | None = None,
) -> list[Probability]:
    """How probable a condition is over the samples, and which sampled figure decides it.

    The figure that decides is the one with the largest rank correlation with the margin
    (with the condition itself where no margin is given), if chance does not explain it.
    """
    condition = Condition(holds)
    edge = Condition(margin) if margin else None
    groups = _levels(columns, by) if by else [""] * columns.rows
    told = [condition.holds(columns.row(n)) for n in range(columns.rows)]
    margins = [
        float(edge.value(columns.row(n))) if edge else float(told[n]) for n in range(len(told))
    ]
    x = np.column_stack([numbers(columns, name) for name in sampled]) if sampled else None
    found = []
    for name in dict.fromkeys(groups):
        chosen = np.array([group == name for group in groups])
        kept = [t for t, c in zip(told, chosen, strict=True) if c]
        standing = _deciders(x[chosen], np.array(margins)[chosen], sampled) if x is not None else []
        interval = stats.binomtest(sum(kept), len(kept)).proportion_ci(method="wilson")
        decided, rank = standing[0] if standing else (None, 0.0)
        low, high = float(interval.low), float(interval.high)
        rest = tuple(standing[1:4])
        found.append(Probability(str(name), sum(kept), len(kept), low, high, decided, rank, rest))
    return found


def _deciders(x: FloatArray, y: FloatArray, names: Sequence[str]) -> list[tuple[str, float]]:
    """The columns whose correlation with y chance does not explain, largest first."""
    if len(y) < LEAST_ROWS:
        return []
    ranks = _rank_correlations(x, y)
    found = [(n, rank) for n, (rank, chance) in zip(names, ranks, strict=True) if chance < CHANCE]
    return sorted(found, key=lambda pair: -abs(pair[1]))


def _levels(columns: Columns, name: str) -> list[Any]:
    return list(columns[full_name(name, columns)])


def _sorted(values: Sequence[Any] | Mapping[Any, Any]) -> list[Any]:
    """Distinct values: numbers by size, else in order of appearance; null is left out."""
    found = [value for value in dict.fromkeys(values) if value is not None]
    numeric = all(isinstance(value, int | float) for value in found)
    return sorted(found) if numeric else found
