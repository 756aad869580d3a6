"""Figure of batteries over a run: what is stored, and what goes in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.series import BINS, Floats, Series, axis_of, bin_means
from sim.report.steps import draw_steps
from sim.report.style import SERIES_COLOURS, SMALL, new_figure, save
from sim.units import J_PER_MWH, MEGA, three_digits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

STORED: Final = ".stored_j"
POWER: Final = ".battery_w"
MOST_SITES: Final = 6
"""Of more sites, the largest batteries."""
SITE_COLOURS: Final = SERIES_COLOURS[:6]
DASHES: Final = ("-", "--", "-.", ":", "-", "--")


def draw_battery(series: Mapping[str, Series], horizon_s: float, path: Path) -> None:
    """Stored energy above, power below (above 0 charges), one colour and dash a site.

    Args:
        series: signals of the run; nothing is drawn where none has a battery.
    """
    sites = _sites(series)
    if not sites:
        return
    edges_s = np.linspace(0.0, horizon_s, BINS + 1)
    unit_s, unit = axis_of(horizon_s)
    figure = new_figure("column", 80)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.3, 1.0))
    rows: list[dict[str, Any]] = []
    stored = {site: stored_mwh(series[site + STORED], edges_s) for site in sites}
    for number, site in enumerate(sites):
        look = {"color": SITE_COLOURS[number], "linestyle": DASHES[number], "linewidth": 1.4}
        power_mw = bin_means(series[site + POWER], edges_s) / MEGA
        above.plot(edges_s / unit_s, stored[site], label=site, **look)
        draw_steps(below, edges_s / unit_s, power_mw, **look)
        rows += [
            {
                "site": site,
                "start_s": float(edges_s[k]),
                "end_s": float(edges_s[k + 1]),
                "stored_mwh": float(stored[site][k]),
                "battery_mw": float(power_mw[k]),
            }
            for k in range(BINS)
        ]
    above.set_ylabel("stored energy [MWh]")
    above.set_ylim(0.0, 1.08 * max(float(s.max()) for s in stored.values()) or 1.0)
    below.axhline(0.0, color="black", linewidth=0.6)
    below.set_ylabel("power, charging\nabove 0 [MW]")
    below.set_xlabel(f"time [{unit}]")
    below.set_xlim(0.0, horizon_s / unit_s)
    if len(sites) > 1:
        figure.legend(loc="outside lower center", ncols=min(len(sites), 6), fontsize=SMALL)
    save(figure, path, rows, _finding(sites, stored, unit, edges_s / unit_s))


def stored_mwh(series: Series, times_s: Floats) -> Floats:
    """Stored energy at times: a straight line between two changes of the battery's power."""
    return np.asarray(np.interp(times_s, series.time_s, series.value)) / J_PER_MWH


def _sites(series: Mapping[str, Series]) -> list[str]:
    """Sites with a battery; of many, the largest."""
    found = [name.removesuffix(STORED) for name in series if name.endswith(STORED)]
    found = [site for site in found if site + POWER in series]
    most = sorted(found, key=lambda s: (-float(series[s + STORED].value.max()), s))
    return sorted(most[:MOST_SITES])


def _finding(sites: list[str], stored: Mapping[str, Floats], unit: str, times: Floats) -> str:
    told = []
    for site in sites:
        held = stored[site]
        if float(np.ptp(held)) < 1e-9:
            told.append(f"the battery of {site} rests at {three_digits(held[0])} MWh")
            continue
        least = int(np.argmin(held))
        told.append(
            f"the battery of {site} goes from {three_digits(held[0])} to "
            f"{three_digits(held[-1])} MWh and is lowest, {three_digits(held[least])} MWh, at "
            f"{times[least]:.3g} {unit}"
        )
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."
