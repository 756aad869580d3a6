"""Where members of a JSON text stand: by a scanner that is held against the reader's own values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError, Place
from sim.files import parse_json
from sim.json_places import members, value_place

DECODER = json.JSONDecoder()
HERE = Place("a.json")
TEXT = '{\n  "a": 1,\n  "b": {"c" : [{"d": 2}, {"d": "}"}],\n    "e\\u0041\\"": null}\n}\n'
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text('ab"\\{]:\n', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("a", 2, 8),
        ("b", 3, 8),
        ("b.c", 3, 15),
        ('b.eA"', 4, 18),
        ("b.missing", 3, 8),
        ("a.missing", 2, 8),
        ("missing", 0, 0),
        ("d", 0, 0),
    ],
)
def test_the_place_of_a_value_is_told(path: str, line: int, column: int) -> None:
    assert value_place(TEXT, HERE, path) == Place("a.json", line, column)


def keys_of(value: Any) -> list[str]:
    """Keys in the order of a text, by the values alone."""
    if isinstance(value, dict):
        return [k for key, inner in value.items() for k in (key, *keys_of(inner))]
    return [k for inner in value for k in keys_of(inner)] if isinstance(value, list) else []


@given(VALUES, st.sampled_from([None, 2, "\t"]))
def test_every_member_is_found_where_its_value_stands(value: Any, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    found = list(members(text))
    assert [member.path[-1] for member in found] == keys_of(value)
    for member in found:
        key, _ = DECODER.raw_decode(text, member.key_at)
        assert key == member.path[-1]
        DECODER.raw_decode(text, member.value_at)
        assert not member.again


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,\n "a": 2}', "a.json:2:2: not JSON: key 'a' stands twice"),
        ('[{"a": 1}, {"a": 1, "a": 2}]', "a.json:1:21: not JSON: key 'a' stands twice"),
        ('{"a": 1, "a": {"b": 1, "b": 2}}', "a.json:1:10: not JSON: key 'a' stands twice"),
    ],
)
def test_the_place_of_a_repeated_key_is_told(text: str, told: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_json(text, HERE)
    assert str(caught.value).startswith(told)


def test_a_line_of_a_file_keeps_its_number() -> None:
    with pytest.raises(InputError, match=r"a\.jsonl:7:10: .*twice"):
        parse_json('{"a": 1, "a": 2}', Place("a.jsonl", 7))
