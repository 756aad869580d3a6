"""Settings of a hosting question, and the words that say them in every answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sim.datum import Datum, datum
from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.dcflow import SUSCEPTANCES, Susceptance
from sim.grid.nodal.tables import Floats, Network

Redispatch = Literal["none", "dc-opf", "n1-secure"]
Security = Literal["base", "n1"]
Preexisting = Literal["left-out", "frozen"]
Rating = Literal["a", "b", "c"]


def assumed_cutoff() -> Datum:
    """The cut-off that the studies assume, with its range: nobody published one for loads."""
    return datum("grid/nodal/hosting.yaml", "least_effect_frac")


def cutoff_words(least_effect_frac: float) -> str:
    """What a cut-off is: none, or an assumption with its range."""
    if not least_effect_frac:
        return "every limit counts, however little of the new load it feels"
    figure = assumed_cutoff()
    return (
        f"limits that feel under {least_effect_frac:g} of the new load left out: an assumption "
        f"({figure.low:g} to {figure.high:g}, 0 counts all), not a figure with a source"
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an answer about the wires depends on.

    Args:
        redispatch: who changes output when the load comes. `none`: generators in service pick
            it up in proportion to their headroom; `dc-opf`: the best dispatch for the base
            case; `n1-secure`: the best dispatch that also survives every outage.
        security: which limits count: `base`, or also after each single branch outage (`n1`).
        emergency_factor: limit after an outage as a multiple of `emergency_rating`.
        preexisting: limits that are over before the load comes are left out, or frozen at the
            larger of the limit and the flow that is there (the set taken at factor 1.0).
        susceptance: convention of the DC model.
        least_effect_frac: MW of flow per MW of new load under which a limit is not the new
            load's business and is left out; 0 counts all. Any other value is an assumption (see
            `assumed_cutoff`). With a fixed dispatch only: free generators can move any flow.
    """

    redispatch: Redispatch = "none"
    security: Security = "base"
    emergency_factor: float = 1.0
    emergency_rating: Rating = "a"
    preexisting: Preexisting = "left-out"
    susceptance: Susceptance = "1/(x tap)"
    least_effect_frac: float = 0.0

    def __post_init__(self) -> None:
        for kind, value, known in (
            ("redispatch", self.redispatch, get_args(Redispatch)),
            ("security", self.security, get_args(Security)),
            ("emergency_rating", self.emergency_rating, get_args(Rating)),
            ("preexisting", self.preexisting, get_args(Preexisting)),
            ("susceptance", self.susceptance, SUSCEPTANCES),
        ):
            if value not in known:
                raise UnknownNameError(kind, str(value), known)
        if not 0 < self.emergency_factor < np.inf:
            raise InputError(
                f"emergency_factor {self.emergency_factor:g} is not above 0", "1.0 is rating A"
            )
        if not 0 <= self.least_effect_frac < 1:
            raise InputError(
                f"least_effect_frac {self.least_effect_frac:g} is not in 0 to 1", "0 counts all"
            )
        if self.least_effect_frac and self.redispatch != "none":
            raise InputError(
                f"least_effect_frac {self.least_effect_frac:g} with redispatch {self.redispatch}: "
                "free generators can move any flow",
                "use redispatch none, or least_effect_frac 0",
            )
        if self.redispatch == "dc-opf" and self.security == "n1":
            raise InputError(
                "redispatch dc-opf with security n1: a dispatch chosen for the base case alone "
                "says nothing about outages",
                "use redispatch n1-secure, or security base",
            )
        if self.redispatch == "n1-secure" and self.security == "base":
            raise InputError(
                "redispatch n1-secure with security base contradicts itself",
                "use redispatch dc-opf, or security n1",
            )

    def emergency_limit_mw(self, network: Network) -> Floats:
        """Limit of each branch after an outage, shape (n_branches,)."""
        b = network.branches
        ratings = {"a": b.rating_mw, "b": b.rating_b_mw, "c": b.rating_c_mw}
        return ratings[self.emergency_rating] * self.emergency_factor

    def conventions(self, network: Network) -> dict[str, str | float]:
        """Everything the answer rests on, in words."""
        who = {
            "none": "fixed dispatch; new load picked up by generators in service in proportion "
            "to their headroom (Pmax less output)",
            "dc-opf": "generators in service redispatched freely between Pmin and Pmax within "
            "base-case limits (linear program)",
            "n1-secure": "generators in service redispatched freely between Pmin and Pmax within "
            "base-case and post-outage limits, no action after the outage",
        }
        return {
            "case": network.name,
            "source": network.source,
            "redispatch": self.redispatch,
            "who_redispatches": who[self.redispatch],
            "security": self.security,
            "base_point": "the case's dispatch, scaled uniformly in each island until the DC "
            "case balances (AC losses taken out)",
            "base_limit": "rating A in every season (the cases carry no winter ratings, and no "
            "rule with a source was found); 0 in the case means unlimited",
            "emergency_rating": self.emergency_rating,
            "emergency_factor": self.emergency_factor,
            "outages": "single branches" if self.security == "n1" else "none",
            "radial_outages": "left out of the limit, reported apart",
            "preexisting_violations": self.preexisting,
            "least_effect_frac": self.least_effect_frac,
            "least_effect": cutoff_words(self.least_effect_frac),
            "susceptance": self.susceptance,
            "dc_lines": "fixed at their scheduled flow",
            "flow_model": "DC (no voltage, no reactive power, no losses)",
        }
