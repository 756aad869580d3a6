"""Services in words and tables: who answered, and what the users of each region saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Found = Mapping[str, Any]
Table = dict[str, Any]

MOST_TARGETS = 4
"""Named in a line of the console; the rest is counted."""
NONE = "–"


def service_lines(summary: Found) -> list[str]:
    """One line for each service: how it was divided, and what users saw."""
    services = (summary.get("serving") or {}).get("services", {})
    return [f"  service {name}: {_words(found)}" for name, found in services.items()]


def _words(found: Found) -> str:
    words = f"{found['requests']:,.0f} requests came, {_division(found['targets'])}"
    ttft, e2e = found["ttft_s"], found["e2e_s"]
    if ttft and e2e:
        words += (
            f"; users see TTFT p50 {ttft['p50']:.3f} s, p99 {ttft['p99']:.3f} s, E2E p50 "
            f"{e2e['p50']:.2f} s, of it {_network_s(found) * 1e3:.0f} ms on the network"
        )
    for name, objective in found["slo"].items():
        if objective["attained_frac"] is not None:
            kept, limit_s = objective["attained_frac"], objective["limit_s"]
            words += f"; {kept:.1%} within {name.removesuffix('_s').upper()} {limit_s:g} s"
    return words


def _division(targets: Found) -> str:
    each = [
        f"{name} {NONE if one['requests_frac'] is None else format(one['requests_frac'], '.0%')}"
        for name, one in targets.items()
    ]
    more = len(each) - MOST_TARGETS
    return ", ".join(each[:MOST_TARGETS]) + (f" and {more} more" if more > 0 else "")


def _network_s(found: Found) -> float:
    """Mean way of what was answered."""
    targets = found["targets"].values()
    done = sum(one["completed"] for one in targets)
    way_s = sum(one["completed"] * one["network_mean_s"] for one in targets)
    return float(way_s / done) if done else 0.0


def service_tables(serving: Found) -> list[Table]:
    """Who answered the requests of each service, and what its users saw; none without services."""
    services = serving.get("services", {}).items()
    latencies = ["TTFT p50 [s]", "TTFT p99 [s]", "E2E p50 [s]", "E2E p99 [s]"]
    targets = [
        [f"{name}: {where}", *_target(one), *_latencies(one)]
        for name, found in services
        for where, one in found["targets"].items()
    ]
    regions = [
        [f"{name}: {region}", f"{one['share_frac']:.1%}", *_latencies(one)]
        for name, found in services
        for region, one in found["regions"].items()
    ]
    objectives = [
        [f"{name}: {key.removesuffix('_s').upper()}", f"{one['limit_s']:g}", _share(one)]
        for name, found in services
        for key, one in found["slo"].items()
    ]
    if not targets:
        return []
    tables = [
        {
            "title": "Services: who answered (latencies as users see them)",
            "header": ["service: fleet", "share", "requests", "network, mean [ms]", *latencies],
            "rows": targets,
        },
        {
            "title": "Services: what users saw",
            "header": ["service: region", "of the requests", *latencies],
            "rows": regions,
        },
    ]
    header = ["service: objective", "limit [s]", "kept, of the completed"]
    return [
        *tables,
        *([{"title": "Objectives", "header": header, "rows": objectives}] if objectives else []),
    ]


def _target(one: Found) -> list[str]:
    return [
        f"{one['share_frac']:.1%}",
        f"{one['requests']:,.0f}",
        f"{one['network_mean_s'] * 1e3:.1f}",
    ]


def _latencies(one: Found) -> list[str]:
    pairs = (("ttft_s", "p50"), ("ttft_s", "p99"), ("e2e_s", "p50"), ("e2e_s", "p99"))
    return [f"{one[key][level]:.3f}" if one[key] else NONE for key, level in pairs]


def _share(objective: Found) -> str:
    kept = objective["attained_frac"]
    return NONE if kept is None else f"{kept:.2%}"
