"""`grid hosting`: the largest load at buses, sets of buses and regions; plain in, plain out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np

from sim.errors import InputError, UnknownNameError
from sim.grid.nodal.batch import curve, host_all, single, weighted
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.contingency import over_before
from sim.grid.nodal.dcflow import Susceptance
from sim.grid.nodal.fresh import check_some_hosted
from sim.grid.nodal.hosting import Binding, Hosted
from sim.grid.nodal.joint import FreePlacement
from sim.grid.nodal.lp import INF
from sim.grid.nodal.selection import Region, Selection, chosen, named_sets, regions
from sim.grid.nodal.settings import Preexisting, Rating, Redispatch, Security, Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Ints, Network

Row = dict[str, Any]
Shares = Literal["equal", "load", "free"]

SHARE_WORDS = {
    "equal": "each bus takes the same load",
    "load": "each bus takes its share of the load that is there already",
    "free": "the load goes where most of it fits (linear program)",
}


def hosting(
    case: str,
    *,
    bus: Sequence[int] = (),
    area: Sequence[int] | int | None = (),
    state: Sequence[str] = (),
    zone: Sequence[int] = (),
    least_kv: float = 0.0,
    joint: bool | Shares = False,
    sets: Mapping[str, Sequence[int]] | None = None,
    by: Region | None = None,
    site_mw: float | None = None,
    redispatch: Redispatch = "none",
    security: Security | None = None,
    emergency_factor: float = 1.0,
    emergency_rating: Rating = "a",
    preexisting: Preexisting = "left-out",
    susceptance: Susceptance = "1/(x tap)",
    least_effect_frac: float = 0.0,
    curve_sites: int = 0,
    workers: int = 1,
) -> Row:
    """The largest load at each bus, what binds, and what was over already.

    Args:
        bus, area, state, zone, least_kv: which buses (see `Selection`); all if nothing is given.
        joint: one answer for all of them at once, in place of one for each; how they share it
            (True: equally).
        sets: named sets of bus numbers; one joint answer for each.
        by: one joint answer for each region of the chosen buses.
        site_mw: with free shares, the most that one bus takes.
        security: default `n1` with redispatch n1-secure, else `base`.
        curve_sites: also the joint hosting of the best 1, 2, ... buses up to this number.
        workers: processes.

    Raises:
        InputError: a bus, region or setting that is not there or contradicts another.
    """
    settings = Settings(
        redispatch=redispatch,
        security=security or ("n1" if redispatch == "n1-secure" else "base"),
        emergency_factor=emergency_factor,
        emergency_rating=emergency_rating,
        preexisting=preexisting,
        susceptance=susceptance,
        least_effect_frac=least_effect_frac,
    )
    shares = _shares(joint)
    if shares == "free" and least_effect_frac:
        raise InputError("least_effect_frac with free shares", "use shares 'equal' or 'load'")
    study = Study(load_case(case), settings)
    areas = (area,) if isinstance(area, int) else area or ()
    buses = chosen(study.network, Selection(bus, areas, state, zone, least_kv))
    result: Row = {
        "preexisting_violations": preexisting_rows(study),
        "radial_outages": int(study.grid.radial.sum()) if settings.security == "n1" else 0,
        "conventions": settings.conventions(study.network),
    }
    if sets or by or joint:
        groups = named_sets(study.network, sets or {})
        groups |= regions(study.network, buses, by) if by else {}
        result["conventions"]["shares"] = f"{shares}: {SHARE_WORDS[shares]}"
        together = {"joint": buses} if joint and not (sets or by) else {}
        answers = _groups(study, groups | together, shares, site_mw)
        result |= {"buses": [], "sets": answers}
        if together:
            result |= {"joint": answers[0], "sets": []}
        return result
    return result | _each(study, buses, curve_sites, workers)


def _each(study: Study, buses: Ints, curve_sites: int, workers: int) -> Row:
    """One answer for each bus alone, with the tables by voltage and area."""
    network = study.network
    answers = host_all(study, single(buses), workers=workers)
    check_some_hosted(study, answers)
    result: Row = {
        "buses": [hosted_row(network, answer) for answer in answers],
        "by_kv": table(network.buses.base_kv, answers),
        "by_area": table(network.buses.area.astype(float), answers),
    }
    if curve_sites:
        result["curve"] = [
            {"sites": n, "buses": [int(network.buses.number[i]) for i, _ in answer.shares]}
            | hosted_row(network, answer)
            for n, answer in curve(study, answers, curve_sites)
        ]
    return result


def _shares(joint: bool | Shares) -> Shares:
    if isinstance(joint, bool):
        return "equal"
    if joint not in get_args(Shares):
        raise UnknownNameError("way to share a load", joint, get_args(Shares))
    return joint


def _groups(
    study: Study, groups: Mapping[str, Ints], shares: Shares, site_mw: float | None
) -> list[Row]:
    """One joint answer for each group of buses."""
    if site_mw is not None and (shares != "free" or not 0 < site_mw < np.inf):
        raise InputError(
            f"site_mw {site_mw:g} with shares {shares!r}",
            "a size above 0 MW, with shares 'free'",
        )
    if shares == "free":
        most = INF if site_mw is None else site_mw
        return [_placed(study, name, buses, most) for name, buses in groups.items()]
    sites = [weighted(buses, _weights(study.network, buses, shares)) for buses in groups.values()]
    answers = host_all(study, sites)
    check_some_hosted(study, answers)
    return [
        _group_row(study.network, name, buses, answer.hosting_mw, answer.binding)
        | {"load_mw": [answer.hosting_mw * share for _, share in answer.shares]}
        for (name, buses), answer in zip(groups.items(), answers, strict=True)
    ]


def _weights(network: Network, buses: Ints, shares: Shares) -> Floats:
    """Shares of the buses, summing to 1."""
    if shares == "equal":
        return np.full(len(buses), 1 / len(buses))
    load = np.maximum(network.buses.load_mw[buses], 0.0)
    if load.sum() <= 0:
        numbers = ", ".join(str(number) for number in network.buses.number[buses[:5]].tolist())
        raise InputError(
            f"no load at buses {numbers}{' ...' if len(buses) > 5 else ''} to share by",
            "use shares 'equal' or 'free'",
        )
    weights: Floats = load / load.sum()
    return weights


def _placed(study: Study, name: str, buses: Ints, most_mw: float) -> Row:
    found = FreePlacement(study, buses, most_mw=most_mw).answer()
    row = _group_row(study.network, name, buses, found.hosting_mw, found.binding)
    return row | {"load_mw": found.load_mw.tolist()}


def _group_row(
    network: Network, name: str, buses: Ints, hosting_mw: float, binding: Binding
) -> Row:
    return {
        "set": name,
        "sites": len(buses),
        "hosting_mw": hosting_mw,
        "binding": binding_row(network, binding),
        "buses": [int(network.buses.number[i]) for i in buses],
    }


def binding_row(network: Network, binding: Binding) -> Row:
    """What stops more load, by name."""
    return {
        "kind": binding.kind,
        "branch": None if binding.branch is None else network.branch_name(binding.branch),
        "outage": None if binding.outage is None else network.branch_name(binding.outage),
        "reason": binding.reason,
    }


def hosted_row(network: Network, answer: Hosted) -> Row:
    """The answer at one bus."""
    return {
        "bus": int(network.buses.number[answer.bus]),
        "base_kv": float(network.buses.base_kv[answer.bus]),
        "hosting_mw": answer.hosting_mw,
        "binding": binding_row(network, answer.binding),
    }


def table(group: Floats, answers: Sequence[Hosted]) -> list[Row]:
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


def preexisting_rows(study: Study) -> list[Row]:
    """What is over its limit before any load comes: base case, then after outages.

    A branch that is over without any outage is named once, not again after each outage.
    """
    network = study.network
    rows = [
        {
            "branch": network.branch_name(row),
            "outage": None,
            "flow_mw": float(study.base.flow_mw[row]),
            "limit_mw": float(network.branches.rating_mw[row]),
        }
        for row in np.flatnonzero(over_before(study)).tolist()
    ]
    if study.settings.security == "n1":
        pairs = study.over_after_outage
        pairs = pairs.where(~over_before(study)[pairs.branch])
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
