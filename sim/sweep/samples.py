"""Samples of a sweep: rows of values spread over ranges, the same on every machine."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from sim.datum import Datum
from sim.errors import InputError
from sim.randomness import stream
from sim.sweep.point import FIGURE, Value
from sim.sweep.schema import Range, Samples

DIGITS = 12
"""Significant digits of a sampled value: more would differ between math libraries."""

FloatArray = npt.NDArray[np.float64]


def sample_rows(
    samples: Samples, assumed: Callable[[], Mapping[str, Datum]]
) -> tuple[tuple[Value, ...], ...]:
    """The rows of values, one for each sample.

    Args:
        assumed: gives the figures that the base scenario assumes, by `FILE:NAME`; asked only
            where `assumptions` is given.

    Raises:
        InputError: a pattern matches no assumed figure, or the design is too large.
    """
    quantiles: dict[str, Callable[[float], float]] = {
        path: _quantile(given) for path, given in samples.over.items()
    }
    if samples.assumptions:
        for name, figure in chosen(assumed(), samples.assumptions).items():
            quantiles[f"{FIGURE}{name}"] = figure.quantile
    grid = unit_rows(samples, len(quantiles))
    return tuple(
        tuple(
            (path, _rounded(quantile(float(u)), samples.over.get(path)))
            for (path, quantile), u in zip(quantiles.items(), row, strict=True)
        )
        for row in grid
    )


def chosen(assumed: Mapping[str, Datum], patterns: list[str]) -> dict[str, Datum]:
    """The assumed figures that some pattern matches, by name; `!` before one leaves them out.

    Raises:
        InputError: a pattern matches none.
    """
    for pattern in patterns:
        if not fnmatch.filter(assumed, pattern.removeprefix("!")):
            raise InputError(
                f"no assumption that the scenario reads matches {pattern!r}",
                f"known: {', '.join(sorted(assumed)) or 'none'}",
                path="samples.assumptions",
            )
    return {
        name: figure
        for name, figure in sorted(assumed.items())
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        and not any(fnmatch.fnmatchcase(name, p[1:]) for p in patterns if p.startswith("!"))
    }


def unit_rows(samples: Samples, dimensions: int) -> FloatArray:
    """The design in the unit cube, shape (n_rows, dimensions).

    `saltelli` gives for each base point A and B the rows A, A with one column of B for each
    dimension, B: the order that SALib's analysis expects (Saltelli et al. 2010,
    doi:10.1016/j.cpc.2009.09.018).
    """
    rng = stream(samples.seed, "sweep samples", samples.method)
    if samples.method == "latin-hypercube":
        return np.asarray(qmc.LatinHypercube(dimensions, rng=rng).random(samples.count))
    wide = dimensions * (2 if samples.method == "saltelli" else 1)
    if wide > qmc.Sobol.MAXDIM:
        raise InputError(f"{wide} dimensions are more than {qmc.Sobol.MAXDIM}", "sample less")
    power = math.ceil(math.log2(samples.count))
    points = qmc.Sobol(wide, rng=rng).random_base2(power)[: samples.count]
    if samples.method == "sobol":
        return np.asarray(points)
    a, b = points[:, :dimensions], points[:, dimensions:]
    rows = np.repeat(a[:, None, :], dimensions + 2, axis=1)
    for k in range(dimensions):
        rows[:, k + 1, k] = b[:, k]
    rows[:, -1, :] = b
    return np.asarray(rows.reshape(-1, dimensions))


def _quantile(given: Range) -> Callable[[float], float]:
    """From a probability to a value of the range."""
    low, high = given.low, given.high
    if given.distribution == "log-uniform":
        return lambda u: low * (high / low) ** u
    mode = (low + high) / 2 if given.mode is None else given.mode
    shape = "triangular" if given.distribution == "triangular" else "uniform"
    return Datum("", mode, "", "", "", low, high, shape).quantile  # type: ignore[arg-type]


def _rounded(value: float, given: Range | None) -> float | int:
    """The value to so many digits; a whole multiple of the step, within the range."""
    if given is None or given.step is None:
        return float(f"{value:.{DIGITS}g}")
    first, last = math.ceil(given.low / given.step), math.floor(given.high / given.step)
    whole = min(max(round(value / given.step), first), last) * given.step
    return int(whole) if float(whole).is_integer() and given.step >= 1 else whole
