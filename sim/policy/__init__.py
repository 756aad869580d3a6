"""Interventions: named patches of a scenario, compared with their baseline."""

from sim.policy import power_cap, spread
from sim.policy.registry import Policy, PolicyKind, parse_policy, policy_kinds, register

__all__ = [
    "Policy",
    "PolicyKind",
    "parse_policy",
    "policy_kinds",
    "power_cap",
    "register",
    "spread",
]
