"""Figure of a nodal run: which branches the sites load more after single outages.

Flows of the case's dispatch, the new load picked up by the generators in service in proportion
to their headroom: what happens before anybody redispatches. Pairs of a branch and an outage that
are over without the new load are counted apart and not drawn: they are not its doing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.pairs import Pairs, join
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.report.nodal_price_figure import MOST_BUSES, loads_by_bus
from sim.report.style import SMALL, new_figure, save
from sim.units import mw_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.grid.nodal.tables import Bools, Floats, Network

SHOWN: Final = 12
"""Branches in the figure: those over their limit, then those that the load moves most."""
NEAR_FRAC: Final = 0.8
"""Of the limit after an outage; what stays below is not looked at."""
WITH, WITHOUT = "#D55E00", "#8C8C8C"


@dataclass(frozen=True, slots=True)
class Screened:
    """Branches near their limits after single outages, each after the outage that is worst.

    Args:
        pairs: branch and outage. with_frac, without_frac: loading of the branch after its outage
            over its emergency limit, with the new load and without.
        new_outages: single outages after which a limit is over with the load and not without.
        before: pairs of a branch and an outage that are over without the load, left out.
    """

    pairs: Pairs
    with_frac: Floats
    without_frac: Floats
    new_outages: int
    before: int


def screened(study: Study, sites_mw: Mapping[int, float]) -> Screened:
    """Screen every single branch outage that leaves the grid whole.

    Args:
        sites_mw: new load by bus number.

    Raises:
        InputError: no such bus.
    """
    network, base = study.network, study.base.flow_mw
    injection = np.zeros(len(network.buses))
    for bus, mw in sites_mw.items():
        index = network.bus_index(bus)
        inside = study.grid.island == study.grid.island[index]
        injection[inside] += mw * study.pickup[inside]
        injection[index] -= mw
    flow = base + study.grid.transfer(injection[:, None])[:, 0]
    # A pair is over its limit at flows this much larger exactly if it is near it at these.
    near = [study.pairs.suspects(flows / NEAR_FRAC) for flows in (flow, base)]
    pairs = _once(join(near), len(base))
    limit = study.emergency_limit_mw[pairs.branch]
    after, before = (np.abs(pairs.after(flows)) / limit for flows in (flow, base))
    was_over = before > 1
    fresh = (after > 1) & ~was_over
    worst = _worst_of_each_branch(pairs, np.where(was_over, 0.0, after))
    return Screened(
        pairs=pairs.where(worst),
        with_frac=after[worst],
        without_frac=before[worst],
        new_outages=len(np.unique(pairs.outage[fresh])),
        before=int(was_over.sum()),
    )


def _once(pairs: Pairs, n_branches: int) -> Pairs:
    """Each pair once."""
    _, first = np.unique(pairs.code(n_branches), return_index=True)
    return Pairs(pairs.branch[first], pairs.outage[first], pairs.lodf[first])


def _worst_of_each_branch(pairs: Pairs, loading_frac: Floats) -> Bools:
    """Marks of the most loaded pair of each branch, of those at `NEAR_FRAC` and more."""
    order = np.lexsort((pairs.outage, -loading_frac, pairs.branch))
    first = np.ones(len(order), dtype=bool)
    first[1:] = pairs.branch[order][1:] != pairs.branch[order][:-1]
    marks = np.zeros(len(order), dtype=bool)
    marks[order[first]] = True
    return marks & (loading_frac >= NEAR_FRAC)


def draw_outages(grid: Mapping[str, Any], path: Path) -> None:
    """Bars of the most loaded branches; nothing of a large case, or without new load.

    Args:
        grid: the summary's `grid` of a nodal run.
    """
    sites, told = loads_by_bus(grid), grid["conventions"]
    try:
        network = load_case(grid["case"])
        if not sites or len(network.buses) > MOST_BUSES:
            return
        settings = Settings(
            security="n1",
            emergency_factor=told["emergency_factor"],
            emergency_rating=told["emergency_rating"],
            susceptance=told["susceptance"],
        )
        found = screened(Study(network, settings), sites)
    except InputError:  # the case's file is elsewhere by now
        return
    rows = _rows(network, found)
    if rows:
        _draw(rows[:SHOWN], rows, path, _finding(found, rows, sites))


def _draw(
    shown: list[dict[str, Any]], rows: list[dict[str, Any]], path: Path, finding: str
) -> None:
    figure = new_figure("column", 18 + 7.2 * len(shown))
    axes = figure.add_subplot()
    for offset, key, colour, label in (
        (-0.19, "with_load_frac", WITH, "with the sites"),
        (0.19, "without_load_frac", WITHOUT, "without them"),
    ):
        places = [place + offset for place in range(len(shown))]
        percent = [100 * row[key] for row in shown]
        bars = axes.barh(places, percent, 0.34, color=colour, label=label)
        axes.bar_label(bars, [f"{p:.0f}" for p in percent], fontsize=SMALL, padding=2)
    axes.axvline(100, color="black", linewidth=0.8, linestyle="--")
    labels = [f"{row['branch']}\nwithout {row['outage']}" for row in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=SMALL)
    axes.set_ylim(len(shown) - 0.45, -0.55)
    axes.margins(x=0.1)
    axes.set_xlabel("loading after the outage [% of its limit]")
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path, rows, finding)


def _rows(network: Network, found: Screened) -> list[dict[str, Any]]:
    """Branch, outage and both loadings: those over their limit, then those moved most."""
    moved = found.with_frac - found.without_frac
    order = np.lexsort((-moved, found.with_frac <= 1)).tolist()
    return [
        {
            "branch": _name(network, int(found.pairs.branch[row])),
            "outage": _name(network, int(found.pairs.outage[row])),
            "with_load_frac": round(float(found.with_frac[row]), 6),
            "without_load_frac": round(float(found.without_frac[row]), 6),
        }
        for row in order
    ]


def _name(network: Network, row: int) -> str:
    name = network.branch_name(row)
    return f"{name['from']}-{name['to']} #{name['circuit']}"


def _finding(found: Screened, rows: list[dict[str, Any]], sites: Mapping[int, float]) -> str:
    worst, outages = rows[0], found.new_outages
    load = mw_text(sum(sites.values()))
    text = (
        f"With {load} MW more at a fixed dispatch, {outages or 'no'} single "
        f"outage{'s' * (outages > 1)} overload{'s' * (outages < 2)} a branch that was within its "
        f"limit without it; {'of these ' * (outages > 1)}moved most: {worst['branch']} after the "
        f"outage of {worst['outage']}, to {worst['with_load_frac']:.1%} of its limit, without the "
        f"load {worst['without_load_frac']:.1%}"
    )
    if found.before:
        text += (
            f". Left out: {found.before} pair{'s' * (found.before != 1)} of a branch and an outage "
            "that overloads it without the load"
        )
    return f"{text}."
