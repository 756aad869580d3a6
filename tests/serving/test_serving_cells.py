"""A fleet in cells: the same for any number of workers and any block of drawn requests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_serving_compiled_fleet import FREE, RULES

from sim.cluster.serving.cells import CellPlan, run_cell, run_cells
from sim.cluster.serving.source import DrawnSource, Staircase
from sim.cost.tables import ENERGY
from sim.errors import InputError
from sim.workload.lengths import trace_lengths

PLAN = CellPlan(
    tables=FREE,
    replicas=11,
    rates=Staircase(np.array([20.0, 60.0]), 5.0),
    lengths=trace_lengths("azure-conv-2023"),
    horizon_s=20.0,
    bin_s=2.0,
    rules=RULES,
    cell_replicas=4,
)


def test_the_answer_does_not_depend_on_the_workers() -> None:
    told: list[tuple[int, int]] = []
    alone = run_cells(PLAN, 1, lambda done, cells: told.append((done, cells)))
    together = run_cells(PLAN, 2)
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert alone.totals == together.totals
    assert np.array_equal(alone.histogram, together.histogram)
    assert np.array_equal(alone.power_w, together.power_w)


def test_the_bins_hold_the_energy() -> None:
    result = run_cell(PLAN, 0)
    assert result.replicas == 3
    assert result.power_w.sum() * 2.0 == pytest.approx(result.totals.energy_j, rel=1e-9)
    assert result.totals.arrived == result.totals.completed + result.in_system


def test_energy_above_64_bits_of_nanojoules_is_summed_exactly() -> None:
    """A hundred replicas for a day: no bin overflows, their sum does."""
    plain = run_cell(PLAN, 0)
    columns = {
        name: getattr(FREE, name).copy()
        for name in ("base", "slope", "token", "sequence", "pair", "read")
    }
    scale = int(2**65 / (plain.totals.energy_j * 1e9))
    for column in columns.values():
        column[ENERGY] *= scale
    dear = run_cell(replace(PLAN, tables=replace(FREE, **columns), bin_s=0.2), 0)
    assert dear.totals.energy_j > 2**64 / 1e9
    assert dear.power_w.sum() * 0.2 == pytest.approx(dear.totals.energy_j, rel=1e-9)


def test_drawn_requests_are_the_same_in_any_blocks_and_follow_the_staircase() -> None:
    streams = []
    for rows in (7, 100):
        source = DrawnSource(PLAN.rates, PLAN.lengths, 1, "x", rows=rows)
        blocks = [[a.copy() for a in source.block()] for _ in range(700 // rows)]
        streams.append([np.concatenate(parts) for parts in zip(*blocks, strict=True)])
    for first, second in zip(*streams, strict=True):
        assert np.array_equal(first, second)
    times_s = streams[0][0][:, 0] / 1e12
    laps = int(times_s[-1] // 10)
    inside = times_s[times_s < 10 * laps] % 10
    assert (inside < 5).sum() == pytest.approx(100 * laps, rel=0.35)
    assert (inside >= 5).sum() == pytest.approx(300 * laps, rel=0.2)


def test_bad_plans_are_refused() -> None:
    for bad in ({"replicas": 0}, {"cell_replicas": 0}, {"warmup_s": 20.0}):
        with pytest.raises(InputError):
            replace(PLAN, **bad)
    for rates in ([], [0.0], [-1.0, 2.0], [np.inf]):
        with pytest.raises(InputError, match="staircase"):
            Staircase(np.array(rates), 1.0)
