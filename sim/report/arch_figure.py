"""Figure: FLOPs per token and memory against the context, crossovers marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.errors import InputError
from sim.report.arch_tables import compare
from sim.report.style import DASHES, SERIES_COLOURS, SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PANELS: Final = {
    "flops_per_token": "FLOPs per decoded token [FLOP]",
    "memory_bytes": "weights and cache of one sequence, bf16 [B]",
}


def draw_compare(found: Mapping[str, Any], path: Path) -> None:
    """Two panels, one line an architecture; a dot where two lines cross.

    Args:
        found: the result of `arch_tables.compare`.
    """
    figure = new_figure("page", 76)
    names = list(dict.fromkeys(point["name"] for point in found["points"]))
    for axes, (quantity, label) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        lines = {
            name: [(p["context_tokens"], p[quantity]) for p in found["points"] if p["name"] == name]
            for name in names
        }
        for number, (name, line) in enumerate(lines.items()):
            look = {
                "color": SERIES_COLOURS[number % len(SERIES_COLOURS)],
                "linestyle": DASHES[number % len(DASHES)],
            }
            axes.loglog(*zip(*line, strict=True), label=name, **look)
        for cross in found["crossovers"]:
            if cross["quantity"] == quantity:
                at = (cross["context_tokens"], cross["value"])
                axes.plot(*at, "ko", markersize=4)
                axes.annotate(
                    f"{at[0]:,.0f}", at, xytext=(0, -9), textcoords="offset points",
                    ha="center", va="top", fontsize=SMALL,
                )  # fmt: skip
        axes.set_xlabel("context [token]")
        axes.set_ylabel(label)
    figure.axes[0].legend()
    save(figure, path, found["points"], _finding(found))


def used_architectures(
    summary: Mapping[str, Any], tree: Mapping[str, Any] | None = None
) -> list[str]:
    """Architectures of a run, each once, in the order in which they are named.

    Args:
        tree: the resolved scenario; without it only those of training jobs are known.
    """
    jobs = (summary.get("training") or {"jobs": {}})["jobs"]
    named = [job["arch"] for job in jobs.values()]
    named += [w["arch"] for site in (tree or {}).get("sites", ()) for w in site["workloads"]]
    return list(dict.fromkeys(named))


def draw_architectures(names: Sequence[str], path: Path) -> None:
    """The same for architectures of one run or of several.

    Nothing is drawn of a single one, and of those whose files are elsewhere by now.
    """
    if len(names) < 2:
        return
    try:
        found = compare(names[: len(SERIES_COLOURS)])
    except InputError:
        return
    draw_compare(found, path)


def _finding(found: Mapping[str, Any]) -> str:
    """Where lines cross first, or which stays lowest."""
    crossings = [c for c in found["crossovers"] if c["quantity"] in PANELS]
    if not crossings:
        last = max(point["context_tokens"] for point in found["points"])
        ends = [p for p in found["points"] if p["context_tokens"] == last]
        least = min(ends, key=lambda p: p["flops_per_token"])
        return (
            f"No two lines cross; at {last:,.0f} tokens {least['name']} needs the fewest FLOPs, "
            f"{least['flops_per_token']:.3g} a token."
        )
    first = min(crossings, key=lambda c: c["context_tokens"])
    return (
        f"{len(crossings)} crossovers; the first at {first['context_tokens']:,.0f} tokens, in "
        f"{PANELS[first['quantity']]}."
    )
