"""Tables of a serving run beside the main one: classes, prefix stores, failures, autoscaler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Table = dict[str, Any]


def serving_tables(serving: Mapping[str, Any]) -> list[Table]:
    """Tables of what the fleets of a summary tell; none where they tell nothing."""
    fleets = serving["fleets"].items()
    classes = [
        [
            f"{name}: {kind}",
            *(f"{found[key]:,.0f}" for key in ("requests", "completed", "shed", "dropped")),
            "–" if found["met_frac"] is None else f"{found['met_frac']:.3f}",
        ]
        for name, fleet in fleets
        for kind, found in fleet.get("classes", {}).items()
    ]
    scaled = [
        [
            name,
            f"{found['replicas_mean']:.1f}",
            f"{found['replicas_min']} to {found['replicas_max']}",
            f"{len(found['changes']) - 1}",
            f"{found['load_s']:.1f}",
        ]
        for name, fleet in fleets
        if (found := fleet.get("autoscaler"))
    ]
    stores = [
        [
            name,
            f"{found['store_blocks']:,} of {found['block_tokens']} tokens",
            f"{found['prompt_tokens']:,}",
            f"{found['hit_tokens']:,}",
            "–" if found["hit_frac"] is None else f"{found['hit_frac']:.1%}",
        ]
        for name, fleet in fleets
        if (found := fleet.get("prefix_cache"))
    ]
    broken = [
        [
            name,
            f"{found['replica_mtbf_h']:,.0f}",
            f"{found['count']} ({found['repaired']})",
            f"{found['replicas_down_mean']:.2f} of {found['simulated_replicas']:,}",
            f"{found['requests_requeued']:,}",
        ]
        for name, fleet in fleets
        if (found := fleet.get("failures"))
    ]
    heads = {
        "Classes of requests": [
            "fleet: class",
            "requests",
            "completed",
            "shed",
            "dropped",
            "in time, of the completed",
        ],
        "Prefix stores": ["fleet", "blocks of each", "prompt tokens", "from a store", "share"],
        "Failures of replicas": [
            "fleet",
            "hours between, of one",
            "failures (repaired)",
            "down, mean",
            "requests routed again",
        ],
        "Autoscaler": ["fleet", "replicas, mean", "range", "changes", "loading [s]"],
    }
    rows = zip(heads.items(), (classes, stores, broken, scaled), strict=True)
    return [{"title": title, "header": head, "rows": own} for (title, head), own in rows if own]
