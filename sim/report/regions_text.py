"""What a view over a year, or over seconds, says on a terminal and at the head of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sim.grid.wording import NOT_HISTORY
from sim.report.nodal_text import (
    nodal_answer,
    nodal_basis,
    nodal_key_figures,
    nodal_lines,
    nodal_tables,
    nodal_where,
)

VIEWS: Final = ("regions", "dynamic")


def kind_of(summary: Mapping[str, Any]) -> str:
    """The kind of view behind a summary; the peak-hour views name none."""
    return str(summary["grid"].get("kind", "zonal"))


def view_lines(summary: Mapping[str, Any]) -> list[str]:
    """Lines for the terminal; none for a view of peak hours."""
    if kind_of(summary) == "nodal":
        return nodal_lines(summary["grid"])
    kind, grid = kind_of(summary), summary["grid"]
    if kind == "regions":
        return _year_lines(grid)
    return _second_lines(grid) if kind == "dynamic" else []


def view_answer(summary: Mapping[str, Any]) -> str | None:
    """The answer where there is no site to judge, None where the readings answer."""
    if kind_of(summary) == "nodal":
        return nodal_answer(summary["grid"], bool(summary["sites"]))
    kind, grid = kind_of(summary), summary["grid"]
    if kind == "regions" and not summary["sites"]:
        return (
            f"In {grid['year']}, {grid['unserved_frac']:.6%} of the load is not served "
            f"({grid['unserved_mwh']:,.0f} MWh in {grid['unserved_h']} h; no new load is in it, "
            f"and it is {NOT_HISTORY}: {_years(grid)})."
        )
    if kind == "dynamic":
        return _seconds_answer(grid, summary)
    return None


def view_basis(summary: Mapping[str, Any]) -> str | None:
    """What the figures rest on, None for a view of peak hours."""
    if kind_of(summary) == "nodal":
        return nodal_basis(summary["grid"], len(summary["assumptions"]))
    kind, grid = kind_of(summary), summary["grid"]
    if kind not in VIEWS:
        return None
    return (
        f"Marked: {len(grid['not_primary'])} of the figures used come from no source that was read "
        f"itself or are assumed (grid.not_primary); {grid['samples']} samples over the ranges"
    )


def view_where(summary: Mapping[str, Any]) -> str | None:
    """The line that says where it binds, None for a view of peak hours."""
    if kind_of(summary) == "nodal":
        return nodal_where(summary["grid"])
    kind, grid = kind_of(summary), summary["grid"]
    if kind == "regions":
        return _congestion(grid)
    if kind == "dynamic":
        return (
            f"Over the ranges: highest {grid['zenith_p5_hz']:.3f} to {grid['zenith_p95_hz']:.3f} "
            f"Hz, lowest {grid['nadir_p5_hz']:.3f} to {grid['nadir_p95_hz']:.3f} Hz"
        )
    return None


# -- a year


def _years(grid: Mapping[str, Any]) -> str:
    return f"load of {grid['year']}, wind and sun of {grid['weather_year']}"


def _year_lines(grid: Mapping[str, Any]) -> list[str]:
    price = grid["price_usd_per_mwh"]
    lines = [
        (
            f"{grid['hours']:,} h of {grid['year']} (wind, sun, water of {grid['weather_year']}): "
            f"price {price['load_weighted']:.1f} USD/MWh (p99 {price['p99']:.0f}, most "
            f"{price['max']:,.0f}), unserved {grid['unserved_mwh']:,.0f} MWh in "
            f"{grid['unserved_h']} h ({grid['unserved_before_mwh']:,.0f} MWh without the sites; "
            f"{NOT_HISTORY}), CO2 {grid['co2_t'] / 1e6:,.1f} Mt"
        )
    ]
    if change := grid.get("change"):
        lines.append(_change_line(change))
    if grid.get("adequacy"):
        lines.append(_lole_line(grid["adequacy"]))
    if grid["site_curtailed_mwh"] or grid.get("flexibility"):
        lines.append(_curtailment_line(grid))
    return lines


def _change_line(change: Mapping[str, Any]) -> str:
    prices = change["price_usd_per_mwh"]
    most = max(prices, key=lambda zone: prices[zone])
    return (
        f"  the sites add {change['added_mwh'] / 1e6:,.2f} TWh: unserved "
        f"{change['unserved_mwh']:+,.0f} MWh on {change['unserved_before_mwh']:,.0f}, "
        f"price {prices[most]:+.2f} USD/MWh in {most}, "
        f"CO2 {change['co2_kg_per_added_mwh'] or 0:,.0f} kg per MWh added"
    )


def _lole_line(rows: list[Mapping[str, Any]]) -> str:
    parts = [
        f"{row['interconnection']} {_days(row['lole_before_d_per_y'])} to "
        f"{_days(row['lole_after_d_per_y'])} ({row['verdict']})"
        for row in rows
    ]
    return f"  LOLE d/y before and after, no limits inside: {', '.join(parts)}"


def _days(lole: float) -> str:
    """Below a day in a million years the figure says nothing."""
    return f"{lole:.3g}" if lole >= 1e-6 else "<1e-6"


def _curtailment_line(grid: Mapping[str, Any]) -> str:
    text = (
        f"  curtailed in the dispatch {grid['site_curtailed_mwh']:,.0f} MWh in "
        f"{grid['site_curtailed_h']} h"
    )
    known = [row for row in grid.get("flexibility", []) if "curtailed_h_per_y" in row]
    if known:
        most = max(known, key=lambda row: row["curtailed_h_per_y"])
        text += (
            f"; to stay under past peaks of {most['region']}: {most['curtailed_h_per_y']:.1f} h/y "
            f"({most['curtailment_frac']:.3%} of its energy)"
        )
    return text


def _congestion(grid: Mapping[str, Any]) -> str:
    rows = sorted(grid["interfaces"], key=lambda row: -row["rent_usd"])[:3]
    named = ", ".join(f"{r['from']}-{r['to']} {r['full_h']:,} h" for r in rows if r["full_h"])
    return f"At their limit, dearest first: {named}" if named else "No interface is at its limit"


# -- seconds


def _second_lines(grid: Mapping[str, Any]) -> list[str]:
    high = "published" if grid["highest_is_published"] else "assumed"
    low = f"{grid['lowest_hz']:g}" if grid["lowest_hz"] else "not found"
    lines = [
        (
            f"{grid['interconnection']}: {grid['inertia_gws']:,.0f} GW s, load "
            f"{grid['load_mw']:,.0f} MW; highest {grid['zenith_hz']:.3f} Hz (limit "
            f"{grid['highest_hz']:g}, {high}), lowest {grid['nadir_hz']:.3f} Hz (first load "
            f"shedding {low})"
        ),
        (
            f"  settles at {grid['settled_hz']:.3f} Hz, ROCOF {grid['rocof_hz_per_s']:+.3f} Hz/s, "
            f"load shed {grid['ufls_mw']:,.0f} MW{_trips(grid)}"
        ),
    ]
    lines += [_tie_line(row) for row in grid.get("oscillation", [])]
    return lines


def _trips(grid: Mapping[str, Any]) -> str:
    trips = [f"{t['name']} {t['mw']:,.0f} MW at {t['time_s']:.1f} s" for t in grid["trips"]]
    return f"; acted: {', '.join(trips)}" if trips else ""


def _tie_line(row: Mapping[str, Any]) -> str:
    return (
        f"  pulse of {row['pulse_mw']:,.0f} MW at {row['pulse_hz']:.3g} Hz: "
        f"{row['tie_mw']:,.1f} MW on the tie between areas, "
        f"{row['tie_at_resonance_mw']:,.0f} MW at the mode of {row['mode_hz']:g} Hz (assumed)"
    )


def _seconds_answer(grid: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """A sentence on the frequency; the readings say the rest."""
    found = next(v for v in summary["grid"]["verdicts"] if v["limit"] == "frequency")
    words = {
        "binds": "It passes a limit of the frequency",
        "holds": "The frequency stays within its limits",
        "indeterminate": "The data cannot tell whether the frequency stays within its limits",
    }[found["verdict"]]
    worst = max(abs(grid["zenith_hz"] - 60), abs(60 - grid["nadir_hz"]))
    room = found["margin_mw"]
    left = f"{room:,.0f} MW of room" if room >= 0 else f"{-room:,.0f} MW too much"
    return f"{words}: {worst:.3f} Hz from 60 Hz, {left}."


# -- for the report


def view_caption(name: str, summary: Mapping[str, Any]) -> str | None:
    """The finding of a figure of these views, None for another figure."""
    grid = summary["grid"]
    if name == "prices":
        means = {z: sum(w) / len(w) for z, w in grid["weeks"]["price_usd_per_mwh"].items()}
        dear, cheap = max(means, key=lambda z: means[z]), min(means, key=lambda z: means[z])
        return (
            f"Mean price from {means[cheap]:.1f} USD/MWh in {cheap} to {means[dear]:.1f} USD/MWh "
            f"in {dear}."
        )
    if name == "congestion":
        return f"{_congestion(grid)}."
    if name == "frequency":
        return _seconds_answer(grid, summary)
    return None


def view_key_figures(summary: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and unit of what a reader takes away from these views."""
    if kind_of(summary) == "nodal":
        return nodal_key_figures(summary["grid"])
    kind, grid = kind_of(summary), summary["grid"]
    if kind == "regions":
        price = grid["price_usd_per_mwh"]["load_weighted"]
        return [
            ("price, weighted by load", f"{price:.2f}", "USD/MWh"),
            (f"unserved energy ({NOT_HISTORY})", f"{grid['unserved_mwh']:,.0f}", "MWh"),
            ("the same without the sites", f"{grid['unserved_before_mwh']:,.0f}", "MWh"),
            ("hours with unserved energy", f"{grid['unserved_h']:,}", "h"),
            ("curtailed energy of the sites", f"{grid['site_curtailed_mwh']:,.0f}", "MWh"),
            ("CO2 at the stack", f"{grid['co2_t'] / 1e6:,.1f}", "Mt"),
        ]
    if kind == "dynamic":
        return [
            ("highest frequency", f"{grid['zenith_hz']:.3f}", "Hz"),
            ("lowest frequency", f"{grid['nadir_hz']:.3f}", "Hz"),
            ("settled frequency", f"{grid['settled_hz']:.3f}", "Hz"),
            ("rate of change of frequency", f"{grid['rocof_hz_per_s']:+.4f}", "Hz/s"),
            ("load shed", f"{grid['ufls_mw']:,.0f}", "MW"),
        ]
    return []


