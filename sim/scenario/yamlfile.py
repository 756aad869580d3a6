"""Read a YAML 1.2 file into nodes that remember where they stand.

The reader accepts what a scenario needs (mappings with text keys, lists, text, numbers,
true, false, null, a few aliases) and refuses the rest with `file:line:column`: a tag could
name any type, an alias bomb could fill the memory, a second document would be lost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.reader import ReaderError

from sim.errors import InputError, Place, excerpt
from sim.files import read_text

Scalar: TypeAlias = str | int | float | bool | None
Plain: TypeAlias = Any
"""Nested dict, list and `Scalar`: what a file says once the places are taken off."""

MAX_BYTES: Final = 2**20
MAX_NODES: Final = 50_000
MAX_ALIAS_NODES: Final = 1_000
MAX_DEPTH: Final = 40

_LINE_END: Final = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_TAG: Final = "tag:yaml.org,2002:"
_INT: Final = re.compile(r"([-+]?)(0x|0o|0b)?([0-9a-fA-F_]+)")
_BASES: Final = {"0x": 16, "0o": 8, "0b": 2}


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a file and where it stands.

    Args:
        value: a scalar, a mapping of nodes or a list of nodes.
        place: where the value starts.
        keys: for a mapping, where each of its keys stands.
        size: number of nodes in it, itself included.
    """

    value: Scalar | dict[str, Node] | list[Node]
    place: Place
    keys: dict[str, Place] = field(default_factory=dict)
    size: int = 1

    def plain(self) -> Plain:
        """The value without places; a fresh copy."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a file that was read, for the line shown under an error."""

    file: str
    lines: tuple[str, ...]


def read_yaml(path: str | Path) -> tuple[Node, Source]:
    """Read one file whose top level is a mapping.

    Raises:
        InputError: the file cannot be read, is too large, or is not plain YAML 1.2.
    """
    file = str(path)
    text = read_text(file, "a YAML file", MAX_BYTES, (".yaml", ".yml"))
    source = Source(file, tuple(_LINE_END.split(text)))
    try:
        return _top_mapping(parse_yaml(text, file)), source
    except InputError as error:
        raise with_excerpt(error, source) from error.__cause__


def _top_mapping(root: Node) -> Node:
    """The root, which must be a mapping."""
    if not isinstance(root.value, dict):
        raise InputError(
            f"the top level is {describe(root.plain())}, not a mapping",
            "write `key: value` lines",
            place=root.place,
        )
    return root


def parse_yaml(text: str, file: str) -> Node:
    """Parse the text of one YAML document; `file` names it in errors.

    Raises:
        InputError: it is empty or not plain YAML 1.2.
    """
    return _Builder(text, file).document()


