"""Chip power from utilisation, and what a power cap does to the clock.

The power law is P = min(limit, active + a sqrt(u_c) + b sqrt(u_m)): u_c achieved matrix
FLOP/s over peak, u_m achieved HBM bytes/s over peak, both of one GPU over the step.
Idle is a state of its own. Coefficients, sources and errors are in the device's file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.errors import CapacityError

if TYPE_CHECKING:
    from sim.hardware.device import Device

Floats = NDArray[np.float64]


def active_power_w(device: Device, compute_util: float, memory_util: float) -> float:
    """Power of one busy GPU at the nominal clock, at most its limit [W].

    Args:
        compute_util: matrix FLOP/s over the dense bf16 peak, 0..1.
        memory_util: HBM bytes/s over peak, 0..1.
    """
    power_w = (
        device.active_w
        + device.sqrt_compute_w * math.sqrt(compute_util)
        + device.sqrt_memory_w * math.sqrt(memory_util)
    )
    return min(device.limit_w, power_w * (1 + device.model_error_frac))


def clock_for_cap(device: Device, power_w: float, cap_w: float) -> float:
    """Clock (0..1 of nominal) at which a GPU that would draw `power_w` draws `cap_w`.

    Power above idle goes as clock^x with the device's `clock_exponent`.

    Raises:
        CapacityError: the cap lies below what the lowest clock draws.
    """
    if cap_w >= power_w:
        return 1.0
    floor_w = capped_power_w(device, power_w, device.min_clock_frac)
    if cap_w < floor_w:
        raise CapacityError(
            f"a power cap of {cap_w:g} W is below the {floor_w:.0f} W that a {device.name} draws "
            f"at its lowest clock in this workload",
            f"give a cap of at least {math.ceil(floor_w)} W, or stop the GPU",
        )
    ratio = (cap_w - device.idle_w) / (power_w - device.idle_w)
    return math.pow(ratio, 1 / device.clock_exponent)


def capped_power_w(device: Device, power_w: float, clock_frac: float) -> float:
    """Power at a reduced clock of a GPU that draws `power_w` at the nominal one [W]."""
    return device.idle_w + (power_w - device.idle_w) * math.pow(clock_frac, device.clock_exponent)


def clock_under_cap(
    device: Device, power_w: Floats, cap_w: float, memory_w: Floats | float = 0.0
) -> Floats:
    """`clock_for_cap` for many steps; 1 where the power is below the cap.

    A cap lowers the clock of the multiprocessors; memory and links keep theirs, and go on drawing
    `memory_w` of `power_w`. (Capped H200s, whose published pairs also gave the exponent: throughput
    at 500 W over that at 700 W comes out 0.818 and 0.827 where 0.807 and 0.830 was published; more
    if all power fell with the clock.)

    Returns:
        not below the device's lowest clock: there the memory waits too, see `stretch_under_cap`.

    Raises:
        CapacityError: the cap lies below what the lowest clock draws in some step.
    """
    clock_for_cap(device, float(power_w.max()), cap_w)  # raises for the most hungry step
    kept_w = device.idle_w + np.minimum(memory_w, np.maximum(power_w - device.idle_w, 0.0))
    ratio = (cap_w - kept_w) / np.maximum(power_w - kept_w, 1e-9)
    clock = np.minimum(1.0, np.maximum(ratio, 0.0)) ** (1 / device.clock_exponent)
    return np.asarray(np.maximum(clock, device.min_clock_frac))


def stretch_under_cap(
    device: Device, power_w: Floats, cap_w: float, memory_w: Floats | float, clock: Floats
) -> Floats:
    """How much longer steps take whose power at the lowest clock still passes the cap.

    Memory and links then wait: the same energy above idle is spent over a longer time, in which
    the cap is drawn on average.

    Args:
        clock: of `clock_under_cap`, for the same arguments.

    Returns:
        1 or more.
    """
    kept_w = device.idle_w + np.minimum(memory_w, np.maximum(power_w - device.idle_w, 0.0))
    drawn_w = kept_w + np.maximum(power_w - kept_w, 0.0) * clock**device.clock_exponent
    return np.asarray(np.maximum(1.0, (drawn_w - device.idle_w) / (cap_w - device.idle_w)))
