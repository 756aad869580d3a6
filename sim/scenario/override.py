"""One tree laid over another: a child file over its parent, and single values over both.

How a child is merged over the parent that it `extends`:

- mappings merge key by key; but where both have a `kind` and the kinds differ, the child's
  mapping replaces the parent's, since keys of one kind mean nothing to another;
- lists whose elements all are mappings with a unique `name` merge by that name, new
  elements last;
- everything else (scalars, other lists, null) is replaced.

A single value is set from outside by `--set sites[0].cluster.nodes=10`.

A path is keys joined by dots. An element of a list is named by its index (`sites[0]`) or
by its `name` (`sites.campus`, or `sites[mamba-2.8b]` where the name holds a dot). The value
is one YAML scalar or a list or mapping in brackets, and replaces what stood there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sim.errors import InputError, Place, nearest
from sim.scenario.yamlfile import Node, describe, parse_yaml

Step: TypeAlias = str | int
Steps: TypeAlias = tuple[Step, ...]

OPTION: Final = "--set"
MAX_STEPS: Final = 40

_STEP: Final = re.compile(r"(?:^|\.)([^.\[\]=\s]+)|\[([^\[\]]+)\]")


@dataclass(frozen=True, slots=True)
class Override:
    """One value to set.

    Args:
        path: keys, list indices and element names.
        value: the new value; its place is the option text.
        place: the option text, for errors.
    """

    path: Steps
    value: Node
    place: Place


def parse_override(text: str, option: str = OPTION) -> Override:
    """Parse `a.b[0].c=value`.

    Args:
        text: what follows the option.
        option: how errors name the option.

    Raises:
        InputError: no `=`, an empty or malformed path, or a value that is not YAML.
    """
    shown = _printable(text if len(text) <= 80 else f"{text[:77]}...")
    place = Place(f"{option} {shown}".strip())
    left, equals, right = text.partition("=")
    if not equals:
        raise InputError("has no `=`", "write path=value", place=place)
    try:
        return Override(parse_path(left.strip()), _value(right, place.file), place)
    except InputError as error:
        error.place = place
        raise


def parse_path(text: str) -> Steps:
    """Split a dotted path into keys and indices.

    Raises:
        InputError: it is empty or malformed.
    """
    steps: list[Step] = []
    end = 0
    while end < len(text) and (match := _STEP.match(text, end)):
        key, bracket = match[1], match[2]
        steps.append(key or _bracket(bracket))
        end = match.end()
    if not steps or end < len(text) or text.startswith(("[", ".")):
        raise InputError(f"path {text!r} is malformed", "write it as a.b[0].c")
    if len(steps) > MAX_STEPS:
        raise InputError(f"path has more than {MAX_STEPS} steps", "write a shorter path")
    return tuple(steps)


def format_path(path: Sequence[Step]) -> str:
    """The dotted form of a path: `sites[0].cluster.nodes`."""
    text = ""
    for step in path:
        if isinstance(step, int) or not re.fullmatch(r"[^.\[\]=\s]+", step):
            text += f"[{_printable(str(step))}]"
        else:
            text += f".{_printable(step)}" if text else _printable(step)
    return text


def apply_override(root: Node, override: Override) -> Node:
    """A new tree with the value set; the old tree is not changed.

    Missing keys are made in mappings only.

    Raises:
        InputError: the path runs through a scalar or names no element of a list.
    """
    try:
        return _set(root, override.path, (), override)
    except InputError as error:
        raise error.at(override.place, format_path(override.path)) from None


def merge(base: Node, top: Node) -> Node:
    """`top` merged over `base`, by the rules of this module's docstring."""
    if isinstance(base.value, dict) and isinstance(top.value, dict):
        if _other_kind(base.value, top.value):
            return top
        children = dict(base.value)
        for key, child in top.value.items():
            children[key] = merge(children[key], child) if key in children else child
        return Node(children, top.place, {**base.keys, **top.keys})
    if isinstance(base.value, list) and isinstance(top.value, list):
        old, new = _by_name(base.value), _by_name(top.value)
        if old and new:
            names = [*old, *(name for name in new if name not in old)]
            merged = [
                merge(old[name], new[name]) if name in old and name in new else (old | new)[name]
                for name in names
            ]
            return Node(merged, top.place)
    return top


