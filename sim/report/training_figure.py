"""Figures of training jobs: progress with what interrupted it, and the power of a step."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.steps import draw_steps
from sim.report.style import SMALL, TITLE, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

MOST_JOBS: Final = 4
"""Jobs drawn; the parts of a job in several regions are alike, so the first shows all."""
USE_COLOURS: Final = {
    "steps": "#0072B2",
    "lost steps": "#D55E00",
    "cut step": "#E69F00",
    "checkpoint": "#56B4E9",
    "restart": "#CC79A7",
    "reload": "#7FCDB6",
    "wait for a node": "#8C8C8C",
    "maintenance": "#009E73",
    "evaluate": "#F0E442",
    "suspended": "#C9C9C9",
}
LEAST_SHARE: Final = 5e-5
"""A smaller share of the time is not told: it would read 0.00 %."""
OTHER_COLOUR: Final = "#DDDDDD"
CAUSE_COLOURS: Final = {
    "gpu": "#D55E00",
    "network": "#009E73",
    "host": "#56B4E9",
    "software": "#E69F00",
    "host_maintenance": "#8C8C8C",
    "failure": "#D55E00",
    "maintenance": "#0072B2",
    "slow node": "#CC79A7",
    "suspended": "#000000",
}
HIDDEN: Final = frozenset({"slow node replaced", "resumed"})


def chosen_jobs(training: Mapping[str, Any]) -> dict[str, Any]:
    """The first jobs, of parts of one job only the first."""
    found: dict[str, Any] = {}
    for name, job in training["jobs"].items():
        alike = [j for j in found.values() if j["events"] == job["events"] and job["events"]]
        if not alike and len(found) < MOST_JOBS:
            found[name] = job
    return found


def progress_rows(name: str, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps kept over time: a point before and after everything that interrupted the job."""
    step_s = job["step_time_s"]
    rows = [{"job": name, "time_h": 0.0, "steps": 0, "event": "start"}]
    rows += [
        {
            "job": name,
            "time_h": event["time_s"] / 3600,
            "steps": event["steps"],
            "event": event["what"],
        }
        for event in job["events"]
    ]
    until_h = job["until_s"] / 3600
    rows.append({"job": name, "time_h": until_h, "steps": job["steps"], "event": "end"})
    ideal = job["until_s"] / step_s
    return [*rows, {"job": name, "time_h": until_h, "steps": round(ideal), "event": "ideal"}]


def draw_progress(training: Mapping[str, Any], path: Path) -> None:
    """Progress against an undisturbed run, the events that cost it, and where the time went."""
    jobs = chosen_jobs(training)
    figure = new_figure("page", 52 * len(jobs) + 20)
    grid = figure.add_gridspec(2 * len(jobs), 1, height_ratios=[1.0, 0.22] * len(jobs))
    rows: list[dict[str, Any]] = []
    for number, (name, job) in enumerate(jobs.items()):
        rows += progress_rows(name, job)
        _progress(figure.add_subplot(grid[2 * number]), name, job)
        _shares(figure.add_subplot(grid[2 * number + 1]), job)
    save(figure, path, rows, _progress_finding(jobs))


def _progress_finding(jobs: Mapping[str, Any]) -> str:
    """What the first job kept, and what cost it most."""
    name, job = next(iter(jobs.items()))
    text = f"{name} keeps {job['steps']:,} steps, a goodput of {job['goodput_frac']:.1%}"
    lost = {use: share for use, share in job["time_frac"].items() if use != "steps" and share > 0}
    shown = sum(event["what"] not in HIDDEN for event in job["events"])
    times = f"{shown:,} interruption{'s' if shown != 1 else ''}"
    if not lost:
        return f"{text}; {times}."
    most = max(lost, key=lambda use: lost[use])
    return f"{text}; {times}; most of the rest goes to {most}, {lost[most]:.2%}."


