"""Tables of a serving run beside the main one: classes, prefix stores, the autoscaler."""

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
        "Autoscaler": ["fleet", "replicas, mean", "range", "changes", "loading [s]"],
    }
    rows = zip(heads.items(), (classes, stores, scaled), strict=True)
    return [{"title": title, "header": head, "rows": own} for (title, head), own in rows if own]
