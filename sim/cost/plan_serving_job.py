"""What a serving fleet is asked to do, and with which GPUs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.plan_serving_load import Lengths
    from sim.flops import Precision
    from sim.hardware.node import Node

Objective = Literal["gpus", "usd", "j-per-token"]
OBJECTIVES: Final[tuple[Objective, ...]] = ("gpus", "usd", "j-per-token")
LARGEST_REPLICA_GPUS: Final = 32


@dataclass(frozen=True, slots=True)
class Slo:
    """Limits on the mean time to the first token and the mean time per output token."""

    ttft_s: float = math.inf
    tpot_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Offer:
    """A kind of GPU that can be had: its node and the rent of one GPU (None: unknown)."""

    node: Node
    usd_per_gpu_h: float | None


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be served, and with what.

    Attributes:
        per_s: requests per second of the fleet; None: as many as can be.
        gpus: most GPUs of the fleet; None: no limit.
        max_batch: largest batch of a replica to try.
    """

    arch: Architecture
    lengths: Lengths
    slo: Slo
    offers: tuple[Offer, ...]
    precisions: tuple[Precision, ...]
    per_s: float | None = None
    gpus: int | None = None
    engine: str = "vllm"
    max_batch: int = 1024
    cap_w: float | None = None
