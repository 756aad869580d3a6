"""Where the members of a JSON text stand.

Asked only when something is wrong with one of them: the text, which has been read, is walked
again, so that reading pays nothing for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sim.errors import Place

_TOKEN: Final = re.compile(r'(?P<name>"(?:[^"\\]|\\.)*")(?P<colon>\s*:\s*)?|[{}\[\]]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object.

    Args:
        path: the keys that lead to it, its own last; "" for a list on the way.
        key_at, value_at: offsets in the text.
        again: its object has that key already.
    """

    path: tuple[str, ...]
    key_at: int
    value_at: int
    again: bool


def members(text: str) -> Iterator[Member]:
    """The members of all objects of a JSON text, in order of their keys."""
    path: list[str] = []
    known: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        if token[0] in ("{", "["):
            path.append("")
            known.append(set())
        elif token[0] in ("}", "]"):
            path.pop()
            known.pop()
        elif token["colon"] is not None:
            key = path[-1] = str(json.loads(token["name"]))
            yield Member(tuple(path), token.start(), token.end(), key in known[-1])
            known[-1].add(key)


def value_place(text: str, place: Place, path: str) -> Place:
    """Where the value at a dotted path stands; where it is missing, what is nearest around it."""
    wanted, found, at = tuple(path.split(".")), 0, 0
    for member in members(text):
        depth = len(member.path)
        if depth > found and wanted[:depth] == member.path:
            found, at = depth, member.value_at
    return place_at(text, place, at) if found else place


def place_at(text: str, place: Place, offset: int) -> Place:
    """Line and column of an offset; a text that is one line of a file keeps its line."""
    line, column = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
    return Place(place.file, place.line or line, column)