def _progress(axes: Axes, name: str, job: Mapping[str, Any]) -> None:
    rows = progress_rows(name, job)
    hours = [row["time_h"] for row in rows[:-1]]
    steps = [row["steps"] / 1e3 for row in rows[:-1]]
    axes.plot([0, hours[-1]], [0, rows[-1]["steps"] / 1e3], "--", color="#8C8C8C", linewidth=1)
    axes.plot(hours, steps, color="#0072B2", linewidth=1.5)
    axes.text(
        hours[-1],
        rows[-1]["steps"] / 1e3,
        "undisturbed ",
        ha="right",
        va="bottom",
        fontsize=SMALL,
        color="#606060",
    )
    top = max(rows[-1]["steps"] / 1e3, 1e-3)
    shown: dict[str, list[float]] = {}
    for event in job["events"]:
        if event["what"] not in HIDDEN:
            shown.setdefault(event["what"], []).append(event["time_s"] / 3600)
    for what, times in shown.items():
        axes.plot(
            times,
            [-0.05 * top] * len(times),
            "|",
            markersize=8,
            label=f"{what.replace('_', ' ')} {len(times)}",
            color=CAUSE_COLOURS.get(what, OTHER_COLOUR),
        )
    axes.set_ylim(-0.1 * top, 1.1 * top)
    axes.set_xlim(0, hours[-1] or 1)
    axes.set_ylabel("steps kept [thousand]")
    axes.set_title(
        f"{name}: {job['arch']} on {job['gpus']:,} GPUs\n"
        f"goodput {job['goodput_frac']:.1%}, MFU of a step {job['mfu']:.1%}",
        fontsize=TITLE,
    )
    if shown:
        axes.legend(loc="upper left", ncols=2, title="interruptions")
    axes.set_xlabel("time [h]")


def _shares(axes: Axes, job: Mapping[str, Any]) -> None:
    """One bar: where the time went."""
    left = 0.0
    shown = {use: share for use, share in job["time_frac"].items() if share >= LEAST_SHARE}
    for use, share in sorted(shown.items(), key=lambda item: -item[1]):
        axes.barh(
            0,
            share,
            left=left,
            color=USE_COLOURS.get(use, OTHER_COLOUR),
            height=0.8,
            label=f"{use} {share:.2%}",
        )
        left += share
    axes.set_xlim(0, max(left, 1e-9))
    axes.set_yticks([])
    axes.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100"])
    axes.set_xlabel("share of the time [%]")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -1.6), ncols=4)


def draw_swing(training: Mapping[str, Any], path: Path) -> None:
    """Two steps at the meter, phase by phase, and their spectrum."""
    jobs = chosen_jobs(training)
    figure = new_figure("page", 52 * len(jobs))
    axes = figure.subplots(len(jobs), 2, squeeze=False)
    rows: list[dict[str, Any]] = []
    for (left, right), (name, job) in zip(axes, jobs.items(), strict=True):
        _wave(left, name, job["swing"])
        _spectrum(right, job["swing"])
        rows += [
            {"job": name, "kind": "phase", "name": p["name"], "x": p["time_s"], "mw": p["mw"]}
            for p in job["swing"]["wave"]
        ]
        rows += [
            {"job": name, "kind": "harmonic", "name": "", "x": h["hz"], "mw": h["amplitude_mw"]}
            for h in job["swing"]["spectrum"]
        ]
    save(figure, path, rows, _swing_finding(jobs))


def _swing_finding(jobs: Mapping[str, Any]) -> str:
    """How far the first job swings, and at which frequency."""
    name, job = next(iter(jobs.items()))
    swing = job["swing"]
    text = f"{name} swings by {swing['peak_to_peak_mw']:.3g} MW within a step"
    if not swing["spectrum"]:
        return f"{text}."
    top = max(swing["spectrum"], key=lambda h: h["amplitude_mw"])
    return f"{text}; strongest at {top['hz']:.3g} Hz with {top['amplitude_mw']:.3g} MW."


def _wave(axes: Axes, name: str, swing: Mapping[str, Any]) -> None:
    wave = [*swing["wave"], *swing["wave"]]
    edges = [0.0, *itertools.accumulate(p["time_s"] for p in wave)]
    power_mw = np.array([p["mw"] for p in wave])
    draw_steps(axes, np.array(edges), power_mw, color="#0072B2", linewidth=1.3)
    axes.set_xlabel("time [s]")
    axes.set_ylabel("power of the GPUs,\nseen at the meter [MW]")
    axes.set_ylim(0, 1.12 * max(p["mw"] for p in wave))
    axes.set_title(f"{name}: two steps, swing {swing['peak_to_peak_mw']:.3g} MW", fontsize=TITLE)


def _spectrum(axes: Axes, swing: Mapping[str, Any]) -> None:
    lines = swing["spectrum"]
    axes.vlines(
        [h["hz"] for h in lines],
        0,
        [h["amplitude_mw"] for h in lines],
        color="#D55E00",
        linewidth=2,
    )
    axes.set_xlabel("frequency [Hz]")
    axes.set_ylabel("amplitude [MW]")
    axes.set_xlim(0, None)
    axes.set_ylim(0, None)
    ramp = swing["ramp_mw_per_s"].get("1_s", 0.0)
    axes.set_title(f"harmonics; ramp {ramp:.3g} MW/s", fontsize=TITLE)


def draw_training(training: Mapping[str, Any], figures: Path) -> None:
    """Both figures, if there are jobs."""
    if not training.get("jobs"):
        return
    draw_progress(training, figures / "training.svg")
    draw_swing(training, figures / "training_power.svg")
