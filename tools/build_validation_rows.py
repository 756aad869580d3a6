"""Writes the compact table of measured rows that `flopgrid validate` ships with.

    python tools/build_validation_rows.py FACTS/measured/serving_h100.csv

Every ninth row of the sets whose sources may be passed on (Apache-2.0): `silicon`
(ai-dynamo/aiconfigurator) and `trtllm` (NVIDIA/TensorRT-LLM documentation). The rows of
ml.energy carry no licence: they are cited, not passed on.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

SETS = ("silicon", "trtllm")
EVERY = 9
OUT = Path("sim/data/validation/serving_h100.csv")
COLUMNS = (
    "id", "set", "model", "config", "gpu", "n_gpus", "tp", "pp", "ep", "dp", "weight_dtype",
    "engine", "task", "isl", "isl_status", "osl", "running_batch", "load", "ttft_ms",
    "tpot_mean_ms", "out_tokens_per_s", "source",
)  # fmt: skip
HEADER = """\
# Measured H100 serving, a sample of every ninth row, figures to four digits, read 2026-11-24.
# silicon: ai-dynamo/aiconfigurator@095f58a5 silicon_sample.csv (Apache-2.0).
# trtllm: NVIDIA/TensorRT-LLM docs/source/performance/perf-overview.md (Apache-2.0).
# Reproduce: python tools/build_validation_rows.py FACTS/measured/serving_h100.csv
"""
LICENSED = ("ai-dynamo/aiconfigurator", "NVIDIA/TensorRT-LLM")


def compact(record: dict[str, str]) -> dict[str, str]:
    """The columns of the table, measured figures to four digits, the source in short."""
    row = {name: record[name] for name in COLUMNS}
    for name in ("ttft_ms", "tpot_mean_ms", "out_tokens_per_s"):
        row[name] = f"{float(row[name]):.4g}" if row[name] else ""
    row["source"] = row["source"].split(" ")[0].split(";")[0]
    row["load"] = row["load"].split(";")[0]
    return row


def main() -> None:
    """Read, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=Path)
    options = parser.parse_args()
    with options.rows.open(encoding="utf-8", newline="") as file:
        records = [
            r for r in csv.DictReader(file) if r["set"] in SETS and r["source"].startswith(LICENSED)
        ]
    with OUT.open("w", encoding="utf-8", newline="") as file:
        file.write(HEADER)
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(compact(record) for record in records[::EVERY])


if __name__ == "__main__":
    main()
