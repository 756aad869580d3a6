"""Studies of a nodal grid that a scenario can ask for: every bus, every state, a cascade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.grid.nodal.batch import curve, host_all, single
from sim.grid.nodal.fresh import check_some_hosted
from sim.grid.nodal.hosting import Hosted
from sim.grid.nodal.hosting_command import binding_row, table
from sim.grid.nodal.selection import Selection, chosen
from sim.grid.nodal.states_command import states
from sim.grid.nodal.study import Study
from sim.scenario.grid_view import Json
from sim.scenario.nodal_cascade import cascade_study
from sim.scenario.nodal_tables import Tables, as_table, study_settings
from sim.scenario.schema.nodal import (
    CascadeStudy,
    EveryStateStudy,
    HostingStudy,
    NodalGrid,
)

if TYPE_CHECKING:
    from sim.grid.nodal.tables import Network

BEST: Final = 10
"""Buses that the summary names for each way to ask."""


def run_study(
    grid: NodalGrid,
    spec: HostingStudy | EveryStateStudy | CascadeStudy,
    network: Network,
    sites_mw: Mapping[int, float],
    seed: int,
    say: Callable[[str], None],
) -> tuple[Json, Tables]:
    """Carry out a study.

    Args:
        sites_mw: peak of the scenario's sites by bus number.

    Returns:
        what the summary says, and tables for the run folder.
    """
    if isinstance(spec, HostingStudy):
        return hosting_study(grid, spec, network, sum(sites_mw.values()), say)
    if isinstance(spec, EveryStateStudy):
        return state_study(grid, spec)
    return cascade_study(grid, spec, network, sites_mw, seed)


# -- every bus


def hosting_study(
    grid: NodalGrid,
    spec: HostingStudy,
    network: Network,
    sites_mw: float,
    say: Callable[[str], None],
) -> tuple[Json, Tables]:
    """The largest new load at every bus, in each way to ask."""
    buses = chosen(network, Selection(area=spec.area, least_kv=spec.least_kv))
    asked = sorted({*spec.load_mw, *([sites_mw] if sites_mw else [])})
    ways, rows = [], []
    for ask in spec.ask:
        say(f"{len(buses)} buses, redispatch {ask.redispatch}, security {ask.security}")
        study = Study(network, study_settings(grid, ask.redispatch, ask.security))
        answers = host_all(study, single(buses))
        check_some_hosted(study, answers)
        label = f"{ask.redispatch}/{ask.security}"
        ways.append(_way(study, answers, label, asked, spec.joint_sites))
        rows += [_bus_row(network, label, answer) for answer in answers]
    found: Json = {
        "kind": spec.kind,
        "buses": len(buses),
        "least_kv": spec.least_kv,
        "load_mw": asked,
        "ways": ways,
    }
    return found, {"grid_hosting.parquet": as_table(rows)}


def _way(
    study: Study, answers: Sequence[Hosted], label: str, asked: Sequence[float], joint: int
) -> Json:
    network, mw = study.network, np.array([answer.hosting_mw for answer in answers])
    best = sorted(answers, key=lambda answer: (-answer.hosting_mw, answer.bus))[:BEST]
    number = network.buses.number
    return {
        "way": label,
        "redispatch": study.settings.redispatch,
        "security": study.settings.security,
        "hosts": [
            {"load_mw": load, "buses": int((mw >= load).sum()), "frac": float((mw >= load).mean())}
            for load in asked
        ],
        "hosting_mw": {
            name: float(np.quantile(mw, q))
            for name, q in (("min", 0), ("p10", 0.1), ("median", 0.5), ("p90", 0.9), ("max", 1))
        },
        "binding": dict(sorted(Counter(answer.binding.kind for answer in answers).items())),
        "by_kv": table(network.buses.base_kv, answers),
        "by_area": table(network.buses.area.astype(float), answers),
        "best": [
            {"bus": int(number[a.bus]), "hosting_mw": a.hosting_mw}
            | {"binding": binding_row(network, a.binding)}
            for a in best
        ],
        "joint": [
            {"sites": n, "total_mw": a.hosting_mw, "binding": binding_row(network, a.binding)}
            | {"buses": [int(number[i]) for i, _ in a.shares]}
            for n, a in (curve(study, answers, joint) if joint else [])
        ],
    }


def _bus_row(network: Network, label: str, answer: Hosted) -> Json:
    buses, at, binding = network.buses, answer.bus, answer.binding
    placed = buses.latitude_deg is not None and buses.longitude_deg is not None
    return {
        "way": label,
        "bus": int(buses.number[at]),
        "name": buses.name[at] if buses.name else "",
        "base_kv": float(buses.base_kv[at]),
        "area": int(buses.area[at]),
        "latitude_deg": float(buses.latitude_deg[at]) if placed else None,  # type: ignore[index]
        "longitude_deg": float(buses.longitude_deg[at]) if placed else None,  # type: ignore[index]
        "hosting_mw": answer.hosting_mw,
        "binding": binding.kind,
        "branch_row": None if binding.branch is None else binding.branch + 1,
        "outage_row": None if binding.outage is None else binding.outage + 1,
    }


# -- every state


def state_study(grid: NodalGrid, spec: EveryStateStudy) -> tuple[Json, Tables]:
    """Hosting in every state of the synthetic USA."""
    answer = states(
        grid.case,
        load_mw=spec.load_mw,
        least_kv=spec.least_kv,
        buses_per_state=spec.buses_per_state,
        state=spec.states,
        emergency_factor=grid.emergency_rating_factor,
        least_effect_frac=spec.least_effect_frac,
    )
    buses = answer.pop("buses")
    answer.pop("conventions")
    return {"kind": spec.kind} | answer, {"grid_states.parquet": as_table(buses)}
