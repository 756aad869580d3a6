"""The network of a training cluster: a rail-optimised fat tree, and links between regions.

Within a region GPUs stand in pods with full bandwidth; between pods the tree is
oversubscribed. A ring that is laid out node by node, pod by pod leaves each once. With `j`
members in a node, j rings share the bytes, each over its own port (one ring a network card, as
NCCL builds them); with `k` members in a pod, its up-links, 1/o of its ports, carry them in full
if k >= o j. An all-to-all sends the share of its bytes that leaves the pod through them.

Between regions three ways of data parallelism (per step, P the bytes of all gradients and
weights that a ring moves, R regions):

- `synchronous`: one flat ring over all replicas. Every one of its 2 (n - 1) rounds waits for
  the slowest hop, and 2 P (n - 1) / n crosses each border.
- `hierarchical`: reduce inside the region, exchange the sums between regions, spread inside:
  2 P (R - 1) / R leaves each region, in 2 (R - 1) rounds.
- `local-sgd`: regions step alone and average their weights every `local_steps` steps
  (DiLoCo: Douillard et al. 2023, arXiv 2311.08105). What the model loses by that is a
  published figure, not computed: see `training/assumptions.yaml`, `local_sgd`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sim.hardware.node import Link

if TYPE_CHECKING:
    from sim.hardware.node import Node

RegionMode = Literal["synchronous", "hierarchical", "local-sgd"]
REGION_MODES: Final = ("synchronous", "hierarchical", "local-sgd")
CROSS_RAIL_FRAC: Final = 0.5
"""Bandwidth of a collective whose GPUs do not share a rail, over that on a rail: each flow
crosses a spine and meets others there (an assumption, 0.3 to 0.8)."""


@dataclass(frozen=True, slots=True)
class Fabric:
    """A fat tree over pods of GPUs.

    Args:
        pod_gpus: GPUs with full bandwidth among each other.
        oversubscription: ports of a pod over its up-links; 1 is non-blocking.
        rail_optimised: the i-th GPUs of all nodes share their switches, so that collectives
            of equal ranks need no hop between rails.
    """

    pod_gpus: int = 3072
    oversubscription: float = 1.0
    rail_optimised: bool = True

    def bisection_bytes_per_s(self, gpus: int, node: Node) -> float:
        """Bandwidth between the halves of a cluster, each direction."""
        narrow = self.oversubscription if gpus > self.pod_gpus else 1.0
        return gpus / 2 * node.network.bytes_per_s / narrow

    def _base(self, node: Node) -> Link:
        frac = 1.0 if self.rail_optimised else CROSS_RAIL_FRAC
        return Link(node.network.bytes_per_s * frac, node.network.latency_s)

    def ring(self, members: int, stride: int, node: Node) -> Link:
        """Link of a ring of GPUs that stand `stride` GPUs apart.

        A ring enters and leaves each node once. So as many rings as a node has members run at
        once, each through another one's port, and share the bytes: together they are as fast
        as those ports, or as NVLink, over which all of them pass inside the node. Each hop
        between nodes has its latency, n - 1 of them (Thakur et al. 2005,
        doi:10.1177/1094342005051521, section 4.1).
        """
        if (members - 1) * stride < node.gpus:
            return node.nvlink
        base = self._base(node)
        ports = float(max(1, node.gpus // stride))
        if members * stride > self.pod_gpus:
            ports = min(ports, max(1.0, self.pod_gpus / stride) / self.oversubscription)
        rate = base.bytes_per_s * ports
        hops = math.ceil(members * min(stride, node.gpus) / node.gpus) - 1
        return Link(
            min(rate, node.nvlink.bytes_per_s) if ports > 1 else rate, base.latency_s * hops
        )

    def exchange(self, members: int, node: Node) -> Link:
        """Link of an all-to-all among neighbouring GPUs."""
        if members <= node.gpus:
            return node.nvlink
        base = self._base(node)
        leaving = max(0.0, 1 - self.pod_gpus / members)
        return Link(base.bytes_per_s / max(1.0, leaving * self.oversubscription), base.latency_s)


RAIL_FAT_TREE: Final = Fabric()


@dataclass(frozen=True, slots=True)
class Regions:
    """Sites that train one model together.

    Args:
        count: sites, each with an equal share of the replicas.
        bytes_per_s: of each site's link to the others, each direction.
        latency_s: one way between two sites.
        mode: how gradients or weights pass between them.
        local_steps: steps between two averages in `local-sgd`.
    """

    count: int
    bytes_per_s: float
    latency_s: float
    mode: RegionMode = "hierarchical"
    local_steps: int = 100

    def exchange_s(self, payload_bytes: float, replicas: int) -> float:
        """Time of one exchange between the regions.

        Args:
            payload_bytes: gradients and weights of the whole model, as a ring moves them
                once each way. replicas: members of a flat ring.
        """
        if self.mode == "synchronous":
            rounds, crossing = 2 * (replicas - 1), (replicas - 1) / replicas
        else:
            rounds, crossing = 2 * (self.count - 1), (self.count - 1) / self.count
        return rounds * self.latency_s + payload_bytes * crossing / self.bytes_per_s
