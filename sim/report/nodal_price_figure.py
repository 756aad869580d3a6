"""Figure of a grid of buses: the price at each bus, and the branches that are full.

The cheapest dispatch (DC-OPF), secure against single outages where the grid asks for `n1`, with
the sites at their peak and without them. Units may run down to zero, as if each could be stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.collections import LineCollection

from sim.errors import InputError
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.interval import UNSERVED_USD_PER_MWH
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.report.nodal_figures import draw_lines, map_lines
from sim.report.style import new_figure, save
from sim.units import mw_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from sim.grid.nodal.tables import Floats, Network

MOST_BUSES: Final = 5_000
"""A larger case takes minutes to dispatch: no figure."""
NEAR_FRAC: Final = 0.9
FULL_WORDS: Final = "at a limit that sets prices"
FULL, NEAR, SITE = "#D55E00", "#CC79A7", "#000000"
LEAST_SPAN: Final = 1.0
"""USD/MWh that a scale spans at least: without a full branch all buses have one price."""
CLIP_PERCENTILES: Final = (2.0, 98.0)
"""Prices beyond take the colour of the end: a few buses behind a full line flatten the rest."""


@dataclass(frozen=True, slots=True)
class Priced:
    """The cheapest dispatch.

    Args:
        price_usd_per_mwh: by bus; NaN out of service. load_mw: by bus, with the sites.
        loading_frac: by branch, flow over rating A without an outage; 0 where unlimited.
        shadow_usd_per_mwh: by branch, of its dearest limit, after an outage or before; 0: none.
        unserved_mw: load that no dispatch serves.
    """

    price_usd_per_mwh: Floats
    load_mw: Floats
    loading_frac: Floats
    shadow_usd_per_mwh: Floats
    unserved_mw: float

    @property
    def mean_usd_per_mwh(self) -> float:
        """Weighted by load."""
        known = np.isfinite(self.price_usd_per_mwh) & (self.load_mw > 0)
        return float(np.average(self.price_usd_per_mwh[known], weights=self.load_mw[known]))


@lru_cache(maxsize=8)  # the page draws one question after another
def priced(
    case: str, susceptance: Any, sites_mw: tuple[tuple[int, float], ...], *, secure: bool
) -> Priced:
    """Dispatch a case with load added.

    Args:
        sites_mw: (bus number, MW). secure: limits hold after single outages too.

    Raises:
        InputError: no such case or bus, or no dispatch at all.
    """
    network = load_case(case)
    units = network.generators
    units = replace(units, min_mw=np.minimum(units.min_mw, 0.0))
    network = replace(network, generators=units)
    way = ("n1-secure", "n1") if secure else ("dc-opf", "base")
    settings = Settings(redispatch=way[0], security=way[1], susceptance=susceptance)  # type: ignore[arg-type]
    study = Study(network, settings)
    extra = np.zeros(len(network.buses))
    for bus, mw in sites_mw:
        extra[network.bus_index(bus)] += mw
    best = DcOpf(study, unserved_usd_per_mwh=UNSERVED_USD_PER_MWH, extra_load_mw=extra).optimum()
    rating = network.branches.rating_mw
    limited = network.branch_on & np.isfinite(rating) & (rating > 0)
    loading = np.where(limited, np.abs(best.flow_mw) / np.where(limited, rating, 1.0), 0.0)
    load = network.buses.load_mw + extra
    shadow = np.zeros(len(rating))
    for limit, usd in best.binding:
        shadow[limit.branch] = max(shadow[limit.branch], usd)
    unserved_mw = float(best.unserved_mw.sum())
    return Priced(best.price_usd_per_mwh, load, loading, shadow, unserved_mw)


def draw_nodal_prices(grid: Mapping[str, Any], path: Path) -> None:
    """Map of prices with the full branches, and price against load.

    Nothing is drawn of a large case, and of one that no dispatch holds.

    Args:
        grid: the summary's `grid` of a nodal run.
    """
    sites = loads_by_bus(grid)
    susceptance = grid["conventions"]["susceptance"]
    secure = grid["conventions"]["security"] == "n1"
    try:
        network = load_case(grid["case"])
        if len(network.buses) > MOST_BUSES:
            return
        before = priced(grid["case"], susceptance, (), secure=secure)
        after = priced(grid["case"], susceptance, tuple(sorted(sites.items())), secure=secure)
    except InputError:  # no dispatch meets the case's limits, or its file is elsewhere by now
        return
    placed = network.buses.latitude_deg is not None
    figure = new_figure("page" if placed else "column", 92 if placed else 62)
    panels = figure.subplots(1, 2 if placed else 1, squeeze=False, width_ratios=_widths(placed))[0]
    if placed:
        _map(panels[0], network, after, sites)
    _curve(panels[-1], before, after, with_sites=bool(sites))
    told = _finding(network, before, after, sites, secure=secure)
    save(figure, path, _rows(network, before, after), told)


def loads_by_bus(grid: Mapping[str, Any]) -> dict[int, float]:
    """New load by bus number: of the sites, or of a study that brings its own."""
    study = grid.get("study") or {}
    rows = [(load["bus"], load["load_mw"]) for load in study.get("loads", ())]
    rows = rows or [(site["bus"], site["peak_load_mw"]) for site in grid.get("sites", ())]
    found: dict[int, float] = {}
    for bus, mw in rows:
        found[bus] = found.get(bus, 0.0) + mw
    return found


def _widths(placed: bool) -> list[float]:
    return [1.7, 1.0] if placed else [1.0]


def _map(axes: Axes, network: Network, found: Priced, sites: Mapping[int, float]) -> None:
    buses = network.buses
    longitude, latitude = np.asarray(buses.longitude_deg), np.asarray(buses.latitude_deg)
    draw_lines(axes, map_lines(network))
    ends = np.stack([np.column_stack([longitude[i], latitude[i]])
                     for i in (network.branches.start, network.branches.end)], axis=1)  # fmt: skip
    full = found.shadow_usd_per_mwh > 0
    for chosen, colour, width, words in (
        (~full & (found.loading_frac >= NEAR_FRAC), NEAR, 1.6, f"loaded over {NEAR_FRAC:.0%}"),
        (full, FULL, 2.4, FULL_WORDS),
    ):
        count = int(chosen.sum())
        label = f"{count} branch{'es' * (count != 1)} {words}"
        axes.add_collection(
            LineCollection(list(ends[chosen]), colors=colour, linewidths=width, zorder=4,
                           label=label)
        )  # fmt: skip
    known = np.isfinite(found.price_usd_per_mwh)
    price = found.price_usd_per_mwh[known]
    low, high = np.percentile(price, CLIP_PERCENTILES)
    if high - low < LEAST_SPAN:
        low, high = (low + high) / 2 - LEAST_SPAN / 2, (low + high) / 2 + LEAST_SPAN / 2
    points = axes.scatter(
        longitude[known], latitude[known], c=price, s=9, cmap="cividis", vmin=low,
        vmax=high, linewidths=0, zorder=3, rasterized=True,
    )  # fmt: skip
    beyond = ("neither", "max", "min", "both")[int(price.max() > high) + 2 * int(price.min() < low)]
    bar = axes.figure.colorbar(points, ax=axes, location="left", shrink=0.8, extend=beyond)
    bar.set_label("price at the bus [USD/MWh]")
    for bus, mw in sites.items():
        at = network.bus_index(bus)
        axes.plot(longitude[at], latitude[at], "o", markersize=9, markerfacecolor="none",
                  markeredgecolor=SITE, markeredgewidth=1.6, zorder=5,
                  label=f"bus {bus}: {mw_text(mw)} MW")  # fmt: skip
    axes.set_aspect(1 / np.cos(np.radians(float(latitude.mean()))))
    axes.set_axis_off()
    axes.figure.legend(loc="outside lower left", ncols=2)


def _curve(axes: Axes, before: Priced, after: Priced, *, with_sites: bool) -> None:
    """Price that is reached or exceeded, by share of the load."""
    for found, colour, dash, label in (
        (before, "#7A7A7A", "--", "without the sites"),
        (after, "#0072B2", "-", "with the sites" if with_sites else "the case"),
    )[0 if with_sites else 1 :]:
        share, price = _duration(found)
        axes.step(100 * share, price, where="pre", color=colour, linestyle=dash, label=label)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of the load that pays\nat least this price [%]")
    axes.set_ylabel("price [USD/MWh]")
    prices = np.concatenate([_duration(found)[1] for found in (before, after)])
    if np.ptp(prices) < LEAST_SPAN:
        axes.set_ylim(prices.mean() - LEAST_SPAN, prices.mean() + LEAST_SPAN)
    if prices.min() > 0 and prices.max() > 20 * np.median(prices):
        axes.set_yscale("log")
    axes.legend(loc="lower left")


def _duration(found: Priced) -> tuple[Floats, Floats]:
    """Cumulative share of the load, and the price, dearest first."""
    known = np.isfinite(found.price_usd_per_mwh) & (found.load_mw > 0)
    price, load = found.price_usd_per_mwh[known], found.load_mw[known]
    order = np.argsort(-price, kind="stable")
    share = np.cumsum(load[order]) / load.sum()
    return np.concatenate([[0.0], share]), np.concatenate([price[order][:1], price[order]])


def _rows(network: Network, before: Priced, after: Priced) -> list[dict[str, Any]]:
    """A row for each bus, then one for each branch that is shown as loaded."""
    rows: list[dict[str, Any]] = [
        {
            "kind": "bus", "name": int(number), "load_mw": round(float(load), 4),
            "price_usd_per_mwh": _known(price), "price_without_sites_usd_per_mwh": _known(was),
            "loading_frac": "", "loading_without_sites_frac": "", "shadow_usd_per_mwh": "",
        }
        for number, load, price, was in zip(
            network.buses.number, after.load_mw, after.price_usd_per_mwh,
            before.price_usd_per_mwh, strict=True,
        )
    ]  # fmt: skip
    shown = (after.loading_frac >= NEAR_FRAC) | (after.shadow_usd_per_mwh > 0)
    for row in np.flatnonzero(shown).tolist():
        name = network.branch_name(row)
        rows.append(
            {
                "kind": "branch", "name": f"{name['from']}-{name['to']} #{name['circuit']}",
                "load_mw": "", "price_usd_per_mwh": "", "price_without_sites_usd_per_mwh": "",
                "loading_frac": round(float(after.loading_frac[row]), 6),
                "loading_without_sites_frac": round(float(before.loading_frac[row]), 6),
                "shadow_usd_per_mwh": round(float(after.shadow_usd_per_mwh[row]), 4),
            }
        )  # fmt: skip
    return rows


def _known(price: float) -> float | str:
    return round(float(price), 4) if np.isfinite(price) else ""


def _finding(
    network: Network, before: Priced, after: Priced, sites: Mapping[int, float], *, secure: bool
) -> str:
    price = after.price_usd_per_mwh
    low, high = int(np.nanargmin(price)), int(np.nanargmax(price))
    number = network.buses.number
    full = int((after.shadow_usd_per_mwh > 0).sum())
    how = "secure against single outages" if secure else "without an outage"
    text = (
        f"Cheapest dispatch {how}: {price[low]:,.1f} USD/MWh at bus {number[low]} to "
        f"{price[high]:,.1f} at bus {number[high]}, {full} branch{'es' * (full != 1)} {FULL_WORDS}"
    )
    mean = after.mean_usd_per_mwh
    if not sites:
        return f"{text}; mean over the load {mean:,.2f} USD/MWh."
    load = mw_text(sum(sites.values()))
    text += (
        f"; with {load} MW at {len(sites)} bus{'es' * (len(sites) > 1)} the "
        f"mean over the load is {mean:,.2f}, without it {before.mean_usd_per_mwh:,.2f} USD/MWh"
    )
    if after.unserved_mw > 0.05:
        text += f"; {mw_text(after.unserved_mw)} MW cannot be served"
    return f"{text}."
