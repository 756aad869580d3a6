"""A fleet of which every replica is simulated, on the compiled engine, in cells.

A SimPy process brings the engine forward tick by tick. The power of a tick is known when
it is simulated, so the engine runs one tick ahead of the clock: at the beginning of a tick
it simulates the tick and publishes its mean power. A change (cap, admission) takes effect
at the first tick that begins at or after its time; at a tick's own instant, changes come
before the tick. A step that spans a tick's edge is divided by time, so the signal
integrates to the energy of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.autoscale import Autoscale, Autoscaler
from sim.cluster.serving.cells import CELL_REPLICAS
from sim.cluster.serving.classes import ClassedSource, check_shares, tallied, with_classes
from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.compiled import CompiledReplicas
from sim.cluster.serving.estimate import Distribution, Estimate
from sim.cluster.serving.feed import Feed, Move, recorded_feed
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.inbox import Inbox, Piece, merged
from sim.cluster.serving.kernels import layout as at
from sim.cluster.serving.source import DrawnSource, Source, Staircase
from sim.cluster.serving.state import Watch, histogram_quantile_s
from sim.control.serving import BatchRules
from sim.cost.tables import NJ_PER_J, StepTables
from sim.errors import InputError
from sim.signals import StepSignal
from sim.units import PS_PER_S, to_ps, to_s
from sim.workload.arrivals import ArrivalProcess, PoissonArrivals
from sim.workload.counter import counter_key, uniforms
from sim.workload.lengths import EmpiricalLengths, LengthDistribution
from sim.workload.requests import RequestTable, draw_requests

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Tables = Callable[[float | None], StepTables]
"""What a step costs under a power cap (W per GPU, None for none); segments are the same."""


@dataclass(frozen=True, slots=True)
class CompiledFleetSpec:
    """What the fleet is.

    Attributes:
        name: prefix of its signal and purpose of its random streams.
        replicas: of the fleet, all simulated. cell_replicas: most in a cell.
        arrivals, lengths: of the whole fleet's requests.
        horizon_s: requests arrive in [0, horizon_s). warmup_s: results leave out what was
            before. tick_s: resolution of the power and of changes.
        rules: how a replica forms its steps. router: inside a cell.
        class_shares: of the requests by class of the rules; empty: all are of the first.
        autoscale: how many replicas are on; None for all.
    """

    name: str
    replicas: int
    arrivals: ArrivalProcess
    lengths: LengthDistribution
    horizon_s: float
    warmup_s: float = 0.0
    tick_s: float = 1.0
    rules: BatchRules = field(default_factory=BatchRules)
    router: str = "power-of-two"
    cell_replicas: int = CELL_REPLICAS
    class_shares: tuple[float, ...] = ()
    autoscale: Autoscale | None = None

    def __post_init__(self) -> None:
        check_shares(self.class_shares, self.rules.classes)
        if self.replicas < 1 or self.cell_replicas < 1:
            raise InputError(f"{self.replicas} replicas in cells of {self.cell_replicas}")
        if not 0 <= self.warmup_s < self.horizon_s < np.inf:
            raise InputError(f"warmup_s = {self.warmup_s}, must be below {self.horizon_s} s")
        if not 0 < self.tick_s <= 3600:
            raise InputError(f"tick_s = {self.tick_s}, must be above 0 and at most 3600 s")
        scale = self.autoscale
        if scale and not self.cells <= scale.min_replicas <= scale.max_replicas <= self.replicas:
            raise InputError(
                f"autoscaler from {scale.min_replicas} to {scale.max_replicas} replicas in "
                f"{self.cells} routing cells and {self.replicas} replicas",
                "let each cell keep one, and have no more than there are",
                path="autoscaler",
            )

    @property
    def cells(self) -> int:
        """How many cells."""
        return -(-self.replicas // self.cell_replicas)

    def size(self, cell: int) -> int:
        """Replicas of one cell; they differ by one at most."""
        return (cell + 1) * self.replicas // self.cells - cell * self.replicas // self.cells


class CompiledFleet:
    """All replicas of a fleet, request by request (see `protocol.PowerFleet`).

    Args:
        env: the simulation, at time zero.
        spec: what the fleet is.
        tables: what a step costs under a cap.
        seed: the run's seed.
        recorded: a trace of the fleet's requests, in place of `arrivals` and `lengths`; each
            row goes to a cell by a coin.

    Attributes:
        power_w: signal, chip boundary of the whole fleet.
    """

    def __init__(
        self,
        env: Environment,
        spec: CompiledFleetSpec,
        tables: Tables,
        seed: int,
        recorded: RequestTable | None = None,
    ):
        self.env = env
        self.spec = spec
        self._tables = tables
        first = tables(None)
        self.gpus = spec.replicas * first.gpus
        self._idle_w = first.idle_power_w
        watch = Watch((to_ps(spec.warmup_s), to_ps(spec.horizon_s)))
        sizes = [spec.size(cell) for cell in range(spec.cells)]
        self.cells = tuple(
            CompiledReplicas(first, spec.rules, size, spec.router, watch) for size in sizes
        )
        self._feeds = _feeds(spec, sizes, seed, recorded)
        self._admit_frac = 1.0
        self._inbox = Inbox(sizes, counter_key(seed, spec.name, "received"))
        self._moves: tuple[Move, ...] = ()
        self._reached_ps = 0
        self._window_j = 0.0
        self._dark_ps = 0
        self.scaler = Autoscaler(spec.autoscale) if spec.autoscale else None
        self._order = sorted((r, c) for c, size in enumerate(sizes) for r in range(size))
        if self.scaler:
            for place in range(self.scaler.ready, spec.replicas):
                self._switch(place, on=False)
        self.power_w = StepSignal(f"{spec.name}.chip_w", spec.replicas * self._idle_w)
        env.process(self.serve_tick_by_tick())

    def serve_tick_by_tick(self) -> Generator[Event, None, None]:
        """Simulate a tick, publish its power, wait until it is over."""
        marks_ps = (to_ps(self.spec.warmup_s), to_ps(self.spec.horizon_s))
        tick_ps = to_ps(self.spec.tick_s)
        while True:
            yield At(self.env, Phase.STEP_BEGIN)
            now_ps = int(self.env.now)
            self._scale(now_ps)
            due_ps = [self.scaler.next_ps] if self.scaler else []
            edges = (now_ps // tick_ps * tick_ps + tick_ps, *marks_ps, *due_ps)
            end_ps = min(edge for edge in edges if edge > now_ps)
            own = [feed.take(end_ps, self._admit_frac, self._moves) for feed in self._feeds]
            yield At(self.env, Phase.STEP_BEGIN)  # by then every fleet has handed over
            self.power_w.set(now_ps, self._simulate(end_ps, own))
            yield self.env.timeout(end_ps - now_ps)

    def _scale(self, now_ps: int) -> None:
        """Let the autoscaler act, when its time has come."""
        if self.scaler is None or now_ps < self.scaler.next_ps:
            return
        area_ps = completed = 0
        for cell in (replicas.cell for replicas in self.cells):
            number = cell.rep[:, at.AREA] + cell.load * (now_ps - cell.rep[:, at.CHANGED])
            area_ps += int(number.sum())
            completed += int(cell.tally[:, at.COMPLETED].sum())
        while now_ps >= self.scaler.next_ps:  # again, where a model loads in no time
            for switch in self.scaler.act(now_ps, area_ps, completed):
                self._switch(switch.place, on=switch.on)

    def _switch(self, place: int, *, on: bool) -> None:
        """Switch a replica by its place: the first of each cell, then the second of each."""
        r, c = self._order[place]
        (self.cells[c].join if on else self.cells[c].drain)(r, self._reached_ps)

    def set_cap(self, time_ps: int, cap_w: float | None) -> None:
        """Limit the power of each GPU from the tick at `time_ps` on (see `protocol`)."""
        tables = self._tables(cap_w)

        def change() -> None:
            for cell in self.cells:
                cell.set_costs(tables, self._reached_ps)

        self._at(time_ps, change)

    def set_admission(self, time_ps: int, frac: float) -> None:
        """Admit a share of the arrivals from the tick at `time_ps` on (see `protocol`)."""
        if not 0 <= frac <= 1:
            raise InputError(f"admitted share {frac}, must be in [0, 1]", path="frac")
        self._at(time_ps, lambda: setattr(self, "_admit_frac", frac))

    def set_moves(self, shares: Mapping[CompiledFleet, float], delay_s: float) -> None:
        """Hand shares of the arrivals to other fleets, from the tick that begins next on.

        A coin for each request decides, so each appears at one fleet, once. It arrives there
        after the delay; where it would come into a tick that is simulated already, at its end.

        Raises:
            InputError: the shares sum to more than one.
        """
        if sum(shares.values()) > 1 + 1e-9 or min(shares.values(), default=0) < 0:
            raise InputError(f"shares {list(shares.values())}, must sum to 1 at most")
        delay_ps = to_ps(delay_s)
        self._moves = tuple(
            Move(share, partial(fleet.receive, delay_ps=delay_ps))
            for fleet, share in shares.items()
        )

    def receive(self, rows: IntArray, draws: FloatArray, delay_ps: int) -> None:
        """Take requests that another fleet hands over."""
        self._inbox.put(rows, draws, delay_ps, self._reached_ps)

    @property
    def received(self) -> int:
        """Requests that others handed over so far."""
        return self._inbox.received

    @property
    def under_way(self) -> int:
        """Of these, those that have not arrived yet."""
        return self._inbox.under_way

    def moved(self, time_ps: int) -> float:
        """Requests handed over until a time."""
        times = [piece for feed in self._feeds for piece in feed.moved_ps]
        return float(sum(int((piece < time_ps).sum()) for piece in times))

    def check_laws(self) -> None:
        """Check the conservation laws and Little's law of each cell, at the tick's end."""
        for cell in self.cells:
            cell.check_laws(self._reached_ps)

    def result(self) -> FleetResult:
        """The fleet's figures over the window, exact; latencies within 0.4 %.

        Raises:
            InputError: the simulation has not reached the window.
        """
        start_ps = to_ps(self.spec.warmup_s)
        end_ps = min(to_ps(self.spec.horizon_s), self._reached_ps)
        if end_ps <= start_ps:
            raise InputError(f"the run ended at {to_s(end_ps)} s, before the window began")
        window_s = to_s(end_ps - start_ps)
        by_class = np.sum([cell.cell.tally for cell in self.cells], axis=0)
        tally = by_class.sum(axis=0)
        shed = self._shed_before_router(start_ps, end_ps) + int(tally[at.W_SHED])
        tokens_out = int(tally[at.W_OUT])
        return FleetResult(
            fleet=self.spec.replicas,
            simulated=self.spec.replicas,
            confidence=1.0,
            window_s=window_s,
            requests=_exact(int(tally[at.W_ARRIVED]) + self._turned_away(start_ps, end_ps)),
            completed=_exact(int(tally[at.W_COMPLETED])),
            dropped=_exact(int(tally[at.W_DROPPED])),
            shed=_exact(shed),
            tokens_in=_exact(int(tally[at.W_IN])),
            tokens_out=_exact(tokens_out),
            energy_j=_exact(self._window_j),
            mean_power_w=_exact(self._window_j / window_s),
            energy_j_per_output_token=_exact(self._window_j / tokens_out) if tokens_out else None,
            ttft_s=self._latency(0),
            tpot_s=self._latency(1),
            e2e_s=self._latency(2),
            classes=tallied(by_class, len(self.spec.class_shares)),
        )

    def _simulate(self, until_ps: int, own: list[list[Piece]]) -> float:
        """Bring all cells forward with their arrivals; the fleet's mean power until then."""
        span_ps = until_ps - self._reached_ps
        energy_nj = busy_ps = 0
        for cell, mine, other in zip(self.cells, own, self._inbox.take(until_ps), strict=True):
            for rows, draws in merged(mine, other):
                cell.submit(rows, draws)
            cell.settle(until_ps)
            used_nj, used_ps = cell.take_energy(until_ps)
            energy_nj += used_nj
            busy_ps += used_ps
        before_ps, self._dark_ps = self._dark_ps, sum(c.dark_ps(until_ps) for c in self.cells)
        dark_ps = self._dark_ps - before_ps
        idle_s = to_s(self.spec.replicas * span_ps - busy_ps - dark_ps)
        energy_j = energy_nj / NJ_PER_J + idle_s * self._idle_w
        if to_ps(self.spec.warmup_s) <= self._reached_ps < to_ps(self.spec.horizon_s):
            self._window_j += energy_j
        self._reached_ps = until_ps
        return energy_j / to_s(span_ps)

    def _at(self, time_ps: int, change: Callable[[], None]) -> None:
        """Change something now, or later ahead of the tick that begins then."""
        delay_ps = time_ps - int(self.env.now)
        if delay_ps < 0:
            now_s = to_s(int(self.env.now))
            raise InputError(f"a change at {to_s(time_ps)} s asked after {now_s} s")

        def later() -> Generator[Event, None, None]:
            yield At(self.env, Phase.STEP_END, delay_ps)
            change()

        if delay_ps:
            self.env.process(later())
        else:
            change()

    def _shed_before_router(self, start_ps: int, end_ps: int) -> int:
        return _within([p for feed in self._feeds for p in feed.shed_ps], start_ps, end_ps)

    def _turned_away(self, start_ps: int, end_ps: int) -> int:
        """Arrivals that never reached the router: shed, or handed to other fleets."""
        moved = _within([p for feed in self._feeds for p in feed.moved_ps], start_ps, end_ps)
        return moved + self._shed_before_router(start_ps, end_ps)

    def _latency(self, which: int) -> Distribution | None:
        counts = np.sum([cell.cell.histogram[which] for cell in self.cells], axis=0)
        total = int(counts.sum())
        if not total:
            return None
        sums = float(np.sum([cell.cell.sums[which] for cell in self.cells]))
        quantiles = [histogram_quantile_s(counts, level) or 0.0 for level in (0.5, 0.9, 0.99)]
        return Distribution(*map(_exact, (*quantiles, sums / total / PS_PER_S)))


