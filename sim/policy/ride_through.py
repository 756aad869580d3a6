"""Policy `ride-through`: a share of the load must stay connected through a fault."""

from __future__ import annotations

from typing import Any

from sim.errors import InputError
from sim.policy.patch import checked
from sim.policy.registry import Parameter, PolicyKind, Values, number, register
from sim.scenario.schema import DynamicGrid, Scenario


def _patch(scenario: Scenario, values: Values) -> Scenario:
    grid, stay = scenario.grid, number(values, "stay_frac")
    if not isinstance(grid, DynamicGrid) or not any(e.kind == "trip" for e in grid.events):
        raise InputError(
            "the scenario has no fault in which load trips",
            "give grid.kind: dynamic with an event of kind trip",
        )
    plain = grid.model_dump()
    plain["events"] = [_less(event, 1 - stay) for event in plain["events"]]
    return checked(scenario, grid=DynamicGrid.model_validate(plain))


def _less(event: dict[str, Any], factor: float) -> dict[str, Any]:
    if event["kind"] != "trip":
        return event
    return event | {"share_frac": event["share_frac"] * factor}


RIDE_THROUGH = register(
    PolicyKind(
        kind="ride-through",
        patch=_patch,
        parameters={
            "stay_frac": Parameter("share of the load that stays connected", "", 0.8, 0, 0.99)
        },
        says="require data centres to stay connected through faults",
        metric="margin_frequency_mw",
        assumes=("what share of a site rides through is an assumption, 0 to 0.99",),
        neutral={"stay_frac": 0.0},
    )
)
