"""Figure: how many GPUs each zone hosts before the first limit binds, as a tile map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matplotlib.patches import Patch, Rectangle

from sim.report.style import LIMIT_COLOURS, SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# One tile a zone, roughly where it lies; the rows run from north to south.
_ROWS: Final = (
    "AK . . . . . . . . . . ME",
    ". . . . . . . . . . VT NH",
    ". WA ID MT ND MN IL WI MI NY RI MA",
    ". OR NV WY SD IA IN OH PA NJ CT .",
    ". CA UT CO NE MO KY WV VA MD DE .",
    ". . AZ NM KS AR TN NC SC DC . .",
    ". . . TX-other OK LA MS AL GA . . .",
    "HI . . . TX-ERCOT . . . . FL . .",
)
TILES: Final = {
    zone: (column, row)
    for row, line in enumerate(_ROWS)
    for column, zone in enumerate(line.split())
    if zone != "."
}
SHORT: Final = {"TX-ERCOT": "ERCOT", "TX-other": "TX oth."}


def hosting_rows(hosting: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows (zone, first limit, MW and GPUs with range) of the summary's `grid.hosting`."""
    keys = ("first", "hosting_mw", "low_mw", "high_mw", "gpus", "gpus_low", "gpus_high")
    return [{"zone": zone} | {key: found[key] for key in keys} for zone, found in hosting.items()]


def draw_hosting(
    hosting: Mapping[str, Mapping[str, Any]],
    asked_gpus: Mapping[str, int],
    path: Path,
    finding: str = "",
) -> None:
    """Tile map coloured by the first limit, with thousands of GPUs that fit.

    Args:
        hosting: the summary's `grid.hosting`.
        asked_gpus: GPUs of the scenario by zone; those tiles get a frame.
        finding: what the figure shows.
    """
    figure = new_figure("page", 110)
    axes = figure.add_subplot()
    asked_all = sum(asked_gpus.values())
    for zone, (column, row) in TILES.items():
        found = hosting[zone]
        limit = found["first"] or "none"
        too_many = found["gpus"] is not None and found["gpus"] < asked_all
        axes.add_patch(
            Rectangle(
                (column - 0.47, -row - 0.47),
                0.94,
                0.94,
                facecolor=LIMIT_COLOURS[limit],
                alpha=0.95 if too_many else 0.75,
                edgecolor="black" if zone in asked_gpus else "white",
                linewidth=2.2 if zone in asked_gpus else 0.5,
                hatch="////" if too_many else None,
            )
        )
        text = f"{SHORT.get(zone, zone)}\n{_thousands(found['gpus'])}"
        axes.text(column, -row, text, ha="center", va="center", fontsize=SMALL, linespacing=1.5)
    axes.set_xlim(-0.6, 11.6)
    axes.set_ylim(-7.6, 0.6)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title("GPUs that fit before the first limit binds [thousand], one site at a time")
    figure.legend(handles=_legend(hosting, asked_all), loc="outside lower center", ncols=5)
    save(figure, path, hosting_rows(hosting), finding)


def _thousands(gpus: int | None) -> str:
    return "?" if gpus is None else f"{gpus / 1000:,.0f}"


def _legend(hosting: Mapping[str, Mapping[str, Any]], asked: int) -> list[Patch]:
    found = {h["first"] for h in hosting.values()}
    firsts = [limit for limit in LIMIT_COLOURS if limit in found]
    handles = [Patch(facecolor=LIMIT_COLOURS[limit], alpha=0.75, label=limit) for limit in firsts]
    if None in found:
        handles.append(Patch(facecolor=LIMIT_COLOURS["none"], label="not assessed"))
    handles.append(Patch(facecolor="white", hatch="////", label=f"fewer than {asked:,} fit"))
    return handles
