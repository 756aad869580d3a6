"""What a fleet of which every replica is simulated is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sim.cluster.serving.autoscale import Autoscale
from sim.cluster.serving.breakdowns import Breaking, check_failures
from sim.cluster.serving.cells import CELL_REPLICAS
from sim.cluster.serving.classes import check_shares
from sim.cluster.serving.disaggregated import CacheLink
from sim.control.serving import BatchRules
from sim.cost.tables import StepTables
from sim.errors import InputError
from sim.workload.arrivals import ArrivalProcess
from sim.workload.lengths import LengthDistribution
from sim.workload.sessions import SessionShape

Tables = Callable[[float | None], StepTables]
"""What a step costs under a power cap (W per GPU, None for none); segments are the same."""


LEAST_PART_FRAC = 1 / 8
"""A cell has at least this part of its most replicas of either kind (assumed); a fleet that has
fewer is one cell. Of a few, one more or less would get a wholly different load, and they would pool
much worse than the others."""


@dataclass(frozen=True, slots=True)
class PoolSplit:
    """A fleet of which some replicas read prompts, and the others decode.

    Attributes:
        prefill: replicas that read prompts. link: of each of them.
        tables: what a step of theirs costs under a cap; None for the same as at the others.
    """

    prefill: int
    link: CacheLink
    tables: Tables | None = None


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
        autoscale: how many replicas are on; None for all. failures: how they break.
        sessions: how sessions go on, of which `arrivals` are the starts; None for requests that
            come whatever was answered.
        tell_requests: whether the fleet tells of each request that it is done with.
        split: which replicas read prompts, where others decode; None where all do both.
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
    tell_requests: bool = False
    failures: Breaking | None = None
    sessions: SessionShape | None = None
    split: PoolSplit | None = None

    def __post_init__(self) -> None:
        check_shares(self.class_shares, self.rules.classes)
        check_failures(self.failures, self.rules, self.autoscale)
        if self.replicas < 1 or self.cell_replicas < 1:
            raise InputError(f"{self.replicas} replicas in cells of {self.cell_replicas}")
        check_split(self)
        if not 0 <= self.warmup_s < self.horizon_s < np.inf:
            raise InputError(
                f"warmup_s = {self.warmup_s}, must be below {self.horizon_s} s", path="warmup_s"
            )
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
        """How many cells; of two kinds of replicas, each has enough of the scarcer to pool."""
        cells = -(-self.replicas // self.cell_replicas)
        if self.split is None:
            return cells
        return min(
            cells, max(1, self._scarcer // max(1, int(self.cell_replicas * LEAST_PART_FRAC)))
        )

    def size(self, cell: int) -> int:
        """Replicas of one cell; they differ by one at most, of the scarcer kind, if of two."""
        return self._part(self.replicas, cell)

    def prefill_size(self, cell: int) -> int:
        """Of them, those that only read prompts."""
        return self._part(self.split.prefill, cell) if self.split else 0

    def _part(self, kind: int, cell: int) -> int:
        """A cell's part of a kind: the scarcer is dealt evenly, and all else as it is."""
        edges = [number * self._scarcer // self.cells for number in (cell, cell + 1)]
        low, high = (edge * kind // self._scarcer for edge in edges)
        return high - low

    @property
    def _scarcer(self) -> int:
        """Replicas of the kind of which there are fewer; of all, if they are of one kind."""
        prefill = self.split.prefill if self.split else self.replicas
        return min(prefill, self.replicas - prefill) or self.replicas


def check_split(spec: CompiledFleetSpec) -> None:
    """Refuse a fleet in two pools that has not both, or what two pools cannot do.

    Raises:
        InputError: with the feature, and what to do.
    """
    split = spec.split
    if split is None:
        return
    if not 1 <= split.prefill < spec.replicas:
        raise InputError(
            f"{split.prefill} of {spec.replicas} replicas read prompts: none is left to decode, "
            "or to read",
            "give replicas to both",
            path="disaggregated",
        )
    apart = {
        "autoscaler": spec.autoscale is not None,
        "failures": spec.failures is not None,
        "preemption": spec.rules.preemption == "swap",
    }
    for name, there in apart.items():
        if there:
            raise InputError(
                f"{name} {'swap ' if name == 'preemption' else ''}and disaggregated replicas "
                "cannot be combined",
                f"leave out {name} or disaggregated",
                path=name,
            )
