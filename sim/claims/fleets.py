"""Fleets side by side: GPUs, energy and rent of the same service with different models.

A fleet is sized so that its replicas are 70 % busy; its power is that of the steady curve, through
servers and building to the meter. Nothing is simulated request by request.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from sim.cluster.serving.steady import steady_curve
from sim.facility.building import load_building
from sim.facility.meter import SitePlant
from sim.hardware.node import load_node
from sim.hardware.prices import gpu_price
from sim.scenario.replicas import replica_cost
from sim.scenario.schema import ServingSpec
from sim.units import MEGA, S_PER_H

NODE: Final = "dgx-h100"
GPU: Final = "h100-sxm"
PUE: Final = 1.2
RENT: Final = ("GPU rent: sim/data/hardware/prices.yaml, h100-sxm (an assumption with a range)",)
BUSY_FRAC: Final = 0.7
RATE_PER_S: Final = 1000.0


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """What a service of a rate takes.

    Attributes:
        gpus: whole replicas. meter_w: at the meter.
        j_per_token: of output, at the meter. usd_per_mtoken: GPU rent.
    """

    gpus: int
    meter_w: float
    j_per_token: float
    usd_per_mtoken: float

    @property
    def kw_per_gpu(self) -> float:
        """At the meter."""
        return self.meter_w / self.gpus / 1000.0


@cache
def fleet(arch: str, tp: int, input_tokens: int, output_tokens: int) -> FleetFigures:
    """The fleet of a model that answers 1,000 requests a second.

    Raises:
        CapacityError: the model does not fit on so many GPUs.
    """
    lengths = {"kind": "constant", "input_tokens": input_tokens, "output_tokens": output_tokens}
    requests = {"kind": "poisson", "rate_per_s": RATE_PER_S, "lengths": lengths}
    spec = ServingSpec.model_validate(
        {"kind": "serving", "arch": arch, "layout": {"tp": tp}, "requests": requests}
    )
    node = load_node(NODE)
    cost = replica_cost(spec, node)
    mean = (float(input_tokens), float(output_tokens))
    curve = steady_curve(cost, mean, spec.max_num_seqs, spec.max_num_batched_tokens)
    replicas = -(-RATE_PER_S // (BUSY_FRAC * curve.saturation_per_s))
    gpus = int(replicas) * cost.gpus
    nodes = -(-gpus // node.gpus)
    chip_w = replicas * curve.power_at_w(RATE_PER_S / replicas)
    chip_w += (nodes * node.gpus - gpus) * node.device.idle_w
    meter_w = SitePlant("fleet", nodes, node, load_building(PUE)).parts(chip_w).facility_w
    tokens_per_s = RATE_PER_S * output_tokens
    rent = gpu_price(GPU)
    usd_per_s = gpus * (rent.value if rent else 0.0) / S_PER_H
    return FleetFigures(gpus, meter_w, meter_w / tokens_per_s, usd_per_s / tokens_per_s * MEGA)
