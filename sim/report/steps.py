"""Step curves and layers with as few points as they have changes: quick to draw, short to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from sim.report.series import Floats


def corners(edges: Floats, *values: Floats) -> tuple[Floats, ...]:
    """Edges at which a value changes, with the values from there on; the last edge closes.

    Args:
        edges: shape (n + 1,). values: each of shape (n,).

    Returns:
        edges, then each of the values, all of one length.
    """
    table = np.stack(values)
    changes = np.any(table[:, 1:] != table[:, :-1], axis=0)
    changes &= ~np.all(np.isnan(table[:, 1:]) & np.isnan(table[:, :-1]), axis=0)
    first = np.concatenate([[True], changes])
    ends = [np.append(row[first], row[-1]) for row in table]
    return np.append(edges[:-1][first], edges[-1]), *ends


def fill_steps(axes: Axes, edges: Floats, below: Floats, top: Floats, **look: Any) -> None:
    """A layer between two step curves.

    Args:
        edges: shape (n + 1,). below, top: shape (n,).
    """
    x, low, high = corners(edges, below, top)
    axes.fill_between(x, low, high, step="post", **({"linewidth": 0} | look))


def draw_steps(axes: Axes, edges: Floats, values: Floats, **look: Any) -> None:
    """A step curve; nothing where the values are NaN."""
    axes.plot(*corners(edges, values), drawstyle="steps-post", **look)
