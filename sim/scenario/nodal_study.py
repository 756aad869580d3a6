"""Studies of a nodal grid that a scenario can ask for: every bus, every state, a cascade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.batch import curve, host_all, single
from sim.grid.nodal.cascade import Cascade, Cascader, monte_carlo
from sim.grid.nodal.cascade_command import chosen_rules
from sim.grid.nodal.hosting import Hosted
from sim.grid.nodal.hosting_command import binding_row, table
from sim.grid.nodal.island_balance import Rules
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.selection import Selection, chosen
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.states_command import states
from sim.grid.nodal.study import TOLERANCE_MW, Study
from sim.scenario.grid_view import Json
from sim.scenario.schema.nodal import (
    CascadeStudy,
    EveryStateStudy,
    HostingStudy,
    NodalGrid,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from sim.grid.nodal.tables import Floats, Network

Tables = dict[str, Any]
"""pyarrow tables by file name."""
UNSERVED_USD_PER_MWH: Final = 10_000.0
"""Price at which a redispatch leaves load off; far above any cost of the cases."""

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


def _settings(grid: NodalGrid, redispatch: Any, security: Any) -> Settings:
    return Settings(
        redispatch=redispatch,
        security=security,
        emergency_factor=grid.emergency_rating_factor,
        emergency_rating=grid.emergency_rating,
        preexisting=grid.preexisting,
        susceptance=grid.susceptance,
        least_effect_frac=grid.least_effect_frac if redispatch == "none" else 0.0,
    )


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
        study = Study(network, _settings(grid, ask.redispatch, ask.security))
        answers = host_all(study, single(buses))
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
    return found, {"grid_hosting.parquet": _table(rows)}


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


def _table(rows: Sequence[Json]) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(list(rows))


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
    return {"kind": spec.kind} | answer, {"grid_states.parquet": _table(buses)}


# -- cascades


def cascade_study(
    grid: NodalGrid,
    spec: CascadeStudy,
    network: Network,
    sites_mw: Mapping[int, float],
    seed: int,
) -> tuple[Json, Tables]:
    """What follows with the load connected: without an outage, and after each one.

    Raises:
        InputError: no load at all, or an outage that is not in the case.
    """
    loads = dict(sites_mw)
    for load in spec.loads:
        loads[load.bus] = loads.get(load.bus, 0.0) + load.load_mw
    if not loads:
        raise InputError(
            "a cascade study without a load", "give sites or loads", path="grid.study.loads"
        )
    extra = np.zeros(len(network.buses))
    for number, mw in loads.items():
        extra[network.bus_index(number)] += mw
    study = Study(network, _settings(grid, "none", "n1"))
    rules = chosen_rules(spec.trip_threshold_frac, spec.hidden_failure_frac)
    with_load = Cascader(study, extra_load_mw=extra, rules=rules)
    without = Cascader(study, rules=rules)
    outages = _outages(study, spec, extra)
    redispatched, first = _redispatched(study, grid, extra, rules) if spec.redispatch_first else (
        None, None,
    )  # fmt: skip
    rows, stages = [], []
    started: list[tuple[int, ...]] = [(), *outages]
    for outage in started:
        found, before = with_load.run(outage), without.run(outage)
        label = _label(network, outage)
        row = _cascade_row(network, outage, found, before)
        if redispatched:
            row["lost_after_redispatch_mw"] = redispatched.run(outage).lost_mw
        rows.append(row)
        stages += [{"cascade": label} | stage for stage in _stages(found)]
    answer: Json = {
        "kind": spec.kind,
        "loads": [{"bus": bus, "load_mw": mw} for bus, mw in sorted(loads.items())],
        "load_mw": float(sum(loads.values())),
        "first_load_mw": with_load.run(()).first_load_mw,
        "overloaded_before_any_outage": _overloaded(study, extra),
        "cascades": rows,
        "worst": max(rows, key=lambda row: row["lost_mw"]),
        "redispatch_first": first,
        "rules": {name: getattr(rules, name) for name in rules.__dataclass_fields__},
        "monte_carlo": [],
    }
    tables = {"grid_cascade_stages.parquet": _table(stages)}
    if spec.runs:
        chance, lost = _chance(with_load, started, spec.runs, seed)
        answer["monte_carlo"] = chance
        tables["grid_blackouts.parquet"] = _table(lost)
    return answer, tables


def _redispatched(
    study: Study, grid: NodalGrid, extra_mw: Floats, rules: Rules
) -> tuple[Cascader, Json]:
    """Cascades from the cheapest dispatch that holds the base case with the load.

    What no dispatch can serve is left off.
    """
    best = DcOpf(
        Study(study.network, _settings(grid, "dc-opf", "base")),
        unserved_usd_per_mwh=UNSERVED_USD_PER_MWH,
        extra_load_mw=extra_mw,
    ).optimum()
    cascader = Cascader(
        study, extra_load_mw=extra_mw - best.unserved_mw, output_mw=best.output_mw, rules=rules
    )
    told = {
        "redispatch": "dc-opf",
        "unserved_mw": float(best.unserved_mw.sum()),
        "unserved_usd_per_mwh": UNSERVED_USD_PER_MWH,
    }
    return cascader, told


def _flow_with(study: Study, extra_mw: Floats) -> Floats:
    """Base-case flows with the load picked up in proportion to headroom."""
    grid = study.grid
    alive = grid.island >= 0
    wanted = np.bincount(grid.island[alive], extra_mw[alive], grid.n_islands)
    picked = np.where(alive, study.pickup * wanted[grid.island], 0.0)
    flow: Floats = study.base.flow_mw + grid.transfer(picked - extra_mw)
    return flow


def _overloaded(study: Study, extra_mw: Floats) -> list[Json]:
    """Branches over rating A with the load, worst first."""
    flow = _flow_with(study, extra_mw)
    rating = study.network.branches.rating_mw
    over = np.flatnonzero(np.abs(flow) > rating + TOLERANCE_MW)
    worst = over[np.argsort(-np.abs(flow[over]) / rating[over])]
    return [
        {
            "branch": study.network.branch_name(row),
            "flow_mw": float(flow[row]),
            "rating_mw": float(rating[row]),
            "loading_frac": float(abs(flow[row]) / rating[row]),
            "before_frac": float(abs(study.base.flow_mw[row]) / rating[row]),
        }
        for row in worst.tolist()
    ]


def _outages(study: Study, spec: CascadeStudy, extra_mw: Floats) -> Sequence[tuple[int, ...]]:
    """Outages to follow, as rows from 0."""
    if spec.outages == "none":
        return []
    if spec.outages == "n1-overloads":
        flow = _flow_with(study, extra_mw)
        pairs = study.pairs.violations(flow, TOLERANCE_MW)
        loading = np.abs(pairs.after(flow)) / study.emergency_limit_mw[pairs.branch]
        order = pairs.outage[np.argsort(-loading, kind="stable")].tolist()
        return [(int(row),) for row in dict.fromkeys(order)][: spec.most_outages]
    count = len(study.network.branches)
    for row in spec.outages:
        if not 1 <= row <= count:
            raise InputError(
                f"branch row {row} is not in 1 to {count}", "rows count from 1",
                path="grid.study.outages",
            )  # fmt: skip
    return [(row - 1,) for row in spec.outages]


def _label(network: Network, outage: Sequence[int]) -> str:
    if not outage:
        return "no outage"
    names = [network.branch_name(row) for row in outage]
    return ", ".join(f"{n['from']}-{n['to']} #{n['circuit']}" for n in names)


def _cascade_row(network: Network, outage: Sequence[int], found: Cascade, before: Cascade) -> Json:
    return {
        "cascade": _label(network, outage),
        "outage": [network.branch_name(row) for row in outage],
        "depth": found.depth,
        "branches_lost": found.branches_lost,
        "lost_mw": found.lost_mw,
        "lost_frac": found.lost_mw / found.first_load_mw,
        "lost_without_the_load_mw": before.lost_mw,
        "islands": found.stages[-1].islands,
        "lowest_hz": min(stage.lowest_hz for stage in found.stages),
        "first_to_trip": [network.branch_name(row) for row in _first_trips(found)],
    }


def _first_trips(found: Cascade) -> tuple[int, ...]:
    """Branches of the first stage that trips by overload."""
    later = [stage.tripped for stage in found.stages[1:] if stage.tripped]
    return later[0] if later else ()


def _stages(found: Cascade) -> list[Json]:
    return [
        {
            "stage": number,
            "tripped": len(stage.tripped),
            "islands": stage.islands,
            "generation_mw": stage.generation_mw,
            "load_mw": stage.load_mw,
            "shed_mw": stage.shed_mw,
            "dark_mw": stage.dark_mw,
            "lowest_hz": stage.lowest_hz,
        }
        for number, stage in enumerate(found.stages, 1)
    ]


def _chance(
    cascader: Cascader, outages: Sequence[tuple[int, ...]], runs: int, seed: int
) -> tuple[list[Json], list[Json]]:
    """Blackout sizes with hidden failures, and every run of them."""
    rows, every = [], []
    for outage in outages:
        found = monte_carlo(cascader, outage, runs, seed)
        lost = np.array([one.lost_mw for one in found])
        label = _label(cascader.study.network, outage)
        rows.append(
            {
                "cascade": label,
                "runs": runs,
                "loses_load_frac": float((lost > 0).mean()),
                "lost_mean_mw": float(lost.mean()),
                "lost_p95_mw": float(np.quantile(lost, 0.95)),
                "lost_max_mw": float(lost.max()),
            }
        )
        every += [
            {"cascade": label, "run": i, "lost_mw": one.lost_mw, "depth": one.depth}
            for i, one in enumerate(found)
        ]
    return rows, every
