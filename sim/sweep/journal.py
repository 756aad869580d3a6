"""What happened to each point: one line of JSON for each attempt, added at the end.

The run folders tell what is finished; the journal adds what they cannot: errors, and under
which scenario, data and version a point was finished before. A line cut off by a crash is
skipped, so losing the journal loses reasons, never results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

JOURNAL: Final = "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt at a point.

    Args:
        key: `Point.key`.
        status: `done` or `failed`.
        hash8: the run's hash, empty where the scenario could not be resolved.
        parts: hashes of what decides the numbers, by name (scenario, data, version).
        error: why it failed.
    """

    key: str
    status: str
    hash8: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


def append(folder: Path, entry: Entry) -> None:
    """Add one line; a torn line before it is closed first.

    Raises:
        OSError: it cannot be written.
    """
    line = json.dumps(asdict(entry), sort_keys=True) + "\n"
    with (folder / JOURNAL).open("ab+") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - 1, 0))
        torn = size > 0 and stream.read(1) != b"\n"
        stream.write(("\n" if torn else "").encode() + line.encode())


def last_entries(folder: Path) -> dict[str, Entry]:
    """The last attempt at each point, by `Point.key`; lines that cannot be read are skipped."""
    path = folder / JOURNAL
    lines = path.read_bytes().splitlines() if path.is_file() else []
    entries = (_entry(line) for line in lines)
    return {entry.key: entry for entry in entries if entry}


def _entry(line: bytes) -> Entry | None:
    try:
        data: Any = json.loads(line)
        return Entry(**data)
    except (ValueError, TypeError):
        return None
