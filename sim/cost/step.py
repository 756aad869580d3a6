"""The value object of one engine step: its cost with all its parts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepCost:
    """Time, energy and work of one step of a replica.

    Attributes:
        time_s: duration of the step.
        energy_j: chip boundary, all GPUs of the replica, during the step.
        flops: floating-point operations (a MAC is 2).
        hbm_bytes: bytes moved to and from HBM, weight bytes included.
        weight_bytes: the part of `hbm_bytes` that reads weights.
        link_bytes: bytes sent over links between GPUs.
        bound: which limit binds, for example `memory`.
    """

    time_s: float
    energy_j: float
    flops: float
    hbm_bytes: float
    weight_bytes: float
    link_bytes: float
    bound: str
