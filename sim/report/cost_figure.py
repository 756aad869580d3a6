"""Figures of `flopgrid cost`: the step's operations on the roofline, and curves of a sweep."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sim.report.style import SMALL, TITLE, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

COLOURS: Final = {
    "compute": "#D55E00",
    "memory": "#0072B2",
    "launch": "#CC79A7",
    "link": "#009E73",
    "host": "#8C8C8C",
    "pipeline": "#E69F00",
}
CURVES: Final = {
    "time_s": ("time of a step [ms]", 1e3),
    "tokens_per_s": ("throughput [token/s]", 1.0),
    "energy_j_per_token": ("energy, GPUs [J/token]", 1.0),
}
AXES: Final = {
    "batch": "batch [sequence]",
    "context": "context [token]",
    "cap": "power cap of a GPU [W]",
}
CROWDED: Final = 9
"""Tick labels that fit side by side."""
LABELLED: Final = 6
"""Operations with a name beside their dot: those with most time."""
LINE_DECADES: Final = 0.24
"""Height of a line of names on the logarithmic axis of a whole figure."""
PANEL_FACTOR: Final = 1.7
"""How much higher it is in one panel of four."""
ROOM: Final = 120.0
"""Width of the axis right of the last dot, for names, as a factor."""
DOT_AREA: Final = 1500.0
"""Area of a dot that is the whole step [pt^2]."""
LEAST_AREA: Final = 12.0


def draw_cost(found: Mapping[str, Any], path: Path) -> None:
    """The roofline with the operations of the step; with a sweep, its curves beside it.

    Args:
        found: the result of `cost_tables.cost`, with `sweep` for the curves.
    """
    operations = [_point(op) for op in found["operations"]]
    if "sweep" not in found:
        figure = new_figure("page", 96)
        axes = figure.add_subplot()
        _roofline(axes, found)
        _legend(axes, "limit", {op["limit"] for op in found["operations"]})
        save(figure, path, operations, _step_finding(found))
        return
    figure = new_figure("page", 130)
    grid = figure.subplots(2, 2)
    over, points = found["sweep"]["over"], found["sweep"]["rows"]
    for place, (quantity, (label, factor)) in zip(grid.flat, CURVES.items(), strict=False):
        _curve(place, over, points, quantity, label, factor)
    shown = {row["limit"] for row in (*points, *found["operations"])}
    _legend(grid.flat[0], "largest part of the time", shown)
    _roofline(grid.flat[3], found, LINE_DECADES * PANEL_FACTOR)
    _whole_steps(grid.flat[3], found)
    save(figure, path, points, f"{_sweep_finding(over, points)} {_step_finding(found)}")
    _write(path.with_name(f"{path.stem}-operations.csv"), operations)


def _sweep_finding(over: str, points: Sequence[Mapping[str, Any]]) -> str:
    """What energy per token and throughput do from one end of the sweep to the other."""
    first, last = points[0], points[-1]
    return (
        f"From {over} {first[over]:g} to {last[over]:g}, energy of the GPUs per token goes from "
        f"{first['energy_j_per_token']:.3g} to {last['energy_j_per_token']:.3g} J and throughput "
        f"from {first['tokens_per_s']:,.4g} to {last['tokens_per_s']:,.4g} tokens/s."
    )


def _step_finding(found: Mapping[str, Any]) -> str:
    """What limits most of the step's time."""
    shares: dict[str, float] = {}
    for op in found["operations"]:
        shares[op["limit"]] = shares.get(op["limit"], 0.0) + op["time_share"]
    limit = max(shares, key=lambda name: shares[name])
    most = max(found["operations"], key=lambda op: op["time_share"])
    return (
        f"{shares[limit]:.0%} of the step's time is limited by: {limit}; longest operation: "
        f"{most['name']}, {most['time_share']:.0%}."
    )


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _point(op: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("name", "limit", "time_share", "intensity_flop_per_byte", "flops_per_s", "bytes_per_s")
    return {key: op[key] for key in keys}


def _curve(
    axes: Axes, over: str, points: list[Any], quantity: str, label: str, factor: float
) -> None:
    x = [point[over] for point in points]
    y = [point[quantity] * factor for point in points]
    axes.loglog(x, y, color="#BBBBBB", zorder=1)
    axes.set_xlabel(AXES[over])
    axes.set_ylabel(label)
    for point, at, height in zip(points, x, y, strict=True):
        axes.plot(at, height, "o", color=COLOURS[point["limit"]], markersize=5)
    if over == "cap":
        axes.set_xscale("linear")
    else:
        axes.set_xscale("log", base=2)
        axes.set_xticks(x, [f"{value:,}" for value in x])
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(tick))
    axes.yaxis.set_minor_formatter(NullFormatter())
    crowded = over != "cap" and len(x) > CROWDED
    axes.tick_params(axis="x", labelsize=SMALL, labelrotation=30 if crowded else 0)


