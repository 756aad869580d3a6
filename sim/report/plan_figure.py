"""Figure of `flopgrid plan serving`: speed against throughput and energy, Pareto's front marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sim.report.cost_figure import tick
from sim.report.style import SERIES_COLOURS, SMALL, TITLE, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

    from sim.cost.plan_serving_job import Job
    from sim.cost.plan_serving_result import Candidate, Plan

COLOURS: Final = SERIES_COLOURS[:6]
MARKS: Final = {"gpus": "s", "usd": "D", "j-per-token": "^"}
WORDS: Final = {"gpus": "fewest GPUs", "usd": "least USD", "j-per-token": "least energy"}
PANELS: Final = {
    "tokens": "output tokens per GPU [token/s]",
    "joules": "energy of the GPUs [J/output token]",
}


def draw_plan(job: Job, plan: Plan, found: Mapping[str, Any], path: Path) -> None:
    """Two panels over the time per output token; the CSV beside holds the front.

    Args:
        found: the result of `plan_tables.plan_rows`.
    """
    figure = new_figure("page", 92)
    kinds = list(dict.fromkeys((c.gpu, c.precision) for c in plan.curves))
    colours = {kind: COLOURS[i % len(COLOURS)] for i, kind in enumerate(kinds)}
    front = plan.front()
    for axes, (quantity, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        _all_points(axes, job, plan, colours, quantity)
        axes.plot(
            [1e3 * c.tpot_s for c in front],
            [_value(c, quantity) for c in front],
            ".",
            color="black",
            markersize=5,
            label="Pareto's front",
            zorder=3,
        )
        _best(axes, plan, found, quantity)
        if np.isfinite(job.slo.tpot_s):
            axes.axvline(1e3 * job.slo.tpot_s, color="#8C8C8C", linestyle="--", linewidth=1)
            axes.text(1e3 * job.slo.tpot_s, axes.get_ylim()[1], " SLO", fontsize=SMALL, va="top")
        axes.set_ylabel(label)
        axes.set_xlabel("time per output token [ms]")
        _plain(axes)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    figure.suptitle(_title(job), fontsize=TITLE, x=0.02, ha="left")
    save(figure, path, list(found["pareto"]), _finding(plan, found))


def _finding(plan: Plan, found: Mapping[str, Any]) -> str:
    """What is best by each objective."""
    told = []
    for objective in found["best"]:
        best = plan.best(objective)
        told.append(
            f"{WORDS[objective]}: {best.name}, batch {best.batch}, "
            f"{best.tokens_per_s_per_gpu:,.0f} tokens/s and {best.j_per_token:.3g} J a token, "
            f"{1e3 * best.tpot_s:.3g} ms a token"
        )
    if not told:
        return f"{len(plan.front())} layouts and batches are on Pareto's front; none is asked for."
    text = "; ".join(told)
    return f"{text[0].upper()}{text[1:]}."


def _title(job: Job) -> str:
    marks = [
        o.node.device.name + ("" if o.node.device.calibrated else " (UNCALIBRATED)")
        for o in job.offers
    ]
    asked = f"{job.arch.name} on {', '.join(marks)}: {job.lengths.isl} + {job.lengths.osl} tokens"
    return asked if job.per_s is None else f"{asked}, {job.per_s:g} requests/s"


def _all_points(
    axes: Axes, job: Job, plan: Plan, colours: Mapping[tuple[str, str], str], quantity: str
) -> None:
    """One thin line a layout over its batch sizes that fit; hollow beyond the SLO."""
    named: set[tuple[str, str]] = set()
    for of in plan.curves:
        kind = (of.gpu, of.precision)
        kept = of.curve.fits & ~of.curve.saturated
        tokens_per_s = of.curve.requests_per_s[kept] * job.lengths.osl / of.layout.gpus
        y = tokens_per_s if quantity == "tokens" else of.curve.power_w[kept] / tokens_per_s
        axes.loglog(
            1e3 * of.curve.tpot_s[kept],
            y,
            color=colours[kind],
            linewidth=0.6,
            alpha=0.5,
            label=None if kind in named else f"{kind[0]} {kind[1]}, a line a layout",
        )
        named.add(kind)


def _value(candidate: Candidate, quantity: str) -> float:
    return candidate.tokens_per_s_per_gpu if quantity == "tokens" else candidate.j_per_token


def _best(axes: Axes, plan: Plan, found: Mapping[str, Any], quantity: str) -> None:
    for number, objective in enumerate(found["best"]):
        best = plan.best(objective)
        axes.plot(
            1e3 * best.tpot_s,
            _value(best, quantity),
            MARKS[objective],
            markersize=14 - 3.5 * number,
            markerfacecolor="none",
            markeredgecolor="black",
            label=f"{WORDS[objective]}: {best.name}, batch {best.batch}",
            zorder=4,
        )


def _plain(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(tick))
        axis.set_minor_formatter(NullFormatter())
