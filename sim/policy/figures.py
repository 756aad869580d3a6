"""The figures of a run by which policies are compared."""

from __future__ import annotations

from sim.policy.hosted import hosted
from sim.scenario.schema import Scenario
from sim.scenario.summary import Json
from sim.units import J_PER_MWH, MEGA, S_PER_H

J_PER_KWH = 3.6e6


def figures(summary: Json, scenario: Scenario | None = None) -> Json:
    """The figures of a run.

    Args:
        scenario: what was run; without it, what a zone hosts under a budget is left out.
    """
    sites = summary["sites"].values()
    found: Json = {
        "gpus": sum(s["gpus"] for s in sites),
        "zones": len({s["zone"] for s in sites}),
        "peak_load_mw": sum(s["peak_load_mw"] for s in sites),
        "largest_site_mw": max((s["peak_load_mw"] for s in sites), default=0.0),
        "mean_load_mw": summary["power_w"]["facility"]["mean"] / MEGA,
        "energy_mwh": summary["energy_j"]["facility"] / J_PER_MWH,
        "swing_mw": sum(s["swing_mw"] for s in sites),
        "unserved_mw": summary["grid"].get("unserved_mw"),
        "unserved_mwh": summary["grid"].get("unserved_mwh"),
        "limits_binding": _verdicts(summary, "binds"),
        "limits_indeterminate": _verdicts(summary, "indeterminate"),
    }
    if adequacy := summary["grid"].get("adequacy"):
        found["lole_d_per_y"] = max(row["lole_after_d_per_y"] for row in adequacy)
    for limit, margin in least_margins(summary).items():
        found[f"margin_{limit}_mw"] = margin
    found |= _hosted(summary, scenario) | _training(summary) | _serving(summary)
    found |= _loop(summary) | _facility(summary) | _faults(summary)
    return {key: value for key, value in found.items() if value is not None}


def _verdicts(summary: Json, verdict: str) -> int:
    return sum(v["verdict"] == verdict for v in summary["grid"]["verdicts"])


def least_margins(summary: Json) -> dict[str, float]:
    """The least margin of each assessed limit over all zones, MW."""
    least: dict[str, float] = {}
    for verdict in summary["grid"]["verdicts"]:
        if verdict["margin_mw"] is not None:
            limit = verdict["limit"]
            least[limit] = min(least.get(limit, float("inf")), verdict["margin_mw"])
    return least


def _hosted(summary: Json, scenario: Scenario | None) -> Json:
    """MW that fit in the zones of the sites, with the budget of their rules."""
    hosting = summary["grid"].get("hosting") or {}
    zones = sorted({s["zone"] for s in summary["sites"].values()})
    firm = {z: hosting[z]["hosting_mw"] for z in zones if z in hosting}
    known = {z: mw for z, mw in firm.items() if mw is not None}
    if not known or len(known) < len(zones):
        return {}
    if scenario is None:
        return {"hosted_mw": sum(known.values()), "hosted_curtailed_frac": 0.0}
    found = [hosted(scenario, mw, z) for z, mw in known.items()]
    total_mw = sum(h.mw for h in found)
    curtailed_mw = sum(h.mw * h.curtailed_frac for h in found)
    return {
        "hosted_mw": total_mw,
        "hosted_curtailed_frac": curtailed_mw / total_mw if total_mw else 0.0,
    }


def _training(summary: Json) -> Json:
    training = summary.get("training")
    if not training:
        return {}
    return {
        "training_tokens": training["tokens"],
        "training_mfu": training["mfu"],
        "training_goodput_frac": training["goodput_frac"],
        "days_to_finish": max(j["days_to_finish"] for j in training["jobs"].values()),
    }


def _serving(summary: Json) -> Json:
    serving = summary.get("serving")
    if not serving:
        return {}
    energy = serving["energy_j_per_output_token"]
    found: Json = {
        "requests_completed": serving["completed"],
        "requests_shed": sum(f.get("shed", 0.0) for f in serving["fleets"].values()),
        "output_tokens": serving["tokens_out"],
        "energy_j_per_output_token": energy["facility"] if energy else None,
    }
    for key in ("ttft_s", "tpot_s"):
        if latency := serving.get(key):
            found[f"{key.removesuffix('_s')}_p99_s"] = latency["p99"]
    return found


def _loop(summary: Json) -> Json:
    """What the loop with the grid adds up to, over all sites."""
    control = summary.get("control")
    if not control:
        return {}
    sites = control["sites"].values()

    def total(key: str) -> float:
        return float(sum(site[key] for site in sites))

    hours, grid = summary["horizon_s"] / S_PER_H, summary["grid"]["coupled"]
    told = {
        "price": {"energy_cost_usd": total("cost_usd")},
        "carbon": {"carbon_t": total("carbon_kg") / 1000.0},
    }
    wires = ("over_h", "overload_mwh", "lines_over", "redispatch_usd")
    found = {key: grid[key] for key in wires if grid.get(key) is not None}
    for name in grid["publishes"]:
        found |= told.get(name, {})
    return found | {
        "short_h": max(grid["short_h"].values(), default=0.0),
        "mean_import_mw": total("import_mwh") / hours,
        "restrained_h": max((site["restrained_h"] for site in sites), default=0.0),
        "held_back_mwh": total("held_back_mwh"),
        "relief_mwh": total("relief_mwh"),
        "missed_mwh": total("missed_mwh"),
        "suspended_gpu_h": total("suspended_gpu_h"),
        "largest_rise_mw": max((site["largest_rise_mw"] for site in sites), default=0.0),
        "requests_moved": total("requests_moved_away"),
        "moved_usd": total("moved_usd"),
        "moved_wait_s": total("moved_wait_s"),
        "requests_waiting": total("requests_waiting"),
        "requests_late": total("requests_late"),
    }


def _faults(summary: Json) -> Json:
    """What the faults took off the grid, the work that was lost, and the seconds of the grid."""
    faults = summary.get("faults")
    if not faults:
        return {}
    return {
        "off_grid_mw": faults["off_grid_mw"],
        "gpu_h_lost": faults["gpu_h_lost"],
        "requests_requeued": faults["requests_requeued"],
        "fault_highest_hz": faults["highest_hz"],
        "fault_lowest_hz": faults["lowest_hz"],
        "fault_margin_mw": faults["margin_mw"],
    }


def _facility(summary: Json) -> Json:
    """Bill of a year and water of the run, where the buildings tell them."""
    found: Json = {}
    for name, site in (summary.get("facility") or {}).items():
        water = site.get("cooling", {}).get("water_l_per_kwh_it")
        if water is not None:  # 0 is a figure too
            it_kwh = summary["sites"][name]["energy_j"]["it"] / J_PER_KWH
            found["water_m3"] = found.get("water_m3", 0.0) + water * it_kwh / 1000.0
        if bill := site.get("year", {}).get("cost", {}).get("bill_usd"):
            found["bill_usd_per_year"] = found.get("bill_usd_per_year", 0.0) + bill["total"]
    return found
