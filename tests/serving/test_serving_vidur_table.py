"""The committed comparison with Vidur: every latency within 2 %, request by request within 1 ns."""

from __future__ import annotations

import csv
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks" / "vidur"
TOLERANCE_FRAC = 0.02
APART_S = 1e-9


def table() -> list[dict[str, str]]:
    lines = (FOLDER / "results.csv").read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def too_far(rows: list[dict[str, str]]) -> list[str]:
    """Measures that are further apart than allowed."""
    return [
        f"{row['load_frac']} {row['measure']}"
        for row in rows
        if (row["error_frac"] and abs(float(row["error_frac"])) > TOLERANCE_FRAC)
        or (row["measure"].endswith("largest_difference") and float(row["compiled"]) > APART_S)
    ]


def test_all_quantiles_agree() -> None:
    rows = table()
    assert len({row["load_frac"] for row in rows}) == 4
    assert not too_far(rows)
    assert too_far([{**rows[0], "error_frac": "0.03"}])
    apart = next(row for row in rows if row["measure"].endswith("largest_difference"))
    assert too_far([{**apart, "compiled": "1e-6"}])
