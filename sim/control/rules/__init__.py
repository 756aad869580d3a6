"""The run-time rules. Importing this package registers them."""

from sim.control.rules import (
    carbon,
    connection,
    curtailment,
    demand_response,
    peaks,
    price,
    ramp,
    shift,
)

__all__ = [
    "carbon",
    "connection",
    "curtailment",
    "demand_response",
    "peaks",
    "price",
    "ramp",
    "shift",
]
