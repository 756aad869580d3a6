"""One function for each verb of the command line on nodal cases; plain in, plain out.

Rows and circuits count from 1, buses go by their number, MW and USD as the names say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from sim.grid.nodal.cascade_command import cascade, extra_load
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.commitment_command import commit
from sim.grid.nodal.contingency import Violation, screen
from sim.grid.nodal.dcflow import Susceptance
from sim.grid.nodal.fresh import check_screening
from sim.grid.nodal.hosting_command import hosting, preexisting_rows
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.settings import Rating, Settings
from sim.grid.nodal.states_command import states
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Network
from sim.grid.nodal.voltage_command import voltage

__all__ = ["cascade", "commit", "flow", "hosting", "n1", "opf", "show", "states", "voltage"]

Row = dict[str, Any]


def show(case: str) -> Row:
    """What a case holds."""
    network = load_case(case)
    buses, branches = network.buses, network.branches
    study = Study(network)
    return {
        "case": network.name,
        "source": network.source,
        "buses": len(buses),
        "generators": len(network.generators),
        "branches": len(branches),
        "dc_lines": len(network.dc_lines),
        "islands": study.grid.n_islands,
        "radial_branches": int(study.grid.radial.sum()),
        "unlimited_branches": int(np.isinf(branches.rating_mw[network.branch_on]).sum()),
        "load_mw": float(buses.load_mw.sum()),
        "capacity_in_service_mw": float(network.generators.max_mw[network.generator_on].sum()),
        "headroom_mw": [float(room) for room in study.island_room_mw],
        "buses_by_kv": {f"{kv:g}": n for kv, n in sorted(Counter(buses.base_kv.tolist()).items())},
    }


def flow(case: str, *, susceptance: Susceptance = "1/(x tap)") -> Row:
    """DC power flow of the base point."""
    study = Study(load_case(case), Settings(susceptance=susceptance))
    network, point = study.network, study.base
    angle = np.degrees(study.grid.angles(point.injection_mw))
    return {
        "buses": [
            {"bus": int(n), "angle_deg": float(a), "injection_mw": float(p)}
            for n, a, p in zip(network.buses.number, angle, point.injection_mw, strict=True)
        ],
        "branches": [_branch_flow(study, row) for row in range(len(network.branches))],
        "generators": [
            {"row": i + 1, "bus": int(network.buses.number[b]), "output_mw": float(p)}
            for i, (b, p) in enumerate(zip(network.generators.bus, point.output_mw, strict=True))
        ],
        "islands": study.grid.n_islands,
        "generation_scale": [float(scale) for scale in point.scale],
        "preexisting_violations": preexisting_rows(study),
        "conventions": study.settings.conventions(network),
    }


def _branch_flow(study: Study, row: int) -> Row:
    flow_mw = float(study.base.flow_mw[row])
    rating = float(study.network.branches.rating_mw[row])
    limited = np.isfinite(rating) and rating > 0
    return study.network.branch_name(row) | {
        "flow_mw": flow_mw,
        "rating_mw": rating if np.isfinite(rating) else None,
        "loading_frac": abs(flow_mw) / rating if limited else None,
    }


def n1(
    case: str,
    *,
    generators: bool = True,
    towers: bool = False,
    emergency_factor: float = 1.0,
    emergency_rating: Rating = "a",
    susceptance: Susceptance = "1/(x tap)",
) -> Row:
    """What is over its limit after single outages."""
    settings = Settings(
        security="n1",
        emergency_factor=emergency_factor,
        emergency_rating=emergency_rating,
        susceptance=susceptance,
    )
    study = Study(load_case(case), settings)
    found = screen(study, generators=generators, towers=towers)
    check_screening(study, found)
    return {
        "violations": [_violation(study.network, v) for v in found.violations],
        "outages": found.outages,
        "radial": [
            study.network.branch_name(r.branch)
            | {"load_mw": r.load_mw, "generation_mw": r.generation_mw, "buses": r.buses}
            for r in found.radial
        ],
        "preexisting_violations": [_branch_flow(study, row) for row in found.preexisting],
        "unsolvable": [study.network.branch_name(row) for row in found.unsolvable],
        "conventions": settings.conventions(study.network),
    }


def _violation(network: Network, v: Violation) -> Row:
    if v.kind == "generator":
        bus = int(network.buses.number[network.generators.bus[v.outage[0]]])
        outage: list[Row] = [{"row": v.outage[0] + 1, "bus": bus}]
    else:
        outage = [network.branch_name(row) for row in v.outage]
    return {
        "kind": v.kind,
        "outage": outage,
        "branch": network.branch_name(v.branch),
        "flow_mw": v.flow_mw,
        "limit_mw": v.limit_mw,
        "loading_frac": abs(v.flow_mw) / v.limit_mw if v.limit_mw else None,
    }


def opf(
    case: str,
    *,
    secure: bool = False,
    extra_load_mw: Mapping[int, float] | None = None,
    unserved_usd_per_mwh: float | None = None,
    emergency_factor: float = 1.0,
    emergency_rating: Rating = "a",
    susceptance: Susceptance = "1/(x tap)",
) -> Row:
    """DC optimal power flow: objective, prices by bus, flows.

    Args:
        secure: limits hold after single branch outages too.
        extra_load_mw: MW by bus number on top of the case.
    """
    settings = Settings(
        redispatch="n1-secure" if secure else "dc-opf",
        security="n1" if secure else "base",
        emergency_factor=emergency_factor,
        emergency_rating=emergency_rating,
        susceptance=susceptance,
    )
    study = Study(load_case(case), settings)
    network = study.network
    best = DcOpf(
        study,
        secure=secure,
        unserved_usd_per_mwh=unserved_usd_per_mwh,
        extra_load_mw=extra_load(network, extra_load_mw),
    ).optimum()
    number = network.buses.number
    return {
        "objective_usd_per_h": best.objective_usd_per_h,
        "lmp": [
            {"bus": int(n), "usd_per_mwh": None if np.isnan(p) else float(p)}
            for n, p in zip(number, best.price_usd_per_mwh, strict=True)
        ],
        "flows": [
            network.branch_name(row) | {"flow_mw": float(best.flow_mw[row])}
            for row in range(len(network.branches))
        ],
        "generators": [
            {"row": i + 1, "bus": int(number[b]), "output_mw": float(p)}
            for i, (b, p) in enumerate(zip(network.generators.bus, best.output_mw, strict=True))
        ],
        "binding": [
            {
                "branch": network.branch_name(limit.branch),
                "outage": network.branch_name(limit.outage) if limit.outage >= 0 else None,
                "shadow_price_usd_per_mwh": price,
            }
            for limit, price in best.binding
        ],
        "congestion_rent_usd_per_h": best.congestion_rent_usd_per_h,
        "curtailed_mw": float(best.curtailed_mw.sum()),
        "unserved_mw": float(best.unserved_mw.sum()),
        "conventions": settings.conventions(network),
    }
