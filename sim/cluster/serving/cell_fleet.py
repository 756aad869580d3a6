"""A large fleet of which a few whole routing cells are simulated and speak for all.

A fleet in cells (see `cells`) sends each request to a random cell, so its cells are alike and
independent, and a cell is simulated with all its replicas behind its router. That is what a few
replicas alone cannot tell: behind a router that looks at the load, fewer replicas pool worse,
and near saturation their first tokens come later. What the simulated cells do is scaled to the
fleet, with an interval across cells. A fleet of so few cells is simulated whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, replace

import numpy as np
from numpy.typing import NDArray
from simpy import Environment

from sim.cluster.serving.cell_feeds import cell_coins
from sim.cluster.serving.classes import ClassResult
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.compiled_spec import CompiledFleetSpec, Tables
from sim.cluster.serving.estimate import Distribution, Estimate, Sample
from sim.cluster.serving.fleet_cells import kinds_of
from sim.cluster.serving.fleet_result import Counts, FleetResult
from sim.cluster.serving.histograms import histogram_quantile_s
from sim.signals import StepSignal
from sim.units import PS_PER_S, to_ps
from sim.workload.requests import RequestTable

FloatArray = NDArray[np.float64]

LEAST_CELLS = 4
"""Cells that are simulated at least: with two, Student's t makes an interval of no use."""
CONFIDENCE = 0.95
EVERY = slice(None)
"""All classes of requests."""


class CellFleet:
    """Some cells of a fleet, request by request, scaled (see `protocol.PowerFleet`).

    Args:
        env: the simulation, at time zero.
        spec: the whole fleet.
        tables: what a step costs under a cap.
        seed: the run's seed.
        recorded: a trace of the whole fleet's requests, each row in a random cell.
        least_replicas: to simulate at least; cells are whole and four at least.

    Attributes:
        power_w: signal, chip boundary of the whole fleet (scaled).
        parts: the simulated cells, each a fleet.
    """

    def __init__(
        self,
        env: Environment,
        spec: CompiledFleetSpec,
        tables: Tables,
        seed: int,
        recorded: RequestTable | None = None,
        least_replicas: int = 1,
    ):
        self.env = env
        self.spec = spec
        size = spec.replicas / spec.cells
        count = min(spec.cells, max(LEAST_CELLS, int(np.ceil(least_replicas / size))))
        prefill = spec.split.prefill if spec.split else 0
        counts = (prefill, spec.replicas - prefill) if spec.split else (spec.replicas,)
        kinds = kinds_of(spec.split, tables)
        self.gpus = sum(n * one(None).gpus for n, one in zip(counts, kinds, strict=True))
        self.parts = tuple(
            CompiledFleet(env, part, tables, seed, rows)
            for part, rows in _parts(spec, count, seed, recorded)
        )
        idle_w = sum(part.power_w.value for part in self.parts)
        self.power_w = StepSignal(f"{spec.name}.chip_w", self.scale * idle_w)
        for part in self.parts:
            part.power_w.subscribe(self._publish_power)

    @property
    def simulated(self) -> int:
        """Replicas simulated."""
        return sum(part.spec.replicas for part in self.parts)

    @property
    def scale(self) -> float:
        """GPUs of the fleet per simulated one."""
        return self.gpus / sum(part.gpus for part in self.parts)

    def _publish_power(self, time_ps: int, _: float) -> None:
        total_w = sum(part.power_w.value for part in self.parts)
        self.power_w.set(time_ps, self.scale * total_w)

    def set_cap(self, time_ps: int, cap_w: float | None) -> None:
        """Limit the power of each GPU from the tick at `time_ps` on (see `protocol`)."""
        for part in self.parts:
            part.set_cap(time_ps, cap_w)

    def set_admission(self, time_ps: int, frac: float) -> None:
        """Admit a share of the arrivals from the tick at `time_ps` on (see `protocol`)."""
        for part in self.parts:
            part.set_admission(time_ps, frac)

    @property
    def prefix_tokens(self) -> tuple[int, int]:
        """Prompt tokens that came from prefix stores, and all of them, in the simulated cells."""
        hit, read = zip(*(part.prefix_tokens for part in self.parts), strict=True)
        return sum(hit), sum(read)

    def check_laws(self) -> None:
        """Check the conservation laws and Little's law of each cell."""
        for part in self.parts:
            part.check_laws()

    def result(self) -> FleetResult:
        """The fleet's figures over the window, scaled, with an interval across cells.

        Raises:
            InputError: the simulation has not reached the window.
        """
        results = [part.result() for part in self.parts]
        sample = Sample(self.spec.cells, len(self.parts), CONFIDENCE)

        def each(value: Callable[[FleetResult], Estimate]) -> FloatArray:
            return self._each(results, value)

        def powered(value: Callable[[FleetResult], Estimate]) -> FloatArray:
            return self._each(results, value, by_gpus=True)

        energy, tokens = powered(lambda r: r.energy_j), each(lambda r: r.tokens_out)
        return FleetResult(
            fleet=self.spec.replicas,
            simulated=self.simulated,
            confidence=CONFIDENCE,
            window_s=results[0].window_s,
            requests=sample.total(each(lambda r: r.requests)),
            completed=sample.total(each(lambda r: r.completed)),
            dropped=sample.total(each(lambda r: r.dropped)),
            shed=sample.total(each(lambda r: r.shed)),
            tokens_in=sample.total(each(lambda r: r.tokens_in)),
            tokens_out=sample.total(tokens),
            energy_j=sample.total(energy),
            mean_power_w=sample.total(powered(lambda r: r.mean_power_w)),
            energy_j_per_output_token=sample.ratio(energy, tokens),
            ttft_s=self._latency(0, EVERY, [r.ttft_s for r in results], sample),
            tpot_s=self._latency(1, EVERY, [r.tpot_s for r in results], sample),
            e2e_s=self._latency(2, EVERY, [r.e2e_s for r in results], sample),
            classes=tuple(
                self._class(number, results, sample) for number in range(len(results[0].classes))
            ),
            counted=_added(results),
        )

    def _each(
        self,
        results: Sequence[FleetResult],
        value: Callable[[FleetResult], Estimate],
        *,
        by_gpus: bool = False,
    ) -> FloatArray:
        """Of each simulated cell, as if it had the mean size of the fleet's.

        Args:
            by_gpus: the size is in GPUs, as power goes by; else in replicas, as arrivals are
                dealt. Replicas of two kinds may have different numbers of GPUs.
        """
        whole = self.gpus if by_gpus else self.spec.replicas
        sizes = [part.gpus if by_gpus else part.spec.replicas for part in self.parts]
        mean = whole / self.spec.cells
        return np.array(
            [value(r).value * mean / size for r, size in zip(results, sizes, strict=True)]
        )

    def _class(self, number: int, results: Sequence[FleetResult], sample: Sample) -> ClassResult:
        """What became of one class, scaled."""

        def total(name: str) -> Estimate:
            return sample.total(self._each(results, lambda r: getattr(r.classes[number], name)))

        def latency(which: int, name: str) -> Distribution | None:
            each = [getattr(r.classes[number], name) for r in results]
            return self._latency(which, slice(number, number + 1), each, sample)

        return ClassResult(
            requests=total("requests"),
            completed=total("completed"),
            shed=total("shed"),
            dropped=total("dropped"),
            tokens_out=total("tokens_out"),
            met=total("met"),
            ttft_s=latency(0, "ttft_s"),
            tpot_s=latency(1, "tpot_s"),
            e2e_s=latency(2, "e2e_s"),
        )

    def _latency(
        self, which: int, kinds: slice, each: list[Distribution | None], sample: Sample
    ) -> Distribution | None:
        """Of all requests of the simulated cells; the intervals from the same figure by cell."""
        filled = [one for one in each if one is not None]
        if not filled:
            return None
        cells = [cell.cell for part in self.parts for cell in part.cells]
        counts = np.sum([cell.histogram[kinds, which].sum(axis=0) for cell in cells], axis=0)
        sum_ps = float(np.sum([cell.sums[kinds, which].sum() for cell in cells]))
        mean_s = sum_ps / float(counts.sum()) / PS_PER_S

        def estimate(name: str, pooled: float) -> Estimate:
            return sample.statistic(pooled, np.array([getattr(d, name).value for d in filled]))

        p50, p90, p99 = (
            estimate(name, histogram_quantile_s(counts, level) or 0.0)
            for name, level in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        )
        return Distribution(p50, p90, p99, estimate("mean", mean_s))


