"""Counts and latencies of requests that pass several pools, from rows of the whole request.

The kernels count what one pool did. What a user sees of a request (its arrival, its first and
last token, its output) is known when the last pool is done with it; here it is counted as the
kernels would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.histograms import buckets
from sim.cluster.serving.kernels import layout as at

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class WholeBook:
    """What became of whole requests.

    Args:
        window_ps: completions, and arrivals of those refused, in [start, end) count for it.
        rules: bounds of the classes, columns as the kernels' `rules`.
        classes: in use.

    Attributes:
        tally: by class, columns of the kernels; arrivals are left to who routes them.
        histogram, sums: of TTFT, TPOT and E2E in ps by class, as in `kernels.layout.Cell`.
        stayed_ps: times from arrival to the end or the refusal, summed.
    """

    def __init__(self, window_ps: tuple[int, int], rules: IntArray, classes: int):
        self.tally = np.zeros((at.CLASSES, at.TALLIES), dtype=np.int64)
        self.histogram = np.zeros((classes, 3, at.HISTOGRAM_BUCKETS), dtype=np.int64)
        self.sums = np.zeros((classes, 3))
        self.stayed_ps = 0
        self._window_ps, self._rules = window_ps, rules

    def count(self, rows: IntArray, left_ps: IntArray) -> None:
        """Take in requests that are done with.

        Args:
            rows: columns `L_` of the kernels, of the whole request.
            left_ps: when each was done with, shape (n,).
        """
        arrival, kinds = rows[:, at.L_ARRIVAL], rows[:, at.L_CLASS]
        self.stayed_ps += sum((left_ps - arrival).tolist())
        served, full = rows[:, at.L_REASON] == at.SERVED, rows[:, at.L_REASON] == at.QUEUE_FULL
        early = self._inside(arrival)
        self._add(at.SHED, kinds, full)
        self._add(at.W_SHED, kinds, full & early)
        self._add(at.DROPPED, kinds, ~served & ~full)
        self._add(at.W_DROPPED, kinds, ~served & ~full & early)
        self._serve(rows[served])

    def _serve(self, rows: IntArray) -> None:
        """Requests whose last token came."""
        kinds = rows[:, at.L_CLASS]
        every = np.ones(len(rows), dtype=np.bool_)
        inside = self._inside(rows[:, at.L_END])
        for column, chosen in ((at.COMPLETED, every), (at.W_COMPLETED, inside)):
            self._add(column, kinds, chosen)
        for column, chosen in ((at.TOKENS_IN, every), (at.W_IN, inside)):
            self._add(column, kinds, chosen, rows[:, at.L_INPUT])
        for column, chosen in ((at.TOKENS_OUT, every), (at.W_OUT, inside)):
            self._add(column, kinds, chosen, rows[:, at.L_OUTPUT])
        self._observe(rows[inside])

    def _observe(self, rows: IntArray) -> None:
        """Latencies of requests that were completed in the window."""
        kinds, later = rows[:, at.L_CLASS], rows[:, at.L_OUTPUT] - 1
        ttft = (rows[:, at.L_FIRST] - rows[:, at.L_ARRIVAL]).astype(np.float64)
        e2e = (rows[:, at.L_END] - rows[:, at.L_ARRIVAL]).astype(np.float64)
        gap = (rows[:, at.L_END] - rows[:, at.L_FIRST]) / np.maximum(later, 1)
        several = later > 0
        for which, values_ps, chosen in ((0, ttft, None), (1, gap, several), (2, e2e, None)):
            kept = slice(None) if chosen is None else chosen
            self._spread(kinds[kept], which, values_ps[kept])
        bounds = self._rules[kinds]
        met = (ttft <= bounds[:, at.SLO_TTFT_PS]) & (gap <= bounds[:, at.SLO_TPOT_PS])
        self._add(at.W_MET, kinds, met)

    def _spread(self, kinds: IntArray, which: int, values_ps: FloatArray) -> None:
        """Put values into the histogram, in the kernels' buckets."""
        np.add.at(self.histogram[:, which], (kinds, buckets(values_ps)), 1)
        np.add.at(self.sums[:, which], kinds, values_ps)

    def _inside(self, times_ps: IntArray) -> BoolArray:
        start_ps, end_ps = self._window_ps
        found: BoolArray = (times_ps >= start_ps) & (times_ps < end_ps)
        return found

    def _add(
        self, column: int, kinds: IntArray, chosen: BoolArray, amounts: IntArray | None = None
    ) -> None:
        """Add rows, or what they bring, to a column by class."""
        amount = np.ones(len(kinds), dtype=np.int64) if amounts is None else amounts
        np.add.at(self.tally[:, column], kinds[chosen], amount[chosen])
