"""The cascade study of a nodal grid: what follows when the load is connected anyway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.cascade import Cascade, Cascader, monte_carlo
from sim.grid.nodal.cascade_command import chosen_rules
from sim.grid.nodal.island_balance import Rules
from sim.grid.nodal.island_swing import swing_row
from sim.grid.nodal.opf import DcOpf
from sim.grid.nodal.study import TOLERANCE_MW, Study
from sim.scenario.grid_view import Json
from sim.scenario.nodal_tables import Tables, as_table, study_settings
from sim.scenario.schema.nodal import CascadeStudy, NodalGrid

if TYPE_CHECKING:
    from sim.grid.nodal.tables import Floats, Network

UNSERVED_USD_PER_MWH: Final = 10_000.0
"""Price at which a redispatch leaves load off; far above any cost of the cases."""


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
    loads, extra = _loads(spec, network, sites_mw)
    study = Study(network, study_settings(grid, "none", "n1"))
    rules = chosen_rules(spec.trip_threshold_frac, spec.hidden_failure_frac)
    ways = _Ways(study, grid, spec, extra, rules)
    started: list[tuple[int, ...]] = [(), *_outages(study, spec, extra)]
    rows, stages, islands = ways.follow(started)
    answer: Json = {
        "kind": spec.kind,
        "loads": [{"bus": bus, "load_mw": mw} for bus, mw in sorted(loads.items())],
        "load_mw": float(sum(loads.values())),
        "first_load_mw": ways.with_load.run(()).first_load_mw,
        "overloaded_before_any_outage": _overloaded(study, extra),
        "cascades": rows,
        "worst": max(rows, key=lambda row: row["lost_mw"]),
        "islands": _islands_told(islands),
        "redispatch_first": ways.told,
        "rules": {name: getattr(rules, name) for name in rules.__dataclass_fields__},
        "monte_carlo": [],
    }
    tables = {"grid_cascade_stages.parquet": as_table(stages)}
    if islands:
        tables["grid_cascade_islands.parquet"] = as_table(islands)
    if spec.runs:
        chance, lost = _chance(ways.with_load, started, spec.runs, seed)
        answer["monte_carlo"] = chance
        tables["grid_blackouts.parquet"] = as_table(lost)
    return answer, tables


def _loads(
    spec: CascadeStudy, network: Network, sites_mw: Mapping[int, float]
) -> tuple[dict[int, float], Floats]:
    """MW by bus number, and over all buses."""
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
    return loads, extra


class _Ways:
    """Each cascade with the load, without it, and with it after the best redispatch."""

    def __init__(
        self, study: Study, grid: NodalGrid, spec: CascadeStudy, extra_mw: Floats, rules: Rules
    ):
        self.network = study.network
        self.with_load = Cascader(study, extra_load_mw=extra_mw, rules=rules)
        self.without = Cascader(study, rules=rules)
        self.redispatched: Cascader | None = None
        self.told: Json | None = None
        if spec.redispatch_first:
            self.redispatched, self.told = _redispatched(study, grid, extra_mw, rules)

    def follow(
        self, started: Sequence[tuple[int, ...]]
    ) -> tuple[list[Json], list[Json], list[Json]]:
        """A row for each cascade, for each of its stages, and for each island that separates."""
        rows, stages, islands = [], [], []
        for outage in started:
            found = self.with_load.run(outage)
            label = _label(self.network, outage)
            row = _cascade_row(self.network, outage, found, self.without.run(outage))
            if self.redispatched:
                row["lost_after_redispatch_mw"] = self.redispatched.run(outage).lost_mw
            rows.append(row)
            stages += [{"cascade": label} | stage for stage in _stages(found)]
            islands += [{"cascade": label} | i for i in _islands(self.network, found)]
        return rows, stages, islands


def _islands(network: Network, found: Cascade) -> Iterator[Json]:
    """Every island that separates, walked through its seconds."""
    for number, stage in enumerate(found.stages, 1):
        for split in stage.splits:
            yield {"stage": number} | swing_row(network, split)


def _islands_told(rows: Sequence[Json]) -> Json:
    """How many islands separated, how low they fell, and where the two models of them part."""
    walked = [row for row in rows if row["nadir_hz"] is not None]
    lost = [row for row in walked if row["collapsed"]]
    parted = [row for row in walked if bool(row["collapsed"]) != row["rule_goes_dark"]]
    return {
        "separated": len(rows),
        "walked": len(walked),
        "collapsed": len(lost),
        "ufls_mw": float(sum(row["ufls_mw"] for row in walked)),
        "lowest_hz": min((row["nadir_hz"] for row in walked if not row["collapsed"]), default=None),
        "highest_hz": max(
            (row["zenith_hz"] for row in walked if not row["collapsed"]), default=None
        ),
        "seconds_and_rule_differ": len(parted),
        "decides": "the rule of rest states decides what is lost; the seconds stand beside it",
    }


def _redispatched(
    study: Study, grid: NodalGrid, extra_mw: Floats, rules: Rules
) -> tuple[Cascader, Json]:
    """Cascades from the cheapest dispatch that holds the base case with the load.

    What no dispatch can serve is left off.
    """
    best = DcOpf(
        Study(study.network, study_settings(grid, "dc-opf", "base")),
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
