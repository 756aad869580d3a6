"""`requests.parquet`: one row for each request that came to a simulated replica.

A row carries the request's share of time, FLOPs, bytes and chip energy (shared weight bytes by
tokens in the step, idle apart), so that the shares of all rows plus idle sum to the energy of
the simulated replicas. Both engines divide by the same rule (`request_cost`).

Rows of the compiled engine are written while the run goes on, in the order in which requests
were done with, so that memory does not grow with their number; those of step-by-step fleets,
by fleet and number, and requests that are still there, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.records import RequestCost, RequestRecord
from sim.record.table_stream import TableStream, table_stream
from sim.scenario.fleets import Fleet
from sim.scenario.request_rows import CellPieces
from sim.units import to_s
from sim.workload.requests import Request

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from sim.scenario.build import Simulation

REQUESTS: Final = "requests.parquet"
COLUMNS: Final = {
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
    "ttft_s": "float64",
    "tpot_s": "float64",
    "e2e_s": "float64",
    "preemptions": "int64",
    "time_s": "float64",
    "flops": "float64",
    "hbm_bytes": "float64",
    "energy_chip_j": "float64",
    "reason": "string",
    "class": "string",
}


@contextmanager
def requests_file(folder: Path) -> Iterator[RequestsFile]:
    """Write `requests.parquet` into a folder while the block runs.

    Raises:
        InputError: the disk refuses it.
    """
    with table_stream(folder / REQUESTS, schema()) as stream:
        yield RequestsFile(stream)


class RequestsFile:
    """The requests of a run while it goes on.

    Args:
        stream: `requests.parquet`.
    """

    def __init__(self, stream: TableStream):
        self._schema = schema()
        self._stream = stream
        self._pieces: list[CellPieces] = []

    def follow(self, simulation: Simulation) -> None:
        """Listen to the fleets of a simulation that has not begun."""
        for name, fleet in _fleets(simulation):
            one = fleet.fleet
            if isinstance(one, CompiledFleet | CellFleet):
                parts = (one,) if isinstance(one, CompiledFleet) else one.parts
                classes = class_names(fleet)
                self._pieces.append(CellPieces(name, parts, classes, self._schema, self._stream))

    def finish(self, simulation: Simulation) -> None:
        """Add what is left when the run is over."""
        for pieces in self._pieces:
            pieces.finish()
        self._stream.write(reference_rows(simulation, self._schema))


def schema() -> pa.Schema:
    """Names and types of the columns."""
    import pyarrow as pa

    types = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    return pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def class_names(fleet: Fleet) -> list[str]:
    """Names of the classes by number; none where the scenario names none."""
    return [kind.name for kind in fleet.costs.spec.classes]


def reference_rows(simulation: Simulation, columns: pa.Schema) -> pa.Table:
    """The requests of all step-by-step fleets, by fleet, then in order of arrival."""
    import pyarrow as pa

    rows = [
        row
        for name, fleet in _fleets(simulation)
        if isinstance(fleet.fleet, ServingFleet)
        for row in sorted(
            _rows(name, fleet.fleet, class_names(fleet)), key=lambda row: row["request"]
        )
    ]
    return pa.Table.from_pylist(rows, columns)


def _fleets(simulation: Simulation) -> Iterator[tuple[str, Fleet]]:
    """All fleets of a simulation with their names in the summary."""
    for site in simulation.sites:
        for name, fleet in site.fleets.items():
            yield f"{site.spec.name}.{name}", fleet


def _rows(name: str, fleet: ServingFleet, classes: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of one fleet; `class` is null where there are no classes."""
    for row, request in _plain_rows(name, fleet):
        yield row | ({"class": classes[request.priority]} if classes else {})


def _plain_rows(name: str, fleet: ServingFleet) -> Iterator[tuple[dict[str, Any], Request]]:
    for done in fleet.log.completed:
        row = _common(name, done.replica, done.request, "completed", done.cost)
        yield row | _times(done), done.request
    for drop in fleet.log.dropped:
        row = _common(name, drop.replica, drop.request, "dropped", None)
        yield row | {"reason": drop.reason}, drop.request
    for replica in fleet.replicas:
        for under_way in replica.unfinished():
            row = _common(name, under_way.replica, under_way.request, "unfinished", under_way.cost)
            yield row | {"preemptions": under_way.preemptions}, under_way.request


def _times(done: RequestRecord) -> dict[str, Any]:
    return {
        "start_s": to_s(done.start_ps),
        "first_token_s": to_s(done.first_token_ps),
        "end_s": to_s(done.end_ps),
        "ttft_s": done.ttft_s,
        "tpot_s": done.tpot_s,
        "e2e_s": done.e2e_s,
        "preemptions": done.preemptions,
    }


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
