"""What the terminal says of the loop and of faults: only what the grid knows."""

from __future__ import annotations

from typing import Any

from sim.report.loop_text import loop_lines

SITE = {"cost_usd": 5.0, "carbon_kg": 2000.0, "orders": 0}
BOOK: dict[str, Any] = {
    "hours": 2.0,
    "unserved_mwh": 1.0,
    "unserved_before_mwh": 0.0,
    "mean_price_usd_per_mwh": {"bus 3": 20.0},
    "highest_price_usd_per_mwh": {"bus 3": 50.0},
}
FAULTS = {
    "off_grid_mw": 12.0,
    "gpu_h_lost": 30.0,
    "requests_requeued": 5.0,
    "lowest_hz": 59.9,
    "highest_hz": 60.1,
}


def said(publishes: list[str], **more: Any) -> str:
    book = BOOK | {"publishes": publishes} | more
    return "\n".join(loop_lines({"control": {"sites": {"a": SITE}}, "grid": {"coupled": book}}))


def test_a_grid_without_prices_or_emissions_does_not_tell_any():
    assert "USD" not in said([])
    assert "CO2" not in said(["price"])
    assert "mean price bus 3 20 (up to 50) USD/MWh" in said(["price", "carbon"])
    assert "2 t CO2" in said(["price", "carbon"])


def test_lines_over_are_told_with_their_hours():
    assert "up to 3 lines over their limit in 1.5 h" in said([], over_h=1.5, lines_over=3)
    assert "lines over" not in said([], over_h=0.0, lines_over=0)


def test_faults_are_told_without_a_loop_too():
    (line,) = loop_lines({"faults": FAULTS})
    assert "12.0 MW off the grid" in line
    assert "59.900 to 60.100 Hz" in line
    assert loop_lines({}) == []
    unknown = FAULTS | {"highest_hz": None, "lowest_hz": None}
    assert "Hz" not in loop_lines({"faults": unknown})[0]
