"""Figures of the wires: where how much connects, and how it falls with the number of buses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap

from sim.errors import InputError
from sim.report.nodal_text import WAYS
from sim.report.style import SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

    from sim.grid.nodal.tables import Floats, Network

Row = dict[str, Any]

CLASSES_MW: Final = (0.0, 50.0, 150.0, 300.0, 1000.0, 1e6)
CLASS_COLOURS: Final = ("#440154", "#3B528B", "#21918C", "#90D743", "#FDE725")
"""Viridis in five steps: ordered in brightness, also for the colour-blind."""

SERIES_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#000000")
DASHES: Final = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
LOOKS: Final[tuple[Row, ...]] = tuple(
    {"color": colour, "linestyle": dash}
    for colour, dash in zip(SERIES_COLOURS, DASHES, strict=True)
)
"""Colour and dash of each series: lines that cross are told apart without colour too."""
LINE_COLOURS: Final = ((345.0, "#9A9A9A", 0.9), (161.0, "#C4C4C4", 0.6), (0.0, "#E4E4E4", 0.4))
"""Least kV, colour and width of a branch on the map."""

SIZES: Final = ((345.0, 34, "345 kV and more"), (161.0, 20, "161 to 344 kV"), (0.0, 9, "lower"))
"""Least kV, area of a dot on the map [pt^2], words."""

ASKED_MW: Final = (150.0, 1000.0)
"""Loads that the captions ask about: a large campus, and the largest planned."""

AT_ZERO_MW: Final = 1.0
"""Where a logarithmic axis shows what hosts less, nothing included."""


def map_rows(network: Network, hosting_mw: Mapping[int, float]) -> list[Row]:
    """One row a bus asked about: number, place, voltage, MW.

    Raises:
        InputError: the case has no coordinates.
    """
    buses = network.buses
    if buses.latitude_deg is None or buses.longitude_deg is None:
        raise InputError(
            f"case {network.name} has no coordinates of its buses", "a map needs activsg2000"
        )
    return [
        {
            "bus": int(buses.number[i]),
            "latitude_deg": float(buses.latitude_deg[i]),
            "longitude_deg": float(buses.longitude_deg[i]),
            "base_kv": float(buses.base_kv[i]),
            "hosting_mw": hosting_mw[int(buses.number[i])],
        }
        for i in range(len(buses))
        if int(buses.number[i]) in hosting_mw
    ]


def map_lines(network: Network) -> list[tuple[float, float, float, float, float]]:
    """Branches between substations in service: kV, then longitude and latitude of both ends."""
    buses, b = network.buses, network.branches
    if buses.latitude_deg is None or buses.longitude_deg is None:
        return []
    place = np.column_stack([buses.longitude_deg, buses.latitude_deg])
    apart = network.branch_on & (place[b.start] != place[b.end]).any(axis=1)
    found = {}  # circuits side by side lie on one line
    for row in np.flatnonzero(apart).tolist():
        ends = sorted([tuple(place[b.start[row]]), tuple(place[b.end[row]])])
        kv = float(buses.base_kv[b.start[row]])
        found[kv, *ends] = (kv, *ends[0], *ends[1])
    return list(found.values())


def draw_map(
    rows: Sequence[Row],
    lines: Sequence[tuple[float, float, float, float, float]],
    title: str,
    path: Path,
) -> None:
    """Map of MW by bus: colour by class, size by voltage; what hosts most lies on top."""
    figure = new_figure("page", 138)
    axes = figure.add_subplot()
    least_kv = min(*(row["base_kv"] for row in rows), LINE_COLOURS[1][0])
    draw_lines(axes, [line for line in lines if line[0] >= least_kv])
    points = _scatter(axes, sorted(rows, key=lambda row: row["hosting_mw"]))
    middle = float(np.mean([row["latitude_deg"] for row in rows]))
    axes.set_aspect(1 / np.cos(np.radians(middle)))  # a degree north is longer than one east
    axes.set_xlabel("longitude [degrees east]")
    axes.set_ylabel("latitude [degrees north]")
    axes.set_title(title)
    bar = figure.colorbar(points, ax=axes, shrink=0.7, spacing="uniform")
    bar.set_ticks(list(CLASSES_MW), labels=[f"{mw:,.0f}" for mw in CLASSES_MW[:-1]] + ["more"])
    bar.set_label("hosting capacity [MW]")
    _size_legend(axes, rows)
    way = title.rpartition("\n")[2]
    save(figure, path, rows, f"{way[:1].upper()}{way[1:]}: {_map_finding(rows)}")


def _size_legend(axes: Axes, rows: Sequence[Row]) -> None:
    """Which size of a dot is which voltage, of those that are shown."""
    shown = {_area(row["base_kv"]) for row in rows}
    for _, area, words in SIZES:
        if area in shown:
            axes.scatter([], [], s=area, color="#595959", linewidths=0, label=words)
    axes.legend(loc="lower left", title="voltage of the bus")


def _area(kv: float) -> int:
    """Area of the dot of a bus [pt^2]."""
    return next(area for least_kv, area, _ in SIZES if kv >= least_kv)


def _map_finding(rows: Sequence[Row]) -> str:
    """How many buses host what people ask for, and what the voltages do."""
    mw = np.array([row["hosting_mw"] for row in rows])
    kv = np.array([row["base_kv"] for row in rows])
    told = ", ".join(f"{_hosts(mw, asked)} host {asked:,.0f} MW" for asked in ASKED_MW)
    by_kv = ", ".join(
        f"{float(np.median(mw[kv == level])):,.0f} MW at {level:g} kV" for level in np.unique(kv)
    )
    return f"of {len(mw):,} buses, each alone, {told}; median {by_kv}."


def _hosts(mw: Floats, asked_mw: float) -> str:
    count = int((mw >= asked_mw).sum())
    return f"{count:,} ({count / len(mw):.0%})"


def draw_lines(axes: Axes, lines: Sequence[tuple[float, float, float, float, float]]) -> None:
    """Branches as thin grey lines, darker for higher voltage."""
    upper = np.inf
    for least_kv, colour, width in LINE_COLOURS:
        ends = np.array([line[1:] for line in lines if least_kv <= line[0] < upper])
        upper = least_kv
        if len(ends):
            x, y = (np.column_stack([*part, np.full(len(ends), np.nan)]).ravel()
                    for part in ((ends[:, 0], ends[:, 2]), (ends[:, 1], ends[:, 3])))  # fmt: skip
            axes.plot(x, y, color=colour, linewidth=width, zorder=1)  # one path: a short file


def _scatter(axes: Axes, rows: Sequence[Row]) -> PathCollection:
    return axes.scatter(
        [row["longitude_deg"] for row in rows],
        [row["latitude_deg"] for row in rows],
        c=[row["hosting_mw"] for row in rows],
        s=[_area(row["base_kv"]) for row in rows],
        cmap=ListedColormap(CLASS_COLOURS),
        norm=BoundaryNorm(CLASSES_MW, len(CLASS_COLOURS)),
        edgecolors="white",
        linewidths=0.25,
        zorder=2,
        rasterized=True,  # thousands of points: an image is a tenth of the size
    )


def draw_curves(
    series: Mapping[str, Sequence[float]], path: Path, asked_mw: Sequence[float] = ASKED_MW
) -> None:
    """How many buses host at least so many MW, one line for each way to ask.

    Args:
        series: label -> MW of each bus, in any order.
    """
    figure = new_figure("column", 72)
    axes = figure.add_subplot()
    rows: list[Row] = []
    for look, (label, values) in zip(LOOKS, series.items(), strict=False):
        mw = np.sort(np.asarray(values, dtype=float))[::-1]
        count = np.arange(1, len(mw) + 1)
        axes.step(count, np.maximum(mw, AT_ZERO_MW), where="pre", **look, label=label)
        rows += [
            {"series": label, "buses": int(n), "hosting_mw": float(v)}
            for n, v in zip(count, mw, strict=True)
        ]
    for mw_asked in asked_mw:
        axes.axhline(mw_asked, color="#888888", linewidth=0.7, linestyle=":")
        axes.annotate(
            f"{mw_asked:,.0f} MW", (0.5, mw_asked), xycoords=("axes fraction", "data"),
            ha="center", va="center", fontsize=SMALL, color="#555555",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("buses that host at least this much [count], each alone")
    axes.set_ylabel(f"hosting capacity [MW], at least {AT_ZERO_MW:g}")
    axes.set_title("Load that connects, against the number of buses")
    figure.legend(loc="outside lower center", ncols=2)
    save(figure, path, rows, _curve_finding(series, asked_mw[0]))


def _curve_finding(series: Mapping[str, Sequence[float]], asked_mw: float) -> str:
    told = [
        f"{label} {_hosts(np.asarray(values, dtype=float), asked_mw)}"
        for label, values in series.items()
    ]
    many = len(next(iter(series.values())))
    return f"Buses of {many:,} that host {asked_mw:,.0f} MW, each alone: {'; '.join(told)}."


def draw_joint(series: Mapping[str, Sequence[tuple[int, float]]], path: Path) -> None:
    """Total of several sites that come at once, against their number.

    Args:
        series: label -> (sites, total MW).
    """
    figure = new_figure("column", 64)
    axes = figure.add_subplot()
    rows: list[Row] = []
    for look, (label, points) in zip(LOOKS, series.items(), strict=False):
        axes.plot(*zip(*points, strict=True), **look, marker="o", markersize=3, label=label)
        rows += [{"series": label, "sites": n, "total_mw": mw} for n, mw in points]
    axes.set_ylim(bottom=0)
    axes.set_xlabel("sites at once, those that host most alone first [count]")
    axes.set_ylabel("total new load, equal shares [MW]")
    axes.set_title("Joint hosting: less than the sum of what each hosts alone")
    axes.legend()
    told = [
        f"{label} {points[-1][1]:,.0f} MW over {points[-1][0]} sites, {points[0][1]:,.0f} MW at "
        "the best alone"
        for label, points in series.items()
    ]
    save(figure, path, rows, f"At once: {'; '.join(told)}.")


def draw_states(
    buses: Sequence[Row], load_mw: float, path: Path, *, cutoff_frac: float = 0.0
) -> None:
    """Hosting of single buses by state, N-1 as dots and the median of the base case as a bar.

    Args:
        buses: rows `state, bus, base_mw, n1_mw`.
        cutoff_frac: limits that feel less of the load were left out.
    """
    by: dict[str, list[Row]] = {}
    for row in buses:
        by.setdefault(row["state"], []).append(row)
    order = sorted(by, key=lambda state: float(np.median([r["n1_mw"] for r in by[state]])))
    figure = new_figure("page", 26 + 3.1 * len(order))
    axes = figure.add_subplot()
    for y, state in enumerate(order):
        n1 = [max(r["n1_mw"], AT_ZERO_MW) for r in by[state]]
        base = max(float(np.median([r["base_mw"] for r in by[state]])), AT_ZERO_MW)
        axes.scatter(n1, [y] * len(n1), s=9, color=SERIES_COLOURS[0], alpha=0.5, linewidths=0)
        axes.plot([np.median(n1)] * 2, [y - 0.4, y + 0.4], color="black", linewidth=1.4)
        axes.plot([base] * 2, [y - 0.4, y + 0.4], color=SERIES_COLOURS[1], linewidth=1.4)
    axes.axvline(load_mw, color="#888888", linewidth=0.8, linestyle=":")
    axes.annotate(
        f"{load_mw:,.0f} MW", (load_mw, len(order) - 0.3), fontsize=SMALL, color="#555555"
    )
    axes.set_xscale("log")
    axes.set_ylim(-0.8, len(order) + 0.4)
    axes.set_yticks(range(len(order)), order, fontsize=SMALL)
    axes.set_xlabel(f"hosting capacity of a bus [MW] (under {AT_ZERO_MW:g} MW drawn there)")
    left_out = f"\nlimits that feel under {cutoff_frac:.0%} of the load left out"
    axes.set_title(
        "Synthetic grid, buses in each state: N-1 (dots, black: median), base case (orange: median)"
        + (left_out if cutoff_frac else "")
    )
    save(figure, path, buses, _state_finding(by, load_mw))


def _state_finding(by: Mapping[str, Sequence[Row]], load_mw: float) -> str:
    some = sum(any(r["n1_mw"] >= load_mw for r in rows) for rows in by.values())
    half = sum(float(np.median([r["n1_mw"] for r in rows])) >= load_mw for rows in by.values())
    return (
        f"{load_mw:,.0f} MW hold at N-1 at some bus looked at in {some} of {len(by)} states, at "
        f"half of the buses in {half}."
    )


def draw_cascades(cascades: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Load lost after each stage, one line for each cascade.

    Args:
        cascades: label -> stages with the keys of `STAGE_KEYS`.
    """
    figure = new_figure("column", 72)
    axes = figure.add_subplot()
    rows: list[Row] = []
    for look, (label, stages) in zip(LOOKS, cascades.items(), strict=False):
        lost = [0.0, *(stage["shed_mw"] + stage["dark_mw"] for stage in stages)]
        axes.step(range(len(lost)), lost, where="post", **look, label=label)
        axes.plot(range(len(lost)), lost, "o", color=look["color"], markersize=3)
        rows += [
            {"cascade": label, "stage": n} | {key: stage[key] for key in STAGE_KEYS}
            for n, stage in enumerate(stages, 1)
        ]
    axes.set_ylim(bottom=0)
    axes.set_xlabel("stage of the cascade (0: before)")
    axes.set_ylabel("load lost so far, shed and dark [MW]")
    axes.set_title("What follows, by the first outage: load lost after each stage")
    axes.legend()
    deepest = max(cascades, key=lambda label: len(cascades[label]))
    most = max(rows, key=lambda row: row["shed_mw"] + row["dark_mw"])
    told = (
        f"Most load is lost after {most['cascade']}: {most['shed_mw'] + most['dark_mw']:,.0f} MW "
        f"by stage {most['stage']}; the longest cascade, {deepest}, has "
        f"{len(cascades[deepest])} stages."
    )
    save(figure, path, rows, told)


