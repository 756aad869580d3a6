"""What a GPU costs by the hour."""

from __future__ import annotations

from typing import Final

from sim.datum import Datum, data

PRICES: Final = "hardware/prices.yaml"


def gpu_price(gpu: str) -> Datum | None:
    """Rent of a GPU [USD/h], or None where no price is known (a device file)."""
    return data(PRICES).get(gpu)
