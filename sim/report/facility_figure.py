"""Figures of the facility: PUE by hour and climate, battery and import by hour, self-supply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.report.style import DASHES, SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json = dict[str, Any]
COLOURS: Final = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#7A7A7A",
    "#000000",
)
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
JULY: Final = 6
MAPS: Final = {
    "pue_by_month_hour": "PUE [facility / IT]",
    "import_by_month_hour_mw": "import from the grid [MW]",
    "state_of_charge_by_month_hour": "battery, stored / nameplate [1]",
}


def draw_facility(facility: Mapping[str, Json], folder: Path) -> None:
    """Draw what the facility part of a summary holds; at most one figure of each kind."""
    years = {name: part["year"] for name, part in facility.items() if "year" in part}
    climates = {name: part["climates"] for name, part in facility.items() if "climates" in part}
    supply = {name: part["self_supply"] for name, part in facility.items() if "self_supply" in part}
    if years:
        draw_year(years, folder / "facility_year.svg")
    if climates:
        draw_climates(next(iter(climates.values())), folder / "pue_by_climate.svg")
    if supply:
        draw_self_supply(next(iter(supply.values())), folder / "self_supply.svg")
    chains = {name: part["chain"] for name, part in facility.items() if "chain" in part}
    if chains:
        draw_chain(chains, folder / "power_chain.svg")


# --- a year ---------------------------------------------------------------------------------


def _maps(year: Json) -> dict[str, Sequence[Sequence[float]]]:
    """The maps by month and hour that a year holds."""
    both = {**year, **year["supply"]}
    found = {key: both[key] for key in MAPS if key in both}
    if "state_of_charge_by_month_hour" not in found and not _varies(year["supply"]):
        found.pop("import_by_month_hour_mw", None)  # it would show the PUE once more
    return found


def _varies(supply: Json) -> bool:
    """True if something but the building shapes the import."""
    return bool(supply["pv_mwh"] or supply["wind_mwh"] or supply["generation_mwh"])


def draw_year(years: Mapping[str, Json], path: Path) -> None:
    """Maps of month and hour of the day, one row of maps for each site."""
    widest = max(len(_maps(year)) for year in years.values())
    figure = new_figure("column" if widest == 1 else "page", 56 * len(years) + 4)
    rows: list[Json] = []
    for line, (site, year) in enumerate(years.items()):
        for place, (key, table) in enumerate(_maps(year).items()):
            axes = figure.add_subplot(len(years), widest, line * widest + place + 1)
            _draw_map(figure, axes, np.array(table), MAPS[key])
            axes.set_title(site if len(years) > 1 else "")
            rows += _map_rows(site, key, table)
    save(figure, path, rows, _extremes(rows))


def _extremes(rows: Sequence[Json]) -> str:
    """When the first quantity is highest and lowest."""
    first = [
        r for r in rows if r["quantity"] == rows[0]["quantity"] and r["site"] == rows[0]["site"]
    ]
    high, low = (pick(first, key=lambda r: r["value"]) for pick in (max, min))
    return (
        f"{rows[0]['site']}: {MAPS[rows[0]['quantity']]} is highest in {high['month']} at "
        f"{high['hour']} h, {high['value']:.3g}, and lowest in {low['month']} at {low['hour']} h, "
        f"{low['value']:.3g} (means of a month and hour)."
    )


def _draw_map(figure: Figure, axes: Axes, table: np.ndarray[Any, Any], label: str) -> None:
    image = axes.imshow(table, aspect="auto", cmap="cividis", extent=(0, 24, 11.5, -0.5))
    axes.set_yticks(range(12), MONTHS)
    axes.set_xticks(range(0, 25, 6))
    axes.set_xlabel("hour of the day,\nlocal standard time [h]")
    figure.colorbar(image, ax=axes, label=label)


def _map_rows(site: str, key: str, table: Sequence[Sequence[float]]) -> list[Json]:
    return [
        {"site": site, "quantity": key, "month": month, "hour": hour, "value": value}
        for month, line in zip(MONTHS, table, strict=True)
        for hour, value in enumerate(line)
    ]


# --- climates -------------------------------------------------------------------------------


def draw_climates(rows: Sequence[Json], path: Path) -> None:
    """PUE by climate and cooling plant (mean and range of the hours); a July day; water."""
    climates = list(dict.fromkeys(row["climate"] for row in rows))
    kinds = list(dict.fromkeys(row["cooling"] for row in rows))
    full = [row for row in rows if row["load_frac"] == max(r["load_frac"] for r in rows)]
    figure = new_figure("page", 124)
    grid = figure.add_gridspec(2, 2, height_ratios=(1.2, 1))
    _draw_ranges(figure.add_subplot(grid[0, :]), full, climates, kinds)
    worst = max(full, key=lambda row: row["pue_max"] - row["pue_min"])["cooling"]
    _draw_july(figure.add_subplot(grid[1, 0]), [r for r in full if r["cooling"] == worst])
    _draw_water(figure.add_subplot(grid[1, 1]), full, climates, kinds)
    keys = ("cooling", "climate", "load_frac", "pue_mean", "pue_min", "pue_max")
    more = ("water_l_per_kwh_it", "peak_mw", "energy_gwh")
    low, high = (pick(full, key=lambda r: r["pue_mean"]) for pick in (min, max))
    told = (
        f"Mean PUE from {low['pue_mean']:.3f} ({low['cooling']}, {low['climate']}) to "
        f"{high['pue_mean']:.3f} ({high['cooling']}, {high['climate']}) at full load."
    )
    save(figure, path, [{key: row[key] for key in (*keys, *more)} for row in rows], told)


def _draw_ranges(
    axes: Axes, rows: Sequence[Json], climates: Sequence[str], kinds: Sequence[str]
) -> None:
    width = 0.7 / len(kinds)
    for number, kind in enumerate(kinds):
        mine = {row["climate"]: row for row in rows if row["cooling"] == kind}
        places = [k + (number - (len(kinds) - 1) / 2) * width for k in range(len(climates))]
        means = [mine[c]["pue_mean"] for c in climates]
        below = [max(0.0, mine[c]["pue_mean"] - mine[c]["pue_min"]) for c in climates]
        above = [max(0.0, mine[c]["pue_max"] - mine[c]["pue_mean"]) for c in climates]
        axes.errorbar(
            places, means, (below, above), fmt="o", color=COLOURS[number], label=kind, capsize=2
        )
    axes.set_xticks(range(len(climates)), climates)
    axes.set_ylabel("PUE, mean and range of the hours [1]")
    axes.legend(ncols=len(kinds), loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_july(axes: Axes, rows: Sequence[Json]) -> None:
    for number, row in enumerate(rows):
        hours = np.arange(24) + 0.5
        july = row["pue_by_month_hour"][JULY]
        axes.plot(
            hours,
            july,
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            label=row["climate"],
        )
    axes.set_xlabel(f"hour of a July day, {rows[0]['cooling']} [h]")
    axes.set_ylabel("PUE, mean of July [1]")
    axes.set_xticks(range(0, 25, 6))
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_water(
    axes: Axes, rows: Sequence[Json], climates: Sequence[str], kinds: Sequence[str]
) -> None:
    width = 0.8 / len(kinds)
    for number, kind in enumerate(kinds):
        litres = [
            next(r for r in rows if r["climate"] == c and r["cooling"] == kind)[
                "water_l_per_kwh_it"
            ]
            for c in climates
        ]
        places = [k + (number - (len(kinds) - 1) / 2) * width for k in range(len(climates))]
        axes.bar(places, litres, width, color=COLOURS[number])
    axes.set_xticks(range(len(climates)), climates, rotation=40, ha="right")
    axes.set_ylabel("water [L per kWh of IT]")


# --- self-supply ----------------------------------------------------------------------------


def draw_self_supply(rows: Sequence[Json], path: Path) -> None:
    """PV, battery and cost by climate and part of the year's energy; what the grid still sees."""
    climates = list(dict.fromkeys(row["climate"] for row in rows))
    targets = list(dict.fromkeys(row["target_frac"] for row in rows))
    panels = (
        ("pv_mw", "PV, AC rating [MW]"),
        ("battery_mwh", "battery [MWh]"),
        ("usd_per_mwh", "cost of own energy [USD/MWh]"),
        ("grid_peak_mw", "highest hour from the grid [MW]"),
    )
    figure = new_figure("page", 110)
    for number, (key, label) in enumerate(panels, start=1):
        axes = figure.add_subplot(2, 2, number)
        _draw_bars(axes, rows, climates, targets, key)
        axes.set_ylabel(label)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(targets))
    keys = ("climate", "target_frac", "reached", "load_mw", "pv_mw", "battery_mwh", "battery_mw")
    more = ("self_supply_frac", "curtailed_frac", "usd_per_mwh", "capital_usd", "land_ha")
    rest = ("grid_peak_mw", "grid_hours", "pv_capacity_factor")
    most = [row for row in rows if row["target_frac"] == max(targets)]
    low, high = (pick(most, key=lambda r: r["usd_per_mwh"]) for pick in (min, max))
    told = (
        f"{max(targets):.0%} of the year's energy from the site's own sun and battery costs "
        f"{low['usd_per_mwh']:,.0f} USD/MWh in {low['climate']}, {high['usd_per_mwh']:,.0f} in "
        f"{high['climate']}; the grid still sees a highest hour of {low['grid_peak_mw']:,.0f} MW "
        f"for a load of {low['load_mw']:,.0f} MW."
    )
    save(figure, path, [{key: row[key] for key in (*keys, *more, *rest)} for row in rows], told)


