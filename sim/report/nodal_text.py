"""What a view over buses and branches says on a terminal and in a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sim.units import mw_text

Grid = Mapping[str, Any]
WAYS: Final = {
    "none/base": "fixed dispatch, base case",
    "none/n1": "fixed dispatch, N-1",
    "dc-opf/base": "redispatch, base case",
    "n1-secure/n1": "secure redispatch, N-1",
}
"""Who redispatches and what must be survived, in words."""


def nodal_lines(grid: Grid) -> list[str]:
    """Lines for the terminal, above the readings."""
    lines = []
    if ways := grid.get("ways"):
        told = ", ".join(
            f"{w['redispatch']}/{w['security']} {w['hosting_mw']:,.0f}{_star(w)}" for w in ways
        )
        lines.append(f"  fits, by redispatch/security [MW]: {told} (* does not hold the load)")
    study = grid.get("study")
    if study is None:
        return lines
    return lines + {
        "hosting-every-bus": _hosting_lines,
        "every-state": _state_lines,
        "cascade": _cascade_lines,
    }[study["kind"]](study)


def _star(way: Mapping[str, Any]) -> str:
    return "*" if way["margin_mw"] < 0 else ""


def _hosting_lines(study: Grid) -> list[str]:
    lines = []
    for way in study["ways"]:
        hosts = ", ".join(
            f"{h['load_mw']:,.0f} MW at {h['buses']:,} ({h['frac']:.0%})" for h in way["hosts"]
        )
        mw = way["hosting_mw"]
        lines.append(
            f"  {way['redispatch']:<9} {way['security']:<4} of {study['buses']:,} buses host "
            f"{hosts}; median {mw['median']:,.0f} MW (p10 {mw['p10']:,.0f}, p90 {mw['p90']:,.0f})"
        )
        if way["joint"]:
            last = way["joint"][-1]
            lines.append(
                f"  {'':<14} the best {last['sites']} at once host {last['total_mw']:,.0f} MW in "
                f"all, the best one alone {way['joint'][0]['total_mw']:,.0f} MW"
            )
    return lines


def _cutoff_words(cutoff: float) -> str:
    if not cutoff:
        return "every limit counts"
    return f"limits that feel under {cutoff:.0%} of the load left out, an assumed cut-off"


def cutoffs(study: Grid) -> list[float]:
    """Least effects of a study of every state, in order."""
    return sorted({float(row["least_effect_frac"]) for row in study["states"]})


def _state_lines(study: Grid) -> list[str]:
    lines = []
    for cutoff in cutoffs(study):
        rows = [row for row in study["states"] if row["least_effect_frac"] == cutoff]
        looked = sum(row["buses_looked_at"] for row in rows)
        some = sum(row["hosts_n1_frac"] > 0 for row in rows)
        most = sum(row["hosts_n1_frac"] >= 0.5 for row in rows)
        base = sum(row["hosts_base_frac"] >= 0.5 for row in rows)
        lines.append(
            f"  {_cutoff_words(cutoff)}: {study['load_mw']:,.0f} MW hold at N-1 at some bus in "
            f"{some} of {len(rows)} states, at half of the buses in {most} (base case: {base}); "
            f"{looked:,} buses of {study['least_kv']:g} kV and more"
        )
        lines.append(f"    least room: {_least(rows)}; most: {_least(rows, most=True)}")
    return lines


def _least(rows: list[Mapping[str, Any]], *, most: bool = False, count: int = 4) -> str:
    ordered = sorted(rows, key=lambda row: row["median_n1_mw"], reverse=most)
    return ", ".join(f"{row['state']} {row['median_n1_mw']:,.0f} MW" for row in ordered[:count])


def _cascade_lines(study: Grid) -> list[str]:
    bare, worst = study["cascades"][0], study["worst"]
    followed = study["cascades"][1:]
    losing = [row for row in followed if row["lost_mw"] > 0]
    over = study["overloaded_before_any_outage"]
    lines = [
        (
            f"  {study['load_mw']:,.0f} MW connected: {len(over)} branches over their rating "
            f"before any outage{_worst_loading(over)}; without an outage {_lost(bare)}"
        ),
        (
            f"  {len(followed)} outages followed: {len(losing)} lose load; worst: outage of "
            f"{worst['cascade']} {_lost(worst)} (without the new load "
            f"{worst['lost_without_the_load_mw']:,.0f} MW)"
        ),
    ]
    if first := study["redispatch_first"]:
        most_mw = max(row["lost_after_redispatch_mw"] for row in study["cascades"])
        lines.append(
            f"  after the best redispatch for the base case {first['unserved_mw']:,.0f} MW cannot "
            f"be served at all; the worst outage then loses {most_mw:,.0f} MW more"
        )
    if study["islands"]["separated"]:
        lines.append(_island_line(study["islands"]))
    if chance := study["monte_carlo"]:
        most = max(chance, key=lambda row: row["lost_mean_mw"])
        lines.append(
            f"  with hidden failures ({most['runs']} runs each): worst {most['cascade']}, mean "
            f"{most['lost_mean_mw']:,.0f} MW, p95 {most['lost_p95_mw']:,.0f} MW lost"
        )
    return lines


def _island_line(islands: Mapping[str, Any]) -> str:
    told = (
        f"  {islands['separated']} islands separate (what is left of the grid counted), "
        f"{islands['walked']} with machines and load"
    )
    if islands["lowest_hz"] is not None:
        told += (
            f": they swing between {islands['lowest_hz']:.2f} and {islands['highest_hz']:.2f} Hz, "
            f"{islands['ufls_mw']:,.0f} MW shed"
        )
    return told + (
        f"; {islands['collapsed']} collapse; in {islands['seconds_and_rule_differ']} the rule of "
        "rest states, which decides the figures above, says otherwise"
    )


def _worst_loading(over: list[Mapping[str, Any]]) -> str:
    return f" (worst at {over[0]['loading_frac']:.0%})" if over else ""


def _lost(row: Mapping[str, Any]) -> str:
    if not row["lost_mw"]:
        return f"{row['branches_lost']} branches trip, no load is lost"
    return (
        f"{row['branches_lost']} branches trip in {row['depth']} stages, {row['lost_mw']:,.0f} MW "
        f"lost ({row['lost_frac']:.1%})"
    )


def nodal_answer(grid: Grid, has_sites: bool) -> str | None:
    """The answer of a study, None where the readings of the sites answer."""
    study = grid.get("study")
    if study is None or (has_sites and study["kind"] != "cascade"):
        return None
    if study["kind"] == "cascade":
        worst = study["worst"]
        if not worst["lost_mw"]:
            return "No load is lost in any of the cascades followed."
        return (
            f"Connected anyway, the worst case loses {worst['lost_mw']:,.0f} MW "
            f"({worst['lost_frac']:.1%} of the load)."
        )
    if study["kind"] == "every-state":
        parts = []
        for cutoff in cutoffs(study):
            rows = [row for row in study["states"] if row["least_effect_frac"] == cutoff]
            some = sum(row["hosts_n1_frac"] > 0 for row in rows)
            parts.append(f"{some} of {len(rows)} ({_cutoff_words(cutoff)})")
        return (
            f"On the synthetic grid {study['load_mw']:,.0f} MW hold at N-1 at some bus in "
            f"{'; '.join(parts)} states."
        )
    parts = [
        f"{way['hosts'][0]['buses']:,} ({way['redispatch']}, {way['security']})"
        for way in study["ways"]
    ]
    return (
        f"{study['load_mw'][0]:,.0f} MW fit at {', '.join(parts)} of {study['buses']:,} buses: who "
        "redispatches and what must be survived decide."
    )


def nodal_where(grid: Grid) -> str:
    """The line about what was over before, and whose grid it is."""
    count = grid["preexisting_count"]
    how = grid["conventions"]["preexisting_violations"]
    before = f"{count} limits are over before any load ({how})" if count else "No limit is over"
    return f"{before}; {grid['case']} is a test system, not a real grid"


def nodal_basis(grid: Grid, assumed: int) -> str:
    """What the figures rest on."""
    said = grid["conventions"]
    return (
        f"Conventions: redispatch {said['redispatch']}, security {said['security']}, emergency "
        f"factor {said['emergency_factor']:g}, susceptance {said['susceptance']}; {assumed} "
        "assumptions (summary.json)"
    )


def nodal_key_figures(grid: Grid) -> list[tuple[str, str, str]]:
    """The figures that a reader takes away."""
    rows = [("limits over before any load", f"{grid['preexisting_count']:,}", "limits")]
    for way in grid.get("ways", []):
        label = f"fits, redispatch {way['redispatch']}, {way['security']}"
        rows.append((label, mw_text(way["hosting_mw"]), "MW"))
    study = grid.get("study") or {}
    for way in study.get("ways", []):
        label = f"median bus, redispatch {way['redispatch']}, {way['security']}"
        rows.append((label, mw_text(way["hosting_mw"]["median"]), "MW"))
    if study.get("kind") == "cascade":
        rows.append(("load before", mw_text(study["first_load_mw"]), "MW"))
        rows.append(("worst loss", mw_text(study["worst"]["lost_mw"]), "MW"))
    return rows


def nodal_tables(grid: Grid) -> list[dict[str, Any]]:
    """Tables of a report."""
    study = grid.get("study")
    if study is None:
        return []
    return {
        "hosting-every-bus": _hosting_tables,
        "every-state": _state_tables,
        "cascade": _cascade_tables,
    }[study["kind"]](study)


def _hosting_tables(study: Grid) -> list[dict[str, Any]]:
    header = ["group", "buses", "p10 [MW]", "median [MW]", "p90 [MW]", "host 150 MW", "host 1 GW"]
    tables = []
    for way in study["ways"]:
        for key, word in (("by_kv", "kV"), ("by_area", "area")):
            rows = [
                [f"{word} {row['group']:g}" if word == "area" else f"{row['group']:g} {word}",
                 f"{row['buses']:,}", f"{row['p10_mw']:,.0f}", f"{row['median_mw']:,.0f}",
                 f"{row['p90_mw']:,.0f}", f"{row['hosts_150_mw_frac']:.0%}",
                 f"{row['hosts_1000_mw_frac']:.0%}"]
                for row in way[key]
            ]  # fmt: skip
            by = "voltage" if word == "kV" else word
            title = f"Hosting by {by}: {WAYS.get(way['way'], way['way'])}"
            tables.append({"title": title, "header": header, "rows": rows})
    return tables


def _state_tables(study: Grid) -> list[dict[str, Any]]:
    header = ["state", "buses", "base, median [MW]", "N-1, least [MW]", "N-1, median [MW]",
              "N-1, most [MW]", f"host {study['load_mw']:,.0f} MW at N-1"]  # fmt: skip
    tables = []
    for cutoff in cutoffs(study):
        rows = [
            [row["state"], f"{row['buses_looked_at']} of {row['buses_at_voltage']}",
             *(f"{row[key]:,.0f}" for key in
               ("median_base_mw", "least_n1_mw", "median_n1_mw", "most_n1_mw")),
             f"{row['hosts_n1_frac']:.0%}"]
            for row in study["states"] if row["least_effect_frac"] == cutoff
        ]  # fmt: skip
        title = f"Every state, synthetic grid: {_cutoff_words(cutoff)}"
        tables.append({"title": title, "header": header, "rows": rows})
    return tables


def _cascade_tables(study: Grid) -> list[dict[str, Any]]:
    header = ["first outage", "branches lost", "stages", "islands", "lowest [Hz]", "lost [MW]",
              "lost [%]", "lost without the load [MW]", "lost after redispatch [MW]"]  # fmt: skip
    rows = [
        [row["cascade"], f"{row['branches_lost']:,}", f"{row['depth']}", f"{row['islands']}",
         f"{row['lowest_hz']:.2f}", f"{row['lost_mw']:,.0f}", f"{row['lost_frac']:.1%}",
         f"{row['lost_without_the_load_mw']:,.0f}",
         f"{row['lost_after_redispatch_mw']:,.0f}" if study["redispatch_first"] else "-"]
        for row in study["cascades"]
    ]  # fmt: skip
    tables = [{"title": "Cascades with the load connected", "header": header, "rows": rows}]
    if study["monte_carlo"]:
        header = ["first outage", "runs", "lose load", "mean [MW]", "p95 [MW]", "most [MW]"]
        rows = [
            [row["cascade"], f"{row['runs']}", f"{row['loses_load_frac']:.0%}",
             *(f"{row[key]:,.0f}" for key in ("lost_mean_mw", "lost_p95_mw", "lost_max_mw"))]
            for row in study["monte_carlo"]
        ]  # fmt: skip
        tables.append({"title": "With hidden failures", "header": header, "rows": rows})
    return tables
