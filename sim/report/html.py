"""The report of a run: one HTML file that opens offline, made from the run's own files.

It prints no wall times, so that it is the same, byte for byte, for the same scenario, seed,
data and version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sim.report.basis_tables import assumption_rows, model_errors, warnings
from sim.report.figure_html import figure_html, finding, within
from sim.report.key_figures import key_figures
from sim.report.pages import template
from sim.report.power_figure import LABELS, power_rows
from sim.report.regions_text import view_caption, view_tables
from sim.report.serving_tables import serving_tables
from sim.report.verdict_text import answer_sentence, where_it_binds
from sim.units import MEGA, mw_text, si

if TYPE_CHECKING:
    from sim.report.influence import Influence

MANIFEST_KEYS: Final = ("scenario", "hash", "seed", "version")


def render_report(
    summary: Mapping[str, Any],
    manifest: Mapping[str, Any],
    svgs: Mapping[str, str],
    influences: Sequence[Influence] = (),
) -> str:
    """The report as HTML text.

    Args:
        summary: `summary.json`. manifest: `manifest.json` (names, hashes, version).
        svgs: figure name -> SVG text; shown in this order.
        influences: what each assumed figure moves, where that was computed.
    """
    ranged, measured, words = assumption_rows(summary["assumptions"], influences)
    return template("report.html.j2").render(
        name=summary["name"],
        question=summary["question"],
        answer=answer_sentence(summary),
        likely=likelihood(summary),
        warnings=warnings(summary),
        where_binds=where_it_binds(summary),
        key_figures=key_figures(summary),
        readings=[_reading(v) for v in summary["grid"]["verdicts"]],
        figures=within(
            [
                figure_html(name, svg, finding(svg) or caption(name, summary))
                for name, svg in svgs.items()
            ]
        ),
        made_up=_made_up(summary["sites"]),
        tables=[*_work_tables(summary), *_hosting_tables(summary), *view_tables(summary)],
        assumptions=summary["assumptions"],
        ranged=ranged,
        moved=bool(influences),
        trained=any(one.speed_low_frac is not None for one in influences),
        measured=measured,
        words=words,
        errors=model_errors(summary),
        sources=summary["sources"],
        omitted=summary["grid"]["omitted"],
        manifest=[(key, manifest[key]) for key in MANIFEST_KEYS]
        + [(f"sha256 {name}", digest) for name, digest in sorted(manifest["inputs"].items())],
    )


def likelihood(summary: Mapping[str, Any]) -> str:
    """How probable it is that a limit binds, where the assumptions were sampled; else empty.

    The limits are not independent: of several, the chance that any binds lies between the
    largest of their probabilities and the sum of them.
    """
    known = [v for v in summary["grid"]["verdicts"] if v.get("probability") is not None]
    known = [v for v in known if v["margin_mw"] is not None]
    samples = summary["grid"].get("samples")
    if not known or not samples:
        return ""
    most = max(known, key=lambda v: (v["probability"], -v["margin_mw"]))
    near = min(known, key=lambda v: v["margin_mw"])
    over = f"over {samples:,} samples of the assumptions"
    margin = (
        f"The tightest limit, {near['limit']} in {near['zone']}, leaves {near['margin_mw']:,.0f} "
        f"MW ({near['margin_low_mw']:,.0f} to {near['margin_high_mw']:,.0f}, 5th to 95th "
        "percentile)."
    )
    if not most["probability"]:
        # None of n samples: the rule of three bounds the probability.
        bound = f"{min(1.0, 3 / samples):.1%} with 95 % confidence"
        return f"No limit binds in any sample, {over}: probability below {bound}. {margin}"
    top = min(1.0, sum(v["probability"] for v in known))
    chance = f"{most['probability']:.0%}"
    if top > most["probability"]:
        chance += f" to {top:.0%}"
    return (
        f"Probability that a limit binds: {chance}, {over}; likeliest: {most['limit']} in "
        f"{most['zone']} ({most['probability']:.0%}). {margin}"
    )


def _made_up(sites: Mapping[str, Any]) -> dict[str, Any]:
    """How the mean MW at the meter is made up, cause by cause from the chip outward."""
    total: dict[str, float] = {}
    within: dict[str, str] = {}
    for row in power_rows({name: site["causes_w"] for name, site in sites.items()}):
        total[row["cause"]] = total.get(row["cause"], 0.0) + row["power_mw"]
        within[row["cause"]] = row["boundary"]
    whole = sum(total.values())
    rows = [
        [LABELS[c], within[c], mw_text(mw), f"{mw / whole:.1%}" if whole else "–"]
        for c, mw in total.items()
    ]
    rows.append(["all, at the meter", "facility", mw_text(whole), "100.0%"] if whole else [])
    return {
        "title": "How the MW is made up",
        "caption": "Mean power by cause, with the boundary inside which it is counted.",
        "header": ["cause", "boundary it enters", "mean power [MW]", "share"],
        "rows": [row for row in rows if row],
    }


def caption(name: str, summary: Mapping[str, Any]) -> str:
    """A sentence with the finding of a figure."""
    if told := view_caption(name, summary):
        return told
    power = summary["power_w"]
    if name == "power":
        chip, facility = power["chip"]["mean"] / MEGA, power["facility"]["mean"] / MEGA
        return (
            f"Of {mw_text(facility)} MW at the meter, {mw_text(chip)} MW ({chip / facility:.0%}) "
            f"reach the GPUs."
        )
    if name == "hosting":
        return f"{where_it_binds(summary)}. Framed: the places of this scenario."
    return f"{name.replace('_', ' ').capitalize()}."


def _reading(verdict: Mapping[str, Any]) -> dict[str, str]:
    assessed = verdict["margin_mw"] is not None
    return {
        "limit": verdict["limit"],
        "zone": verdict["zone"],
        "answer": verdict["verdict"],
        "margin": f"{verdict['margin_mw']:,.0f}" if assessed else "–",
        "range": f"{verdict['margin_low_mw']:,.0f} to {verdict['margin_high_mw']:,.0f}"
        if assessed
        else "–",
        "probability": f"{verdict['probability']:.2f}" if assessed else "–",
        "at": verdict["at"],
        "detail": verdict["detail"],
        "before": verdict["preexisting"],
    }


def _work_tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables = []
    if training := summary.get("training"):
        header = ["training job", "GPUs", "step [s]", "MFU", "tokens", "days to finish"]
        rows = [
            [
                f"{name} ({job['arch']})",
                f"{job['gpus']:,}",
                f"{job['step_time_s']:.2f}",
                f"{job['mfu']:.1%}",
                si(job["tokens"], ""),
                f"{job['days_to_finish']:,.0f}",
            ]
            for name, job in training["jobs"].items()
        ]
        tables.append({"title": "Training", "header": header, "rows": rows})
        tables += [_parts_table(name, job) for name, job in training["jobs"].items()]
    if serving := summary.get("serving"):
        tables.append(_serving_table(serving))
        tables += serving_tables(serving)
    return tables


def _parts_table(name: str, job: Mapping[str, Any]) -> dict[str, Any]:
    """Where the time and the chip energy of a step go."""
    parts = [p for p in job["step_parts"] if p["time_s"] > 0]
    time_s = sum(p["time_s"] for p in parts)
    energy_j = sum(p["gpu_energy_j"] for p in parts)
    rows = [
        [
            p["name"],
            f"{p['time_s']:.3f}",
            f"{p['time_s'] / time_s:.0%}",
            f"{p['gpu_power_w']:.0f}",
            f"{p['gpu_energy_j'] / energy_j:.0%}",
        ]
        for p in parts
    ]
    header = ["part of a step", "time [s]", "of the time", "GPU power [W]", "of the chip energy"]
    return {"title": f"A step of {name}", "header": header, "rows": rows}


def _serving_table(serving: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        [
            name,
            f"{fleet['completed']:,.0f}",
            f"{fleet['dropped']:,.0f}",
            f"{fleet['tokens_out']:,.0f}",
            *(_seconds(fleet[key], q) for key in ("ttft_s", "tpot_s") for q in ("p50", "p99")),
            fleet["basis"],
        ]
        for name, fleet in serving["fleets"].items()
    ]
    header = [
        "fleet",
        "completed",
        "dropped",
        "output tokens",
        "TTFT p50 [s]",
        "TTFT p99 [s]",
        "TPOT p50 [s]",
        "TPOT p99 [s]",
        "basis",
    ]
    return {"title": "Serving", "header": header, "rows": rows}


def _seconds(latency: Mapping[str, float] | None, quantile: str) -> str:
    return "–" if latency is None else f"{latency[quantile]:.3f}"


def _hosting_tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What fits in each zone; nothing if it was not asked."""
    if not summary["grid"]["hosting"]:
        return []
    rows = [
        [
            zone,
            "–" if h["hosting_mw"] is None else f"{h['hosting_mw']:,.0f}",
            "–" if h["low_mw"] is None else f"{h['low_mw']:,.0f} to {h['high_mw']:,.0f}",
            "–" if h["gpus"] is None else f"{h['gpus']:,}",
            h["first"] or "not assessed",
        ]
        for zone, h in summary["grid"]["hosting"].items()
    ]
    header = ["zone", "fits [MW]", "range [MW]", "GPUs", "first limit"]
    return [{"title": "What fits in each zone", "header": header, "rows": rows}]