STAGE_KEYS: Final = (
    "tripped", "islands", "generation_mw", "load_mw", "shed_mw", "dark_mw", "lowest_hz",
)  # fmt: skip


def draw_blackouts(lost_mw: Mapping[str, Sequence[float]], path: Path) -> None:
    """How likely a blackout of at least a size is, over Monte-Carlo runs."""
    figure = new_figure("column", 64)
    axes = figure.add_subplot()
    rows: list[Row] = []
    for look, (label, values) in zip(LOOKS, lost_mw.items(), strict=False):
        mw = np.sort(np.asarray(values, dtype=float))
        share = 1 - np.arange(len(mw)) / len(mw)
        axes.step(mw, share, where="pre", **look, label=label)
        rows += [
            {"series": label, "lost_mw": float(v), "share_at_least_frac": float(s)}
            for v, s in zip(mw, share, strict=True)
        ]
    axes.set_ylim(0, 1.05)
    axes.set_xlim(left=0)
    axes.set_xlabel("load lost [MW]")
    axes.set_ylabel("share of runs that lose at least this [1]")
    axes.set_title("Blackout size with hidden failures")
    axes.legend()
    means = {label: float(np.mean(values)) for label, values in lost_mw.items()}
    worst = max(means, key=lambda label: means[label])
    p95 = float(np.quantile(np.asarray(lost_mw[worst], dtype=float), 0.95))
    told = (
        f"Worst on average: {worst}, {means[worst]:,.0f} MW lost over {len(lost_mw[worst])} runs "
        f"with hidden failures, 95th percentile {p95:,.0f} MW."
    )
    save(figure, path, rows, told)


def draw_hosting_figures(network: Network, answer: Row, folder: Path) -> list[Path]:
    """What `grid hosting` can show: a map (with coordinates), a curve, the joint curve."""
    made: list[Path] = []
    said = answer["conventions"]
    label = WAYS.get(
        f"{said['redispatch']}/{said['security']}",
        f"redispatch {said['redispatch']}, security {said['security']}",
    )
    rows = answer["buses"]
    if rows and network.buses.latitude_deg is not None:
        made.append(folder / "hosting-map.svg")
        shown = map_rows(network, {row["bus"]: row["hosting_mw"] for row in rows})
        draw_map(
            shown,
            map_lines(network),
            f"{network.name}: largest new load at each bus alone\n{label}",
            made[-1],
        )
    if len(rows) > 1:
        made.append(folder / "hosting-curve.svg")
        draw_curves({label: [row["hosting_mw"] for row in rows]}, made[-1])
    if answer.get("curve"):
        made.append(folder / "hosting-joint.svg")
        draw_joint({label: [(p["sites"], p["hosting_mw"]) for p in answer["curve"]]}, made[-1])
    if not made:
        raise InputError("nothing to draw", "a figure needs answers of single buses")
    return made
