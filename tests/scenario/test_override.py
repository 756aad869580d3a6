"""Single values from outside, and a child file over its parent."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.scenario.canonical import to_flow
from sim.scenario.override import (
    MAX_STEPS,
    apply_override,
    format_path,
    merge,
    parse_override,
    parse_path,
)
from sim.scenario.yamlfile import Node, parse_yaml

BASE = """
name: base
sites:
  - name: campus
    cluster: {nodes: 5}
    pue: null
  - name: mamba-2.8b
    cluster: {nodes: 7}
twins: [{name: a}, {name: a}]
matrix: [[1, 2], [3, 4]]
"""


def base() -> Node:
    return parse_yaml(BASE, "base.yaml")


def after(*texts: str) -> dict[str, object]:
    root = base()
    for text in texts:
        root = apply_override(root, parse_override(text))
    plain = root.plain()
    assert isinstance(plain, dict)
    return plain


def fault(text: str) -> str:
    with pytest.raises(InputError) as caught:
        after(text)
    assert str(caught.value.place) == f"--set {text}"
    return str(caught.value).removeprefix(f"--set {text}: ")


@pytest.mark.parametrize(
    "path", ["sites[0].cluster.nodes", "sites.campus.cluster.nodes", "sites[campus].cluster.nodes",
             "sites.0.cluster.nodes", "sites['campus'].cluster.nodes"],
)  # fmt: skip
def test_an_element_is_named_by_index_or_name(path: str) -> None:
    sites = after(f"{path}=10")["sites"]
    assert sites[0]["cluster"] == {"nodes": 10}  # type: ignore[index]
    assert sites[1]["cluster"] == {"nodes": 7}  # type: ignore[index]


def test_a_name_with_a_dot_stands_in_brackets() -> None:
    assert after("sites[mamba-2.8b].cluster.nodes=9")["sites"][1]["cluster"]["nodes"] == 9  # type: ignore[index]


def test_values_are_yaml_and_replace_what_stood_there() -> None:
    assert after("name=1e9")["name"] == 1e9
    assert after("name=NO")["name"] == "NO"
    assert after("name='5'")["name"] == "5"
    assert after("name=a=b")["name"] == "a=b"
    assert after("name=null")["name"] is None
    assert after("sites.campus.cluster={a: [1]}")["sites"][0]["cluster"] == {"a": [1]}  # type: ignore[index]
    assert after("matrix[1][0]=9")["matrix"] == [[1, 2], [9, 4]]


def test_missing_keys_are_made_in_mappings_and_under_null() -> None:
    assert after("a.b.c=1", "a.b.d=2")["a"] == {"b": {"c": 1, "d": 2}}
    assert after("sites.campus.pue.x=1")["sites"][0]["pue"] == {"x": 1}  # type: ignore[index]


def test_the_old_tree_is_not_changed() -> None:
    root = base()
    apply_override(root, parse_override("sites[0].cluster.nodes=10"))
    assert root.plain() == base().plain()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name", "has no `=`; write path=value"),
        ("=3", "path '' is malformed"),
        (".a=3", "path '.a' is malformed"),
        ("a.=3", "path 'a.' is malformed"),
        ("a..b=3", "path 'a..b' is malformed; write it as a.b[0].c"),
        ("[0]=3", r"path '[0]' is malformed"),
        ("a[=3", "path 'a[' is malformed"),
        ("a[]=3", "path 'a[]' is malformed"),
        ("a b=3", "path 'a b' is malformed"),
        ("name=", "has no value after `=`"),
        ("name=[1", "expected ',' or ']'"),
        ("name=.nan", "'.nan' is not a finite number"),
        ("name=!!str x", "tag 'tag:yaml.org,2002:str' is not allowed"),
        ("name=a: b", "the value is not one scalar"),
        ("name=- b", "the value is not one scalar"),
        ("name=# b", "is empty"),
        ("name.x=3", "name.x: name is text 'base', not a mapping; set it as a whole"),
        ("name[0]=3", "name[0]: name is text 'base', not a mapping"),
        ("sites[2].x=3", "sites[2].x: sites has 2 elements, no [2]; indices start at 0"),
        ("sites.campos.x=3", "sites.campos.x: sites has no element named 'campos'; did you mean"),
        ("sites[-1].x=3", "sites.-1.x: sites has no element named '-1'; names: campus, mamba"),
        ("matrix.a=3", "matrix.a: matrix has no element named 'a'; names: none; use [0]"),
        ("twins.a.x=3", "twins.a.x: twins has 2 elements named 'a'; use an index"),
        ("sitez[0].x=3", "sitez[0].x: sitez has no list to index with [0]; name a key instead"),
    ],
)
def test_faults_name_the_option(text: str, message: str) -> None:
    assert fault(text).startswith(message)


def test_long_options_are_cut_and_deep_paths_refused() -> None:
    with pytest.raises(InputError, match=f"more than {MAX_STEPS} steps") as caught:
        parse_override(".".join("a" * (MAX_STEPS + 1)) + "=1")
    assert len(str(caught.value.place)) <= len("--set ") + 80


def test_values_stand_at_the_option_text() -> None:
    override = parse_override("a={b: [1]}", option="-o")
    assert str(override.place) == "-o a={b: [1]}"
    root = apply_override(base(), override)
    assert isinstance(root.value, dict)
    node = root.value["a"]
    assert isinstance(node.value, dict)
    assert {
        str(node.place),
        str(root.keys["a"]),
        str(node.keys["b"]),
        str(node.value["b"].place),
    } == {"-o a={b: [1]}"}


STEPS = st.lists(
    st.integers(0, 99) | st.from_regex(r"[a-z][a-z0-9_.-]{0,8}", fullmatch=True),
    min_size=1,
    max_size=MAX_STEPS - 1,
)


@settings(deadline=None)
@given(STEPS)
def test_a_formatted_path_reads_back(steps: list[str | int]) -> None:
    path = ("root", *steps)
    assert parse_path(format_path(path)) == path


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_option_is_read_or_refused_in_one_line(text: str) -> None:
    message = "read"
    try:
        apply_override(base(), parse_override(text))
    except InputError as error:
        message = str(error)
    assert message == "read" or re.fullmatch("--set[: ].+", message)


def merged(parent: object, child: object) -> object:
    plain: object = merge(
        parse_yaml(to_flow(parent), "parent"), parse_yaml(to_flow(child), "child")
    ).plain()
    return plain


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": 3}}, {"a": 1, "b": {"c": 3, "d": 2}}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": {"b": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"name": "x", "n": 1}]}, {"a": []}, {"a": []}),
        (
            {"a": [{"name": "x", "n": 1, "m": 2}, {"name": "y"}]},
            {"a": [{"name": "z"}, {"name": "x", "n": 5}]},
            {"a": [{"name": "x", "n": 5, "m": 2}, {"name": "y"}, {"name": "z"}]},
        ),
        ({"a": [{"name": "x"}]}, {"a": [{"n": 1}]}, {"a": [{"n": 1}]}),
        ({"a": [{"name": "x"}]}, {"a": [{"name": "x"}, {"name": "x"}]},
         {"a": [{"name": "x"}, {"name": "x"}]}),
        ({"a": {"kind": "p", "w": 1}}, {"a": {"kind": "q"}}, {"a": {"kind": "q"}}),
        ({"a": {"kind": "p", "w": 1}}, {"a": {"kind": "p", "v": 2}},
         {"a": {"kind": "p", "w": 1, "v": 2}}),
        ({"a": {"kind": "p", "w": 1}}, {"a": {"w": 2}}, {"a": {"kind": "p", "w": 2}}),
    ],
)  # fmt: skip
def test_a_child_is_merged_over_its_parent(parent: object, child: object, expected: object) -> None:
    assert merged(parent, child) == expected


TREES = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers() | st.none(),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner) | st.lists(inner),
        max_leaves=8,
    ),
)


@settings(deadline=None)
@given(TREES, TREES, TREES)
def test_merging_is_associative_and_nothing_changes_nothing(
    a: object, b: object, c: object
) -> None:
    assert merged(a, {}) == a
    assert merged({}, a) == a
    assert merged(a, a) == a
    assert merged(merged(a, b), c) == merged(a, merged(b, c)) or not _mappings_only(a, b, c)


def _mappings_only(*trees: object) -> bool:
    """Where a scalar replaces a mapping, grouping may matter: only pure mappings associate."""
    return all(
        isinstance(tree, dict)
        and all(isinstance(v, int) or _mappings_only(v) for v in tree.values())
        for tree in trees
    )