def describe(value: Plain) -> str:
    """A value in words for a message, cut to a readable length."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"text {value!r}" if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def with_excerpt(error: InputError, source: Source | None) -> InputError:
    """The same error with the source line and a caret as its attribute `excerpt`.

    The attribute is `""` where no line is known, and is left alone where it is set already.
    """
    place = error.place
    known = source is not None and place is not None and place.file == source.file
    if not getattr(error, "excerpt", ""):
        vars(error)["excerpt"] = _excerpt(source.lines, place) if known and source and place else ""
    return error


def _excerpt(lines: tuple[str, ...], place: Place) -> str:
    """The line of a place with a caret, "" where the place names none."""
    known = 0 < place.line <= len(lines)
    return excerpt(lines[place.line - 1], place) if known else ""


class _Builder:
    """Turns the parser's events into nodes; recursion is bounded by `MAX_DEPTH`."""

    def __init__(self, text: str, file: str):
        self.file = file
        self.yaml = YAML(typ="safe", pure=True)
        self.events = self._parse(text)
        self.anchors: dict[str, Node | None] = {}
        self.count = 0
        self.alias_count = 0

    def document(self) -> Node:
        """The one document of the text."""
        next(self.events)
        start = next(self.events)
        if type(start).__name__ == "StreamEndEvent":
            raise self.error("is empty", "write at least one `key: value`", Place(self.file))
        self._check_directives(start)
        root = self.node(next(self.events), 0)
        next(self.events)
        extra = next(self.events)
        if type(extra).__name__ != "StreamEndEvent":
            place = self.place(extra)
            raise self.error("a second document starts here", "keep one document", place)
        return root

    def _parse(self, text: str) -> Iterator[Any]:
        """The events, with the parser's own errors as `InputError`."""
        try:
            yield from self.yaml.parse(text)
        except MarkedYAMLError as error:
            raise self._syntax(error) from error
        except ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            column = error.position - text.rfind("\n", 0, error.position)
            what = f"character {text[error.position]!r} is not allowed"
            raise self.error(what, "remove it", Place(self.file, line, column)) from error

    def _syntax(self, error: MarkedYAMLError) -> InputError:
        """A syntax error in one line, at the place of the problem."""
        mark = error.problem_mark or error.context_mark
        place = Place(self.file, mark.line + 1, mark.column + 1) if mark else Place(self.file)
        what = " ".join(str(error.problem or error.context or "not valid YAML").split())
        if error.context and error.problem:
            what = f"{what} ({' '.join(str(error.context).split())})"
        todo = "indent with spaces" if "'\\t'" in what else "correct the YAML"
        return self.error(what, todo, place)

    def _check_directives(self, start: Any) -> None:
        """Only YAML 1.2 without tag shorthands: a 1.1 directive would change what `no` means."""
        if (start.version or (1, 2)) != (1, 2) or start.tags:
            raise self.error("has a directive (`%...`)", "remove it", self.place(start))

    def node(self, event: Any, depth: int) -> Node:
        """The node that starts with `event`."""
        kind = type(event).__name__
        if kind == "AliasEvent":
            return self._alias(event)
        self.count += 1
        if self.count > MAX_NODES:
            raise self.error(f"has more than {MAX_NODES} values", "split it", self.place(event))
        if depth > MAX_DEPTH:
            what = f"is nested deeper than {MAX_DEPTH} levels"
            raise self.error(what, "use a flatter form", self.place(event))
        if event.tag is not None:
            what = f"tag {str(event.tag)!r} is not allowed"
            raise self.error(what, "remove the tag", self.place(event))
        if event.anchor:
            self.anchors[event.anchor] = None
        node = self._content(event, kind, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _content(self, event: Any, kind: str, depth: int) -> Node:
        """Scalar, mapping or list."""
        if kind == "ScalarEvent":
            return Node(self._scalar(event), self.place(event))
        if kind == "MappingStartEvent":
            return self._mapping(event, depth)
        return self._list(event, depth)

    def _alias(self, event: Any) -> Node:
        """The node that an alias repeats; small ones only."""
        place = self.place(event)
        if event.anchor not in self.anchors:
            raise self.error(f"alias '*{event.anchor}' has no anchor", "define it first", place)
        node = self.anchors[event.anchor]
        if node is None:
            raise self.error(f"alias '*{event.anchor}' contains itself", "write it out", place)
        self.alias_count += node.size
        if self.alias_count > MAX_ALIAS_NODES:
            what = f"aliases repeat more than {MAX_ALIAS_NODES} values"
            raise self.error(what, "write them out or use `extends`", place)
        return node

    def _list(self, start: Any, depth: int) -> Node:
        items: list[Node] = []
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            items.append(self.node(event, depth + 1))
        return Node(items, self.place(start), size=1 + sum(item.size for item in items))

    def _mapping(self, start: Any, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        while type(event := next(self.events)).__name__ != "MappingEndEvent":
            key, place = self._key(event), self.place(event)
            if key in entries:
                what = f"key {key!r} stands here again, first in line {keys[key].line}"
                raise self.error(what, "keep one of them", place)
            keys[key] = place
            entries[key] = self.node(next(self.events), depth + 1)
        size = 1 + sum(child.size for child in entries.values())
        return Node(entries, self.place(start), keys, size)

    def _key(self, event: Any) -> str:
        """A key must be text without a tag, an anchor or an alias."""
        place = self.place(event)
        if type(event).__name__ != "ScalarEvent" or event.tag is not None or event.anchor:
            raise self.error("a key is not plain text", "use text as key", place)
        if event.implicit[0] and event.value == "<<":
            raise self.error("merge key `<<` is not allowed", "use `extends`", place)
        key = self._scalar(event)
        if not isinstance(key, str):
            raise self.error(f"key {event.value!r} is not text", "put it in quotes", place)
        return key

    def _scalar(self, event: Any) -> Scalar:
        """The value of a scalar by the YAML 1.2 rules; dates stay text."""
        tag = str(self.yaml.resolver.resolve(ScalarNode, event.value, event.implicit))
        try:
            return _convert(tag.removeprefix(_TAG), event.value)
        except ValueError as error:
            shown = describe(event.value).removeprefix("text ")
            todo = "give a finite number, or put text in quotes"
            raise self.error(f"{shown} {error}", todo, self.place(event)) from error

    def place(self, event: Any) -> Place:
        """Where an event starts."""
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def error(self, what: str, todo: str, place: Place) -> InputError:
        """An error at a place of this file."""
        return InputError(what, todo, place=place)


def _convert(kind: str, text: str) -> Scalar:
    """A plain scalar of the resolved kind.

    Raises:
        ValueError: a number that is not finite or not a number at all; the message follows it.
    """
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        return _integer(text)
    if kind == "float":
        return _real(text)
    return text


def _integer(text: str) -> int:
    match = _INT.fullmatch(text)
    digits = match[3].replace("_", "") if match else ""
    if not match or not digits or len(digits) > 308:
        raise ValueError("is not a number of at most 308 digits")
    try:
        value = int(digits, _BASES.get(match[2] or "", 10))
    except ValueError as error:
        raise ValueError("is not a whole number") from error
    return -value if match[1] == "-" else value


def _real(text: str) -> float:
    try:
        value = float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value