def view_tables(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables of these views; the figures that were not read from a primary source come last."""
    if kind_of(summary) == "nodal":
        return nodal_tables(summary["grid"])
    kind, grid = kind_of(summary), summary["grid"]
    if kind not in VIEWS:
        return []
    tables = _year_tables(grid) if kind == "regions" else []
    marked = {
        "title": "Figures without a primary source",
        "header": ["figure"],
        "rows": [[text] for text in grid["not_primary"]],
    }
    return [*tables, marked]


def _year_tables(grid: Mapping[str, Any]) -> list[dict[str, Any]]:
    zones = [
        [
            row["zone"],
            f"{row['load_mwh'] / 1e6:,.1f}",
            f"{row['site_mw']:,.0f}",
            f"{row['price_mean_usd_per_mwh']:.1f}",
            f"{row['unserved_mwh']:,.0f}",
            f"{row['unserved_before_mwh']:,.0f}",
            f"{row['net_import_mwh'] / 1e6:+,.1f}",
            f"{row['co2_t'] / 1e6:,.1f}",
            f"{row['co2_marginal_kg_per_mwh']:,.0f}",
        ]
        for row in grid["zones"]
    ]
    header = [
        "zone",
        "load [TWh]",
        "sites [MW]",
        "price [USD/MWh]",
        "unserved [MWh]",
        "without the sites [MWh]",
        "net import [TWh]",
        "CO2 [Mt]",
        "marginal [kg/MWh]",
    ]
    title = f"Zones in {grid['year']} (unserved energy is {NOT_HISTORY})"
    tables = [{"title": title, "header": header, "rows": zones}]
    if grid.get("adequacy"):
        tables.append(_adequacy_table(grid["adequacy"]))
    return tables


def _adequacy_table(rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "title": "Shortage by interconnection, no limits inside, independent outages",
        "header": ["interconnection", "new load [MW]", "LOLE before", "LOLE after", "answer"],
        "rows": [
            [
                row["interconnection"],
                f"{row['load_mw']:,.0f}",
                _days(row["lole_before_d_per_y"]),
                _days(row["lole_after_d_per_y"]),
                row["verdict"],
            ]
            for row in rows
        ],
    }
