"""Figure of the coupled loop: what each site's power costs, and what it is allowed to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.series import BINS, Series, axis_of, bin_means
from sim.report.steps import draw_steps
from sim.report.style import DASHES, SERIES_COLOURS, SMALL, new_figure, power_axis, save
from sim.units import MEGA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PRICE: Final = ".price_usd_per_mwh"
LIMIT: Final = ".limit_w"
METER: Final = ".facility_w"
SITE_COLOURS: Final = SERIES_COLOURS[:6]
MOST_SITES: Final = 6
"""Of more sites, those whose price moves most."""


def draw_loop(series: Mapping[str, Series], horizon_s: float, path: Path) -> None:
    """Price above, power and its limit below, one colour and dash a site.

    Args:
        series: signals of the run; nothing is drawn without prices. A negative limit is none.
    """
    sites = _sites(series)
    if not sites:
        return
    edges_s = np.linspace(0.0, horizon_s, BINS + 1)
    unit_s, unit = axis_of(horizon_s)
    figure = new_figure("column", 88)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1.0, 1.3))
    rows: list[dict[str, Any]] = []
    for number, site in enumerate(sites):
        look = {"color": SITE_COLOURS[number % len(SITE_COLOURS)], "linewidth": 1.2}
        look["linestyle"] = DASHES[number % len(DASHES)]
        price = bin_means(series[site + PRICE], edges_s)
        meter_mw = bin_means(series[site + METER], edges_s) / MEGA
        limit_w = _limit(series, site).at(edges_s[:-1])
        limit_mw = np.where(limit_w < 0, np.nan, limit_w / MEGA)
        draw_steps(above, edges_s / unit_s, price, label=site, **look)
        draw_steps(below, edges_s / unit_s, meter_mw, **look)
        broad = look | {"linewidth": 3.5, "alpha": 0.35}
        draw_steps(below, edges_s / unit_s, limit_mw, **broad)
        rows += [
            {
                "site": site,
                "start_s": float(edges_s[k]),
                "price_usd_per_mwh": float(price[k]),
                "facility_mw": float(meter_mw[k]),
                "limit_mw": "" if np.isnan(limit_mw[k]) else float(limit_mw[k]),
            }
            for k in range(BINS)
        ]
    above.set_ylabel("price [USD/MWh]")
    above.set_ylim(min(0.0, above.get_ylim()[0]), above.get_ylim()[1] * 1.1)
    below.set_ylim(0.0, 1.06 * below.get_ylim()[1])
    power_axis(below.yaxis, "power; limit, broad", below.get_ylim()[1])
    below.set_xlabel(f"time [{unit}]")
    below.set_xlim(0.0, horizon_s / unit_s)
    figure.legend(loc="outside lower center", ncols=min(len(sites), 6), fontsize=SMALL)
    save(figure, path, rows, _finding(series, sites, horizon_s))


def _sites(series: Mapping[str, Series]) -> list[str]:
    """Sites with a price and a meter; of many, those whose price moves most."""
    found = [name.removesuffix(PRICE) for name in series if name.endswith(PRICE)]
    found = [site for site in found if site + METER in series]
    most = sorted(found, key=lambda s: (-float(np.ptp(series[s + PRICE].value)), s))[:MOST_SITES]
    return sorted(most)


def _limit(series: Mapping[str, Series], site: str) -> Series:
    none = Series(np.zeros(1), np.full(1, -1.0))
    return series.get(site + LIMIT, none)


def _finding(series: Mapping[str, Series], sites: list[str], horizon_s: float) -> str:
    dearest = max(sites, key=lambda s: float(series[s + PRICE].value.max()))
    prices = series[dearest + PRICE].value
    text = f"The price at {dearest} runs from {prices.min():,.0f} to {prices.max():,.0f} USD/MWh; "
    limited_h = {site: _limited_s(_limit(series, site), horizon_s) / 3600 for site in sites}
    told = ", ".join(f"{site} {hours:.3g} h" for site, hours in limited_h.items() if hours > 0)
    return f"{text}the grid limits {told}." if told else f"{text}no site was limited."


def _limited_s(limit: Series, horizon_s: float) -> float:
    end_s = np.append(limit.time_s[1:], horizon_s)
    return float(np.sum((end_s - limit.time_s)[limit.value >= 0]))
