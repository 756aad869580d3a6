"""Plain-text tables and JSON for the terminal."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns padded to their widest cell; numbers to the right, words to the left."""
    cells = [[str(c) for c in row] for row in rows]
    widths = [
        max(len(header[i]), *(len(row[i]) for row in cells)) if cells else len(header[i])
        for i in range(len(header))
    ]
    numeric = [bool(rows) and all(_is_numeric(row[i]) for row in cells) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numeric, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * w for w in widths]), *map(line, cells)])


def _is_numeric(cell: str) -> bool:
    stripped = cell.replace(",", "").replace("%", "").replace("-", "").strip()
    return not stripped or stripped.replace(".", "", 1).isdigit()


def number(value: float | None) -> str:
    """A figure for a table: whole from 1,000, else four digits; `-` for none."""
    if value is None:
        return "-"
    if abs(value) >= 1e7:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.4g}"


def to_json(value: Any) -> str:
    """Indented JSON with sorted keys, one trailing newline left to print."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
