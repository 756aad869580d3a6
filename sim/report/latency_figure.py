"""Figure: which share of the requests had their tokens within which time.

Read as attainment: at a target on the time axis, the curve says the share that met it. The
scenario's own objectives are marked, or two published targets where it has none. Without single
requests the quantiles of the summary are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import NullFormatter

from sim.datum import data
from sim.report.style import DASHES, SERIES_COLOURS, SMALL, new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Objectives = Mapping[str, Mapping[str, Mapping[str, float]]]

TARGETS: Final = "validation/latency_targets.yaml"
MEASURES: Final = {
    "ttft_s": "time to first token",
    "tpot_s": "time per output token",
    "e2e_s": "time to last token",
}
SHORT: Final = {"ttft_s": "TTFT", "tpot_s": "TPOT", "e2e_s": "E2E"}
TOLD: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Quantiles that a summary has."""
QUANTILES: Final = ": 50, 90 and 99 % of the requests"
COLOURS: Final = SERIES_COLOURS[:6]
SHARES: Final = np.concatenate([np.arange(0.0, 0.99, 0.01), np.arange(0.99, 1.0001, 0.001)])
"""Shares of the requests at which the time is written and drawn; finer towards the tail."""
LEAST_S: Final = 1e-4
"""Where a logarithmic axis begins at the latest: less than a kernel takes."""


def read_latencies(folder: Path) -> dict[str, dict[str, Floats]]:
    """Fleet -> measure -> seconds of each completed request; empty without `requests.parquet`."""
    path = folder / "requests.parquet"
    if not path.is_file():
        return {}
    import pyarrow.parquet as pq

    timed = ("arrival_s", "first_token_s", "end_s", "output_tokens")
    table = pq.read_table(path, columns=["fleet", "status", *timed])
    fleets = table.column("fleet").to_numpy()
    done = table.column("status").to_numpy() == "completed"
    column = {name: table.column(name).to_numpy().astype(np.float64) for name in timed}
    later = np.maximum(column["output_tokens"] - 1, 1)
    measured = {
        "ttft_s": column["first_token_s"] - column["arrival_s"],
        "tpot_s": np.where(
            column["output_tokens"] > 1,
            (column["end_s"] - column["first_token_s"]) / later,
            np.nan,
        ),
        "e2e_s": column["end_s"] - column["arrival_s"],
    }
    return {
        str(fleet): {
            name: values[done & (fleets == fleet) & np.isfinite(values)]
            for name, values in measured.items()
        }
        for fleet in np.unique(fleets[done])
    }


def attainment_frac(values_s: Floats, target_s: float) -> float:
    """Share of the values at or below a target; 0 to 1."""
    return float(np.count_nonzero(values_s <= target_s) / len(values_s))


def told_latencies(serving: Mapping[str, Any] | None) -> dict[str, dict[str, Floats]]:
    """Fleet -> measure -> seconds at `TOLD`, of the summary's `serving`."""
    found = {}
    for fleet, one in (serving or {"fleets": {}})["fleets"].items():
        known = {m: one.get(m) for m in MEASURES}
        if known["ttft_s"]:
            found[fleet] = {
                measure: np.array([quantiles[q] for q in TOLD] if quantiles else [])
                for measure, quantiles in known.items()
            }
    return found


def draw_latency(
    latencies: Mapping[str, Mapping[str, Floats]],
    path: Path,
    objectives: Objectives,
    *,
    told: bool = False,
) -> None:
    """One panel a measure: share of the completed requests within a time, a line a fleet.

    Args:
        latencies: of each request; with `told`, of the shares of `TOLD`.
        objectives: fleet -> measure -> class -> seconds; empty: the published targets.
    """
    if not any(len(values) for found in latencies.values() for values in found.values()):
        return
    figure = new_figure("page", 66)
    panels = figure.subplots(1, len(MEASURES), sharey=True, gridspec_kw={"wspace": 0.12})
    rows: list[dict[str, Any]] = []
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for number, (fleet, found) in enumerate(latencies.items()):
            if len(found[measure]):
                shares, times_s = _shown(found[measure], told=told)
                axes.plot(
                    np.maximum(times_s, LEAST_S),
                    shares * 100,
                    drawstyle="default" if told else "steps-post",
                    marker="o" if told else "",
                    markersize=4,
                    color=COLOURS[number % len(COLOURS)],
                    linestyle=DASHES[number % len(DASHES)],
                    label=f"{fleet}{QUANTILES if told else ''}" if measure == "ttft_s" else None,
                )
                rows += _rows(fleet, measure, shares, times_s)
        marks = _marks(objectives, measure)
        _mark_targets(axes, marks)
        axes.set_xlim(*_decades(latencies, measure, marks))
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"{title} [s]")
    panels[0].set_ylabel("completed requests within [%]")
    panels[0].set_ylim(0, 103)
    figure.legend(loc="outside lower center", ncols=4)
    finding = _told_finding(latencies) if told else _finding(latencies, objectives)
    save(figure, path, rows, finding)


