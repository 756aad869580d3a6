"""The figures that a reader takes away from a run, with their units and intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sim.report.regions_text import view_key_figures
from sim.units import J_PER_MWH, MEGA, mw_text, si, three_digits

Summary = Mapping[str, Any]
Line = tuple[str, str, str, str]
"""Name, value, unit, interval ("" for none)."""


def key_figures(summary: Summary) -> list[dict[str, str]]:
    """Rows `name, value, unit, interval`; the interval is empty where the run holds none."""
    rows = [*_load(summary), *_training(summary), *_serving(summary)] if summary["sites"] else []
    rows += [(name, value, unit, "") for name, value, unit in view_key_figures(summary)]
    return [{"name": n, "value": v, "unit": u, "interval": i} for n, v, u, i in rows]


def _load(summary: Summary) -> list[Line]:
    sites = summary["sites"].values()
    low, high = (sum(s[f"peak_load_{end}_mw"] for s in sites) for end in ("low", "high"))
    peak = mw_text(sum(s["peak_load_mw"] for s in sites))
    rows = [
        ("GPUs", f"{sum(s['gpus'] for s in sites):,}", "GPU", ""),
        ("peak at the meter", peak, "MW", f"{mw_text(low)} to {mw_text(high)}"),
    ]
    for boundary, word in (("chip", "chip"), ("it", "IT"), ("facility", "facility")):
        mean_mw = summary["power_w"][boundary]["mean"] / MEGA
        rows.append((f"mean power, {word} boundary", mw_text(mean_mw), "MW", ""))
    energy_mwh = summary["energy_j"]["facility"] / J_PER_MWH
    rows.append(("energy at the meter", mw_text(energy_mwh), "MWh", ""))
    rows.append(("simulated time", f"{summary['horizon_s'] / 3600:g}", "h", ""))
    return rows


def _training(summary: Summary) -> list[Line]:
    training = summary.get("training")
    if not training:
        return []
    days = max(job["days_to_finish"] for job in training["jobs"].values())
    return [
        ("tokens trained", si(training["tokens"], "").strip(), "token", ""),
        ("MFU of a training step", f"{100 * training['mfu']:.1f}", "%", ""),
        ("goodput of training", f"{100 * training['goodput_frac']:.1f}", "%", ""),
        ("time to finish training", f"{days:,.1f}", "d", ""),
    ]


def _serving(summary: Summary) -> list[Line]:
    """Of a single fleet with its intervals; of several only what adds up."""
    serving = summary.get("serving")
    if not serving:
        return []
    fleets = list(serving["fleets"].values())
    only = fleets[0] if len(fleets) == 1 else None
    completed, made = f"{serving['completed']:,.0f}", si(serving["tokens_out"], "").strip()
    rows = [
        ("requests completed", completed, "request", _span(only, "completed", _whole)),
        ("output tokens", made, "token", _span(only, "tokens_out", _short)),
    ]
    if energy := serving["energy_j_per_output_token"]:
        rows.append(
            ("energy at the meter per output token", three_digits(energy["facility"]), "J", "")
        )
    for key, words in (("ttft_s", "time to first token"), ("tpot_s", "time per output token")):
        for quantile, name in (("p50", "median"), ("p99", "99th percentile")):
            if only and (found := only[key]):
                between = _between(found["interval"][quantile], three_digits)
                rows.append((f"{words}, {name}", three_digits(found[quantile]), "s", between))
    return [*rows, *_services(serving.get("services", {}))]


def _services(services: Mapping[str, Any]) -> list[Line]:
    """What users of each service see, the network included."""
    return [
        (f"{name}: {words} as users see it, {level}", three_digits(found[key][quantile]), "s", "")
        for name, found in services.items()
        for key, words in (("ttft_s", "time to first token"), ("e2e_s", "time to last token"))
        for quantile, level in (("p50", "median"), ("p99", "99th percentile"))
        if found[key]
    ]


def _span(fleet: Mapping[str, Any] | None, key: str, form: Callable[[float], str]) -> str:
    return "" if fleet is None else _between(fleet["interval"][key], form)


def _between(estimate: Mapping[str, Any] | None, form: Callable[[float], str]) -> str:
    """An interval as text; empty where one sample, or all, were simulated."""
    if not estimate or estimate["low"] is None or estimate["low"] == estimate["high"]:
        return ""
    return f"{form(estimate['low'])} to {form(estimate['high'])}"


def _whole(count: float) -> str:
    return f"{count:,.0f}"


def _short(count: float) -> str:
    return si(count, "").strip()
