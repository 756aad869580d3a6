"""Interventions: named patches of a scenario, compared with their baseline.

Importing this package registers all policies.
"""

from sim.policy import (
    behind_the_meter,
    building,
    models,
    power_cap,
    ride_through,
    runtime,
    siting,
    spread,
)
from sim.policy.registry import (
    Parameter,
    Policy,
    PolicyKind,
    apply_all,
    parse_policies,
    parse_policy,
    policy_kinds,
    register,
)

__all__ = [
    "Parameter",
    "Policy",
    "PolicyKind",
    "apply_all",
    "behind_the_meter",
    "building",
    "models",
    "parse_policies",
    "parse_policy",
    "policy_kinds",
    "power_cap",
    "register",
    "ride_through",
    "runtime",
    "siting",
    "spread",
]
