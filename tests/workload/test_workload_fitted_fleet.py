"""Fitted traffic in a scenario's fleet."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.schema import FittedRequests
from sim.scenario.schema.serving import TraceRequests
from sim.scenario.traffic import traffic
from sim.workload.arrivals import SuperposedTraceArrivals, TraceShapedArrivals
from sim.workload.fitted import FittedArrivals

TRACE = Path(__file__).parents[1] / "cases" / "traces" / "bursty.csv"


def fitted(**changes: object) -> FittedArrivals:
    spec = FittedRequests.model_validate({"kind": "fitted", "file": str(TRACE), **changes})
    arrivals = traffic(spec).arrivals
    assert isinstance(arrivals, FittedArrivals)
    return arrivals


def test_a_rate_is_reached_by_copies() -> None:
    own = fitted()
    scaled = fitted(rate_per_s=20.0)
    assert scaled.rate_per_s == 20.0
    assert scaled.copies == pytest.approx(20 / own.rate_per_s)
    assert scaled.dispersion(7.0) == pytest.approx(float(own.dispersion(7.0)))
    assert fitted(rate_per_s=20.0, copies=1.0).dispersion(7.0) > 5 * own.dispersion(7.0)


def test_a_model_file_is_like_its_trace() -> None:
    kept, now = fitted(file=str(TRACE.with_suffix(".json"))), fitted()
    assert kept.rate_per_s == pytest.approx(now.rate_per_s, rel=1e-6)
    assert kept.dispersion(7.0) == pytest.approx(float(now.dispersion(7.0)), rel=1e-3)


def test_a_trace_is_scaled_as_asked() -> None:
    kinds = {"shape": TraceShapedArrivals, "copies": SuperposedTraceArrivals}
    for scaling, kind in kinds.items():
        spec = {"kind": "trace", "file": str(TRACE), "rate_per_s": 9.0, "scaling": scaling}
        found = traffic(TraceRequests.model_validate(spec)).arrivals
        assert isinstance(found, kind)
        assert found.rate_per_s == 9.0
