"""Reading YAML: values, places, and every fault of the corpus."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import EXCERPT_COLUMNS, InputError, Place
from sim.scenario import yamlfile
from sim.scenario.canonical import hash8, to_flow, to_yaml
from sim.scenario.load import load_tree
from sim.scenario.yamlfile import (
    MAX_BYTES,
    describe,
    parse_yaml,
    read_yaml,
)

CASES = Path(__file__).resolve().parents[1] / "cases" / "invalid"
FAULTS = sorted(CASES.glob("yaml-*.yaml"))


def fault(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_each_faulty_file_gives_its_expected_first_line(path: Path) -> None:
    first = path.read_bytes().split(b"\n", 1)[0].decode()
    assert first.startswith("# expect: "), "a case file starts with its expectation"
    with pytest.raises(InputError) as caught:
        load_tree(path)
    message = str(caught.value)
    assert re.search(first.removeprefix("# expect: "), message.splitlines()[0]), message
    assert len(message.splitlines()) == 1


def test_the_corpus_is_there() -> None:
    assert len(FAULTS) >= 50


def test_values_follow_yaml_1_2() -> None:
    text = "{a: 1e9, b: 22:30, c: NO, d: yes, e: 0x1F, f: 0o17, g: 017, h: 1_000, i: ~, j: true,"
    text += " k: 2023-01-01, l: '5', m: +.5, n: -3, o: 5e-3, p: null, q: False, r: =, s: .5}"
    assert parse_yaml(text, "f").plain() == {
        "a": 1e9, "b": "22:30", "c": "NO", "d": "yes", "e": 31, "f": 15, "g": 17, "h": 1000,
        "i": None, "j": True, "k": "2023-01-01", "l": "5", "m": 0.5, "n": -3, "o": 0.005,
        "p": None, "q": False, "r": "=", "s": 0.5,
    }  # fmt: skip


def test_a_small_alias_repeats_its_value() -> None:
    node = parse_yaml("a: &x {n: 1}\nb: *x\nc: [*x, *x]", "f")
    assert node.plain() == {"a": {"n": 1}, "b": {"n": 1}, "c": [{"n": 1}, {"n": 1}]}
    assert node.size == 1 + 2 + 2 + 5


def test_plain_data_is_a_fresh_copy() -> None:
    node = parse_yaml("a: &x {n: [1]}\nb: *x", "f")
    node.plain()["a"]["n"].append(2)
    assert node.plain() == {"a": {"n": [1]}, "b": {"n": [1]}}
    data = node.plain()
    assert data["a"] is not data["b"]


def test_places_count_from_one(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("# é\r\nsites:\r\n  - name: ü\r\n    nodes: 5\r\n".encode())
    root, source = read_yaml(path)
    assert isinstance(root.value, dict)
    assert root.keys["sites"] == Place(str(path), 2, 1)
    (site,) = root.value["sites"].value  # type: ignore[misc, union-attr]
    assert site.keys["nodes"] == Place(str(path), 4, 5)
    assert site.value["nodes"].place == Place(str(path), 4, 12)
    assert source.lines[3] == "    nodes: 5"


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path)[0].plain() == {"a": 1}


def test_the_excerpt_shows_line_and_caret(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  b: .nan\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert vars(caught.value)["excerpt"] == "2 |   b: .nan\n  |      ^"


def test_the_excerpt_of_a_long_line_is_cut_around_the_caret(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: [" + "1, " * 5000 + ".nan]\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    line, caret = vars(caught.value)["excerpt"].splitlines()
    assert len(line) <= EXCERPT_COLUMNS + 4
    assert line[caret.index("^") :].startswith(".nan")


def test_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text("a: 1", encoding="utf-8")
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    expected = {
        tmp_path / "scenarios.yaml": r"no such file; did you mean '.*scenario\.yaml'\?",
        tmp_path / "zzzz": "no such file; check the path",
        tmp_path / "nowhere" / "a.yaml": "no such file; there is no folder",
        tmp_path / "scenario.yaml" / "a": "no such file; there is no folder",
        tmp_path: "is a directory; name a YAML file",
        loop: "symbolic links lead in a circle",
        pipe: "is not a regular file",
        large: f"is larger than the limit of {MAX_BYTES} bytes",
        Path("a\0b"): "cannot be read",
        tmp_path / ("x" * 5000): "cannot be read: File name too long",
    }
    for path, message in expected.items():
        with pytest.raises(InputError, match=message) as caught:
            read_yaml(path)
        assert caught.value.place is not None


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"a: 1\n#" + b"x" * (MAX_BYTES - 6))
    assert read_yaml(path)[0].plain() == {"a": 1}


def test_too_many_values_are_refused_early(monkeypatch: pytest.MonkeyPatch) -> None:
    assert yamlfile.MAX_NODES == 50_000
    monkeypatch.setattr(yamlfile, "MAX_NODES", 100)
    assert parse_yaml(f"[{'1,' * 99}]", "f").size == 100
    assert "f.yaml:1:200: has more than 100 values; split it" in fault(f"[{'1,' * 5000}]")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"), (True, "true"), (-5, "-5"), ("x", "text 'x'"), ([1], "a list"),
        ({}, "a mapping"), ("x" * 99, "text '" + "x" * 51 + "..."),
    ],
)  # fmt: skip
def test_values_in_words(value: object, words: str) -> None:
    assert describe(value) == words


def outcome(text: str) -> str:
    """The message of a refusal, or nothing."""
    try:
        parse_yaml(text, "f.yaml").plain()
    except InputError as error:
        return str(error)
    return "f.yaml: read"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    assert re.fullmatch(r"f\.yaml(:\d+)*: .+", outcome(text))


@settings(deadline=None)
@given(st.text(alphabet="{}[]:,-?&*!|>'\"%@`#\n\t ab01.~<", max_size=80))
def test_any_yaml_punctuation_is_read_or_refused(text: str) -> None:
    assert re.fullmatch(r"f\.yaml(:\d+)*: .+", outcome(text))


# The canonical writer, which this reader must bring back.

TEXT = st.text(alphabet=st.characters(blacklist_categories=()), max_size=12)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), TEXT,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["null", "~", "1e9", "no", "0x1F", "- a", "a: b", "# c", "", "2023-01-01"]),
)  # fmt: skip
DATA = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


def same(left: object, right: object) -> bool:
    """Equal, with types (1 is not 1.0) and the sign of zero."""
    return repr(left) == repr(right)


@settings(deadline=None)
@given(DATA)
def test_the_canonical_text_reads_back_as_the_same_data(data: object) -> None:
    text = to_yaml(data)
    assert same(parse_yaml(text, "f").plain(), data)
    assert to_yaml(parse_yaml(text, "f").plain()) == text


@settings(deadline=None)
@given(DATA)
def test_the_one_line_text_reads_back_as_the_same_data(data: object) -> None:
    assert "\n" not in to_flow(data)
    assert same(parse_yaml(to_flow(data), "f").plain(), data)


def test_the_canonical_text_keeps_the_order_of_keys() -> None:
    data = {"b": [1, {"x": [], "z": {}}, [2.0, [None]]], "a": "no"}
    text = 'b:\n  - 1\n  - x: []\n    z: {}\n  - - 2.0\n    - - null\na: "no"\n'
    assert to_yaml(data) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"k" * 2000: 1}])
def test_the_writer_refuses_values_without_a_yaml_form(value: object) -> None:
    with pytest.raises(ValueError, match=r"not a finite number|more than 1000 characters"):
        to_yaml([value])


@pytest.mark.parametrize("value", [{1: 2}, {3}, b"x", object()])
def test_the_writer_refuses_types_without_a_yaml_form(value: object) -> None:
    with pytest.raises(TypeError, match=r"has no YAML form|is not text"):
        to_yaml([value])


def test_the_hash_names_what_decides_the_numbers() -> None:
    scenario = {"name": "a", "pue": 1.2, "seeds": [1]}
    base = hash8(scenario, {"x": "1", "y": "2"}, "0.1")
    assert re.fullmatch(r"[0-9a-f]{8}", base)
    assert hash8({**scenario, "seeds": [1, 2]}, {"y": "2", "x": "1"}, "0.1") == base
    changed = {
        hash8({**scenario, "pue": 1.3}, {"x": "1", "y": "2"}, "0.1"),
        hash8(scenario, {"x": "1", "y": "3"}, "0.1"),
        hash8(scenario, {"x": "1", "y": "2"}, "0.2"),
    }
    assert len(changed | {base}) == 4