def build_cell_fleet(
    env: Environment,
    spec: CompiledFleetSpec,
    tables: Tables,
    seed: int,
    recorded: RequestTable | None = None,
    least_replicas: int = 1,
) -> CompiledFleet | CellFleet:
    """A few cells of a fleet; the whole fleet, the same as `request`, if it has no more."""
    if spec.cells <= LEAST_CELLS or least_replicas >= spec.replicas:
        return CompiledFleet(env, spec, tables, seed, recorded)
    return CellFleet(env, spec, tables, seed, recorded, least_replicas)


def _added(results: Sequence[FleetResult]) -> Counts:
    """What the simulated cells counted, in whole Python numbers that a file can hold."""
    return Counts(*np.sum([astuple(r.counted) for r in results if r.counted], axis=0).tolist())


def _parts(
    spec: CompiledFleetSpec, count: int, seed: int, recorded: RequestTable | None
) -> list[tuple[CompiledFleetSpec, RequestTable | None]]:
    """The first cells, each a fleet of its own with its part of the arrivals."""
    parts = []
    coins = None
    if recorded is not None:
        coins = cell_coins(spec, seed, recorded)
        coins = np.where(recorded.arrival_ps < to_ps(spec.horizon_s), coins, 2.0)
    begin = 0
    for cell in range(count):
        size = spec.size(cell)
        split = spec.split and replace(spec.split, prefill=spec.prefill_size(cell))
        own = replace(
            spec,
            name=f"{spec.name}.cell{cell}",
            replicas=size,
            cell_replicas=size,
            arrivals=spec.arrivals.thinned(size / spec.replicas),
            split=split,
        )
        rows = None
        if recorded is not None and coins is not None:
            low, high = begin / spec.replicas, (begin + size) / spec.replicas
            rows = recorded.rows((coins >= low) & (coins < high))
        parts.append((own, rows))
        begin += size
    return parts
