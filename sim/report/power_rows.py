"""Mean power by site, boundary and cause, as rows: what a figure and a table of it show."""

from __future__ import annotations

from typing import Any

from sim.units import MEGA

LABELS = {
    "chip": "GPUs",
    "host": "host (CPU, memory, NIC)",
    "fans": "fans",
    "psu_loss": "PSU loss",
    "network": "network",
    "storage": "storage",
    "power_train_loss": "UPS, PDU, transformer loss",
    "cooling": "cooling",
}
"""Words for each cause, from the chip outward."""
IT_CAUSES = 6
"""The first six causes make up the IT boundary."""


def power_rows(causes_w: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Rows (site, cause, boundary it enters, MW) of mean power by cause."""
    names = list(LABELS)
    return [
        {
            "site": site,
            "cause": cause,
            "boundary": ("chip", "it", "facility")[
                (cause != "chip") + (names.index(cause) >= IT_CAUSES)
            ],
            "power_mw": watts / MEGA,
        }
        for site, parts in causes_w.items()
        for cause, watts in in_order(parts)
    ]


def in_order(parts: dict[str, float]) -> list[tuple[str, float]]:
    """Causes from the chip outward."""
    return [(cause, parts[cause]) for cause in LABELS]
