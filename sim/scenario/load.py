"""Load a scenario file with its parents and overrides, and check it against a schema.

`load_tree` gives a `Document`: the merged tree, in which every value knows the file that
set it. `validate` turns the schema's complaint into one line with that place. How a child
is merged over the file that it `extends` is said in `sim.scenario.override`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from sim.errors import InputError, Place, nearest
from sim.scenario.migrate import migrate
from sim.scenario.override import (
    Override,
    Step,
    apply_override,
    find_element,
    format_path,
    merge,
    parse_override,
    parse_path,
)
from sim.scenario.wording import choices, words
from sim.scenario.yamlfile import Node, Plain, Source, describe, read_yaml, with_excerpt

M = TypeVar("M", bound=BaseModel)

EXTENDS: Final = "extends"
MAX_EXTENDS: Final = 16


@dataclass(frozen=True, slots=True)
class Document:
    """A merged tree and the files that it came from.

    Args:
        root: the tree; its nodes know their places.
        sources: the files read, the asked one first, then its parents.
    """

    root: Node
    sources: tuple[Source, ...] = field(default=())

    @property
    def tree(self) -> Plain:
        """The plain data, without `extends`; a fresh copy."""
        return self.root.plain()

    def find(self, path: Sequence[Step]) -> Node | None:
        """The node at a path of keys, indices and element names, or None."""
        node: Node | None = self.root
        for step in path:
            node = child_of(node, step) if node else None
        return node

    def place(self, path: Sequence[Step], *, key: bool = False) -> Place:
        """Where a value stands (or its key); for a missing one, the nearest mapping around it."""
        for end in range(len(path), 0, -1):
            parent, child = self.find(path[: end - 1]), self.find(path[:end])
            if parent is None or child is None:
                continue
            on_key = key or end < len(path)
            return parent.keys.get(str(path[end - 1]), child.place) if on_key else child.place
        return Place(self.root.place.file)

    def source(self, file: str) -> Source | None:
        """The text of a file of this document."""
        return next((source for source in self.sources if source.file == file), None)


def load_tree(path: str | Path, overrides: Sequence[str | Override] = ()) -> Document:
    """Read a file, merge it over its parents, apply overrides.

    Args:
        path: the YAML file; `extends` in it is relative to its folder.
        overrides: `a.b[0].c=value`, applied in order.

    Raises:
        InputError: a file cannot be read, `extends` is wrong, or an override does not fit.
    """
    document = _load(str(path), ())
    root = document.root
    for item in overrides:
        override = parse_override(item) if isinstance(item, str) else item
        if override.path[0] == EXTENDS:
            raise InputError(
                "`extends` cannot be overridden", "edit the file", place=override.place
            )
        root = apply_override(root, override)
    return replace(document, root=root)


def locate(document: Document, error: InputError) -> InputError:
    """Add file, line, column and source line to an error that names a dotted path."""
    if error.place is None and error.path:
        try:
            steps: Sequence[Step] = parse_path(error.path)
        except InputError:
            steps = ()
        error.at(document.place(steps))
    return with_excerpt(error, document.source(error.place.file) if error.place else None)


def validate(document: Document, model: type[M]) -> M:
    """The tree as an instance of a model.

    Raises:
        InputError: the first fault in file order, with its place, path, value, limit and unit.
    """
    try:
        return model.model_validate(document.tree)
    except InputError as error:
        raise locate(document, error) from None
    except ValidationError as error:
        faults = _faults(document, model, error)
        first, others = faults[0], len(faults) - 1
        what = f"{first.what} (and {others} more)" if others else first.what
        found = InputError(what, first.todo, path=format_path(first.path), place=first.place)
        raise locate(document, found) from None


def child_of(node: Node, step: Step) -> Node | None:
    """The child at a key, an index or an element's name, or None."""
    if isinstance(node.value, dict):
        return node.value.get(str(step))
    if isinstance(node.value, list):
        try:
            return node.value[find_element(node.value, step)]
        except InputError:
            return None
    return None


def _load(file: str, children: tuple[str, ...]) -> Document:
    """One file merged over its parents; `children` are the real paths that led here."""
    root, source = read_yaml(file)
    try:
        root = migrate(root)
    except InputError as error:
        raise with_excerpt(error, source) from None
    entries = dict(root.value) if isinstance(root.value, dict) else {}
    link = entries.pop(EXTENDS, None)
    own = Node(entries, root.place, {key: root.keys[key] for key in entries})
    if link is None:
        return Document(own, (source,))
    try:
        parent = _parent(file, link, (*children, os.path.realpath(file)))
    except InputError as error:
        raise with_excerpt(error, source) from error.__cause__
    return Document(merge(parent.root, own), (source, *parent.sources))


def _parent(file: str, link: Node, chain: tuple[str, ...]) -> Document:
    """The document that `extends` names."""
    if not isinstance(link.value, str) or not link.value.strip():
        raise InputError(
            f"is {describe(link.plain())}, not the path of one file",
            "name one parent file, relative to this one",
            path=EXTENDS,
            place=link.place,
        )
    target = os.path.normpath(Path(file).parent / link.value)
    if not os.path.lexists(target):
        what = f"no such file {target!r}"
        todo = "the path is relative to the file that extends"
        raise InputError(what, todo, path=EXTENDS, place=link.place)
    if os.path.realpath(target) in chain:
        what = f"{link.value!r} leads back to a file that extends it"
        raise InputError(what, "break the circle", path=EXTENDS, place=link.place)
    if len(chain) > MAX_EXTENDS:
        what = f"more than {MAX_EXTENDS} files extend one another"
        raise InputError(what, "use fewer levels", path=EXTENDS, place=link.place)
    return _load(target, chain)


