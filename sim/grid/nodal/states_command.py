"""`grid states`: hosting in every state of the synthetic USA; plain in, plain out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.settings import Settings, assumed_cutoff, cutoff_words
from sim.grid.nodal.states import LABEL, StateHosting, every_state

Row = dict[str, Any]


def states(
    case: str = "synthetic-usa",
    *,
    load_mw: float = 150.0,
    least_kv: float = 230.0,
    buses_per_state: int = 20,
    state: Sequence[str] = (),
    emergency_factor: float = 1.0,
    least_effect_frac: Sequence[float] = (0.0,),
) -> Row:
    """Fixed-dispatch hosting, base and N-1, at buses of every state of the synthetic USA.

    Args:
        load_mw: the load whose share of buses is asked for.
        least_effect_frac: see `Settings`; one set of answers for each.
        state: only these.
    """
    if not 0 < load_mw < np.inf or buses_per_state < 1:
        raise InputError(
            f"load {load_mw:g} MW at {buses_per_state} buses of each state",
            "give a load above 0 MW and 1 bus or more",
        )
    network = load_case(case)
    cutoffs = sorted(set(least_effect_frac))
    settings = Settings(
        security="n1", emergency_factor=emergency_factor, least_effect_frac=cutoffs[0]
    )
    found = every_state(
        network,
        least_kv=least_kv,
        buses_per_state=buses_per_state,
        states=state,
        settings=settings,
        cutoffs=cutoffs,
    )
    return {
        "states": [_state(one, load_mw) for one in found],
        "buses": [
            {
                "state": one.state,
                "least_effect_frac": one.least_effect_frac,
                "bus": int(network.buses.number[base.bus]),
                "base_kv": float(network.buses.base_kv[base.bus]),
                "base_mw": base.hosting_mw,
                "n1_mw": n1.hosting_mw,
                "n1_binding": n1.binding.kind,
            }
            for one in found
            for base, n1 in zip(one.base, one.n1, strict=True)
        ],
        "load_mw": load_mw,
        "least_kv": least_kv,
        "buses_per_state": buses_per_state,
        "label": LABEL,
        "assumptions": [assumed_cutoff().describe()] if any(cutoffs) else [],
        "conventions": settings.conventions(network)
        | {
            "least_effect_frac": cutoffs,
            "least_effect": "; or ".join(cutoff_words(cutoff) for cutoff in cutoffs),
        },
    }


def _state(one: StateHosting, load_mw: float) -> Row:
    base, n1 = ([h.hosting_mw for h in answers] for answers in (one.base, one.n1))
    return {
        "state": one.state,
        "least_effect_frac": one.least_effect_frac,
        "buses_at_voltage": one.buses_there,
        "buses_looked_at": len(one.base),
        "median_base_mw": float(np.median(base)),
        "least_n1_mw": min(n1),
        "median_n1_mw": float(np.median(n1)),
        "most_n1_mw": max(n1),
        "hosts_base_frac": one.share_that_hosts(load_mw, "base"),
        "hosts_n1_frac": one.share_that_hosts(load_mw, "n1"),
    }