def _draw_bars(
    axes: Axes, rows: Sequence[Json], climates: Sequence[str], targets: Sequence[float], key: str
) -> None:
    width = 0.8 / len(targets)
    for number, target in enumerate(targets):
        found = {r["climate"]: r for r in rows if r["target_frac"] == target}
        places = [k + (number - (len(targets) - 1) / 2) * width for k in range(len(climates))]
        bars = axes.bar(
            places,
            [found[c][key] for c in climates],
            width,
            color=COLOURS[number],
            label=f"{target:.0%} of the energy",
        )
        axes.bar_label(bars, [f"{found[c][key]:,.0f}" for c in climates], fontsize=SMALL)
    axes.set_xticks(range(len(climates)), climates)


# --- chain ----------------------------------------------------------------------------------


def draw_chain(chains: Mapping[str, Json], path: Path) -> None:
    """Use of each level of the power chain at the run's highest power, with its limit."""
    figure = new_figure("column", 12 + 30 * len(chains))
    rows: list[Json] = []
    for number, (site, chain) in enumerate(chains.items(), start=1):
        axes = figure.add_subplot(len(chains), 1, number)
        levels = chain["levels"]
        used = [level["used_frac"] for level in levels]
        colours = ["#D55E00" if value > 1 else "#0072B2" for value in used]
        axes.barh([level["name"] for level in levels], used, color=colours, height=0.6)
        axes.axvline(1.0, color="black", linewidth=0.8, linestyle="--")
        axes.set_xlim(0, max(1.05, max(used) * 1.08))
        axes.set_xlabel("power at the run's highest / rating [1]")
        axes.invert_yaxis()
        axes.set_title(site if len(chains) > 1 else "")
        rows += [{"site": site, **level} for level in levels]
    full = max(rows, key=lambda row: row["used_frac"])
    told = (
        f"The fullest level is {full['name']} at {full['site']}: {full['used_frac']:.0%} of its "
        "rating at the run's highest power."
    )
    save(figure, path, rows, told)
