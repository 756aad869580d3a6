"""Files of older forms are read as the form of today, each change said once.

A scenario, sweep or study may say `schema_version`; without it, it is in the form of today.
A release that renames or removes a field raises `SCHEMA_VERSION`, adds a `Change`, and keeps
reading the old form until the date that the change names. Dotted paths in `--set`, sweeps and
policies are not rewritten: they are always in the form of today.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from sim.errors import InputError
from sim.scenario.yamlfile import Node, describe

SCHEMA_VERSION: Final = 1
KEY: Final = "schema_version"
EACH: Final = "*"
"""In a path: every element of a list."""


class OldFormWarning(FutureWarning):
    """A file is in an older form; it is read, until the date that the message names."""


@dataclass(frozen=True, slots=True)
class Change:
    """A field that moved, or went, when a version of the form came.

    Args:
        version: the first version without the old field.
        old: its path, for example `("sites", "*", "facility", "pue")`.
        new: its new name beside the old one, or "" if it went.
        until: the old form is read at least until this day.
        why: what took its place, in words.
    """

    version: int
    old: tuple[str, ...]
    new: str
    until: date
    why: str = ""

    def says(self) -> str:
        """The change in one sentence."""
        path = ".".join(self.old).replace(f".{EACH}", "[]")
        did = f"is now called {self.new!r}" if self.new else "is gone and left out"
        return f"{path} {did}{f' ({self.why})' if self.why else ''}; read until {self.until}"


CHANGES: Final[tuple[Change, ...]] = ()
"""Every change since version 1, oldest first."""


def migrate(root: Node, changes: Sequence[Change] = CHANGES, latest: int = SCHEMA_VERSION) -> Node:
    """The same file in the form of today.

    Raises:
        InputError: a version that is no version, or newer than this program.
    """
    if not isinstance(root.value, dict) or KEY not in root.value:
        return root
    stated = root.value[KEY]
    version = _version(stated, latest)
    if version == latest:
        return root
    root = replace(root, value={**root.value, KEY: replace(stated, value=latest)})
    said: list[str] = []
    for change in changes:
        if change.version > version:
            root, met = _apply(root, change.old, change)
            said += [change.says()] if met else []
    todo = f"change it and write `{KEY}: {latest}`"
    for sentence in said or [f"version {version} of the form"]:
        warnings.warn(f"{stated.place}: {sentence}; {todo}", OldFormWarning, stacklevel=2)
    return root


def _version(stated: Node, latest: int) -> int:
    value = stated.value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        what = f"is {describe(stated.plain())}, not a version"
        raise InputError(what, f"give 1 to {latest}", path=KEY, place=stated.place)
    if value > latest:
        what = f"is {value}, made for a newer flopgrid: this one reads up to {latest}"
        raise InputError(what, "install a newer release", path=KEY, place=stated.place)
    return value


def _apply(node: Node, path: tuple[str, ...], change: Change) -> tuple[Node, bool]:
    """The node with one change made below it, and whether the old field was there."""
    step, rest = path[0], path[1:]
    if isinstance(node.value, list) and step == EACH:
        parts = [_apply(child, rest, change) for child in node.value]
        return replace(node, value=[part for part, _ in parts]), any(met for _, met in parts)
    if not isinstance(node.value, dict) or step not in node.value:
        return node, False
    if rest:
        child, met = _apply(node.value[step], rest, change)
        return replace(node, value={**node.value, step: child}), met
    if change.new and change.new in node.value:
        what = f"{step!r} and {change.new!r} are both given; the first is the old name"
        raise InputError(what, f"keep {change.new!r}", path=step, place=node.keys.get(step))
    return _renamed(node, step, change.new), True


def _renamed(node: Node, old: str, new: str) -> Node:
    """A mapping whose key has another name at the same position, or none."""
    entries = node.value if isinstance(node.value, dict) else {}
    names = {key: new if key == old else key for key in entries}
    return replace(
        node,
        value={name: entries[key] for key, name in names.items() if name},
        keys={name: node.keys[key] for key, name in names.items() if name and key in node.keys},
    )