def _shown(values_s: Floats, *, told: bool) -> tuple[Floats, Floats]:
    """Shares and the times within which they were served."""
    if told:
        return np.array(list(TOLD.values())), values_s
    return SHARES, np.quantile(values_s, SHARES, method="inverted_cdf")


def _decades(
    latencies: Mapping[str, Mapping[str, Floats]], measure: str, targets: Mapping[str, float]
) -> tuple[float, float]:
    """Whole powers of ten around what is shown, so that the axis has at least two marks."""
    shown = [v for found in latencies.values() for v in found[measure]]
    shown += list(targets.values())
    low, high = max(0.9 * min(shown, default=1.0), LEAST_S), max(shown, default=1.0)
    return 10.0 ** np.floor(np.log10(low)), 10.0 ** np.ceil(np.log10(max(high, low) * 1.01))


def _rows(fleet: str, measure: str, shares: Floats, times_s: Floats) -> list[dict[str, Any]]:
    return [
        {"fleet": fleet, "measure": measure, "share_frac": round(float(s), 4), "time_s": float(t)}
        for s, t in zip(shares, times_s, strict=True)
    ]


def _mark_targets(axes: Any, targets: Mapping[str, float]) -> None:
    for name, target_s in targets.items():
        axes.axvline(target_s, color="#595959", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{name} {target_s:g} s",
            (target_s, 2),
            rotation=90,
            ha="right",
            va="bottom",
            fontsize=SMALL,
            color="#595959",
        )


def targets_s(measure: str) -> dict[str, float]:
    """Published targets of a measure [s], by the class of service."""
    prefix = measure.removesuffix("_s")
    return {
        name.removeprefix(f"{prefix}."): figure.value
        for name, figure in data(TARGETS).items()
        if name.startswith(f"{prefix}.")
    }


def objectives_s(tree: Mapping[str, Any] | None) -> dict[str, dict[str, dict[str, float]]]:
    """Fleet -> measure -> class -> objective [s], of a resolved scenario."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for site in (tree or {}).get("sites", ()):
        for workload in site["workloads"]:
            for one in workload.get("classes") or ():
                for measure in ("ttft_s", "tpot_s"):
                    if one.get(f"slo_{measure}") is not None:
                        fleet = found.setdefault(f"{site['name']}.{workload['name']}", {})
                        fleet.setdefault(measure, {})[one["name"]] = one[f"slo_{measure}"]
    return found


def objective_words(objectives: Objectives) -> dict[tuple[str, str], str]:
    """(Fleet, class) -> its objectives in words."""
    words: dict[tuple[str, str], list[str]] = {}
    for fleet, targets in objectives.items():
        for measure, named in targets.items():
            for name, target_s in named.items():
                told = f"{SHORT[measure]} ≤ {target_s:g} s"
                words.setdefault((fleet, name), []).append(told)
    return {key: ", ".join(parts) for key, parts in words.items()}


def _marks(objectives: Objectives, measure: str) -> dict[str, float]:
    """What is marked on the axis of a measure: name -> seconds."""
    if not objectives:
        return targets_s(measure)
    several = len(objectives) > 1
    return {
        f"{fleet} {name}" if several else name: target_s
        for fleet, targets in objectives.items()
        for name, target_s in targets.get(measure, {}).items()
    }


def _finding(latencies: Mapping[str, Mapping[str, Floats]], objectives: Objectives) -> str:
    """Of each fleet the share of all requests that met each target that is its own."""
    published = {measure: targets_s(measure) for measure in MEASURES}
    told = []
    for fleet, found in latencies.items():
        targets = objectives.get(fleet, {}) if objectives else published
        shares = [
            f"{attainment_frac(found[measure], target_s):.1%} have {SHORT[measure]} within "
            f"{target_s:g} s ({name})"
            for measure, named in targets.items()
            if len(found[measure])
            for name, target_s in named.items()
        ]
        if shares and len(found["ttft_s"]):
            told.append(
                f"{fleet}: of all its {len(found['ttft_s']):,} requests {'; '.join(shares)}"
            )
    told.append(
        "Objectives: the scenario's" if objectives else "Targets: MLPerf Inference, Llama 2 70B"
    )
    return f"{'. '.join(told)}."


def _told_finding(latencies: Mapping[str, Mapping[str, Floats]]) -> str:
    told = [
        f"{fleet}: half of the requests have their first token within {found['ttft_s'][0]:.3g} s, "
        f"99 % within {found['ttft_s'][2]:.3g} s"
        for fleet, found in latencies.items()
    ]
    return (
        f"{'. '.join(told)}. Quantiles of the summary: single requests were not recorded "
        "(record.requests: all)."
    )
