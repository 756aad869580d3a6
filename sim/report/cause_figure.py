"""Figure of power over a run by cause: what the GPUs do, what their servers and building add.

What the meters and the workloads drew is exact. Within it, a training job is told apart by the
energy of the parts of its step, and what it draws below a step's mean is read as a standstill;
the parts of IT and of the building keep the shares that they have over the whole run. Serving is
told apart by what an idle fleet draws and by the cost of its steps (`serving_split`).
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.power_rows import IT_CAUSES, LABELS
from sim.report.series import Floats, Series, axis_of, bin_means
from sim.report.steps import fill_steps
from sim.report.style import CAUSE_COLOURS, new_figure, power_axis, save
from sim.units import MEGA

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sim.report.serving_split import Split

NO_SPLITS: Final[Mapping[str, Split]] = MappingProxyType({})
LAYER_BINS: Final = 120
"""Fewer than other figures have: every layer is drawn bin by bin."""
COMPUTE: Final = frozenset({"forward", "backward", "recompute", "optimiser"})
WAITING: Final = frozenset({"bubble", "uneven stages"})
TRAINING: Final = {
    "training: compute": "#0072B2",
    "training: communication": "#003F66",
    "training: waiting for a stage": "#A6CEE3",
    "training: checkpoint, restart, standstill": "#CC79A7",
}
SERVING: Final = "serving: prefill, decode and idle replicas"
STANDING: Final = "serving: standing ready (power of idle GPUs)"
DECODE: Final = "serving: decode, above it"
PREFILL: Final = "serving: prefill, above it"
IDLE: Final = "GPUs without a workload"
SERVING_COLOURS: Final = {
    SERVING: "#D55E00",
    STANDING: "#F4B183",
    DECODE: "#B34700",
    PREFILL: "#6B2500",
}
COLOURS: Final = TRAINING | SERVING_COLOURS | {IDLE: "#F0E442"} | {
    LABELS[cause]: colour for cause, colour in CAUSE_COLOURS.items() if cause != "chip"
}  # fmt: skip
"""Colour of each layer, from the chip outward: the order of the stack."""


def draw_causes(
    summary: Mapping[str, Any],
    series: Mapping[str, Series],
    horizon_s: float,
    path: Path,
    splits: Mapping[str, Split] = NO_SPLITS,
) -> None:
    """Stacked mean power by cause in bins of the run; nothing where workloads were not recorded.

    Args:
        splits: of fleets that are to be told apart; others are one layer.
    """
    edges_s = np.linspace(0.0, horizon_s, LAYER_BINS + 1)
    layers = cause_layers(summary, series, edges_s, splits)
    if not layers:
        return
    unit_s, unit = axis_of(horizon_s)
    figure = new_figure("page", 62 + 3.4 * math.ceil(len(layers) / 3))
    axes = figure.add_subplot()
    below = np.zeros(LAYER_BINS)
    for name, layer_w in layers.items():
        top = below + layer_w / MEGA
        colour = COLOURS[name]
        fill_steps(axes, edges_s / unit_s, below, top, color=colour, label=name)
        below = top
    axes.set_xlim(0.0, horizon_s / unit_s)
    axes.set_ylim(0.0, float(below.max()) * 1.05 or 1.0)
    axes.set_xlabel(f"time [{unit}]")
    power_axis(axes.yaxis, "mean power at the meter", float(below.max()))
    figure.legend(loc="outside lower center", ncols=3)
    rows = [
        {"start_s": float(edges_s[k]), "end_s": float(edges_s[k + 1])}
        | {f"{name} [MW]": float(layer_w[k] / MEGA) for name, layer_w in layers.items()}
        for k in range(LAYER_BINS)
    ]
    save(figure, path, rows, _finding(layers))


def cause_layers(
    summary: Mapping[str, Any],
    series: Mapping[str, Series],
    edges_s: Floats,
    splits: Mapping[str, Split] = NO_SPLITS,
) -> dict[str, Floats]:
    """Mean power of each cause in each bin [W], in the order of `COLOURS`; empty if not known.

    Layers add up to the facility power of all sites.
    """
    layers: dict[str, Floats] = {}
    jobs = (summary.get("training") or {"jobs": {}})["jobs"]
    fleets = (summary.get("serving") or {"fleets": {}})["fleets"]
    if any(f"{name}.chip_w" not in series for name in (*jobs, *fleets)) or not summary["sites"]:
        return {}
    held_w = np.zeros(len(edges_s) - 1)
    for name, job in jobs.items():
        power_w = bin_means(series[f"{name}.chip_w"], edges_s)
        held_w = held_w + power_w
        for layer, part_w in job_layers(job, power_w).items():
            layers[layer] = layers.get(layer, 0.0) + part_w
    for name in fleets:
        power_w = bin_means(series[f"{name}.chip_w"], edges_s)
        held_w = held_w + power_w
        for layer, part_w in fleet_layers(splits.get(name), power_w).items():
            layers[layer] = layers.get(layer, 0.0) + part_w
    for name, site in summary["sites"].items():
        means = {b: bin_means(series[f"{name}.{b}_w"], edges_s) for b in ("chip", "it", "facility")}
        layers[IDLE] = layers.get(IDLE, 0.0) + means["chip"]
        for layer, part_w in _outer_layers(site["causes_w"], means).items():
            layers[layer] = layers.get(layer, 0.0) + part_w
    layers[IDLE] = np.maximum(layers[IDLE] - held_w, 0.0)  # of all chips, what no workload holds
    most_w = float(sum(layer.max() for layer in layers.values()))
    return {n: layers[n] for n in COLOURS if n in layers and layers[n].max() > 1e-6 * most_w}


def fleet_layers(split: Split | None, power_w: Floats) -> dict[str, Floats]:
    """A fleet's power by what it does; adds up to `power_w`."""
    if split is None:
        return {SERVING: power_w}
    standing_w = np.minimum(power_w, split.standing_w)
    prefill_w = split.prefill_frac * (power_w - standing_w)
    return {STANDING: standing_w, PREFILL: prefill_w, DECODE: power_w - standing_w - prefill_w}


