"""Laws of a finished run's `summary.json`: its form, its sums, its balances."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sim.errors import LawViolation
from sim.record.laws import check_sum

Json = Mapping[str, Any]
BOUNDARIES: Final = ("chip", "it", "facility")
TOLERANCE: Final = 1e-9
LIMITS: Final = ("energy", "reserve", "interface", "branch", "voltage", "frequency", "swing")
COUNTS: Final = ("requests", "completed", "dropped", "shed", "tokens_in", "tokens_out")

_NUMBER: Final = (int, float)
_MAYBE: Final = (int, float, type(None))
_POWER: Final = {"mean": _NUMBER, "p99": _NUMBER, "max": _NUMBER}
_FORM: Final[Json] = {
    "name": str,
    "seed": int,
    "horizon_s": _NUMBER,
    "energy_j": dict.fromkeys(BOUNDARIES, _NUMBER),
    "power_w": dict.fromkeys(BOUNDARIES, _POWER),
    "sites": dict,
    "grid": {"verdicts": list},
    "assumptions": list,
    "sources": list,
}
_SITE: Final[Json] = {
    "zone": str,
    "gpus": int,
    "energy_j": dict.fromkeys(BOUNDARIES, _NUMBER),
    "power_w": dict.fromkeys(BOUNDARIES, _POWER),
    "causes_w": dict,
    "peak_load_mw": _NUMBER,
    "peak_load_low_mw": _NUMBER,
    "peak_load_high_mw": _NUMBER,
}
_VERDICT: Final[Json] = {
    "limit": str,
    "binds": (bool, type(None)),
    "margin_mw": _MAYBE,
    "at": str,
    "probability": _MAYBE,
    "preexisting": (str, bool, type(None)),
}
_SERVING: Final[Json] = dict.fromkeys(COUNTS, _NUMBER) | {"fleets": dict}
_TRAINING: Final[Json] = {
    "steps": _NUMBER,
    "tokens": _NUMBER,
    "mfu": _MAYBE,
    "goodput_frac": _MAYBE,
    "jobs": dict,
}


@contextmanager
def readable(what: str) -> Iterator[None]:
    """A figure that is missing or of another type is a fault of the file, said in our words."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise LawViolation(f"{what}: cannot be read: {type(error).__name__} {error}") from error


def check_form(summary: Json) -> str:
    """Every key that is used from outside is there and of its type."""
    _check(summary, _FORM, "summary.json")
    for name, site in summary["sites"].items():
        _check(site, _SITE, f"sites.{name}")
    for number, verdict in enumerate(summary["grid"]["verdicts"]):
        place = f"grid.verdicts[{number}]"
        _check(verdict, _VERDICT, place)
        if verdict["limit"] not in LIMITS:
            raise LawViolation(f"schema: {place}.limit is {verdict['limit']!r}")
    for part, form in (("serving", _SERVING), ("training", _TRAINING)):
        if part in summary:
            _check(summary[part], form, part)
    return "schema: every key that is used from outside is there"


def _check(data: object, form: Any, place: str) -> None:
    if not isinstance(form, Mapping):
        if not isinstance(data, form) or (isinstance(data, bool) and bool not in _types(form)):
            raise LawViolation(f"schema: {place} is {data!r}")
        return
    if not isinstance(data, Mapping):
        raise LawViolation(f"schema: {place} is {data!r}, not an object")
    for key, inner in form.items():
        if key not in data:
            raise LawViolation(f"schema: {place} lacks {key!r}")
        _check(data[key], inner, f"{place}.{key}")


def _types(form: Any) -> tuple[type, ...]:
    return form if isinstance(form, tuple) else (form,)


def check_energy(summary: Json) -> str:
    """Order of the boundaries; energy = mean power x time; sites sum to the whole."""
    for place, part in [("the run", summary), *summary["sites"].items()]:
        energy, power = part["energy_j"], part["power_w"]
        if not 0 <= energy["chip"] <= energy["it"] <= energy["facility"]:
            raise LawViolation(f"energy: boundaries of {place} out of order, {energy}")
        for b in BOUNDARIES:
            whole_j = power[b]["mean"] * summary["horizon_s"]
            check_sum(f"{b} energy of {place}", energy[b], [whole_j], TOLERANCE)
            highest = max(power[b]["mean"] * (1 - TOLERANCE), power[b]["p99"])
            if power[b]["max"] < highest:
                raise LawViolation(f"{b} power of {place}: {power[b]}, more than its maximum")
    for b in BOUNDARIES:
        sites_j = [site["energy_j"][b] for site in summary["sites"].values()]
        check_sum(f"{b} energy of the sites", summary["energy_j"][b], sites_j, TOLERANCE)
    return "energy: chip <= it <= facility, mean power x time, sum of the sites"


