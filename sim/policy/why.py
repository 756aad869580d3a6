"""Why a policy changed nothing: in words, from what its run saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.policy.registry import Policy
from sim.scenario.schema import Scenario

Json = dict[str, Any]


def why_nothing(chosen: tuple[Policy, ...], scenario: Scenario, summary: Json) -> str:
    """One sentence for each policy of a combination that had no effect at all."""
    return "; ".join(_why(policy, scenario, summary) for policy in chosen)


def _why(policy: Policy, scenario: Scenario, summary: Json) -> str:
    kind = policy.kind.kind
    if policy.is_neutral:
        return f"{kind} has no strength with these parameters"
    rules = [r for r in scenario.control.rules if r.kind in (kind, _rule_of(kind))]
    explain = _REASONS.get(_rule_of(kind))
    if rules and explain and "control" in summary:
        return f"{kind} was never called: {explain(summary, rules[-1])}"
    return f"{kind} made no difference: what it allows or forbids never came up in this run"


def _rule_of(kind: str) -> str:
    """The run-time rule behind a policy."""
    curtailing = ("flexible-connection", "emergency-curtailment")
    return "curtailment" if kind in curtailing else kind


def _highest(summary: Json, key: str) -> float:
    return max(summary["grid"]["coupled"][key].values(), default=0.0)


def _never_short(summary: Json, _rule: Any) -> str:
    hours = summary["grid"]["coupled"]["hours"]
    short_h = max(summary["grid"]["coupled"]["short_h"].values(), default=0.0)
    return f"its place was short in {short_h:g} of {hours:g} h"


def _never_dear(summary: Json, rule: Any) -> str:
    highest = _highest(summary, "highest_price_usd_per_mwh")
    return f"the highest price was {highest:.0f} USD/MWh, the threshold {rule.above_usd_per_mwh:g}"


def _never_dirty(summary: Json, rule: Any) -> str:
    highest = _highest(summary, "highest_carbon_kg_per_mwh")
    return (
        f"the highest intensity was {highest:.0f} kg/MWh, the threshold {rule.above_kg_per_mwh:g}"
    )


def _never_full(summary: Json, rule: Any) -> str:
    peak_mw = max((s["peak_load_mw"] for s in summary["sites"].values()), default=0.0)
    return f"the largest site draws {peak_mw:.0f} MW, the limit is {rule.limit_mw:g} MW"


_REASONS: dict[str, Callable[[Json, Any], str]] = {
    "curtailment": _never_short,
    "price-response": _never_dear,
    "carbon-aware": _never_dirty,
    "import-limit": _never_full,
    "suspend-at-peaks": lambda _s, r: f"no hour of the run is in the highest {r.hours_frac:.2%}",
    "demand-response": lambda _s, r: f"no event fell into the run (first at hour {r.start_h:g})",
    "ramp-limit": lambda _s, r: f"nothing rose faster than {r.up_mw_per_min:g} MW/min",
    "shift-requests": lambda _s, _r: "no other site was better by the margin",
}