@dataclass(frozen=True, slots=True)
class _Fault:
    """One complaint of the schema, in words and placed."""

    kind: str
    path: tuple[Step, ...]
    place: Place
    what: str
    todo: str


def _faults(document: Document, model: type[BaseModel], error: ValidationError) -> list[_Fault]:
    """All faults, one for each path, in file order (options first, then the file, then parents)."""
    schema = _json_schema(model)
    found: dict[tuple[Step, ...], _Fault] = {}
    for detail in error.errors(include_url=False):
        fault = _fault(document, schema, dict(detail))
        found.setdefault(fault.path, fault)
    misspelt = {
        (*fault.path[:-1], near)
        for fault in found.values()
        if fault.kind == "extra_forbidden"
        and (near := nearest(str(fault.path[-1]), _missing_beside(fault, found)))
    }
    faults = [fault for path, fault in found.items() if path not in misspelt]
    order = {source.file: number for number, source in enumerate(document.sources)}
    faults.sort(key=lambda f: (order.get(f.place.file, -1), f.place.line, f.place.column))
    return faults


@cache
def _json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The model's JSON schema, made once: it takes a quarter of a second."""
    return model.model_json_schema()


def _missing_beside(fault: _Fault, found: Mapping[tuple[Step, ...], _Fault]) -> list[str]:
    """The keys that are missing from the mapping in which a fault stands."""
    parent = fault.path[:-1]
    return [
        str(f.path[-1]) for f in found.values() if f.kind == "missing" and f.path[:-1] == parent
    ]


def _fault(document: Document, schema: dict[str, Any], detail: dict[str, Any]) -> _Fault:
    """One complaint of pydantic in words."""
    kind, context = str(detail["type"]), detail.get("ctx", {})
    location = list(detail["loc"])
    last = [location.pop()] if kind == "missing" else []
    path = (*_data_path(document.root, location), *last)
    if kind.startswith("union_tag"):
        path = (*path, str(context["discriminator"]).strip("'"))
    on_key = kind == "extra_forbidden"
    part = _schema_at(schema, document.root, path)
    around = _schema_at(schema, document.root, path[:-1])
    names = [step for step in path if isinstance(step, str)]
    what, todo = words(kind, detail, part, around, names[-1] if names else "the file")
    return _Fault(kind, path, document.place(path, key=on_key), what, todo)


def _data_path(root: Node, location: Sequence[Step]) -> tuple[Step, ...]:
    """A pydantic location without the tags of unions: only steps that exist in the data."""
    path: list[Step] = []
    node, tagged = root, False
    for step in location:
        kind = node.value.get("kind") if isinstance(node.value, dict) else None
        child = child_of(node, step)
        if child is None or (kind is not None and kind.value == step and not tagged):
            tagged = True
            continue
        path.append(step)
        node, tagged = child, False
    return tuple(path)


def _schema_at(schema: dict[str, Any], root: Node, path: Sequence[Step]) -> dict[str, Any]:
    """The part of a JSON schema that describes the value at a path, {} where there is none."""
    node: Node | None = root
    part = _settle(schema, schema, node)
    for step in path:
        node = child_of(node, step) if node else None
        if isinstance(step, int):
            inner = part.get("items", {})
        else:
            inner = part.get("properties", {}).get(step) or part.get("additionalProperties", {})
        part = _settle(schema, inner if isinstance(inner, dict) else {}, node)
    return part


def _settle(schema: dict[str, Any], part: dict[str, Any], node: Node | None) -> dict[str, Any]:
    """Follow references, and choose the branch of a union by the data's `kind`, or its type."""
    if "$ref" in part:
        target = schema.get("$defs", {}).get(str(part["$ref"]).rsplit("/", 1)[-1], {})
        rest = {key: value for key, value in part.items() if key != "$ref"}
        return _settle(schema, {**target, **rest}, node)
    branches = part.get("oneOf") or part.get("anyOf") or part.get("allOf")
    if not branches:
        return part
    rest = {key: value for key, value in part.items() if key not in ("oneOf", "anyOf", "allOf")}
    settled = [_settle(schema, branch, node) for branch in branches]
    tag = node.value.get("kind") if node and isinstance(node.value, dict) else None
    kinds = [branch.get("properties", {}).get("kind", {}) for branch in settled]
    several = sum(map(bool, kinds)) > 1  # one alone is an optional part, not a union
    if tag is not None and several:
        matching = [b for b, k in zip(settled, kinds, strict=True) if str(tag.value) in choices(k)]
        return {**(matching[0] if matching else {}), **rest}
    if several:
        known = [choice for kind in kinds for choice in choices(kind)]
        return {"type": "object", "properties": {"kind": {"enum": known}}, **rest}
    open_ends = [branch for branch in settled if branch.get("type") != "null"]
    if node and isinstance(node.value, dict):
        open_ends.sort(key=lambda branch: branch.get("type") != "object")
    return {**(open_ends[0] if open_ends else {}), **rest}
