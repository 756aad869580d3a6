"""Figures of power over the run: stacked by boundary, and as a load duration curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sim.report.series import (
    BINS,
    Floats,
    Series,
    added,
    axis_of,
    bin_extremes,
    bin_means,
    held_s,
)
from sim.report.steps import fill_steps
from sim.report.style import CAUSE_COLOURS, SMALL, new_figure, power_axis, save
from sim.units import MEGA, mw_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BOUNDARIES: Final = ("chip", "it", "facility")
METER: Final = ".facility_w"
LAYERS: Final = (
    ("GPUs (chip boundary)", CAUSE_COLOURS["chip"]),
    ("the rest of IT: host, fans, PSU, network, storage", CAUSE_COLOURS["network"]),
    ("the building: power train and cooling", CAUSE_COLOURS["cooling"]),
)
"""What each boundary adds to the one inside it."""
CURVE_POINTS: Final = 200


def at_boundaries(series: Mapping[str, Series]) -> dict[str, Series]:
    """Power of all sites at each boundary [W]; empty if a boundary was not recorded."""
    sites = [n.removesuffix(METER) for n in series if n.endswith(METER)]  # workloads have none
    found = {}
    for boundary in BOUNDARIES:
        names = [f"{site}.{boundary}_w" for site in sites]
        if not names or any(name not in series for name in names):
            return {}
        found[boundary] = added({name: series[name] for name in names})
    return found


def draw_power_time(series: Mapping[str, Series], horizon_s: float, path: Path) -> None:
    """Stacked mean power in bins of the run, with what the meter reached within a bin.

    Args:
        series: signals of the run; nothing is drawn if a boundary is missing.
    """
    power = at_boundaries(series)
    if not power:
        return
    edges_s = np.linspace(0.0, horizon_s, BINS + 1)
    means_mw = {b: bin_means(power[b], edges_s) / MEGA for b in BOUNDARIES}
    low_mw, high_mw = (v / MEGA for v in bin_extremes(power["facility"], edges_s))
    unit_s, unit = axis_of(horizon_s)
    x = edges_s / unit_s
    figure = new_figure("column", 66)
    axes = figure.add_subplot()
    below = np.zeros(BINS)
    for boundary, (label, colour) in zip(BOUNDARIES, LAYERS, strict=True):
        fill_steps(axes, x, below, means_mw[boundary], color=colour, label=label)
        below = means_mw[boundary]
    fill_steps(
        axes,
        x,
        low_mw,
        high_mw,
        color="black",
        alpha=0.3,
        linewidth=0.8,
        label="least to most at the meter within a bin",
    )
    axes.set_xlim(0.0, x[-1])
    axes.set_ylim(0.0, float(high_mw.max()) * 1.08 or 1.0)
    axes.set_xlabel(f"time [{unit}]")
    power_axis(axes.yaxis, "power", float(high_mw.max()))
    figure.legend(loc="outside lower left", ncols=1)
    rows = [
        {
            "start_s": float(edges_s[k]),
            "end_s": float(edges_s[k + 1]),
            "chip_mw": float(means_mw["chip"][k]),
            "it_mw": float(means_mw["it"][k]),
            "facility_mw": float(means_mw["facility"][k]),
            "facility_least_mw": float(low_mw[k]),
            "facility_most_mw": float(high_mw[k]),
        }
        for k in range(BINS)
    ]
    save(figure, path, rows, _time_finding(low_mw, high_mw, power, horizon_s))


def _time_finding(
    low_mw: Floats, high_mw: Floats, power: Mapping[str, Series], horizon_s: float
) -> str:
    mean_mw = _mean(power["facility"], horizon_s) / MEGA
    low, high = float(low_mw.min()), float(high_mw.max())
    bin_s = horizon_s / BINS
    text = f"The meter runs at {mw_text(mean_mw)} MW on average"
    if high - low < 1e-3 * high:
        return f"{text} and stays there: power changes by less than 0.1 %."
    return (
        f"{text}, between {mw_text(low)} and {mw_text(high)} MW; colours are means of {bin_s:.3g} "
        "s, grey what the meter reached within them."
    )


def _mean(series: Series, end_s: float) -> float:
    return float(np.dot(series.value, held_s(series, end_s)) / end_s)


def draw_load_duration(series: Mapping[str, Series], horizon_s: float, path: Path) -> None:
    """For which share of the run the power was at least so high, at each boundary."""
    power = at_boundaries(series)
    if not power:
        return
    figure = new_figure("column", 55)
    axes = figure.add_subplot()
    shares = np.linspace(0.0, 1.0, CURVE_POINTS + 1)
    curves = {b: duration_curve(power[b], horizon_s, shares) / MEGA for b in BOUNDARIES}
    names = ("chip", "IT", "meter")
    for boundary, name, (_, colour) in zip(BOUNDARIES, names, LAYERS, strict=True):
        axes.plot(shares * 100, curves[boundary], color=colour, linewidth=1.6, label=name)
        axes.annotate(
            name,
            (100, curves[boundary][-1]),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(0.0, float(curves["facility"][0]) * 1.08 or 1.0)
    axes.set_xlabel("share of the run at this power or more [%]")
    power_axis(axes.yaxis, "power", float(curves["facility"][0]))
    rows = [
        {"share_frac": float(s), **{f"{b}_mw": float(curves[b][k]) for b in BOUNDARIES}}
        for k, s in enumerate(shares)
    ]
    save(figure, path, rows, _duration_finding(power["facility"], horizon_s))


def duration_curve(series: Series, end_s: float, shares: Floats) -> Floats:
    """The value that is reached or exceeded for each share of the time, largest first.

    Args:
        shares: of the time, 0 to 1, rising. At 0 the peak, at 1 the least value.
    """
    time_s = held_s(series, end_s)
    order = np.argsort(-series.value, kind="stable")
    order = order[time_s[order] > 0]
    reached = np.cumsum(time_s[order]) / end_s
    place = np.searchsorted(reached, shares * reached[-1], side="left")
    return np.asarray(series.value[order][np.minimum(place, len(order) - 1)], dtype=np.float64)


def _duration_finding(meter: Series, horizon_s: float) -> str:
    peak_w = float(meter.value[held_s(meter, horizon_s) > 0].max())
    if peak_w <= 0:
        return "The meter draws nothing."
    time_s = held_s(meter, horizon_s)
    near = float(time_s[meter.value >= 0.95 * peak_w].sum() / horizon_s)
    factor = _mean(meter, horizon_s) / peak_w
    return (
        f"Load factor {factor:.0%}: the mean over the highest instant, {mw_text(peak_w / MEGA)} "
        f"MW; the meter is within 5 % of that peak for {near:.0%} of the run."
    )
