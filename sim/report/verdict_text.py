"""The verdict of a run on at most twelve lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sim.report.facility_text import facility_lines
from sim.report.loop_text import loop_lines
from sim.report.regions_text import kind_of, view_answer, view_basis, view_lines, view_where
from sim.report.service_text import service_lines
from sim.units import MEGA, mw_text, three_digits

MAX_LINES = 12
WIDTH = 110
CAUSE_WORDS = {
    "chip": "GPUs",
    "host": "host",
    "fans": "fans",
    "psu_loss": "PSU",
    "network": "network",
    "storage": "storage",
    "power_train_loss": "UPS/PDU/transformer",
    "cooling": "cooling",
}


def verdict_lines(summary: Mapping[str, Any]) -> list[str]:
    """The verdict: load by boundary and cause, readings with margins, where it binds, basis."""
    lines: list[str] = []
    if summary["sites"]:
        lines = [_load_line(summary), _cause_line(summary), _work_line(summary)]
    told = [
        *service_lines(summary),
        *facility_lines(summary),
        *loop_lines(summary),
        *view_lines(summary),
    ]
    lines += told
    lines += _reading_lines(summary)
    lines += [
        _cut("Verdict: " + answer_sentence(summary)),
        _cut(where_it_binds(summary), 170),
        _basis(summary),
    ]
    return lines[: MAX_LINES + len(told)]


def _load_line(summary: Mapping[str, Any]) -> str:
    sites = summary["sites"].values()
    gpus = sum(s["gpus"] for s in sites)
    zones = sorted({s["zone"] for s in sites})
    power = summary["power_w"]
    means = ", ".join(f"{b} {mw_text(power[b]['mean'] / MEGA)}" for b in ("chip", "it", "facility"))
    peak = sum(s["peak_load_mw"] for s in sites)
    place = ", ".join(zones) if len(zones) <= 4 else f"{len(zones)} zones"
    return f"{gpus:,} GPUs in {place}: mean MW {means}; peak at the meter {mw_text(peak)} MW"


def _cause_line(summary: Mapping[str, Any]) -> str:
    total: dict[str, float] = {}
    for site in summary["sites"].values():
        for cause, watts in site["causes_w"].items():
            total[cause] = total.get(cause, 0.0) + watts / MEGA
    return (
        "  = "
        + " + ".join(f"{word} {mw_text(total[c])}" for c, word in CAUSE_WORDS.items())
        + " MW"
    )


def _work_line(summary: Mapping[str, Any]) -> str:
    parts = []
    if training := summary.get("training"):
        jobs = training["jobs"].values()
        days = max(job["days_to_finish"] for job in jobs)
        daily = sum(job["failures_per_day"] for job in jobs)
        expected = min(job["goodput_expected_frac"] for job in jobs)
        failing = (
            f"with {daily:,.0f} failures a day and {expected:.0%} goodput"
            if daily
            else "without failures"
        )
        parts.append(
            f"training: MFU {training['mfu']:.0%}, goodput {training['goodput_frac']:.0%}, "
            f"{training['tokens'] / 1e9:,.0f} G tokens in {summary['horizon_s'] / 3600:g} h, "
            f"the whole job {days:,.0f} days {failing}{_whole_run(training.get('run'))}"
        )
    if serving := summary.get("serving"):
        parts.append(_serving_words(serving))
    return "  " + "; ".join(parts)


def _whole_run(run: Mapping[str, Any] | None) -> str:
    """What the whole training run takes at the meter, in carbon and in money."""
    if not run:
        return ""
    words = f", {three_digits(run['energy_gwh']['facility'])} GWh at the meter"
    if run.get("simulated_frac", 1.0) < 1:
        share = three_digits(100 * run["simulated_frac"])
        words += f" (at the mean power of the {share}% of it that were simulated)"
    if run["co2e_t"] is not None:
        words += f", {three_digits(run['co2e_t'] / 1e3)} kt CO2e"
    if run["electricity_usd"] is not None:
        words += f", {three_digits(run['electricity_usd'] / 1e6)} M USD of electricity"
    if run["gpu_rent_usd"] is not None:
        words += f", {three_digits(run['gpu_rent_usd'] / 1e6)} M USD of rented GPUs"
    return words


def _serving_words(serving: Mapping[str, Any]) -> str:
    """Requests with their interval, energy per token, latency, and how many replicas spoke."""
    energy = serving["energy_j_per_output_token"]
    joules = f"{energy['facility']:.2f} J per output token at the meter" if energy else "no output"
    words = f"serving: {serving['completed']:,.0f} requests answered, {joules}"
    if ttft := serving.get("ttft_s"):
        words += f", TTFT p50 {ttft['p50']:.2f} s, p99 {ttft['p99']:.2f} s"
    fleets = list(serving["fleets"].values())
    found = fleets[0]["interval"]["completed"]
    if len(fleets) == 1 and found["low"] is not None:
        between = f"{found['low']:,.0f} to {found['high']:,.0f}, "
        words += f"; {between if found['low'] < found['high'] else ''}{fleets[0]['basis']}"
    return words + _parts_words(fleets) + _fidelity_words(fleets)


def _parts_words(fleets: list[Mapping[str, Any]]) -> str:
    """Both pools, what prefix stores gave and what failures took, where a fleet has them."""
    stores = [fleet["prefix_cache"] for fleet in fleets if fleet.get("prefix_cache")]
    broken = [fleet["failures"] for fleet in fleets if fleet.get("failures")]
    words = "".join(_pools_words(f["disaggregated"]) for f in fleets if f.get("disaggregated"))
    if prompts := sum(store["prompt_tokens"] for store in stores):
        hits = sum(store["hit_tokens"] for store in stores)
        words += f"; {hits / prompts:.0%} of the prompt tokens from prefix stores"
    if broken:
        times, moved = (sum(b[key] for b in broken) for key in ("count", "requests_requeued"))
        words += f"; {times:,.0f} failures, {moved:,.0f} requests routed again"
    return words


def _pools_words(pools: Mapping[str, Any]) -> str:
    """How the replicas are divided, and what the caches' way takes."""
    prefill, decode, took = pools["prefill"], pools["decode"], pools.get("transfer_s")
    words = f"; {prefill['replicas']:,} replicas read prompts, {decode['replicas']:,} decode"
    return words + (f", caches go over in {three_digits(took['mean'] * 1e3)} ms" if took else "")


