"""What a fleet's replicas cost under power caps, each cap priced once."""

from __future__ import annotations

from functools import cached_property

from sim.cluster.serving.compiled_spec import PoolSplit
from sim.cluster.serving.steady import SteadyCurve, steady_curve
from sim.cost.serving import ReplicaCost
from sim.cost.tables import StepTables, build_tables
from sim.hardware.node import Node
from sim.scenario.disaggregation import (
    asked_frac,
    cache_link,
    decode_spec,
    pool_sizes,
    prefill_spec,
    steady_split,
)
from sim.scenario.replicas import replica_cost
from sim.scenario.schema import ServingSpec
from sim.scenario.traffic import traffic


class CapCosts:
    """Step costs and steady curves of a fleet's replicas under power caps, each made once.

    Args:
        standing_w: cap that always holds, None for none; a run-time cap can only be lower.

    Attributes:
        prefill: costs of the replicas that read prompts, where they are others; else these.
    """

    def __init__(self, spec: ServingSpec, node: Node, standing_w: float | None):
        self.spec = spec
        self.node = node
        self.standing_w = standing_w
        self.prefill = (
            CapCosts(prefill_spec(spec), node, standing_w) if spec.disaggregated else self
        )
        self._costs: dict[float | None, ReplicaCost] = {}
        self._curves: dict[float | None, SteadyCurve] = {}
        self._tables: dict[float | None, StepTables] = {}

    @cached_property
    def mean_tokens(self) -> tuple[float, float]:
        """Mean prompt and output tokens of a request."""
        return traffic(self.spec.requests).mean_tokens

    @cached_property
    def pools(self) -> tuple[int, int] | None:
        """Replicas that read prompts and that decode; None where all do both."""
        return pool_sizes(self, self.spec.gpus or 0) if self.spec.disaggregated else None

    @property
    def replicas(self) -> int:
        """Replicas on the GPUs of the spec."""
        return sum(self.pools) if self.pools else (self.spec.gpus or 0) // self.at(None).gpus

    @property
    def gpus(self) -> int:
        """GPUs of them."""
        if self.pools is None:
            return self.replicas * self.at(None).gpus
        return self.pools[0] * self.prefill.at(None).gpus + self.pools[1] * self.at(None).gpus

    @property
    def split(self) -> PoolSplit | None:
        """The pools for the compiled engine; None where all replicas do both."""
        if self.pools is None:
            return None
        link = cache_link(self.spec, self.prefill.at(None), self.at(None))
        return PoolSplit(self.pools[0], link, self.prefill.tables)

    def at(self, cap_w: float | None) -> ReplicaCost:
        """Costs of a replica (one that decodes) under a cap per GPU, None for the standing one."""
        caps = [cap for cap in (cap_w, self.standing_w) if cap is not None]
        cap = min(caps, default=None)
        if cap not in self._costs:
            self._costs[cap] = replica_cost(decode_spec(self.spec), self.node, cap)
        return self._costs[cap]

    def tables(self, cap_w: float | None) -> StepTables:
        """Step tables of a replica under a cap; all have the segments of the first."""
        cost, spec = self.at(cap_w), self.spec
        if cost.cap_w not in self._tables:
            like = next(iter(self._tables.values()), None)
            self._tables[cost.cap_w] = build_tables(
                cost, spec.max_num_seqs, spec.max_num_batched_tokens, like
            )
        return self._tables[cost.cap_w]

    def curve(self, cap_w: float | None) -> SteadyCurve:
        """Steady curve of a replica under a cap."""
        cost = self.at(cap_w)
        if cost.cap_w not in self._curves:
            self._curves[cost.cap_w] = self._curve(cost)
        return self._curves[cost.cap_w]

    def _curve(self, cost: ReplicaCost) -> SteadyCurve:
        spec, read_frac = self.spec, 1 - self.spec.prefix_hit_frac
        batch = (spec.max_num_seqs, spec.max_num_batched_tokens)
        if not spec.disaggregated:
            return steady_curve(cost, self.mean_tokens, *batch, read_frac)
        pools = pool_sizes(self, spec.gpus) if spec.gpus else None
        frac = pools[0] / sum(pools) if pools else asked_frac(self)
        return steady_split(self, cost.cap_w, frac).curve
