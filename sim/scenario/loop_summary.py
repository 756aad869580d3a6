"""What the loop with the grid did, for `summary.json`: by site, and the grid's intervals."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sim.scenario.desk import SiteDesk
from sim.scenario.loop import ControlLoop

Json = dict[str, Any]


def loop_json(loop: ControlLoop) -> Json:
    """`control` of the summary; rules that did nothing are not told apart from no rules."""
    return {
        "interval_s": loop.spec.interval_s,
        "sites": {desk.name: desk_json(desk) for desk in loop.desks},
    }


def desk_json(desk: SiteDesk) -> Json:
    """What a site held back, missed and paid."""
    fluids, whole = desk.fluid_fleets().values(), desk.whole_fleets().values()
    found = asdict(desk.book)
    return found | {
        "requests_moved_away": found.pop("moved"),
        "requests_received": sum(f.ledger.received for f in fluids)
        + sum(f.received for f in whole),
        "requests_late": sum(f.ledger.late for f in fluids),
        "requests_waiting": sum(f.backlog for f in fluids) + sum(f.under_way for f in whole),
    }


def grid_book_json(loop: ControlLoop) -> Json:
    """`grid.coupled` of the summary: means over the run's intervals."""
    book = loop.grid.book
    hours = book.hours or 1.0
    return {
        "publishes": sorted(loop.grid.publishes),
        "hours": book.hours,
        "unserved_mwh": book.unserved_mwh,
        "unserved_before_mwh": book.unserved_before_mwh,
        "short_h": book.short_h,
        "mean_price_usd_per_mwh": {z: v / hours for z, v in book.price_usd_per_mwh_h.items()},
        "highest_price_usd_per_mwh": book.highest_price_usd_per_mwh,
        "highest_carbon_kg_per_mwh": book.highest_carbon_kg_per_mwh,
        "mean_carbon_kg_per_mwh": {z: v / hours for z, v in book.carbon_kg_per_mwh_h.items()},
    } | loop.grid.book_json()