def tick(value: float, _: float | None = None) -> str:
    """A tick label without powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.4g}"


def _legend(axes: Axes, title: str, shown: set[str]) -> None:
    for limit, colour in COLOURS.items():
        if limit in shown:
            axes.plot([], [], "o", color=colour, label=limit)
    axes.legend(title=title, loc="best")


def _roofline(axes: Axes, found: Mapping[str, Any], line_decades: float = LINE_DECADES) -> None:
    """Achieved FLOP/s against FLOPs per HBM byte, one GPU; dot area = share of the time."""
    gpu = found["gpu"]
    ops = [op for op in found["operations"] if op["flops"] > 0 and op["hbm_bytes"] > 0]
    widest = max(2e4, ROOM * max(op["intensity_flop_per_byte"] for op in ops))
    x = np.geomspace(0.1, widest, 200)
    memory = x * gpu["hbm_bytes_per_s"]
    peaks = {gpu["matmul_bf16_flops"]: "bf16", gpu["matmul_fp8_flops"]: "fp8"}
    for peak, name in peaks.items():
        axes.loglog(x, np.minimum(memory, peak), color="black", linewidth=1)
        axes.text(
            x[-1], peak * 1.08, f"{name} {peak / 1e12:.0f} TFLOP/s", ha="right", fontsize=SMALL
        )
    bandwidth = gpu["hbm_bytes_per_s"]
    axes.text(0.12, 8 * bandwidth, f"slope: HBM {bandwidth / 1e12:.2f} TB/s", fontsize=SMALL)
    for op in ops:
        axes.scatter(
            op["intensity_flop_per_byte"],
            op["flops_per_s"],
            s=max(LEAST_AREA, DOT_AREA * op["time_share"]),
            color=COLOURS[op["limit"]],
            alpha=0.6,
            linewidths=0,
            zorder=3,
        )
    _names(axes, ops, line_decades)
    _others(axes, [op for op in found["operations"] if op not in ops])
    axes.set_xlabel("intensity [FLOP per HBM byte]")
    axes.set_ylabel("achieved, one GPU [FLOP/s]")
    mark = "" if gpu["calibrated"] else ", UNCALIBRATED"
    axes.set_title(
        f"{found['arch']} on {gpu['name']}{mark}\n{found['phase']}, batch {found['batch']}, "
        f"context {found['context']}",
        fontsize=TITLE,
    )
    low = min(op["flops_per_s"] for op in ops)
    axes.set_ylim(min(1e11, low / 3), gpu["matmul_fp8_flops"] * 3)
    axes.set_xlim(0.1, widest)


def _whole_steps(axes: Axes, found: Mapping[str, Any]) -> None:
    """The whole step, at each point of the sweep, under the same roof."""
    over, points, gpu = found["sweep"]["over"], found["sweep"]["rows"], found["gpu"]
    ridge = gpu["matmul_bf16_flops"] / gpu["hbm_bytes_per_s"]
    x = [point["intensity_flop_per_byte"] for point in points]
    y = [point["flops_per_s"] for point in points]
    axes.plot(x, y, ".-", color="black", markersize=4, linewidth=0.8, zorder=5)
    for at, side in ((0, "left"), (-1, "right")):
        raised = 2.2 if x[at] < ridge else 1.0  # beside the slope, or below the flat roof
        place = (x[at] / 1.5, y[at] * raised) if at else (x[at] * 1.4, y[at] / 3.5)
        axes.annotate(
            f"whole step, {over} {points[at][over]:g}",
            (x[at], y[at]),
            place,
            ha=side,
            va="center",
            fontsize=SMALL,
            zorder=5,
        )


def _names(axes: Axes, ops: list[Any], line_decades: float) -> None:
    """Names of the operations with most time, in a column below the roof's corner."""
    largest = sorted(ops, key=lambda op: -op["time_share"])[:LABELLED]
    line = max(np.log10(op["flops_per_s"]) for op in largest)
    for op in sorted(largest, key=lambda op: -op["flops_per_s"]):
        at = (op["intensity_flop_per_byte"], op["flops_per_s"])
        line = min(line, np.log10(at[1]))
        axes.annotate(
            f"{op['name']} {op['time_share']:.0%}",
            at,
            (at[0] * 3, 10**line),
            fontsize=SMALL,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5},
            zorder=4,
        )
        line -= line_decades


def _others(axes: Axes, ops: list[Any]) -> None:
    """What has no FLOPs or no bytes, and so no place under the roof."""
    named = [f"{op['name']} {op['time_share']:.0%}" for op in ops if op["time_share"] >= 0.005]
    if named:
        axes.text(
            0.98,
            0.03,
            "not under the roof:\n" + "\n".join(named),
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=SMALL,
        )
