"""Every field of scenario and sweep files, each with faults made from the schema itself.

For each field of each part: a value of a wrong type, one just outside its range, and for each
part an unknown key. The valid files of the corpus are the ground: a part or field that none of
them reaches fails the test. The oracle for line and column is the text: the fault is written as
a word that stands nowhere else, found there, and only then replaced by the value.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sim.cli.main import build_parser, main
from sim.scenario.canonical import to_yaml
from sim.scenario.load import load_tree, validate
from sim.scenario.schema import Scenario
from sim.sweep.schema import SweepFile
from sim.testing.fields import Steps, spots

CASES = Path(__file__).resolve().parents[1] / "cases"
MARK = "xFAULTx"
LIMITS = {"minimum": -1, "exclusiveMinimum": 0, "maximum": 1, "exclusiveMaximum": 0}
"""Of a number in the schema, each with the step that leaves it."""
ELEMENT = "- "
"""Before a value: it is the only element of a list."""


@dataclass(frozen=True)
class Spot:
    """A field at a place of a valid file, whose content is `data`."""

    model: str
    field: str
    schema: dict[str, Any]
    file: Path
    steps: Steps
    data: Any = None


def filled(written: Any, data: Any, steps: Steps) -> Any:
    """What a file says, with the mappings that lead to a field; None if a list is left out."""
    tree = copy.deepcopy(written)
    node = tree
    for step in steps[:-1]:
        data = data[step]
        if isinstance(node, dict) and node.get(str(step)) is None:
            node[str(step)] = {"kind": data["kind"]} if "kind" in data else {}
        if isinstance(step, int) and not isinstance(node, list):
            return None
        node = node[step]
    return tree


def with_value(tree: Any, steps: Steps, value: Any) -> Any:
    """The tree with one value set."""
    node = tree
    for step in steps[:-1]:
        node = node[step]
    node[steps[-1]] = value
    return tree


@cache
def ground(kind: str) -> tuple[dict[str, Any], dict[tuple[str, str], Spot]]:
    """The schema of a kind of file, and for each field the first spot that a valid file has."""
    model = Scenario if kind == "valid" else SweepFile
    schema = model.model_json_schema(by_alias=True)
    found: dict[tuple[str, str], Spot] = {}
    files = (CASES / kind).glob("*.yaml")
    for path in sorted(
        files, key=lambda path: (path.stat().st_size, path.name)
    ):  # quick ones first
        document = load_tree(path)
        data = validate(document, model).model_dump(mode="json", by_alias=True)
        for at in spots(schema, data):
            tree = filled(document.tree, data, at.steps)
            if tree is not None:
                spot = Spot(at.model, at.field, at.schema, path, at.steps, tree)
                found.setdefault((spot.model, spot.field), spot)
    return schema, found


KINDS = ("valid", "sweeps")
ENDS = {"Range": ("low", "high", "mode"), "Refine": ("low", "high")}
FREE: dict[str, dict[str, list[str]]] = {
    "valid": {},
    "sweeps": {f"{p}.{f}": ["out of range"] for p, fields in ENDS.items() for f in fields},
}
"""Fields without a limit: what a sweep gives to a field has the limits of that field."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_valid_files_reach_every_field_of_every_part(kind: str) -> None:
    schema, found = ground(kind)
    parts = {**schema["$defs"], schema["title"]: schema}
    wanted = {(name, field) for name, part in parts.items() for field in part.get("properties", {})}
    assert sorted(wanted - set(found)) == []