def _printable(text: str) -> str:
    """Text on one line: line ends and other invisible characters escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _bracket(text: str) -> Step:
    """An index, or the name of an element, in quotes or bare."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" else text


def _value(text: str, file: str) -> Node:
    """The value, with every place in it set to the option text."""
    if not text.strip():
        raise InputError("has no value after `=`", "write null or '' for an empty one")
    node = parse_yaml(text, file)
    if isinstance(node.value, dict | list) and text.lstrip()[0] not in "[{&":
        raise InputError("the value is not one scalar, [list] or {mapping}", "put it in quotes")
    return _placed(node, Place(file))


def _placed(node: Node, place: Place) -> Node:
    """A copy whose places are all the same."""
    if isinstance(node.value, dict):
        children = {key: _placed(child, place) for key, child in node.value.items()}
        return Node(children, place, dict.fromkeys(children, place), node.size)
    if isinstance(node.value, list):
        return Node([_placed(child, place) for child in node.value], place, size=node.size)
    return Node(node.value, place)


def _set(node: Node | None, rest: Steps, done: Steps, override: Override) -> Node:
    """The node with the value set at `rest` below it."""
    if not rest:
        return override.value
    if node is None or node.value is None:
        node = Node({}, override.place)
    step, deeper = rest[0], rest[1:]
    if isinstance(node.value, list):
        index = find_element(node.value, step, done)
        items = list(node.value)
        items[index] = _set(items[index], deeper, (*done, step), override)
        return Node(items, node.place, size=1 + sum(item.size for item in items))
    if not isinstance(node.value, dict):
        value = describe(node.plain())
        raise InputError(f"{format_path(done)} is {value}, not a mapping", "set it as a whole")
    return _set_key(node, node.value, rest, done, override)


def _set_key(
    node: Node, entries: dict[str, Node], rest: Steps, done: Steps, override: Override
) -> Node:
    """The mapping with one entry replaced or added."""
    key = rest[0]
    if isinstance(key, int):
        where = format_path(done) or "the file"
        raise InputError(f"{where} has no list to index with [{key}]", "name a key instead")
    child = _set(entries.get(key), rest[1:], (*done, key), override)
    keys = {**node.keys, key: node.keys.get(key, override.place) if rest[1:] else override.place}
    children = {**entries, key: child}
    return Node(children, node.place, keys, 1 + sum(item.size for item in children.values()))


def find_element(items: Sequence[Node], step: Step, done: Steps = ()) -> int:
    """The index of a list element given by index or by its `name`.

    Raises:
        InputError: there is no such element, or several have the name.
    """
    where = format_path(done)
    if isinstance(step, int) or (step.isdecimal() and step not in _names(items)):
        if int(step) < len(items):
            return int(step)
        raise InputError(f"{where} has {len(items)} elements, no [{step}]", "indices start at 0")
    names = _names(items)
    found = [index for index, name in enumerate(names) if name == step]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{where} has {len(found)} elements named {step!r}", "use an index")
    known = [name for name in names if name]
    near = nearest(step, known)
    hint = f"did you mean {near!r}?" if near else f"names: {', '.join(known) or 'none'}; use [0]"
    raise InputError(f"{where} has no element named {step!r}", hint)


def _names(items: Sequence[Node]) -> list[str]:
    """The `name` of each element, empty where it has none."""
    names = [item.value.get("name") if isinstance(item.value, dict) else None for item in items]
    return [name.value if name and isinstance(name.value, str) else "" for name in names]


def _other_kind(base: Mapping[str, Node], top: Mapping[str, Node]) -> bool:
    """Both mappings name a `kind`, and not the same one."""
    return "kind" in base and "kind" in top and base["kind"].value != top["kind"].value


def _by_name(items: Sequence[Node]) -> dict[str, Node]:
    """The elements by `name`, empty unless each has its own."""
    named = {
        item.value["name"].value: item
        for item in items
        if isinstance(item.value, dict) and "name" in item.value
    }
    texts = {str(name): item for name, item in named.items() if isinstance(name, str)}
    return texts if len(texts) == len(items) else {}