def job_layers(job: Mapping[str, Any], power_w: Floats) -> dict[str, Floats]:
    """A job's power by what it does; adds up to `power_w`.

    Args:
        power_w: mean chip power of the job in each bin.
    """
    energy_j = dict.fromkeys(list(TRAINING)[:3], 0.0)
    for part in job["step_parts"]:
        name = part["name"]
        place = 0 if name in COMPUTE else 2 if name in WAITING else 1
        energy_j[list(TRAINING)[place]] += part["gpu_energy_j"]
    step_w = sum(energy_j.values()) * job["gpus"] / job["step_time_s"]
    share = _share_in_steps(job, power_w, step_w)
    whole_j = sum(energy_j.values())
    layers = {name: share * power_w * part_j / whole_j for name, part_j in energy_j.items()}
    return layers | {list(TRAINING)[3]: (1.0 - share) * power_w}


def _share_in_steps(job: Mapping[str, Any], power_w: Floats, step_w: float) -> Floats:
    """Share of each bin's energy that steps take: at a step's mean all of it, at rest none.

    The power at rest is what makes the whole run add up.
    """
    in_steps = sum(job["time_frac"].get(name, 0.0) for name in ("steps", "lost steps", "cut step"))
    if in_steps >= 1.0 - 1e-6 or in_steps <= 0.0:
        return np.full_like(power_w, float(in_steps > 0.0))
    rest_w = max(0.0, (float(power_w.mean()) - in_steps * step_w) / (1.0 - in_steps))
    if rest_w >= step_w:
        return np.full_like(power_w, in_steps)
    time_frac = np.clip((power_w - rest_w) / (step_w - rest_w), 0.0, 1.0)
    drawn_w = np.maximum(time_frac * step_w + (1.0 - time_frac) * rest_w, 1e-9)
    return np.asarray(time_frac * step_w / drawn_w)


def _outer_layers(causes_w: Mapping[str, float], means: Mapping[str, Floats]) -> dict[str, Floats]:
    """What the servers add to the chips, and the building to the servers, by their mean shares."""
    names = [name for name in LABELS if name != "chip"]
    layers = {}
    for inner, outer, group in (
        ("chip", "it", names[: IT_CAUSES - 1]),
        ("it", "facility", names[IT_CAUSES - 1 :]),
    ):
        added_w = means[outer] - means[inner]
        whole_w = sum(causes_w[name] for name in group)
        for name in group:
            layers[LABELS[name]] = added_w * (causes_w[name] / whole_w if whole_w else 0.0)
    return layers


def _finding(layers: Mapping[str, Floats]) -> str:
    means = {name: float(layer.mean()) for name, layer in layers.items()}
    whole = sum(means.values())
    first, second = sorted(means, key=lambda name: -means[name])[:2] if len(means) > 1 else (
        next(iter(means)), "")  # fmt: skip
    text = f"Largest: {first}, {means[first] / whole:.0%} of the energy at the meter"
    return text + (f"; then {second}, {means[second] / whole:.0%}." if second else ".")