def leaves(spot: Spot, schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The branches of a field's schema that are no union, with lists opened."""
    waiting, done = [spot.schema], []
    while waiting:
        part = waiting.pop()
        if "$ref" in part:
            done.append(schema["$defs"][str(part["$ref"]).rsplit("/", 1)[-1]])
        elif "oneOf" in part or "anyOf" in part:
            limits = {key: part[key] for key in LIMITS if key in part}
            waiting += [limits | branch for branch in part.get("oneOf", part.get("anyOf", []))]
        else:
            done.append(part)
    return done


def wrong_type(spot: Spot, schema: dict[str, Any]) -> str:
    """A YAML value that no branch of the field takes."""
    types = {leaf.get("type", "string" if "enum" in leaf or "const" in leaf else "any")
             for leaf in leaves(spot, schema)}  # fmt: skip
    if "any" in types:
        return ""
    for candidate, kind in (("[[true]]", "array"), ("true", "boolean"), ("wrong", "string")):
        if kind not in types:
            return candidate
    return "{nothing: 1}"


def out_of_range(spot: Spot, schema: dict[str, Any]) -> str:
    """A YAML value just outside the range, or outside the choices; "" where there is none."""
    for leaf in leaves(spot, schema):
        for key, step in LIMITS.items():
            if key in leaf and leaf.get("type") in ("integer", "number"):
                return repr(leaf[key] + step)
        if "enum" in leaf or "const" in leaf:
            return "wrong" if leaf.get("type", "string") == "string" else "99"
        if "pattern" in leaf:
            return '"Not a name/"'
        if leaf.get("minLength") and not leaf.get("pattern"):
            return '""'
        if leaf.get("type") == "array" and leaf.get("minItems"):
            return "[]"
        if leaf.get("type") == "array":
            inner = Spot(spot.model, spot.field, leaf.get("items", {}), spot.file, spot.steps)
            bad = out_of_range(inner, schema)
            if bad:
                return f"{ELEMENT}{bad}"
    return ""


def complaint(spot: Spot, steps: Steps, value: str, tmp_path: Path, capsys: Any) -> tuple[str, str]:
    """What the command says about the file with the fault, and the place that it must name."""
    key = steps[-1] == MARK
    marked: Any = 1 if key else [MARK] if value.startswith(ELEMENT) else MARK
    value = value.removeprefix(ELEMENT)
    text = to_yaml(with_value(copy.deepcopy(spot.data), steps, marked))
    line = next(n for n, row in enumerate(text.splitlines()) if MARK in row)
    column = text.splitlines()[line].index(MARK) + 1
    folder = tmp_path / spot.file.parent.name
    folder.mkdir(exist_ok=True)
    path = folder / "fault.yaml"
    path.write_text(text if key else text.replace(MARK, value), "utf-8")
    command = ["run", str(path), "-n"] if spot.file.parent.name == "valid" else \
        ["sweep", str(path), "-n"]  # fmt: skip
    assert main(command) == 2, (spot, value)
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()[0], f"flopgrid: {path}:{line + 1}:{column}: "


def faults(kind: str) -> list[tuple[Spot, str, Steps, str]]:
    """Every fault: the spot, its name, where it is written, and the value."""
    schema, found = ground(kind)
    made = []
    parts: set[str] = set()
    for spot in found.values():
        if bad := wrong_type(spot, schema):
            made.append((spot, "wrong type", spot.steps, bad))
        if bad := out_of_range(spot, schema):
            made.append((spot, "out of range", spot.steps, bad))
        if spot.model not in parts:
            parts.add(spot.model)
            made.append((spot, "unknown key", (*spot.steps[:-1], MARK), "1"))
    return made


@pytest.fixture
def _one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser of the command line is built once, not for each of the many files."""
    parser = build_parser()
    monkeypatch.setattr("sim.cli.main.build_parser", lambda: parser)


@pytest.mark.usefixtures("_one_parser")
@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_is_told_in_one_line_at_its_place(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = []
    made = faults(kind)
    for spot, fault, steps, value in made:
        line, place = complaint(spot, steps, value, tmp_path, capsys)
        if not line.startswith(place):
            wrong.append(f"{spot.model}.{spot.field} {fault} {value}: {line} (not {place})")
    assert wrong == []
    assert len(made) >= (780 if kind == "valid" else 90)


def test_a_range_that_is_not_checked_would_be_seen() -> None:
    part = {"anyOf": [{"type": "number", "exclusiveMinimum": 0, "maximum": 1}, {"type": "null"}]}
    spot = Spot("Part", "share_frac", part, Path("a.yaml"), ("share_frac",))
    assert out_of_range(spot, {}) == "0"
    assert wrong_type(spot, {}) == "[[true]]"
    assert re.fullmatch(r"\w+", MARK)


def without_faults(spot: Spot, schema: dict[str, Any]) -> list[str]:
    """Kinds of fault that the field should have, and of which none is made."""
    kinds = {leaf.get("type") for leaf in leaves(spot, schema)}
    limited = kinds & {"number", "integer"} or any("enum" in leaf for leaf in leaves(spot, schema))
    missing = [] if wrong_type(spot, schema) else ["wrong type"]
    return [*missing, "out of range"] if limited and not out_of_range(spot, schema) else missing


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_has_a_fault_of_each_kind(kind: str) -> None:
    """A wrong type, for numbers and choices a value out of range, for parts an unknown key."""
    schema, found = ground(kind)
    bare = {f"{s.model}.{s.field}": without_faults(s, schema) for s in found.values()}
    assert {name: missing for name, missing in bare.items() if missing} == FREE[kind]
    made = faults(kind)
    parts = {spot.model for spot in found.values()}
    assert {spot.model for spot, fault, _, _ in made if fault == "unknown key"} == parts
    pairs = {(spot.model, spot.field, fault) for spot, fault, _, _ in made}
    assert len(pairs) == len(made)


def test_a_field_without_a_fault_would_be_seen() -> None:
    """Of anything, and of numbers without a limit."""
    free = Spot("Part", "note", {}, Path("a.yaml"), ("note",))
    endless = replace(free, schema={"anyOf": [{"type": "number"}, {"type": "null"}]})
    assert without_faults(free, {}) == ["wrong type"]
    assert without_faults(endless, {}) == ["out of range"]
