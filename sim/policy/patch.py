"""Parts of a scenario, changed: what the policies are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sim.scenario.schema import Control, Facility, Scenario, Site, Workload
from sim.scenario.schema.control import IntervalCoupling


def checked(scenario: Scenario, **changes: Any) -> Scenario:
    """The scenario with changes, validated again.

    Raises:
        ValidationError: the changes do not fit together.
    """
    changed = scenario.model_copy(update=changes)
    return Scenario.model_validate(changed.model_dump(mode="python"))


def with_rule(scenario: Scenario, rule: dict[str, Any]) -> Scenario:
    """The scenario with one more run-time rule, and the loop closed."""
    control = coupled(scenario).control
    rules = [*control.model_dump()["rules"], rule]
    changed = Control.model_validate(control.model_dump() | {"rules": rules})
    return scenario.model_copy(update={"control": changed})


def coupled(scenario: Scenario) -> Scenario:
    """The scenario with the loop closed, if it is not already."""
    if scenario.control.coupling.kind == "interval":
        return scenario
    coupling = IntervalCoupling(kind="interval")
    control = scenario.control.model_copy(update={"coupling": coupling})
    return scenario.model_copy(update={"control": control})


def each_site(scenario: Scenario, change: Callable[[Site], Site]) -> Scenario:
    """The scenario with every site changed."""
    return checked(scenario, sites=[change(site) for site in scenario.sites])


def each_facility(scenario: Scenario, change: Callable[[Facility], dict[str, Any]]) -> Scenario:
    """The scenario with parts of every building changed."""

    def of_site(site: Site) -> Site:
        plain = site.facility.model_dump() | change(site.facility)
        return site.model_copy(update={"facility": Facility.model_validate(plain)})

    return each_site(scenario, of_site)


def each_workload(scenario: Scenario, change: Callable[[Workload], Workload]) -> Scenario:
    """The scenario with every workload changed."""

    def of_site(site: Site) -> Site:
        return site.model_copy(update={"workloads": [change(w) for w in site.workloads]})

    return each_site(scenario, of_site)
