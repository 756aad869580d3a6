"""What the loop with the grid did, in a few lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.grid.wording import NOT_HISTORY


def loop_lines(summary: Mapping[str, Any]) -> list[str]:
    """A line for the grid's intervals, and one for each site that was held back; at most six."""
    control = summary.get("control")
    if not control:
        return []
    told = [_grid_line(summary["grid"]["coupled"], control["sites"])]
    told += [_site_line(n, s) for n, s in control["sites"].items() if s["orders"]]
    return told[:6]


def _grid_line(book: Mapping[str, Any], sites: Mapping[str, Any]) -> str:
    cost = sum(s["cost_usd"] for s in sites.values())
    carbon_t = sum(s["carbon_kg"] for s in sites.values()) / 1000
    prices = book["mean_price_usd_per_mwh"]
    highest = book["highest_price_usd_per_mwh"]
    told = ", ".join(f"{z} {prices[z]:.0f} (up to {highest[z]:,.0f})" for z in sorted(prices)[:3])
    return (
        f"  loop: {book['hours']:g} h, mean price {told} USD/MWh; energy {cost:,.0f} USD, "
        f"{carbon_t:,.0f} t CO2; unserved {book['unserved_mwh']:,.0f} MWh "
        f"({book['unserved_before_mwh']:,.0f} without the sites; "
        f"{NOT_HISTORY})"
    )


def _site_line(name: str, site: Mapping[str, Any]) -> str:
    words = (
        f"  {name}: {site['orders']} orders, {site['restrained_h']:.1f} h restrained, "
        f"{site['held_back_mwh']:,.1f} MWh of work held back, {site['relief_mwh']:,.1f} MWh less "
        f"from the grid"
    )
    if site["missed_mwh"] > 0.05:
        words += f", {site['missed_mwh']:,.1f} MWh above the limit"
    return words
