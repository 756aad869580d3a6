"""Summarise the published Azure traces into the tables that ship with the product.

    python tools/build_trace_summaries.py FOLDER_WITH_THE_TRACES

Reads `AzureLLMInferenceTrace_{conv,code}_2023.csv` and writes
`sim/data/traces/azure-{conv,code}-2023.csv` (a joint histogram of lengths) and
`sim/data/traces/azure-2023.yaml` (rate and burstiness of the arrivals).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from sim.units import PS_PER_S
from sim.workload.lengths import COLUMNS, length_histogram
from sim.workload.traces import Trace, read_trace

OUT = Path(__file__).resolve().parents[1] / "sim" / "data" / "traces"
SOURCE = "https://github.com/Azure/AzurePublicDataset, AzureLLMInferenceTrace_{kind}_2023.csv"
NOTES = """\
# Joint histogram of prompt and output tokens of {count} requests to an Azure LLM service.
# source: {source} (Patel et al., Splitwise, ISCA 2024)
# licence: CC-BY-4.0, Microsoft; summarised here, no request is reproduced
# as_of: 2023-11-16
# cells: quantile bins of each margin, {bins} before the tail is divided; bounds are inclusive
"""
BINS = {"conv": 48, "code": 40}


def histogram_text(kind: str, trace: Trace) -> str:
    """The table of one trace."""
    requests, bins = trace.requests, BINS[kind]
    cells = length_histogram(requests.input_tokens, requests.output_tokens, bins)
    notes = NOTES.format(count=len(requests), source=SOURCE.format(kind=kind), bins=bins)
    rows = np.column_stack([getattr(cells, column) for column in COLUMNS])
    body = "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())
    return f"{notes}{','.join(COLUMNS)}\n{body}"


def arrivals_text(traces: dict[str, Trace]) -> str:
    """Rate and coefficient of variation of the gaps, as figures with their source."""
    lines = ["# Arrivals of the Azure LLM inference traces 2023 (CC-BY-4.0, Microsoft)."]
    for kind, trace in traces.items():
        gaps_s = np.diff(trace.requests.arrival_ps) / PS_PER_S
        figures = {
            "rate_per_s": (trace.rate_per_s, "1/s"),
            "gap_cv": (gaps_s.std() / gaps_s.mean(), "1"),
            "requests": (len(trace.requests), "1"),
            "span_s": (float(gaps_s.sum()), "s"),
        }
        lines.append(f"{kind}:")
        for name, (value, unit) in figures.items():
            lines += [
                f"  {name}:",
                f"    value: {value:.6g}",
                f'    unit: "{unit}"',
                f'    source: "{SOURCE.format(kind=kind)}"',
                '    as_of: "2023-11-16"',
            ]
    return "\n".join(lines) + "\n"


def build(folder: Path) -> dict[str, str]:
    """Text of each file, by its name."""
    traces = {kind: read_trace(folder / f"AzureLLMInferenceTrace_{kind}_2023.csv") for kind in BINS}
    texts = {f"azure-{kind}-2023.csv": histogram_text(kind, traces[kind]) for kind in traces}
    return {**texts, "azure-2023.yaml": arrivals_text(traces)}


def main(argv: list[str] | None = None) -> int:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with the published traces")
    for name, text in build(parser.parse_args(argv).folder).items():
        (OUT / name).write_text(text, encoding="utf-8")
        print(f"{OUT / name}: {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