def check_causes(summary: Json) -> str:
    """Power by cause sums to the meter; the peak lies in its range."""
    for name, site in summary["sites"].items():
        mean_w = site["power_w"]["facility"]["mean"]
        check_sum(f"causes of {name}", mean_w, site["causes_w"].values(), TOLERANCE)
        low, peak, high = (site[f"peak_load{end}_mw"] for end in ("_low", "", "_high"))
        if not low * (1 - TOLERANCE) <= peak <= high * (1 + TOLERANCE):
            raise LawViolation(f"peak of {name}: {peak!r} MW outside {low!r} to {high!r} MW")
    return "causes: they sum to the meter at each site, whose peak lies in its range"


def check_counts(summary: Json) -> str:
    """Requests, tokens and steps of the whole are those of the fleets and jobs."""
    serving, training = summary.get("serving"), summary.get("training")
    if serving:
        for key in COUNTS:
            each = [fleet[key] for fleet in serving["fleets"].values()]
            again = [-f.get("handed_to_it", 0) for f in serving["fleets"].values()]
            came = each + again if key == "requests" else each
            check_sum(f"serving {key}", serving[key], came, TOLERANCE)
            if min(each) < 0:
                raise LawViolation(f"serving {key}: {min(each)!r}, below 0")
        for name, fleet in serving["fleets"].items():
            _check_pools(name, fleet)
    if training:
        for key in ("steps", "tokens"):
            each = [job[key] for job in training["jobs"].values()]
            check_sum(f"training {key}", training[key], each, TOLERANCE)
        for name, job in training["jobs"].items():
            shares = math.fsum(job["time_frac"].values())
            if not shares <= 1 + TOLERANCE or min(job["time_frac"].values(), default=0.0) < 0:
                raise LawViolation(f"time of {name}: shares {job['time_frac']} sum to {shares!r}")
    return "counts: requests, tokens and steps are those of the fleets and jobs"


def _check_pools(name: str, fleet: Json) -> None:
    """Energies of two pools are the fleet's, where all replicas are simulated; none is overbusy."""
    found = fleet.get("disaggregated", {})
    pools = [found[kind] for kind in ("prefill", "decode") if "energy_j" in found.get(kind, {})]
    for pool in [*pools, *([found["link"]] if pools else [])]:
        if not 0 <= pool["busy_frac"] <= 1 + TOLERANCE:
            raise LawViolation(f"pools of {name}: busy {pool['busy_frac']!r} of the time")
    if pools and all(pool["replicas"] == pool["simulated_replicas"] for pool in pools):
        whole_j = fleet["mean_power_w"]["value"] * fleet["window_s"]
        check_sum(f"pools of {name}", whole_j, [pool["energy_j"] for pool in pools], TOLERANCE)
    if found.get("under_way", 0) > found.get("handed_over", 0):
        raise LawViolation(f"{name}: {found['under_way']} caches on links, more than were sent")


def check_supply(summary: Json, one_way_frac: Mapping[str, float]) -> str:
    """What stands behind each meter: in = out, and the battery keeps its energy.

    Args:
        one_way_frac: efficiency of each site's battery, one way.
    """
    found = 0
    for name, part in summary.get("facility", {}).items():
        supply = part.get("supply")
        if not supply:
            continue
        found += 1
        took = ("import", "pv", "wind", "generation", "unserved", "discharged")
        gave = ("facility", "export", "charged")
        into, out = ([supply[f"{key}_mwh"] for key in keys] for keys in (took, gave))
        check_sum(f"supply of {name}, in and out", math.fsum(into), out, TOLERANCE)
        way = one_way_frac[name]
        changes = (
            supply["stored_start_mwh"],
            supply["charged_mwh"] * way,
            -supply["discharged_mwh"] / way,
        )
        check_sum(f"battery of {name}", supply["stored_end_mwh"], changes, 1e-8)
        meter_mwh = summary["sites"][name]["energy_j"]["facility"] / 3.6e9
        check_sum(f"supply of {name} and its meter", supply["facility_mwh"], [meter_mwh], 1e-8)
    return f"supply: {found} behind the meter, in = out, batteries keep their energy"