def _fidelity_words(fleets: list[Mapping[str, Any]]) -> str:
    """Largest measured error of fleets that do not simulate every replica."""
    shown = {"completed": "requests", "energy_j_per_output_token": "J per token",
             "ttft_s_p99": "TTFT p99"}  # fmt: skip
    errors = [fleet["error_frac_against_request"] for fleet in fleets]
    worst = {
        words: max(found[measure]["max"] for found in errors if measure in found)
        for measure, words in shown.items()
        if any(measure in found for found in errors)
    }
    if not worst:
        return ""
    told = ", ".join(f"{error:.0%} on {words}" for words, error in worst.items())
    return f"; against every replica simulated off by up to {told}"


def _reading_lines(summary: Mapping[str, Any]) -> list[str]:
    """One line a limit: the zone with the least room; what was short before stands apart."""
    verdicts = summary["grid"]["verdicts"]
    lines = []
    skipped = []
    for limit in dict.fromkeys(v["limit"] for v in verdicts):
        known = [v for v in verdicts if v["limit"] == limit and v["margin_mw"] is not None]
        if not known:
            skipped.append(limit)
            continue
        worst = min(known, key=lambda v: v["margin_mw"])
        lines.append(
            f"  {limit:<9} {worst['verdict']:<13} margin {worst['margin_mw']:>9,.0f} MW "
            f"({worst['margin_low_mw']:,.0f} to {worst['margin_high_mw']:,.0f}), "
            f"P(binds) {worst['probability']:.2f}, {worst['zone']}{_before(worst)}"
        )
    if skipped:
        lines.append(f"  {', '.join(skipped)}: not assessed by the {kind_of(summary)} view")
    return lines


def _before(verdict: Mapping[str, Any]) -> str:
    """What was short without the load."""
    if verdict["limit"] == "branch" and verdict["preexisting"]:
        return f"; {verdict['preexisting']}"
    if verdict["preexisting_mw"] > 0:
        return f"; {verdict['preexisting_mw']:,.0f} MW short before the load"
    if verdict["short_before_frac"]:
        return f"; short before the load in {verdict['short_before_frac']:.0%} of the samples"
    return ""


def answer_sentence(summary: Mapping[str, Any]) -> str:
    """The answer in one sentence."""
    if told := view_answer(summary):
        return told
    verdicts = summary["grid"]["verdicts"]
    assessed = [v for v in verdicts if v["margin_mw"] is not None]
    if not assessed:
        return "The data cannot tell for this place."
    if binding := _named(verdicts, "binds"):
        return f"It does not fit; what binds: {binding}."
    if unsure := _named(verdicts, "indeterminate"):
        return f"The data cannot tell: {unsure}."
    tightest = min(assessed, key=lambda v: v["margin_mw"])
    return (
        f"It does not bring the grid down; nearest limit is {tightest['limit']} in "
        f"{tightest['zone']}, {tightest['margin_mw']:,.0f} MW away."
    )


def _named(verdicts: list[Any], answer: str) -> str:
    found = sorted({f"{v['limit']} in {v['zone']}" for v in verdicts if v["verdict"] == answer})
    return ", ".join(found)


def where_it_binds(summary: Mapping[str, Any]) -> str:
    """The zones in which the same load at one site would bind."""
    if told := view_where(summary):
        return told
    load_mw = sum(s["peak_load_mw"] for s in summary["sites"].values())
    hosting = summary["grid"]["hosting"]
    if not hosting:
        return "What fits in other zones was not worked out (grid.hosting: true asks for it)"
    known = {z: h for z, h in hosting.items() if h["hosting_mw"] is not None}
    short = {z: h for z, h in known.items() if h["hosting_mw"] < load_mw}
    if not short:
        least = min(known, key=lambda z: known[z]["hosting_mw"])
        return (
            f"One site of {mw_text(load_mw)} MW fits in each of the {len(known)} zones assessed; "
            f"least room: {least}, {known[least]['hosting_mw']:,.0f} MW ({known[least]['first']})"
        )
    named = ", ".join(f"{z} ({h['first']})" for z, h in sorted(short.items()))
    return f"One site of {mw_text(load_mw)} MW would bind in {len(short)} zones: {named}"


def _basis(summary: Mapping[str, Any]) -> str:
    if told := view_basis(summary):
        return told
    return (
        f"Assumed: {len(summary['assumptions'])} figures with ranges, {summary['grid']['samples']} "
        "samples over them; state peaks are derived, not published (see summary.json)"
    )


def _cut(text: str, width: int = 150) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
