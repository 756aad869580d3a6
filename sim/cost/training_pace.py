"""What slows every GPU of a synchronous step: the slowest of them, and unpaired micro-batches."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING

from sim.datum import datum

if TYPE_CHECKING:
    from sim.cost.training_setup import TrainingSetup

SPREAD = ("training/assumptions.yaml", "pace.gpu_spread_frac")


@lru_cache(maxsize=4096)
def slowest_frac(gpus: int) -> float:
    """How much longer than the mean GPU the slowest of so many computes.

    GPUs of one kind differ in the clock that they hold at one power. A synchronous step waits
    for the slowest: the expected largest of n normal deviates, by Blom's formula (Blom 1958,
    "Statistical Estimates and Transformed Beta-Variables": (n - 3/8) / (n + 1/4)).
    """
    if gpus <= 1:
        return 0.0
    return datum(*SPREAD).value * NormalDist().inv_cdf((gpus - 0.375) / (gpus + 0.25))


def unpaired_share(setup: TrainingSetup) -> float:
    """Share of micro-batches whose forward or backward runs alone under DualPipe.

    While the pipeline fills and drains there is no second micro-batch whose compute would hide
    an exchange. Rank r of pp runs 3 pp / 2 - 1 - min(r, pp - 1 - r) of m forwards alone
    (schedule of deepseek-ai/DualPipe, steps 1 to 3), in the mean over ranks 5 pp / 4 - 1/2.
    """
    return min(1.0, (1.25 * setup.layout.pp - 0.5) / setup.micro_batches)
