"""One function for each verb of the command line on nodal cases; plain in, plain out.

Rows and circuits count from 1, buses go by their number, MW and USD as the names say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.batch import curve, host_all, single, together
from sim.grid.nodal.cascade_command import cascade, extra_load
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.contingency import Violation, screen
from sim.grid.nodal.dcflow import Susceptance
from sim.grid.nodal.hosting import Hosted
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.settings import Preexisting, Rating, Redispatch, Security, Settings
from sim.grid.nodal.states import LABEL, every_state
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints, Network
from sim.grid.nodal.voltage_command import voltage

__all__ = ["cascade", "flow", "hosting", "n1", "opf", "show", "states", "voltage"]

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
        "preexisting_violations": _preexisting(study),
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


def hosting(
    case: str,
    *,
    bus: Sequence[int] = (),
    area: int | None = None,
    least_kv: float = 0.0,
    joint: bool = False,
    redispatch: Redispatch = "none",
    security: Security | None = None,
    emergency_factor: float = 1.0,
    emergency_rating: Rating = "a",
    preexisting: Preexisting = "left-out",
    susceptance: Susceptance = "1/(x tap)",
    curve_sites: int = 0,
    workers: int = 1,
) -> Row:
    """The largest load at each bus, what binds, and what was over already.

    Args:
        bus: bus numbers; all buses (of the area, at or above the voltage) if empty.
        joint: one answer for all of them at once, with equal shares, instead of one for each.
        security: default `n1` with redispatch n1-secure, else `base`.
        curve_sites: also the joint hosting of the best 1, 2, ... buses up to this number.
        workers: processes.
    """
    settings = Settings(
        redispatch=redispatch,
        security=security or ("n1" if redispatch == "n1-secure" else "base"),
        emergency_factor=emergency_factor,
        emergency_rating=emergency_rating,
        preexisting=preexisting,
        susceptance=susceptance,
    )
    study = Study(load_case(case), settings)
    buses = _chosen(study.network, bus, area, least_kv)
    sites = [together(buses)] if joint else single(buses)
    answers = host_all(study, sites, workers=workers)
    result: Row = {
        "buses": [_hosted(study.network, answer) for answer in answers],
        "preexisting_violations": _preexisting(study),
        "radial_outages": int(study.grid.radial.sum()) if settings.security == "n1" else 0,
        "conventions": settings.conventions(study.network),
    }
    if joint:
        result["joint"] = result.pop("buses")[0] | {
            "buses": [int(study.network.buses.number[i]) for i in buses]
        }
        result["buses"] = []
    else:
        result["by_kv"] = _table(study.network.buses.base_kv, answers)
        result["by_area"] = _table(study.network.buses.area.astype(float), answers)
    if curve_sites:
        result["curve"] = [
            {"sites": n} | _hosted(study.network, answer)
            for n, answer in curve(study, answers, curve_sites)
        ]
    return result


def _chosen(network: Network, bus: Sequence[int], area: int | None, least_kv: float) -> Ints:
    if bus:
        return np.array([network.bus_index(number) for number in bus], dtype=np.int64)
    keep = network.buses.base_kv >= least_kv
    if area is not None:
        keep &= network.buses.area == area
    if not keep.any():
        raise InputError(
            f"case {network.name} has no bus in area {area} at {least_kv:g} kV or above",
            f"its areas are {sorted(set(network.buses.area.tolist()))}",
        )
    return np.flatnonzero(keep)


def _hosted(network: Network, answer: Hosted) -> Row:
    binding = answer.binding
    return {
        "bus": int(network.buses.number[answer.bus]),
        "base_kv": float(network.buses.base_kv[answer.bus]),
        "hosting_mw": answer.hosting_mw,
        "binding": {
            "kind": binding.kind,
            "branch": None if binding.branch is None else network.branch_name(binding.branch),
            "outage": None if binding.outage is None else network.branch_name(binding.outage),
            "reason": binding.reason,
        },
    }


def _table(group: Floats, answers: Sequence[Hosted]) -> list[Row]:
    """Quantiles of hosting by voltage or area."""
    by: dict[float, list[float]] = {}
    for answer in answers:
        by.setdefault(float(group[answer.bus]), []).append(answer.hosting_mw)
    return [
        {
            "group": key,
            "buses": len(mw),
            **{
                f"{name}_mw": float(np.quantile(mw, q))
                for name, q in (("p10", 0.1), ("median", 0.5), ("p90", 0.9))
            },
            "hosts_150_mw_frac": float(np.mean(np.array(mw) >= 150)),
            "hosts_1000_mw_frac": float(np.mean(np.array(mw) >= 1000)),
        }
        for key, mw in sorted(by.items())
    ]


def _preexisting(study: Study) -> list[Row]:
    """What is over its limit before any load comes: base case, then after outages."""
    network = study.network
    rows = [
        {
            "branch": network.branch_name(row),
            "outage": None,
            "flow_mw": float(study.base.flow_mw[row]),
            "limit_mw": float(network.branches.rating_mw[row]),
        }
        for row in np.flatnonzero(study.over_at_base).tolist()
    ]
    if study.settings.security == "n1":
        pairs = study.over_after_outage
        rows += [
            {
                "branch": network.branch_name(int(branch)),
                "outage": network.branch_name(int(outage)),
                "flow_mw": float(after),
                "limit_mw": float(study.emergency_limit_mw[branch]),
            }
            for branch, outage, after in zip(
                pairs.branch, pairs.outage, pairs.after(study.base.flow_mw), strict=True
            )
        ]
    return rows


def opf(
    case: str,
    *,
    secure: bool = False,
    extra_load_mw: Mapping[int, float] | None = None,
    unserved_usd_per_mwh: float | None = None,
    emergency_factor: float = 1.0,
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


def states(
    case: str = "synthetic-usa",
    *,
    load_mw: float = 150.0,
    least_kv: float = 230.0,
    buses_per_state: int = 20,
    workers: int = 1,
) -> Row:
    """Fixed-dispatch hosting, base and N-1, at buses of every state of the synthetic USA."""
    network = load_case(case)
    found = every_state(
        network, least_kv=least_kv, buses_per_state=buses_per_state, workers=workers
    )
    return {
        "states": [
            {
                "state": one.state,
                "buses_at_voltage": one.buses_there,
                "buses_looked_at": len(one.base),
                "median_base_mw": float(np.median([h.hosting_mw for h in one.base])),
                "median_n1_mw": float(np.median([h.hosting_mw for h in one.n1])),
                "least_n1_mw": min(h.hosting_mw for h in one.n1),
                "hosts_base_frac": one.share_that_hosts(load_mw, "base"),
                "hosts_n1_frac": one.share_that_hosts(load_mw, "n1"),
            }
            for one in found
        ],
        "load_mw": load_mw,
        "label": LABEL,
        "conventions": Settings(security="n1").conventions(network),
    }
