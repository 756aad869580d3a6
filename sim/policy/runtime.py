"""Every run-time rule is a policy of the same name: the rule at all sites, the loop closed.

`emergency-curtailment` and `flexible-connection` are the rule `curtailment` with the knobs that
their debates use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import sim.control.rules  # noqa: F401 - registers the rules
from sim.control.rule import Knob, Rule, knobs, rules
from sim.policy.patch import coupled, with_rule
from sim.policy.registry import Parameter, Patch, PolicyKind, Values, register
from sim.scenario.schema import Scenario

METRICS: Mapping[str, str] = {
    "curtailment": "hosted_mw",
    "demand-response": "held_back_mwh",
    "price-response": "energy_cost_usd",
    "carbon-aware": "carbon_t",
    "suspend-at-peaks": "peak_load_mw",
    "ramp-limit": "largest_rise_mw",
    "import-limit": "peak_load_mw",
    "shift-requests": "energy_cost_usd",
}
DECIDES: Mapping[str, str] = {"curtailment": "when the grid may curtail a site"}
NEUTRAL: Mapping[str, Mapping[str, float]] = {
    "curtailment": {"depth_frac": 0.0},
    "demand-response": {"depth_frac": 0.0},
    "price-response": {"depth_frac": 0.0},
    "carbon-aware": {"above_kg_per_mwh": 2000.0},
    "suspend-at-peaks": {"hours_frac": 0.0},
    "ramp-limit": {"up_mw_per_min": 1e6},
    "import-limit": {"limit_mw": 1e6},
    "shift-requests": {"most_frac": 0.0},
}


def _patch(kind: str, fixed: Mapping[str, Any]) -> Patch:
    def patch(scenario: Scenario, values: Values) -> Scenario:
        if all(values.get(key) == value for key, value in NEUTRAL[kind].items()):
            return coupled(scenario)
        return with_rule(scenario, {"kind": kind, **fixed, **values})

    return patch


def _parameter(field: dataclasses.Field[Any], limits: Knob) -> Parameter:
    default = None if field.default is dataclasses.MISSING else field.default
    return Parameter(limits.says, limits.unit, default, limits.low, limits.high)


def _register(kind: str, rule: type[Rule]) -> PolicyKind:
    parameters = {name: _parameter(*found) for name, found in knobs(rule).items()}
    return register(
        PolicyKind(
            kind=kind,
            patch=_patch(kind, {}),
            parameters=parameters,
            says=rule.says,
            metric=METRICS[kind],
            assumes=rule.assumes,
            neutral=NEUTRAL[kind],
            decides=DECIDES.get(kind, ""),
        )
    )


RULES = {kind: _register(kind, rule) for kind, rule in sorted(rules().items())}
CURTAILMENT = RULES["curtailment"]

FLEXIBLE_CONNECTION = register(
    dataclasses.replace(
        CURTAILMENT,
        kind="flexible-connection",
        says="connect more than fits firmly, for a budget of curtailment in the short hours",
        parameters={
            **CURTAILMENT.parameters,
            "budget_frac": dataclasses.replace(
                CURTAILMENT.parameters["budget_frac"],
                source="0.25, 0.5 and 1 % of the year's energy are the cases of a 2025 study of "
                "22 balancing areas (standardsmichigan.com/electric-load-growth, read 2025)",
            ),
        },
    )
)

EMERGENCY_CURTAILMENT = register(
    dataclasses.replace(
        CURTAILMENT,
        kind="emergency-curtailment",
        patch=_patch("curtailment", {"budget_frac": 1.0}),
        says="leave the grid as far as it is short, whenever it is, after a notice",
        metric="unserved_mwh",
        parameters={k: p for k, p in CURTAILMENT.parameters.items() if k != "budget_frac"},
        assumes=(
            *CURTAILMENT.assumes,
            "as Texas Senate Bill 6 (in force 2025-06-20) allows for loads of 75 MW and more",
        ),
    )
)
