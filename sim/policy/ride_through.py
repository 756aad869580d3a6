"""Policy `ride-through`: a share of the load must stay connected through a fault."""

from __future__ import annotations

from typing import Any

from sim.errors import InputError
from sim.policy.patch import checked
from sim.policy.registry import Parameter, PolicyKind, Values, number, register
from sim.scenario.schema import Control, DynamicGrid, Scenario


def _patch(scenario: Scenario, values: Values) -> Scenario:
    """The sites' own settings where faults come to them; else the share of the trips."""
    grid, stay = scenario.grid, number(values, "stay_frac")
    if scenario.control.faults:
        return _settings(scenario, stay, number(values, "with_ups_frac"))
    if not isinstance(grid, DynamicGrid) or not any(e.kind == "trip" for e in grid.events):
        raise InputError(
            "the scenario has no fault in which load trips",
            "give control.faults, or grid.kind: dynamic with an event of kind trip",
        )
    if number(values, "with_ups_frac"):
        raise InputError(
            "a trip of so many MW does not say what has a UPS",
            "give control.faults, or leave with_ups_frac out",
        )
    plain = grid.model_dump()
    plain["events"] = [_less(event, 1 - stay) for event in plain["events"]]
    return checked(scenario, grid=DynamicGrid.model_validate(plain))


def _settings(scenario: Scenario, stay: float, with_ups: float) -> Scenario:
    """No site does worse than it does already."""
    before = scenario.control.ride_through
    changes = {
        "stay_frac": max(before.stay_frac, stay),
        "without_ups_frac": before.without_ups_frac * (1 - with_ups),
    }
    plain = scenario.control.model_dump()
    plain["ride_through"] |= changes
    return checked(scenario, control=Control.model_validate(plain))


def _less(event: dict[str, Any], factor: float) -> dict[str, Any]:
    if event["kind"] != "trip":
        return event
    return event | {"share_frac": event["share_frac"] * factor}


RIDE_THROUGH = register(
    PolicyKind(
        kind="ride-through",
        patch=_patch,
        parameters={
            "stay_frac": Parameter("share of the load that stays connected", "", 0.8, 0, 1),
            "with_ups_frac": Parameter(
                "share of the load without a UPS that gets one", "", 0.0, 0, 1
            ),
        },
        says="require data centres to stay connected through faults",
        metric="off_grid_mw",
        assumes=("what share of a site rides through is an assumption, 0 to 1",),
        neutral={"stay_frac": 0.0, "with_ups_frac": 0.0},
        everywhere=True,
    )
)
