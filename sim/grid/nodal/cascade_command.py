"""`grid cascade`: what follows an outage; plain in, plain out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.cascade import Cascade, Cascader, monte_carlo
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.dcflow import Susceptance
from sim.grid.nodal.island_balance import Rules, read_rules
from sim.grid.nodal.island_swing import swing_row
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Network

Row = dict[str, Any]


def cascade(
    case: str,
    *,
    outage: Sequence[int] = (),
    n1_seeds: bool = False,
    extra_load_mw: Mapping[int, float] | None = None,
    trip_threshold_frac: float | None = None,
    hidden_failure_frac: float | None = None,
    susceptance: Susceptance = "1/(x tap)",
    runs: int = 0,
    seed: int = 1,
) -> Row:
    """What follows an outage, deterministic and, if asked, with hidden failures.

    Args:
        outage: branch rows, from 1, that trip first.
        n1_seeds: instead, one cascade for each single branch outage that overloads another.
        extra_load_mw: MW by bus number, connected before the outage.
        trip_threshold_frac, hidden_failure_frac: in place of the figures of the data file.
        runs: Monte-Carlo runs with hidden failures, for each outage.
    """
    study = Study(load_case(case), Settings(security="n1", susceptance=susceptance))
    rules = chosen_rules(trip_threshold_frac, hidden_failure_frac)
    extra = extra_load(study.network, extra_load_mw)
    cascader = Cascader(study, extra_load_mw=extra, rules=rules)
    seeds = _seeds(study, outage, n1_seeds)
    return {
        "cascades": [_cascade(study.network, s, cascader.run(s)) for s in seeds],
        "monte_carlo": [
            _distribution(study.network, s, monte_carlo(cascader, s, runs, seed)) for s in seeds
        ]
        if runs
        else [],
        "extra_load_mw": float(extra.sum()),
        "rules": {name: getattr(rules, name) for name in rules.__dataclass_fields__},
        "conventions": study.settings.conventions(study.network),
    }


def chosen_rules(
    trip_threshold_frac: float | None = None, hidden_failure_frac: float | None = None
) -> Rules:
    """The rules of the data file, with figures of the user's own.

    Raises:
        InputError: one is out of its range.
    """
    rules = read_rules()
    if trip_threshold_frac is not None:
        if not 0 < trip_threshold_frac < np.inf:
            raise InputError(
                f"trip_threshold_frac {trip_threshold_frac:g} is not above 0", "1.0 is the rating"
            )
        rules = replace(rules, trip_threshold_frac=trip_threshold_frac)
    if hidden_failure_frac is not None:
        if not 0 <= hidden_failure_frac <= 1:
            raise InputError(
                f"hidden_failure_frac {hidden_failure_frac:g} is not in 0 to 1", "give a share"
            )
        rules = replace(rules, hidden_failure_frac=hidden_failure_frac)
    return rules


def _seeds(study: Study, outage: Sequence[int], n1_seeds: bool) -> list[tuple[int, ...]]:
    count = len(study.network.branches)
    for row in outage:
        if not 1 <= row <= count:
            raise InputError(f"branch row {row} is not in 1 to {count}", "rows count from 1")
    if not n1_seeds:
        return [tuple(row - 1 for row in outage)]
    return [(row,) for row in sorted(set(study.over_after_outage.outage.tolist()))]


def _cascade(network: Network, outage: Sequence[int], result: Cascade) -> Row:
    return {
        "outage": [network.branch_name(row) for row in outage],
        "depth": result.depth,
        "branches_lost": result.branches_lost,
        "first_load_mw": result.first_load_mw,
        "lost_mw": result.lost_mw,
        "stages": [
            {
                "tripped": [network.branch_name(row) for row in stage.tripped],
                "islands": stage.islands,
                "generation_mw": stage.generation_mw,
                "load_mw": stage.load_mw,
                "shed_mw": stage.shed_mw,
                "dark_mw": stage.dark_mw,
                "lowest_hz": stage.lowest_hz,
                "separated": [swing_row(network, split) for split in stage.splits],
            }
            for stage in result.stages
        ],
    }


def _distribution(network: Network, outage: Sequence[int], results: Sequence[Cascade]) -> Row:
    lost = np.array([result.lost_mw for result in results])
    return {
        "outage": [network.branch_name(row) for row in outage],
        "runs": len(results),
        "lost_mw": {
            "mean": float(lost.mean()),
            "p95": float(np.quantile(lost, 0.95)),
            "max": float(lost.max()),
        },
        "depth_max": max(result.depth for result in results),
        "loses_load_frac": float((lost > 0).mean()),
    }


def extra_load(network: Network, by_number: Mapping[int, float] | None) -> Floats:
    """MW by bus number as an array over the buses; errors for an unknown bus or below 0."""
    extra = np.zeros(len(network.buses))
    for number, load_mw in (by_number or {}).items():
        if not 0 <= load_mw < np.inf:
            raise InputError(f"load {load_mw:g} MW at bus {number}", "give 0 MW or more")
        extra[network.bus_index(number)] += load_mw
    return extra
