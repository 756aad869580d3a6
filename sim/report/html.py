"""The report of a run: one HTML file that opens offline, made from the run's own files.

It prints no wall times, so that it is the same, byte for byte, for the same scenario, seed,
data and version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sim.report.answer_tables import likelihood, made_up, work_tables
from sim.report.basis_tables import assumption_rows, model_errors, warnings
from sim.report.figure_html import figure_html, finding, within
from sim.report.key_figures import key_figures
from sim.report.pages import template
from sim.report.regions_text import view_caption, view_tables
from sim.report.verdict_text import answer_sentence, where_it_binds
from sim.units import MEGA, mw_text

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
        made_up=made_up(summary["sites"]),
        tables=[*work_tables(summary), *_hosting_tables(summary), *view_tables(summary)],
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
