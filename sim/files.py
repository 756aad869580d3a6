"""Reading a file that a user names: whole, within a limit, and in words when it cannot be.

A device or a pipe could have no end, and a file of many gigabytes would fill the memory: both
are refused before anything is read.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TextIO

from sim.errors import InputError, Place, nearest
from sim.json_places import members, place_at
from sim.units import MIB

LARGEST_BYTES: Final = 64 * MIB
"""No table that is read whole is larger; the case with 70,000 buses has 12 MB."""
YEAR_BYTES: Final = 16 * MIB
"""A year by the hour: a weather file has 2 MB."""
_LONGEST_LINE: Final = MIB
_LINE_END: Final = re.compile("\r\n|\r|\n")


def read_bytes(
    path: str | Path, kind: str, limit_bytes: int = LARGEST_BYTES, suffixes: tuple[str, ...] = ()
) -> bytes:
    """All bytes of a regular file.

    Args:
        path: the file.
        kind: what it should be, for messages: "a YAML file".
        limit_bytes: the largest size that is read.
        suffixes: a misspelt name is compared with the files of its folder that end so.

    Raises:
        InputError: it cannot be read, is no regular file, or is too large.
    """
    file = str(path)
    check_regular(file, kind, suffixes)
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(file, error, kind, suffixes) from error
    if len(data) > limit_bytes:
        raise InputError(
            f"is larger than the limit of {limit_bytes} bytes",
            "keep tables in data files and name them",
            place=Place(file),
        )
    return data


def check_regular(path: str | Path, kind: str, suffixes: tuple[str, ...] = ()) -> None:
    """Refuse what is no file: a folder, a pipe, a device, or nothing at all.

    Raises:
        InputError: with the reason in words.
    """
    file = str(path)
    try:
        mode = Path(file).stat().st_mode
    except (OSError, ValueError) as error:
        raise _unreadable(file, error, kind, suffixes) from error
    if not stat.S_ISREG(mode):
        what = "is a directory" if stat.S_ISDIR(mode) else "is not a regular file"
        raise InputError(what, f"name {kind}", place=Place(file))


def read_text(
    path: str | Path, kind: str, limit_bytes: int = LARGEST_BYTES, suffixes: tuple[str, ...] = ()
) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        InputError: as `read_bytes`; or a byte is not UTF-8, with its place.
    """
    data = read_bytes(path, kind, limit_bytes, suffixes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        place = Place(str(path), before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        raise InputError(
            f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8", place=place
        ) from error


def read_json(path: str | Path, kind: str) -> Any:
    """The value of a JSON file; no key may stand twice in an object.

    Raises:
        InputError: as `read_text`; or it is not JSON, with line and column.
    """
    text = read_text(path, kind)
    return parse_json(text, Place(str(path)))


def parse_json(text: str, place: Place) -> Any:
    """A JSON text; `place` is where it stands.

    Raises:
        InputError: it is not JSON, nested too deep, or names a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        where = Place(place.file, place.line or error.lineno, error.colno)
        raise InputError(f"not JSON: {error.msg}", "mend the file", place=where) from error
    except RecursionError as error:
        raise InputError("not JSON: nested too deep", "mend the file", place=place) from error
    except _Twice as error:
        again = next(member for member in members(text) if member.again)
        what = f"not JSON: key {again.path[-1][:40]!r} stands twice in an object"
        where = place_at(text, place, again.key_at)
        raise InputError(what, "mend the file", place=where) from error
    except ValueError as error:  # a number of more than 4,300 digits
        what = str(error).partition(" for integer")[0]
        raise InputError(f"not JSON: {what}", "mend the file", place=place) from error


def csv_rows(text: str, file: str) -> list[list[str]]:
    """The cells of each line of a CSV text.

    Raises:
        InputError: a cell is longer than any figure or name; with its line.
    """
    reader = csv.reader(_LINE_END.split(text))
    try:
        return list(reader)
    except csv.Error as error:
        place = Place(file, reader.line_num)
        raise InputError(f"not CSV: {error}", "mend the line", place=place) from error


def bounded_lines(stream: TextIO, file: str) -> Iterator[str]:
    """The lines of a text, each of a bounded length.

    Raises:
        InputError: a line is longer; with its number.
    """
    number = 0
    while line := stream.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            what = f"the line has more than {_LONGEST_LINE} characters"
            raise InputError(what, "break it into rows", place=Place(file, number))
        yield line


class _Twice(ValueError):
    """A key stands twice in an object."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _unreadable(
    file: str, error: OSError | ValueError, kind: str, suffixes: tuple[str, ...]
) -> InputError:
    """Say in words why a file could not be opened."""
    shown = Place(file.replace("\0", "\\0") or "''")
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return InputError("no such file", _similar(file, suffixes), place=shown)
    if number == errno.ELOOP:
        return InputError("symbolic links lead in a circle", "name the file itself", place=shown)
    reason = os.strerror(number) if number else str(error)
    todo = f"name {kind.replace(' ', ' readable ', 1)}"
    return InputError(f"cannot be read: {reason}", todo, place=shown)


def _similar(file: str, suffixes: tuple[str, ...]) -> str:
    """A hint at the file of the same folder whose name is nearest."""
    path = Path(file)
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.suffix in suffixes]
    except OSError:
        return f"there is no folder {str(path.parent)!r}"
    near = nearest(path.name, names)
    return f"did you mean {str(path.parent / near)!r}?" if near else "check the path"


def is_file(name: str | Path) -> bool:
    """True for a file; any text may be asked for (one too long for a name is none)."""
    return os.path.isfile(name)  # noqa: PTH113 - unlike Path, takes any text


def is_folder(name: str | Path) -> bool:
    """True for a folder; any text may be asked for."""
    return os.path.isdir(name)  # noqa: PTH112 - unlike Path, takes any text
