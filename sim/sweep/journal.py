"""What happened to each point: one line of JSON for each attempt, added at the end.

The run folders tell what is finished; the journal adds what they cannot: errors, what a run
cost, and under which scenario, data and version a point was finished before. A line cut off
by a crash is skipped, so losing the journal loses reasons, never results.
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
        path: the finished run's folder, below the sweep's.
        wall_s: what it took. size_bytes: what it weighs.
    """

    key: str
    status: str
    hash8: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    path: str = ""
    wall_s: float = 0.0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        for name in ("key", "status", "error", "path"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Journal:
    """All that a journal says.

    Args:
        last: the last attempt at each point, by `Point.key`.
        files: hash of each data file, by the `data` hash of the runs that read them.
    """

    last: dict[str, Entry] = field(default_factory=dict)
    files: dict[str, dict[str, str]] = field(default_factory=dict)


class Writer:
    """Adds lines to a journal."""

    def __init__(self, folder: Path, known: Journal):
        self._path = folder / JOURNAL
        self._told = set(known.files)

    def add(self, entry: Entry, files: Mapping[str, str] | None = None) -> None:
        """Add an attempt, and before it the data files if they are new.

        Raises:
            OSError: it cannot be written.
        """
        name = entry.parts.get("data", "")
        if files and name and name not in self._told:
            self._told.add(name)
            append_line(self._path, {"data": name, "files": dict(files)})
        append_line(self._path, asdict(entry))


def append(folder: Path, entry: Entry) -> None:
    """Add one attempt; the errors of `append_line`."""
    append_line(folder / JOURNAL, asdict(entry))


def append_line(path: Path, data: Mapping[str, Any]) -> None:
    """Add one line; a torn line before it is closed first.

    Raises:
        OSError: it cannot be written.
    """
    line = json.dumps(data, sort_keys=True) + "\n"
    with path.open("ab+") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - 1, 0))
        torn = size > 0 and stream.read(1) != b"\n"
        stream.write(("\n" if torn else "").encode() + line.encode())


def read_journal(folder: Path) -> Journal:
    """The journal of a sweep's folder; lines that cannot be read are skipped."""
    journal = Journal()
    path = folder / JOURNAL
    if not path.is_file():
        return journal
    with path.open("rb") as lines:
        for line in lines:
            _read(journal, line)
    return journal


def _read(journal: Journal, line: bytes) -> None:
    try:
        data: Any = json.loads(line)
        if "files" in data:
            journal.files[data["data"]] = dict(data["files"])
        else:
            entry = Entry(**data)
            journal.last[entry.key] = entry
    except (ValueError, TypeError, KeyError, RecursionError):
        return
