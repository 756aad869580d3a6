"""Figure: which share of the requests had their tokens within which time.

Read as attainment: at a target on the time axis, the curve says the share that met it. Two
published targets are marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import NullFormatter

from sim.datum import data
from sim.report.style import new_figure, save

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TARGETS: Final = "validation/latency_targets.yaml"
MEASURES: Final = {
    "ttft_s": "time to first token",
    "tpot_s": "time per output token",
    "e2e_s": "time to last token",
}
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES: Final = ("-", "--", "-.", ":")
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

    table = pq.read_table(path)
    fleets = np.array(table.column("fleet").to_pylist())
    done = np.array(table.column("status").to_pylist()) == "completed"
    column = {
        name: table.column(name).to_numpy().astype(np.float64)
        for name in ("arrival_s", "first_token_s", "end_s", "output_tokens")
    }
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


def draw_latency(latencies: Mapping[str, Mapping[str, Floats]], path: Path) -> None:
    """One panel a measure: share of the completed requests within a time, a line a fleet."""
    if not any(len(values) for found in latencies.values() for values in found.values()):
        return
    figure = new_figure(7.6, 3.2)
    panels = figure.subplots(1, len(MEASURES), sharey=True)
    rows: list[dict[str, Any]] = []
    for axes, (measure, title) in zip(panels, MEASURES.items(), strict=True):
        for number, (fleet, found) in enumerate(latencies.items()):
            if len(found[measure]):
                times_s = np.quantile(found[measure], SHARES, method="inverted_cdf")
                axes.step(
                    np.maximum(times_s, LEAST_S),
                    SHARES * 100,
                    where="post",
                    color=COLOURS[number % len(COLOURS)],
                    linestyle=DASHES[number % len(DASHES)],
                    label=fleet if measure == "e2e_s" else None,
                )
                rows += _rows(fleet, measure, times_s)
        _mark_targets(axes, measure)
        axes.set_xlim(*_decades(latencies, measure))
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(f"{title} [s]")
    panels[0].set_ylabel("completed requests within [%]")
    panels[0].set_ylim(0, 103)
    figure.legend(loc="outside lower center", ncols=4, fontsize=7.5)
    save(figure, path, rows, _finding(latencies))


def _decades(latencies: Mapping[str, Mapping[str, Floats]], measure: str) -> tuple[float, float]:
    """Whole powers of ten around what is shown, so that the axis has at least two marks."""
    shown = [v for found in latencies.values() for v in found[measure]]
    shown += list(targets_s(measure).values())
    low, high = max(min(shown, default=1.0), LEAST_S), max(shown, default=1.0)
    return 10.0 ** np.floor(np.log10(low)), 10.0 ** np.ceil(np.log10(max(high, low) * 1.01))


def _rows(fleet: str, measure: str, times_s: Floats) -> list[dict[str, Any]]:
    return [
        {"fleet": fleet, "measure": measure, "share_frac": round(float(s), 4), "time_s": float(t)}
        for s, t in zip(SHARES, times_s, strict=True)
    ]


def _mark_targets(axes: Any, measure: str) -> None:
    for name, target_s in targets_s(measure).items():
        axes.axvline(target_s, color="#595959", linewidth=0.8, linestyle=":")
        axes.annotate(
            f"{name} {target_s:g} s",
            (target_s, 2),
            rotation=90,
            ha="right",
            va="bottom",
            fontsize=6.5,
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


def _finding(latencies: Mapping[str, Mapping[str, Floats]]) -> str:
    told = []
    for fleet, found in latencies.items():
        if not len(found["ttft_s"]):
            continue
        first_s, last_s = targets_s("ttft_s"), targets_s("tpot_s")
        shares = [
            f"{attainment_frac(found['ttft_s'], first_s[kind]):.1%} begin within "
            f"{first_s[kind]:g} s"
            + (
                f" and {attainment_frac(found['tpot_s'], last_s[kind]):.1%} keep "
                f"{last_s[kind] * 1e3:g} ms a token"
                if len(found["tpot_s"])
                else ""
            )
            + f" ({kind})"
            for kind in first_s
        ]
        told.append(f"{fleet}: of {len(found['ttft_s']):,} requests " + "; ".join(shares))
    return ". ".join(told) + ". Targets: MLPerf Inference, Llama 2 70B."