def _within(pieces: list[IntArray], start_ps: int, end_ps: int) -> int:
    return sum(int(((piece >= start_ps) & (piece < end_ps)).sum()) for piece in pieces)


def _exact(value: float) -> Estimate:
    return Estimate(value, value, value)


def _feeds(
    spec: CompiledFleetSpec, sizes: list[int], seed: int, recorded: RequestTable | None
) -> tuple[Feed, ...]:
    """The requests of each cell."""
    if recorded is not None:
        return _recorded_feeds(spec, sizes, seed, recorded)
    feeds = []
    for cell, size in enumerate(sizes):
        part = spec.arrivals.thinned(size / spec.replicas)
        purpose = (spec.name, f"cell{cell}")
        key, move_key = (counter_key(seed, *purpose, name) for name in ("admission", "move"))
        if isinstance(part, PoissonArrivals) and isinstance(spec.lengths, EmpiricalLengths):
            rates = Staircase(np.array([part.rate_per_s]), 3600.0)
            source: Source = DrawnSource(rates, spec.lengths, seed, *purpose)
            if spec.class_shares:
                kind_key = counter_key(seed, *purpose, "class")
                source = ClassedSource(source, spec.class_shares, kind_key)
            feeds.append(Feed(source, key, move_key))
        else:
            table = draw_requests(part, spec.lengths, spec.horizon_s, seed, ".".join(purpose))
            kind_key = counter_key(seed, *purpose, "class")
            table = with_classes(table, spec.class_shares, kind_key)
            feeds.append(recorded_feed(table, key, counter_key(seed, *purpose, "route"), move_key))
    return tuple(feeds)


def _recorded_feeds(
    spec: CompiledFleetSpec, sizes: list[int], seed: int, table: RequestTable
) -> tuple[Feed, ...]:
    """Each row of a trace goes to a cell by a coin, in proportion to the cells' replicas."""
    table = with_classes(table, spec.class_shares, counter_key(seed, spec.name, "class"))
    coins = uniforms(counter_key(seed, spec.name, "cells"), np.arange(len(table), dtype=np.uint64))
    cells = np.searchsorted(np.cumsum(sizes) / spec.replicas, coins, side="right")
    inside = table.arrival_ps < to_ps(spec.horizon_s)
    feeds = []
    for cell in range(len(sizes)):
        keep = inside & (cells == cell)
        purpose = (spec.name, f"cell{cell}")
        part = RequestTable(*(column[keep] for column in table.columns))
        keys = [counter_key(seed, *purpose, name) for name in ("admission", "route", "move")]
        feeds.append(recorded_feed(part, *keys))
    return tuple(feeds)
