"""Laws of the services in a finished run's `summary.json`: counts, shares, means, quantiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sim.errors import LawViolation
from sim.record.laws import check_sum
from sim.scenario.schema import Scenario
from sim.scenario.services import Part, divide

Json = Mapping[str, Any]
TOLERANCE: Final = 1e-9
COUNTS: Final = ("completed", "dropped", "shed", "tokens_in", "tokens_out")
FAR: Final = ("ttft_s", "e2e_s")
LEVELS: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def check_services(summary: Json, scenario: Scenario) -> str:
    """Requests of each service are those of its fleets, and its latencies theirs plus the way.

    Raises:
        LawViolation: with the service and the numbers.
    """
    parts = divide(scenario.services, enumerate(scenario.sites))
    told = (summary.get("serving") or {}).get("services", {})
    names = [service.name for service in scenario.services]
    if list(told) != names:
        raise LawViolation(f"services: the summary tells of {list(told)}, the scenario of {names}")
    for name, service in told.items():
        own = {
            f"{site}.{workload}": part
            for (site, workload), part in parts.items()
            if part.service.name == name
        }
        fleets = {one: summary["serving"]["fleets"][one] for one in own}
        _check_counts(name, service, fleets)
        _check_shares(name, service, own)
        _check_ways(name, service, fleets, own)
        for key in ("ttft_s", "tpot_s", "e2e_s"):
            _check_quantiles(f"{key} of service {name}", service, key)
    return f"services: {len(told)}, each request at one fleet, latencies are theirs plus the way"


def _check_counts(name: str, service: Json, fleets: Json) -> None:
    targets = service["targets"]
    if sorted(targets) != sorted(fleets):
        raise LawViolation(f"service {name}: targets {sorted(targets)}, fleets {sorted(fleets)}")
    for key in COUNTS:
        each = [fleet[key] for fleet in fleets.values()]
        check_sum(f"{key} of service {name}", service[key], each, TOLERANCE)
    for one, target in targets.items():
        parts = (target["requests"], target["handed_to_it"])
        check_sum(f"requests at {one}", fleets[one]["requests"], parts, TOLERANCE)
        taken = fleets[one].get("handed_to_it", 0)
        check_sum(f"handed to {one}", taken, [target["handed_to_it"]], TOLERANCE)
    each = [target["requests"] for target in targets.values()]
    check_sum(f"requests of service {name}", service["requests"], each, TOLERANCE)


def _check_shares(name: str, service: Json, parts: Mapping[str, Part]) -> None:
    shares = [target["share_frac"] for target in service["targets"].values()]
    check_sum(f"shares of service {name}", 1.0, shares, TOLERANCE)
    for one, part in parts.items():
        found = service["targets"][one]["share_frac"]
        check_sum(f"share of {one} in service {name}", part.share_frac, [found], TOLERANCE)


def _check_ways(name: str, service: Json, fleets: Json, parts: Mapping[str, Part]) -> None:
    """Mean latencies are those of the fleets plus the mean way, weighted by what they answered."""
    for one, target in service["targets"].items():
        if not target["handed_to_it"]:
            way_s = target["network_mean_s"]
            check_sum(f"way to {one}", parts[one].round_trip_s, [way_s], TOLERANCE)
        for key in FAR:
            if target[key] and fleets[one][key]:
                own = (fleets[one][key]["mean"], target["network_mean_s"])
                check_sum(f"mean {key} of {one}", target[key]["mean"], own, TOLERANCE)
    for key in FAR:
        if service[key]:
            filled = [t for t in service["targets"].values() if t["completed"]]
            whole = math.fsum(t["completed"] for t in filled)
            each = [t["completed"] / whole * t[key]["mean"] for t in filled]
            check_sum(f"mean {key} of service {name}", service[key]["mean"], each, TOLERANCE)


def _check_quantiles(what: str, service: Json, key: str) -> None:
    """They rise, lie between those of the parts, and agree with the share that kept a limit."""
    whole = service[key]
    for split in ("targets", "regions"):
        filled = [part[key] for part in service[split].values() if part[key]]
        for level in LEVELS if whole and filled else ():
            low, high = (end(part[level] for part in filled) for end in (min, max))
            if not low * (1 - TOLERANCE) <= whole[level] <= high * (1 + TOLERANCE):
                raise LawViolation(f"{level} {what}: {whole[level]!r}, {split} {low!r} to {high!r}")
    for place, found in _all(service, key):
        if not found["p50"] <= found["p90"] <= found["p99"]:
            raise LawViolation(f"{what} of {place}: {found}, not in order")
    objective = service["slo"].get(key)
    if objective and whole:
        _check_objective(what, objective, whole)


def _all(service: Json, key: str) -> Iterator[tuple[str, Json]]:
    for split in ("targets", "regions"):
        for name, part in service[split].items():
            if part[key]:
                yield name, part[key]


def _check_objective(what: str, objective: Json, whole: Json) -> None:
    """A quantile within the limit means that its share at least kept it, and the other way."""
    limit_s, frac = objective["limit_s"], objective["attained_frac"]
    for level, share in LEVELS.items():
        if (whole[level] <= limit_s) != (frac >= share * (1 - TOLERANCE)):
            raise LawViolation(
                f"{what}: {frac!r} kept {limit_s!r} s, but {level} is {whole[level]!r} s"
            )
