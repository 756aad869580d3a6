"""Figure: power at the meter, by site, boundary and cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.report.style import CAUSE_COLOURS, new_figure, save
from sim.units import MEGA, mw_text

if TYPE_CHECKING:
    from pathlib import Path

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


def draw_power(causes_w: dict[str, dict[str, float]], path: Path) -> None:
    """Stacked bars of mean MW by cause, one bar a site, with the three boundaries marked.

    Args:
        causes_w: site -> cause -> mean power [W].
    """
    figure = new_figure(7.2, 1.5 + 0.55 * len(causes_w))
    axes = figure.add_subplot()
    for place, parts in enumerate(causes_w.values()):
        left_mw = 0.0
        for number, (cause, watts) in enumerate(in_order(parts), start=1):
            axes.barh(
                place,
                watts / MEGA,
                left=left_mw,
                height=0.6,
                color=CAUSE_COLOURS[cause],
                label=LABELS[cause] if place == 0 else None,
            )
            left_mw += watts / MEGA
            boundary = {1: "chip", IT_CAUSES: "IT", len(parts): "meter"}.get(number)
            if boundary:
                axes.text(
                    left_mw,
                    place + 0.33,
                    f"{boundary} {mw_text(left_mw)}",
                    ha="right",
                    va="bottom",
                    fontsize=7.5,
                )
        axes.set_xlim(0, max(axes.get_xlim()[1], left_mw * 1.03))
    axes.set_yticks(range(len(causes_w)), list(causes_w))
    axes.set_ylim(-0.5, len(causes_w) - 0.2)
    axes.set_xlabel("mean power [MW]")
    figure.legend(loc="outside lower center", ncols=4, fontsize=7.5)
    save(figure, path, power_rows(causes_w))
