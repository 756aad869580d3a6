"""From a JSON schema to a strategy: data of the form that the schema asks for.

What a schema cannot say (two fields that exclude each other, a name that must exist) may be
wrong in it, so that a loader reads the data or refuses it with a reason of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

Data = Any
Words = Mapping[str, Sequence[str]]
"""Texts that mean something, by the name of the field."""

MAX_ITEMS = 3
LARGEST = 1e9
LEAST = 0.01


def from_schema(
    schema: dict[str, Any], words: Words, *, extremes: bool = True
) -> st.SearchStrategy[Data]:
    """Data that follow a JSON schema.

    Args:
        schema: as pydantic writes it: references into its own `$defs`, unions, objects, lists,
            texts with a pattern, numbers with limits.
        words: what is drawn, by field, where the schema says only that it is text.
        extremes: also numbers as large and small as allowed, and texts that mean nothing.
    """
    return _Walk(schema.get("$defs", {}), words, extremes).part(schema, "")


class _Walk:
    """One schema; each of its definitions becomes one strategy."""

    def __init__(self, definitions: dict[str, Any], words: Words, extremes: bool):
        self._definitions = definitions
        self._words = words
        self._extremes = extremes
        self._known: dict[str, st.SearchStrategy[Data]] = {}

    def part(self, part: dict[str, Any], name: str) -> st.SearchStrategy[Data]:
        """The strategy of one part; `name` is the field that it describes."""
        if "$ref" in part:
            return self._defined(str(part["$ref"]).rsplit("/", 1)[-1])
        for union in ("oneOf", "anyOf"):
            if union in part:
                return st.one_of([self.part(branch, name) for branch in part[union]])
        if "const" in part:
            return st.just(part["const"])
        if "enum" in part:
            return st.sampled_from(part["enum"])
        kinds = {
            "object": self._object, "array": self._list, "string": self._text,
            "integer": _whole if self._extremes else _small_whole,
            "number": _number if self._extremes else _small_number,
        }  # fmt: skip
        kind = str(part.get("type", ""))
        if kind in kinds:
            return kinds[kind](part, name)
        return {"boolean": st.booleans(), "null": st.none()}.get(kind, _anything())

    def _defined(self, name: str) -> st.SearchStrategy[Data]:
        if name not in self._known:
            self._known[name] = st.deferred(lambda: self.part(self._definitions[name], name))
        return self._known[name]

    def _object(self, part: dict[str, Any], name: str) -> st.SearchStrategy[Data]:
        fields = {key: self.part(inner, key) for key, inner in part.get("properties", {}).items()}
        if not fields:
            inner = part.get("additionalProperties")
            values = self.part(inner, name) if isinstance(inner, dict) else _anything()
            return st.dictionaries(self._text({}, name), values, max_size=MAX_ITEMS)
        # A constant names the kind: without it, a union cannot tell what is meant.
        needed = set(part.get("required", [])) | {
            key for key, inner in part["properties"].items() if "const" in inner
        }
        return st.fixed_dictionaries(
            {key: value for key, value in fields.items() if key in needed},
            optional={key: value for key, value in fields.items() if key not in needed},
        )

    def _list(self, part: dict[str, Any], name: str) -> st.SearchStrategy[Data]:
        least = int(part.get("minItems", 0))
        most = min(int(part.get("maxItems", MAX_ITEMS)), least + MAX_ITEMS)
        items = self.part(part.get("items", {}), name)
        return st.lists(items, min_size=least, max_size=most)

    def _text(self, part: dict[str, Any], name: str) -> st.SearchStrategy[Data]:
        known = self._words.get(name)
        if known and not self._extremes:
            return st.sampled_from(list(known))
        if "pattern" in part:
            return st.from_regex(part["pattern"].replace("$", r"\Z"))
        if part.get("format") == "date-time":
            return st.datetimes().map(lambda moment: moment.isoformat() + "Z")
        least = int(part.get("minLength", 0))
        free = st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=12)
        return st.sampled_from(list(known)) | free if known else free


def _whole(part: dict[str, Any], _name: str) -> st.SearchStrategy[Data]:
    low = int(part.get("minimum", -LARGEST))
    high = int(part.get("maximum", max(LARGEST, low)))
    return st.integers(low, min(high, low + 64)) | st.integers(low, high)


def _number(part: dict[str, Any], _name: str) -> st.SearchStrategy[Data]:
    open_low, open_high = part.get("exclusiveMinimum"), part.get("exclusiveMaximum")
    low = float(part.get("minimum", -LARGEST if open_low is None else open_low))
    high = float(part.get("maximum", max(LARGEST, low) if open_high is None else open_high))
    middling = st.floats(low, min(high, low + 10.0), exclude_min=open_low is not None,
                         exclude_max=open_high is not None)  # fmt: skip
    least = math.nextafter(low, math.inf) if open_low is not None else low
    most = math.nextafter(high, -math.inf) if open_high is not None else high
    return middling | st.floats(least, most) | st.sampled_from([least, most])


def _small_whole(part: dict[str, Any], _name: str) -> st.SearchStrategy[Data]:
    low = int(part.get("minimum", 0))
    return st.integers(low, min(int(part.get("maximum", LARGEST)), low + 64))


def _small_number(part: dict[str, Any], _name: str) -> st.SearchStrategy[Data]:
    """Away from the ends that are not allowed, where a time or a rate would be next to nothing."""
    low, open_low = float(part.get("minimum", 0.0)), part.get("exclusiveMinimum")
    high, open_high = float(part.get("maximum", LARGEST)), part.get("exclusiveMaximum")
    low = low if open_low is None else float(open_low) + LEAST
    high = high if open_high is None else float(open_high) - LEAST
    return st.floats(low, min(high, low + 10.0))


def _anything() -> st.SearchStrategy[Data]:
    return (
        st.none() | st.booleans() | st.integers(-10, 10) | st.floats(-10, 10) | st.text(max_size=5)
    )
