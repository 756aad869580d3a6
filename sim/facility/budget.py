"""What does a sum buy: GPUs, MW, and the cost of the tokens that they serve.

A claim-ready answer without a run: a site of H100 servers as rated, at the building's design
PUE, that serves one model at a full batch. A run's own answer stands in its summary
(`facility.<site>.year.budget`).
"""

from __future__ import annotations

from dataclasses import dataclass

from sim import arch
from sim.cost.layout import Layout
from sim.cost.serving import ReplicaCost
from sim.errors import InputError
from sim.facility.building import load_building, power_parts
from sim.facility.cost import Purchase, SiteSize, purchase
from sim.hardware.node import Node, load_node
from sim.units import KILO


@dataclass(frozen=True, slots=True)
class Served:
    """The serving that the tokens are counted for.

    Attributes:
        context_tokens: cached tokens of a sequence, in the middle of its answer.
        batch: sequences that a replica decodes at once.
        busy_frac: part of the year in which the fleet is that busy.
    """

    arch: str = "llama-3-70b"
    tp: int = 4
    context_tokens: int = 1500
    batch: int = 256
    busy_frac: float = 0.5


@dataclass(frozen=True, slots=True)
class BudgetAnswer:
    """What a budget buys, and the words for it."""

    found: Purchase
    size: SiteSize
    tokens_per_gpu_s: float
    sentence: str


def budget_answer(
    budget_usd: float = 100e9, served: Served | None = None, node_name: str = "dgx-h100"
) -> BudgetAnswer:
    """GPUs, MW and cost of tokens for a budget.

    Raises:
        InputError: a budget that is not positive; the model does not fit; no such name.
    """
    chosen, node = served or Served(), load_node(node_name)
    if not 0 < chosen.busy_frac <= 1:
        raise InputError(f"busy {chosen.busy_frac:g} of the year", "give a fraction of 0 to 1")
    tokens_per_gpu_s = decode_tokens_per_gpu_s(chosen, node) * chosen.busy_frac
    size = rated_size(node, chosen.busy_frac)
    found = purchase(budget_usd, size, tokens_per_gpu_s)
    tokens = found.usd_per_million_tokens
    cost = f"{tokens.value:.2g} ({tokens.low:.2g} to {tokens.high:.2g})" if tokens else "unknown"
    sentence = (
        f"{budget_usd / 1e9:g} billion USD buy {found.gpus.value / 1e6:.1f} million "
        f"{node.device.name} ({found.gpus.low / 1e6:.1f} to {found.gpus.high / 1e6:.1f}) with "
        f"{found.meter_mw.value / KILO:.1f} GW at the meter "
        f"({found.meter_mw.low / KILO:.1f} to {found.meter_mw.high / KILO:.1f}); a million output "
        f"tokens of {chosen.arch} then cost {cost} USD, busy {chosen.busy_frac:.0%} of the year"
    )
    return BudgetAnswer(found, size, tokens_per_gpu_s, sentence)


def decode_tokens_per_gpu_s(served: Served, node: Node) -> float:
    """Output tokens a second of a GPU while its replica decodes a full batch (no prefill)."""
    layout = Layout(served.tp, 1, 1, 1, 0, 1)
    cost = ReplicaCost(arch.load(served.arch), layout, node, served.batch)
    step = cost.cost([], [served.context_tokens] * served.batch)
    return served.batch / step.time_s / cost.gpus


def rated_size(node: Node, busy_frac: float) -> SiteSize:
    """What is built for each GPU: servers as rated; the mean power at a part of the load."""
    building = load_building()
    standing_w = power_parts(0.0, 1, node, building)
    rated_w = node.rated_w + standing_w.network_w + standing_w.storage_w
    mean_chip_w = node.device.idle_w + busy_frac * (node.device.limit_w - node.device.idle_w)
    mean = power_parts(node.gpus * mean_chip_w, 1, node, building)
    return SiteSize(
        it_kw_per_gpu=rated_w / node.gpus / KILO,
        meter_kw_per_gpu=rated_w * building.pue / node.gpus / KILO,
        mean_meter_kw_per_gpu=mean.facility_w / node.gpus / KILO,
    )
