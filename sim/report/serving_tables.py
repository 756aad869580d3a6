"""Tables of a serving run beside the main one: classes, prefix stores, failures, autoscaler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.report.service_text import service_tables
from sim.units import three_digits

Table = dict[str, Any]
Found = Mapping[str, Any]


def serving_tables(serving: Mapping[str, Any]) -> list[Table]:
    """Tables of what the fleets of a summary tell; none where they tell nothing."""
    fleets = serving["fleets"].items()
    tables = [
        {
            "title": "Classes of requests",
            "header": [
                "fleet: class",
                "requests",
                "completed",
                "shed",
                "dropped",
                "in time, of the completed",
            ],
            "rows": [
                [f"{name}: {kind}", *_class(found)]
                for name, fleet in fleets
                for kind, found in fleet.get("classes", {}).items()
            ],
        }
    ]
    for key, (title, header, row) in PARTS.items():
        rows = [[name, *row(fleet[key])] for name, fleet in fleets if fleet.get(key)]
        tables.append({"title": title, "header": ["fleet", *header], "rows": rows})
    return [*service_tables(serving), *(table for table in tables if table["rows"])]


def _class(found: Found) -> list[str]:
    counts = [f"{found[key]:,.0f}" for key in ("requests", "completed", "shed", "dropped")]
    return [*counts, "–" if found["met_frac"] is None else f"{found['met_frac']:.3f}"]


def _store(found: Found) -> list[str]:
    return [
        f"{found['store_blocks']:,} of {found['block_tokens']} tokens",
        f"{found['prompt_tokens']:,}",
        f"{found['hit_tokens']:,}",
        "–" if found["hit_frac"] is None else f"{found['hit_frac']:.1%}",
    ]


def _sessions(found: Found) -> list[str]:
    return [f"{found[key]:,}" for key in ("started", "ended", "cut_short", "turns")]


def _failures(found: Found) -> list[str]:
    return [
        f"{found['replica_mtbf_h']:,.0f}",
        f"{found['count']} ({found['repaired']})",
        f"{found['replicas_down_mean']:.2f} of {found['simulated_replicas']:,}",
        f"{found['requests_requeued']:,}",
    ]


def _autoscaler(found: Found) -> list[str]:
    return [
        f"{found['replicas_mean']:.1f}",
        f"{found['replicas_min']} to {found['replicas_max']}",
        f"{len(found['changes']) - 1}",
        f"{found['load_s']:.1f}",
    ]


def _pools(found: Found) -> list[str]:
    pools, took = (found["prefill"], found["decode"]), found.get("transfer_s")
    draw = " / ".join(f"{p['mean_power_w_per_gpu']:,.0f}" for p in pools) if took else "-"
    busy = " / ".join(f"{p['busy_frac']:.0%}" for p in pools) if took else "-"
    return [
        " / ".join(f"{p['replicas']:,}" for p in pools),
        busy,
        draw,
        f"{three_digits(took['mean'] * 1e3)}, {three_digits(took['p99'] * 1e3)}" if took else "-",
    ]


PARTS: dict[str, tuple[str, list[str], Callable[[Found], list[str]]]] = {
    "sessions": ("Sessions", ["started", "ended", "cut short", "turns"], _sessions),
    "disaggregated": (
        "Prefill and decode replicas",
        ["replicas", "busy", "W a GPU", "cache under way [ms]: mean, p99"],
        _pools,
    ),
    "prefix_cache": (
        "Prefix stores",
        ["blocks of each", "prompt tokens", "from a store", "share"],
        _store,
    ),
    "failures": (
        "Failures of replicas",
        ["hours between, of one", "failures (repaired)", "down, mean", "requests routed again"],
        _failures,
    ),
    "autoscaler": (
        "Autoscaler",
        ["replicas, mean", "range", "changes", "loading [s]"],
        _autoscaler,
    ),
}
"""Key of a fleet's summary -> title, header and row of its table."""
