"""A fleet of which every replica is simulated, on the compiled engine, in cells.

A SimPy process brings the engine forward tick by tick. The power of a tick is known when
it is simulated, so the engine runs one tick ahead of the clock: at the beginning of a tick
it simulates the tick and publishes its mean power. A change (cap, admission) takes effect
at the first tick that begins at or after its time; at a tick's own instant, changes come
before the tick. A step that spans a tick's edge is divided by time, so the signal
integrates to the energy of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from simpy import Environment
from simpy.events import Event

from sim.cluster.serving.autoscale import Autoscaler
from sim.cluster.serving.breakdowns import CellBreakdowns, breakdowns
from sim.cluster.serving.cell_feeds import cell_feeds, cell_turns
from sim.cluster.serving.cell_log import CellRows
from sim.cluster.serving.cell_scaler import CellScaler
from sim.cluster.serving.clock import At, Phase
from sim.cluster.serving.compiled_result import compiled_result
from sim.cluster.serving.compiled_spec import CompiledFleetSpec, Tables
from sim.cluster.serving.feed import Feed, Move
from sim.cluster.serving.fleet_cells import PoolMeter, build_cells, kinds_of, pools_of
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.inbox import Handed, Inbox, Piece, merged
from sim.cluster.serving.state import Watch
from sim.cluster.serving.turns import SessionCounts, Turns, summed_counts
from sim.errors import InputError
from sim.signals import Hook, StepSignal
from sim.units import to_ps, to_s
from sim.workload.counter import counter_key
from sim.workload.requests import RequestTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


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
        cells: routing cells. pools: their replicas by kind: one, or prefill and decode.
        meters: of the pools.
        breakdowns: when replicas break, where they do.
        turns: of the sessions of each cell, where requests are turns of sessions.
        ended: hook, the requests that a cell is done with in a tick, if the spec asks for them.
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
        self._tables = kinds_of(spec.split, tables)
        self._marks_ps = (to_ps(spec.warmup_s), to_ps(spec.horizon_s))
        sizes = [spec.size(cell) for cell in range(spec.cells)]
        told = spec.tell_requests
        watch = Watch(self._marks_ps, log=told or spec.sessions is not None, shares=told)
        self.cells = build_cells(spec, tables, watch, seed)
        self.pools = pools_of(self.cells)
        self.meters = tuple(PoolMeter(pool) for pool in self.pools)
        self.gpus = sum(meter.gpus for meter in self.meters)
        self.ended: Hook[CellRows] = Hook()
        self.turns = cell_turns(spec, spec.sessions, sizes, seed) if spec.sessions else ()
        self._feeds = () if self.turns else cell_feeds(spec, sizes, seed, recorded)
        comers: Sequence[Feed | Turns] = self.turns or self._feeds
        for replicas, one in zip(self.cells, comers, strict=True):
            replicas.know_blocks(one.blocks)
        self._admit_frac = 1.0
        self._inbox = Inbox(sizes, counter_key(seed, spec.name, "received"), self._marks_ps)
        self._moves: tuple[Move, ...] = ()
        self._reached_ps = 0
        every = self.pools[0]
        self._switches = CellScaler(spec.autoscale, every) if spec.autoscale else None
        self.breakdowns = breakdowns(spec.failures, spec.replicas, seed, spec.name, spec.horizon_s)
        breaks = CellBreakdowns(self.breakdowns, every) if self.breakdowns else None
        self._actors = [actor for actor in (self._switches, breaks) if actor]
        idle_w = sum(meter.idle_w for meter in self.meters)
        self.power_w = StepSignal(f"{spec.name}.chip_w", idle_w)
        env.process(self.serve_tick_by_tick())

    @property
    def scaler(self) -> Autoscaler | None:
        """What decides how many replicas are on, where something does."""
        return self._switches.scaler if self._switches else None

    def serve_tick_by_tick(self) -> Generator[Event, None, None]:
        """Simulate a tick, publish its power, wait until it is over."""
        tick_ps = to_ps(self.spec.tick_s)
        while True:
            yield At(self.env, Phase.STEP_BEGIN)
            now_ps = int(self.env.now)
            for actor in self._actors:
                actor.act(now_ps)
            due_ps = [actor.next_ps for actor in self._actors]
            edges = (now_ps // tick_ps * tick_ps + tick_ps, *self._marks_ps, *due_ps)
            end_ps = min(edge for edge in edges if edge > now_ps)
            own = [feed.take(end_ps, self._admit_frac, self._moves) for feed in self._feeds]
            yield At(self.env, Phase.STEP_BEGIN)  # by then every fleet has handed over
            self.power_w.set(now_ps, self._simulate(end_ps, own))
            yield self.env.timeout(end_ps - now_ps)

    def set_cap(self, time_ps: int, cap_w: float | None) -> None:
        """Limit the power of each GPU from the tick at `time_ps` on (see `protocol`)."""
        costs = [tables(cap_w) for tables in self._tables]

        def change() -> None:
            for pool, own in zip(self.pools, costs, strict=True):
                for part in pool:
                    part.set_costs(own, self._reached_ps)

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
            Move(share, partial(fleet.receive, delay_ps=delay_ps, source=self.spec.name))
            for fleet, share in shares.items()
        )

    def receive(self, rows: IntArray, draws: FloatArray, delay_ps: int, source: str = "") -> None:
        """Take requests that another fleet hands over.

        Args:
            source: its name.

        Raises:
            InputError: its requests are turns of sessions, or look for their prompts' prefixes.
        """
        if self.turns or self.spec.rules.prefix_blocks:
            raise InputError(f"no request can be handed over to {self.spec.name}")
        self._inbox.put(rows, draws, delay_ps, self._reached_ps, source)

    @property
    def received(self) -> int:
        """Requests that others handed over so far."""
        return self._inbox.received

    @property
    def handed(self) -> dict[str, Handed]:
        """Of these, what arrived in the window so far, by the fleet that it comes from."""
        return self._inbox.handed

    @property
    def under_way(self) -> int:
        """Of these, those that have not arrived yet."""
        return self._inbox.under_way

    def moved(self, time_ps: int) -> float:
        """Requests handed over until a time."""
        times = [piece for feed in self._feeds for piece in feed.moved_ps]
        return float(sum(int((piece < time_ps).sum()) for piece in times))

    @property
    def sessions(self) -> SessionCounts | None:
        """What became of the sessions so far; None where requests are no turns."""
        return summed_counts(turns.counts for turns in self.turns) if self.turns else None

    @property
    def requeued(self) -> int:
        """How often a request was routed again, because its replica broke."""
        return sum(part.requeued for pool in self.pools for part in pool)

    @property
    def prefix_tokens(self) -> tuple[int, int]:
        """Prompt tokens that came from prefix stores, and all of the requests taken so far."""
        hit, read = zip(*(cell.prefix_tokens() for cell in self.cells), strict=True)
        return sum(hit), sum(read)

    def check_laws(self) -> None:
        """Check the conservation laws and Little's law of each cell, at the tick's end."""
        for cell in self.cells:
            cell.check_laws(self._reached_ps)
        for cell, turns in zip(self.cells, self.turns, strict=False):
            turns.check_laws(cell)

    def result(self) -> FleetResult:
        """The fleet's figures over the window, exact; latencies within 0.4 %.

        Raises:
            InputError: the simulation has not reached the window.
        """
        feeds = self.turns or self._feeds
        window_j = sum(meter.window_j for meter in self.meters)
        return compiled_result(self.spec, self.cells, feeds, self._reached_ps, window_j)

    def _simulate(self, until_ps: int, own: list[list[Piece]]) -> float:
        """Bring all cells forward with their arrivals; the fleet's mean power until then."""
        received = self._inbox.take(until_ps)
        for number, cell in enumerate(self.cells):
            if self.turns:
                ended = self.turns[number].advance(cell, until_ps, self._admit_frac)
            else:
                for rows, draws in merged(own[number], received[number]):
                    cell.submit(rows, draws)
                cell.settle(until_ps)
                ended = cell.take_log()
            if self.spec.tell_requests:
                self.ended.emit(CellRows(number, ended))
        return self._take_power_w(until_ps)

    def _take_power_w(self, until_ps: int) -> float:
        """Mean power of all replicas since the last tick; it is booked."""
        span_ps = until_ps - self._reached_ps
        inside = self._marks_ps[0] <= self._reached_ps < self._marks_ps[1]
        energies_j = [meter.take_j(span_ps, until_ps) for meter in self.meters]
        for meter, energy_j in zip(self.meters, energies_j, strict=True):
            meter.window_j += energy_j if inside else 0.0
        self._reached_ps = until_ps
        return sum(energies_j) / to_s(span_ps)

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
