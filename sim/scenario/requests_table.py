"""`requests.parquet`: one row for each request of the simulated replicas.

Each row carries the request's share of time, FLOPs, bytes and chip energy (shared weight
bytes by tokens in the step, idle apart), so that the shares of all rows plus idle sum to
the energy of the simulated replicas.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.records import RequestCost
from sim.scenario.fleets import Fleet
from sim.scenario.simulate import Outcome
from sim.units import to_s
from sim.workload.requests import Request

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: dict[str, str] = {
    "fleet": "string",
    "replica": "int64",
    "request": "int64",
    "status": "string",
    "arrival_s": "float64",
    "start_s": "float64",
    "first_token_s": "float64",
    "end_s": "float64",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "preemptions": "int64",
    "time_s": "float64",
    "flops": "float64",
    "hbm_bytes": "float64",
    "energy_chip_j": "float64",
    "reason": "string",
    "class": "string",
}


def requests_table(outcome: Outcome) -> pa.Table:
    """All requests of all fleets that have single requests, by fleet, then in order of arrival."""
    import pyarrow as pa

    rows = [
        row
        for site in outcome.sites
        for name, fleet in site.run.fleets.items()
        if isinstance(fleet.fleet, ServingFleet)
        for row in sorted(
            _rows(f"{site.name}.{name}", fleet.fleet, _class_names(fleet)),
            key=lambda r: r["request"],
        )
    ]
    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    return pa.table(
        {
            name: pa.array([row.get(name) for row in rows], type=types[kind])
            for name, kind in COLUMNS.items()
        }
    )


def _class_names(fleet: Fleet) -> list[str]:
    """Names of the classes by number; none where the scenario names none."""
    return [kind.name for kind in fleet.costs.spec.classes]


def _rows(name: str, fleet: ServingFleet, classes: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of one fleet; `class` is null where there are no classes."""
    for row, request in _plain_rows(name, fleet):
        yield row | ({"class": classes[request.priority]} if classes else {})


def _plain_rows(name: str, fleet: ServingFleet) -> Iterator[tuple[dict[str, Any], Request]]:
    for done in fleet.log.completed:
        row = _common(name, done.replica, done.request, "completed", done.cost) | {
            "start_s": to_s(done.start_ps),
            "first_token_s": to_s(done.first_token_ps),
            "end_s": to_s(done.end_ps),
            "preemptions": done.preemptions,
        }
        yield row, done.request
    for drop in fleet.log.dropped:
        row = _common(name, drop.replica, drop.request, "dropped", None)
        yield row | {"reason": drop.reason}, drop.request
    for replica in fleet.replicas:
        for under_way in replica.unfinished():
            row = _common(name, under_way.replica, under_way.request, "unfinished", under_way.cost)
            yield row | {"preemptions": under_way.preemptions}, under_way.request


def _common(
    name: str, replica: int, request: Request, status: str, cost: RequestCost | None
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "fleet": name,
        "replica": replica,
        "request": request.request_id,
        "status": status,
        "arrival_s": to_s(request.arrival_ps),
        "input_tokens": request.input_tokens,
        "output_tokens": request.output_tokens,
    }
    if cost:
        row |= {
            "time_s": cost.time_s,
            "flops": cost.flops,
            "hbm_bytes": cost.hbm_bytes,
            "energy_chip_j": cost.energy_j,
        }
    return row
