"""Requests as values and as columns."""

from __future__ import annotations

import numpy as np
import pytest

from sim.errors import InputError
from sim.randomness import stream
from sim.workload.arrivals import GammaArrivals, PoissonArrivals
from sim.workload.lengths import ConstantLengths, LognormalLengths
from sim.workload.requests import Request, RequestTable, draw_requests, thin_requests


def test_columns_and_rows_agree() -> None:
    table = RequestTable(np.array([0, 5]), np.array([7, 8]), np.array([1, 2]))
    assert list(table) == [Request(0, 0, 7, 1), Request(1, 5, 8, 2)]
    assert all(type(request.arrival_ps) is int for request in table)
    assert len(table) == 2


def test_lengths_do_not_depend_on_the_arrival_process() -> None:
    """Own streams: a change of one leaves the other as it was."""
    lengths = LognormalLengths(100, 50, 1.0, 1.0)
    first = draw_requests(PoissonArrivals(5.0), lengths, 100.0, 1, "site")
    other = draw_requests(GammaArrivals(5.0, 2.0), lengths, 100.0, 1, "site")
    longer = draw_requests(PoissonArrivals(5.0), ConstantLengths(3, 4), 100.0, 1, "site")
    assert first.arrival_ps.tolist() == longer.arrival_ps.tolist()
    assert first.arrival_ps.tolist() != other.arrival_ps.tolist()
    again = draw_requests(PoissonArrivals(5.0), lengths, 100.0, 1, "site")
    assert first.input_tokens.tolist() == again.input_tokens.tolist()
    elsewhere = draw_requests(PoissonArrivals(5.0), lengths, 100.0, 1, "campus")
    assert first.arrival_ps.tolist() != elsewhere.arrival_ps.tolist()


def test_the_streams_are_named_by_what_they_draw() -> None:
    """Another engine must draw the same requests."""
    lengths = LognormalLengths(100, 50, 1.0, 1.0)
    table = draw_requests(PoissonArrivals(5.0), lengths, 100.0, 1, "site")
    times_s = PoissonArrivals(5.0).times_s(100.0, stream(1, "arrivals", "site"))
    tokens_in, tokens_out = lengths.sample(len(times_s), stream(1, "lengths", "site"))
    assert table.arrival_ps.tolist() == [round(time_s * 1e12) for time_s in times_s.tolist()]
    assert table.input_tokens.tolist() == tokens_in.tolist()
    assert table.output_tokens.tolist() == tokens_out.tolist()


@pytest.mark.parametrize(("tokens_in", "tokens_out"), [(0, 1), (1, 0), (-3, 1)])
def test_empty_requests_are_refused(tokens_in: int, tokens_out: int) -> None:
    with pytest.raises(InputError, match="at least 1"):
        Request(0, 0, tokens_in, tokens_out)


def test_tables_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(InputError, match="differ in shape"):
        RequestTable(np.array([0, 1]), np.array([1]), np.array([1, 1]))
    with pytest.raises(InputError, match="not sorted"):
        RequestTable(np.array([1, 0]), np.array([1, 1]), np.array([1, 1]))


def test_thinning_out_of_range_is_refused() -> None:
    table = RequestTable(np.array([0]), np.array([1]), np.array([1]))
    with pytest.raises(InputError, match=r"keep_frac = 1\.5"):
        thin_requests(table, 1.5, 1.0, stream(1, "x"))
    assert len(thin_requests(table, 1.0, 1.0, stream(1, "x"))) == 1


def test_a_session_is_kept_or_left_out_as_a_whole() -> None:
    count = np.arange(400)
    ones = np.ones(400, dtype=np.int64)
    table = RequestTable(count, ones, ones, session=np.where(count < 300, 1 + count % 50, 0))
    kept = thin_requests(table, 0.5, 1.0, stream(1, "x"))
    sessions = kept.session[kept.session > 0]
    assert 15 < len(set(sessions.tolist())) < 35
    assert len(sessions) == 6 * len(set(sessions.tolist()))
    assert 30 < (kept.session == 0).sum() < 70
