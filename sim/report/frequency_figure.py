"""Figure: frequency over seconds, with the stages of load shedding and the highest limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.report.style import LIMIT_COLOURS, SMALL, TITLE, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TRACE: Final = "#0072B2"
HIGH: Final = LIMIT_COLOURS["energy"]
LOW: Final = "#CC79A7"
EVENT: Final = "#8C8C8C"
NEAR_HZ: Final = 0.15
"""A limit further than this beyond the trace is named in words, not drawn: it would flatten it."""


def draw_frequency(grid: Mapping[str, Any], path: Path, finding: str = "") -> None:
    """The trace, every step, what acted, and the limits that lie near."""
    trace = grid["trace"]
    time_s, frequency = trace["time_s"], trace["frequency_hz"]
    figure = new_figure("column", 64)
    axes = figure.add_subplot()
    for number, step in enumerate(grid["steps"]):
        label = None if number else "load or supply steps"
        axes.axvline(step["at_s"], color=EVENT, linewidth=0.9, linestyle=":", label=label)
    axes.axhline(60.0, color="black", linewidth=0.5)
    axes.plot(time_s, frequency, color=TRACE, linewidth=1.2)
    far = _limits(axes, grid, min(frequency), max(frequency))
    for trip in grid["trips"]:
        here = min(range(len(time_s)), key=lambda k: abs(time_s[k] - trip["time_s"]))
        axes.plot(time_s[here], frequency[here], "v", color=LOW, markersize=6)
        axes.annotate(
            f"{trip['name']} {trip['mw']:,.0f} MW",
            (time_s[here], frequency[here]),
            textcoords="offset points",
            xytext=(6, -10),
            fontsize=SMALL,
        )
    axes.set_xlim(0.0, time_s[-1])
    axes.set_xlabel("time [s]")
    axes.set_ylabel("frequency [Hz]")
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set_title(_title(grid, far), fontsize=TITLE)
    if grid["steps"]:
        axes.legend(loc="best")
    save(
        figure,
        path,
        [{"time_s": t, "frequency_hz": f} for t, f in zip(time_s, frequency, strict=True)],
        finding,
    )


def _limits(axes: Any, grid: Mapping[str, Any], lowest: float, highest: float) -> list[str]:
    """Draw the limits near the trace; those further off are returned in words."""
    kind = "" if grid["highest_is_published"] else " (assumed)"
    limits = [(grid["highest_hz"], f"highest allowed{kind}", HIGH)]
    limits += [
        (hz, f"load shedding, stage {k}", LOW) for k, hz in enumerate(grid["load_shedding_hz"], 1)
    ]
    far = []
    for hz, name, colour in limits:
        if lowest - NEAR_HZ <= hz <= highest + NEAR_HZ:
            axes.axhline(hz, color=colour, linewidth=1.0, linestyle="--")
            axes.annotate(
                f"{name} {hz:g} Hz",
                (1.0, hz),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                xytext=(-3, 3),
                ha="right",
                fontsize=SMALL,
                color=colour,
            )
        else:
            far.append(f"{name} {hz:g} Hz")
    return far


def _title(grid: Mapping[str, Any], far: list[str]) -> str:
    text = (
        f"{grid['interconnection']}: {grid['inertia_gws']:,.0f} GW s, load "
        f"{grid['load_mw'] / 1e3:,.0f} GW"
    )
    return "\n".join([text, *(f"beyond the figure: {part}" for part in _in_words(far))])


def _in_words(far: list[str]) -> list[str]:
    """Limits beyond the figure on one line: the stages of load shedding together."""
    stages = [name.split()[-2] for name in far if name.startswith("load shedding")]
    words = [name for name in far if not name.startswith("load shedding")]
    if stages:
        words.append(f"load shedding at {', '.join(stages)} Hz")
    return ["; ".join(words)] if words else []
