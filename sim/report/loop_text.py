"""What the loop with the grid did, in a few lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.grid.wording import NOT_HISTORY


def loop_lines(summary: Mapping[str, Any]) -> list[str]:
    """Lines for faults, the grid's intervals, and each site that was held back; at most six."""
    control = summary.get("control")
    told = _fault_lines(summary.get("faults"))
    if not control:
        return told
    told += [_grid_line(summary["grid"]["coupled"], control["sites"])]
    told += [_site_line(n, s) for n, s in control["sites"].items() if s["orders"]]
    return told[:6]


def _grid_line(book: Mapping[str, Any], sites: Mapping[str, Any]) -> str:
    """Only what the grid publishes: buses have no emissions, a dispatch that stands no prices."""
    publishes = book.get("publishes", ("price", "carbon"))
    parts = [f"{book['hours']:g} h"]
    if "price" in publishes:
        cost = sum(s["cost_usd"] for s in sites.values())
        parts.append(f"mean price {_prices(book)} USD/MWh; energy {cost:,.0f} USD")
    if "carbon" in publishes:
        parts.append(f"{sum(s['carbon_kg'] for s in sites.values()) / 1000:,.0f} t CO2")
    text = (
        f"  loop: {', '.join(parts)}; unserved {book['unserved_mwh']:,.0f} MWh "
        f"({book['unserved_before_mwh']:,.0f} without the sites; "
        f"{NOT_HISTORY})"
    )
    if book.get("over_h"):
        text += f"; up to {book['lines_over']} lines over their limit in {book['over_h']:.1f} h"
    return text


def _prices(book: Mapping[str, Any]) -> str:
    mean, highest = book["mean_price_usd_per_mwh"], book["highest_price_usd_per_mwh"]
    return ", ".join(f"{z} {mean[z]:.0f} (up to {highest[z]:,.0f})" for z in sorted(mean)[:3])


def _fault_lines(faults: Mapping[str, Any] | None) -> list[str]:
    """What faults took off the grid, and whose work was lost."""
    if not faults:
        return []
    text = (
        f"  faults: {faults['off_grid_mw']:,.1f} MW off the grid at once; "
        f"{faults['gpu_h_lost']:,.0f} GPU hours of training and "
        f"{faults['requests_requeued']:,.0f} requests under way lost"
    )
    if faults["highest_hz"] is not None:
        text += f"; frequency {faults['lowest_hz']:.3f} to {faults['highest_hz']:.3f} Hz"
    return [text]


def _site_line(name: str, site: Mapping[str, Any]) -> str:
    words = (
        f"  {name}: {site['orders']} orders, {site['restrained_h']:.1f} h restrained, "
        f"{site['held_back_mwh']:,.1f} MWh of work held back, {site['relief_mwh']:,.1f} MWh less "
        f"from the grid"
    )
    if site["missed_mwh"] > 0.05:
        words += f", {site['missed_mwh']:,.1f} MWh above the limit"
    return words
