"""A large fleet as independent cells: each has a router and a stream of its own.

A cell is small enough that its state stays in a processor's cache, and cells run in
parallel processes. A cell depends on the plan and its number only, and results are merged
in the order of the cells, so the answer is the same for any number of workers. Poisson
arrivals split at random are independent Poisson streams, so with those the cells are
exactly a fleet whose front door sends each request to a random cell.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.cluster.serving.compiled import CompiledReplicas, Totals
from sim.cluster.serving.histograms import histogram_quantile_s
from sim.cluster.serving.source import BLOCK_ROWS, DrawnSource, Staircase
from sim.cluster.serving.state import Watch
from sim.control.serving import BatchRules
from sim.cost.tables import NJ_PER_J, StepTables
from sim.errors import InputError
from sim.units import to_ps
from sim.workload.lengths import EmpiricalLengths

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

CELL_REPLICAS = 125
"""Replicas of a cell unless told otherwise: its state fits into 1 MB of cache."""


@dataclass(frozen=True, slots=True, eq=False)
class CellPlan:
    """A fleet in cells.

    Attributes:
        tables: what a step of one replica costs.
        replicas: of the fleet. cell_replicas: most in a cell.
        rates: of the fleet's arrivals. lengths: of its requests.
        horizon_s: requests arrive in [0, horizon_s), and the run ends then.
        warmup_s: latencies and tallies of the window leave out what was before.
        bin_s: resolution of the power, at most an hour.
        router: inside a cell. rules: how a replica forms its steps.
    """

    tables: StepTables
    replicas: int
    rates: Staircase
    lengths: EmpiricalLengths
    horizon_s: float
    seed: int = 1
    name: str = "fleet"
    warmup_s: float = 0.0
    bin_s: float = 60.0
    router: str = "power-of-two"
    rules: BatchRules = field(default_factory=BatchRules)
    cell_replicas: int = CELL_REPLICAS

    def __post_init__(self) -> None:
        if self.replicas < 1 or self.cell_replicas < 1:
            raise InputError(f"{self.replicas} replicas in cells of {self.cell_replicas}")
        if not 0 <= self.warmup_s < self.horizon_s < np.inf:
            raise InputError(f"warmup_s = {self.warmup_s}, must be below {self.horizon_s} s")

    @property
    def cells(self) -> int:
        """How many cells."""
        return -(-self.replicas // self.cell_replicas)

    @property
    def bins(self) -> int:
        """How many bins the power has."""
        return int(np.ceil(self.horizon_s / self.bin_s))

    def size(self, cell: int) -> int:
        """Replicas of one cell; they differ by one at most."""
        return (cell + 1) * self.replicas // self.cells - cell * self.replicas // self.cells


@dataclass(frozen=True, slots=True, eq=False)
class CellResult:
    """What one cell did, or several merged.

    Attributes:
        totals: up to the horizon.
        tally: by class, columns of the kernels. histogram: of TTFT, TPOT, E2E.
        power_w: mean chip power in each bin, idle included.
        in_system: requests held at the horizon.
        cpu_s: processor time.
    """

    replicas: int
    totals: Totals
    tally: IntArray
    histogram: IntArray
    power_w: FloatArray
    in_system: int
    cpu_s: float

    def quantile_s(self, which: int, level: float) -> float | None:
        """A quantile of TTFT (0), TPOT (1) or E2E (2), within 0.4 %."""
        return histogram_quantile_s(self.histogram[which], level)


def run_cell(plan: CellPlan, cell: int) -> CellResult:
    """Simulate one cell to the horizon and check its laws."""
    began_s = time.process_time()
    size, end_ps = plan.size(cell), to_ps(plan.horizon_s)
    watch = Watch((to_ps(plan.warmup_s), end_ps), plan.bin_s, plan.bins)
    replicas = CompiledReplicas(plan.tables, plan.rules, size, plan.router, watch)
    source = cell_source(plan, cell)
    while True:
        rows, draws = source.block()
        if replicas.submit(rows, draws, end_ps) < len(rows):
            break
    replicas.settle(end_ps)
    replicas.check_laws(end_ps)
    totals = replicas.totals(end_ps)
    power_w = bin_power_w(replicas.energy_bins(end_ps), plan, size)
    state = replicas.cell
    return CellResult(
        size,
        totals,
        state.tally,
        state.histogram.sum(axis=0),
        power_w,
        int(state.load.sum()),
        time.process_time() - began_s,
    )


def cell_source(plan: CellPlan, cell: int, rows: int = BLOCK_ROWS) -> DrawnSource:
    """The requests of one cell: its part of the rate, and a stream of its own."""
    part = plan.rates.rates_per_s * (plan.size(cell) / plan.replicas)
    rates = Staircase(part, plan.rates.slot_s)
    return DrawnSource(rates, plan.lengths, plan.seed, plan.name, f"cell{cell}", rows=rows)


def bin_power_w(bins: IntArray, plan: CellPlan, replicas: int) -> FloatArray:
    """Mean power of each bin from energy (nJ) and busy time (ps) of its steps."""
    edges = np.minimum(np.arange(len(bins) + 1) * plan.bin_s, plan.horizon_s)
    width_s = np.diff(edges)
    idle_s = replicas * width_s - bins[:, 1] / 1e12
    energy_j = bins[:, 0] / NJ_PER_J + np.maximum(idle_s, 0.0) * plan.tables.idle_power_w
    return np.asarray(energy_j / width_s)


def run_cells(
    plan: CellPlan, workers: int = 1, tell: Callable[[int, int], None] | None = None
) -> CellResult:
    """Simulate all cells.

    Args:
        workers: processes; the result does not depend on it.
        tell: called with (cells done, cells) after each.
    """
    so_far: CellResult | None = None
    for done, result in enumerate(_results(plan, workers), start=1):
        so_far = result if so_far is None else merge([so_far, result])
        if tell:
            tell(done, plan.cells)
    if so_far is None:
        raise InputError("a fleet without cells")
    return so_far


def _results(plan: CellPlan, workers: int) -> Iterator[CellResult]:
    """Results in the order of the cells."""
    if workers <= 1:
        for cell in range(plan.cells):
            yield run_cell(plan, cell)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _keep_plan, (plan,)) as pool:
        yield from pool.map(_run_kept, range(plan.cells))


_PLAN: list[CellPlan] = []


def _keep_plan(plan: CellPlan) -> None:
    """Let a worker process hold the plan, so that it travels once."""
    _PLAN[:] = [plan]


def _run_kept(cell: int) -> CellResult:
    return run_cell(_PLAN[0], cell)


def merge(results: list[CellResult]) -> CellResult:
    """The sum of results of disjoint cells."""
    fields = Totals.__dataclass_fields__
    sums = {name: sum(getattr(r.totals, name) for r in results) for name in fields}
    return CellResult(
        sum(r.replicas for r in results),
        Totals(**sums),
        np.sum([r.tally for r in results], axis=0),
        np.sum([r.histogram for r in results], axis=0),
        np.sum([r.power_w for r in results], axis=0),
        sum(r.in_system for r in results),
        sum(r.cpu_s for r in results),
    )
