"""Policy `power-cap`: every GPU of every site is capped, all the time."""

from __future__ import annotations

from sim.policy.registry import Parameters, PolicyKind, number, register
from sim.scenario.schema import Control, Scenario, StaticCap


def _patch(scenario: Scenario, parameters: Parameters) -> Scenario:
    cap = StaticCap(kind="static", gpu_w=number(parameters, "gpu_w", 100, 700, "W"))
    control = Control(power_cap=cap)
    return scenario.model_copy(update={"control": control})


POWER_CAP = register(
    PolicyKind(
        kind="power-cap",
        patch=_patch,
        parameters={"gpu_w": "cap of each GPU [W], 100 to 700"},
        says="cap the power of every GPU; the clock falls and compute-bound work slows",
        assumes=("power above idle goes as clock^2 (1.8 to 2.27), see power.clock_exponent",),
    )
)
