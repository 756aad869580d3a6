"""The shape of a job's power around its steps: stairs of a ramp, pauses, slow steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sim.cost.training import Part, TrainingStepCost
from sim.units import to_ps

STAIRS: Final = 8
Stair = tuple[float, int]
"""(W of a GPU, ps)."""


def stairs(start_w: float, end_w: float, gpu_w_per_s: float, least_s: float = 0.0) -> list[Stair]:
    """A change of power within a slope, over some time at least; empty where it may jump."""
    time_s = max(abs(end_w - start_w) / gpu_w_per_s, least_s)
    if time_s <= 0 or start_w == end_w:
        return []
    each_ps = max(1, to_ps(time_s / STAIRS))
    return [(start_w + (end_w - start_w) * (k + 0.5) / STAIRS, each_ps) for k in range(STAIRS)]


def slowed(cost: TrainingStepCost, slow_frac: float, wait_w: float) -> TrainingStepCost:
    """A step in which all GPUs wait for one whose pipeline phases take longer by a share."""
    pipeline_s = sum(p.time_s for p in cost.parts if p.phase == "pipeline")
    wait = Part("slow node", "pipeline", slow_frac * pipeline_s, wait_w)
    return replace(cost, parts=(*cost.parts, wait))


def fit_pause(
    what: str,
    down: list[Stair],
    flat_w: float,
    up: list[Stair],
    time_ps: int,
) -> list[tuple[str, float, int]]:
    """Stairs down, a flat stretch and stairs up in a given time.

    Of a pause too short for both, the way down comes first; stairs up that do not fit come
    after it, and delay the work.

    Returns:
        (what, W of a GPU, ps), the late stairs as `ramp up`.
    """
    down_ps, up_ps = sum(ps for _, ps in down), sum(ps for _, ps in up)
    fitting, left_ps = [], time_ps
    for power_w, ps in down:
        taken_ps = min(ps, left_ps)
        fitting.append((what, power_w, taken_ps))
        left_ps -= taken_ps
    flat_ps = max(0, time_ps - down_ps - up_ps)
    if flat_ps:
        fitting.append((what, flat_w, flat_ps))
        left_ps -= flat_ps
    for power_w, ps in up:
        inside_ps = min(ps, left_ps)
        fitting += [(what, power_w, inside_ps), ("ramp up", power_w, ps - inside_ps)]
        left_ps -= inside_ps
    if left_ps:
        fitting.append((what, flat_w, left_ps))
    return [piece for piece in fitting if piece[2]]
