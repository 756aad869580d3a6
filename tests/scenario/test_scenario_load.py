"""Loading with parents and overrides, and a schema's complaints in words with their place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sim.errors import InputError, Place, UnknownNameError
from sim.scenario.load import MAX_EXTENDS, Document, load_tree, locate, validate


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Trace(Strict):
    kind: Literal["trace"]
    file: str
    trace: int = 0


class Poisson(Strict):
    kind: Literal["poisson"]
    rate_per_s: float = Field(gt=0)


class Cluster(Strict):
    nodes: int = Field(ge=1, le=1000, multiple_of=1)
    node: Literal["dgx-h100", "dgx-h200"] = "dgx-h100"
    cap_w: float | None = Field(None, lt=700)
    rack: int = Field(4, json_schema_extra={"unit": "servers"})
    share_frac: float = Field(0.5, ge=0, le=1)
    label: str = Field("ab", min_length=2, max_length=4)
    code: str = Field("a", pattern="^[a-z]+$", description="use small letters")
    mode: int | Literal["auto"] = "auto"


class Site(Strict):
    name: str
    cluster: Cluster
    requests: list[Annotated[Trace | Poisson, Field(discriminator="kind")]] = []

    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("Name is taken; choose another")
        if value == "unknown":
            raise UnknownNameError("site", value, ["campus"], path="sites[0].name")
        return value

    @model_validator(mode="after")
    def fits(self) -> Site:
        if self.cluster.rack == 13:
            raise ValueError("13 racks do not fit; use 12")
        return self


class Scenario(Strict):
    name: str
    sites: list[Site] = Field(min_length=1, max_length=2)
    zones: dict[str, float] = {}
    on: bool = True


GOOD = """\
name: a
sites:
  - name: campus
    cluster: {nodes: 5}
    requests:
      - {kind: trace, file: x}
      - kind: poisson
        rate_per_s: 2.5
"""


def write(folder: Path, text: str, name: str = "s.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def fault(tmp_path: Path, text: str, *overrides: str) -> str:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        validate(load_tree(path, overrides), Scenario)
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_a_good_file_becomes_the_model(tmp_path: Path) -> None:
    scenario = validate(
        load_tree(write(tmp_path, GOOD), ["sites.campus.cluster.nodes=7"]), Scenario
    )
    assert scenario.sites[0].cluster.nodes == 7
    assert scenario.sites[0].requests[1] == Poisson(kind="poisson", rate_per_s=2.5)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("5}", "-5}", ("s.yaml:4:22: sites[0].cluster.nodes: -5 is below the least value 1; "
         "give a whole number of nodes")),
        ("5}", "5000}", "4:22: sites[0].cluster.nodes: 5000 is above the largest value 1000; "),
        ("5}", "2.5}", "4:22: sites[0].cluster.nodes: 2.5 is not a whole number; give a whole"),
        ("5}", "many}", "4:22: sites[0].cluster.nodes: text 'many' is not a whole number; "),
        ("5}", "[5]}", "4:22: sites[0].cluster.nodes: a list is not a whole number; "),
        ("5}", "null}", "4:22: sites[0].cluster.nodes: null is not a whole number; "),
        ("5}", "5, cap_w: 700}", ("4:32: sites[0].cluster.cap_w: 700 is not below 700 W; "
         "give a number in W")),
        ("5}", "5, rack: x}", ("sites[0].cluster.rack: text 'x' is not a whole number; "
         "give a whole number in servers")),
        ("5}", "5, share_frac: 2}", ("2 is above the largest value 1; "
         "give a number as a fraction (1 = all)")),
        ("5}", "5, label: a}", "has 1 characters, fewer than the least number 2; add some"),
        ("5}", "5, label: abcdef}", "has 6 characters, more than the largest number 4; shorten"),
        ("5}", "5, code: A}", "text 'A' does not match ^[a-z]+$; use small letters"),
        ("5}", "5, label: 3}", "sites[0].cluster.label: 3 is not text; give text"),
        ("5}", "5, mode: autp}", "4:31: sites[0].cluster.mode: text 'autp'"),
        ("5}", "5, node: dgx-h10}", ("4:31: sites[0].cluster.node: text 'dgx-h10' is not one of "
         "the choices; did you mean 'dgx-h100'?")),
        ("5}", "5, node: zzz}", "not one of the choices; known: dgx-h100, dgx-h200"),
        ("5}", "5, zz: 5}", "4:25: sites[0].cluster.zz: unknown key; known: nodes, node, cap_w"),
        ("nodes: 5", "nodez: 5", "4:15: sites[0].cluster.nodez: unknown key; did you mean"),
        ("nodes: 5", "", "4:5: sites[0].cluster.nodes: is missing; add `nodes: ...`"),
        ("cluster: {nodes: 5}", "cluster: 5", "4:14: sites[0].cluster: 5 is not a mapping; "),
        ("    cluster: {nodes: 5}\n", "", "3:5: sites[0].cluster: is missing; add `cluster: ...`"),
        ("name: a\n", "", "s.yaml: name: is missing; add `name: ...`"),
        ("kind: poisson", "kind: poison", ("sites[0].requests[1].kind: unknown kind 'poison'; "
         "did you mean 'poisson'?")),
        ("kind: poisson", "kind: zzz", "unknown kind 'zzz'; known: trace, poisson"),
        ("- kind: poisson\n        rate_per_s: 2.5", "- rate_per_s: 2.5",
         "7:9: sites[0].requests[1].kind: is missing; add it: trace, poisson"),
        ("2.5", "0", ("8:21: sites[0].requests[1].rate_per_s: 0 is not above 0 1/s; "
         "give a number in 1/s")),
        ("{kind: trace, file: x}", "{kind: trace}", "6:9: sites[0].requests[0].file: is missing"),
        ("{kind: trace, file: x}", "{kind: trace, trace: 1}", "6:9: sites[0].requests[0].file: is"),
        ("{kind: trace, file: x}", "{kind: trace, file: x, trace: a}",
         "6:39: sites[0].requests[0].trace: text 'a' is not a whole number; give a whole number "),
        ("{kind: trace, file: x}", "{kind: trace, file: x, rate_per_s: 1}",
         "6:32: sites[0].requests[0].rate_per_s: unknown key; known: kind, file, trace"),
        ("{kind: trace, file: x}", "7", "6:9: sites[0].requests[0]: 7 is not a mapping"),
        ("campus", "bad", "3:11: sites[0].name: text 'bad': name is taken; choose another"),
        ("5}", "5, rack: 13}", "3:5: sites[0]: 13 racks do not fit; use 12"),
        ("name: a\n", "name: a\nzones: {x: y}\n", "2:12: zones.x: text 'y' is not a number; "),
        ("name: a\n", "name: a\non: 5\n", "2:5: on: 5"),
        ("name: a\n", "name: a\nnmae: b\n", "2:1: nmae: unknown key; did you mean 'name'?"),
    ],
)  # fmt: skip
def test_faults_have_place_path_value_limit_and_advice(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    message = fault(tmp_path, GOOD.replace(old, new, 1))
    assert expected in message
    assert "(and" not in message


def test_lists_have_lengths(tmp_path: Path) -> None:
    assert "2:8: sites: has 0 elements, fewer than the least number 1; add some" in fault(
        tmp_path, "name: a\nsites: []\n"
    )
    three = "".join(f"  - {{name: s{n}, cluster: {{nodes: 1}}}}\n" for n in range(3))
    assert "3:3: sites: has 3 elements, more than the largest number 2; remove some" in fault(
        tmp_path, f"name: a\nsites:\n{three}"
    )


def test_the_first_fault_in_file_order_and_the_number_of_others(tmp_path: Path) -> None:
    text = GOOD.replace("2.5", "-1").replace("nodes: 5", "nodes: 0").replace("file: x", "file: 3")
    assert fault(tmp_path, text).startswith(
        "s.yaml:4:22: sites[0].cluster.nodes: 0 is below the least value 1 (and 2 more); give"
    )


def test_a_misspelt_key_is_one_fault_not_two(tmp_path: Path) -> None:
    assert "did you mean 'file'?" in fault(tmp_path, GOOD.replace("file: x", "fiel: x"))


def test_faults_of_overrides_name_the_option(tmp_path: Path) -> None:
    assert fault(tmp_path, GOOD, "sites.campus.cluster.nodes=0").startswith(
        "--set sites.campus.cluster.nodes=0: sites[0].cluster.nodes: 0 is below the least value 1;"
    )
    assert fault(tmp_path, GOOD, "sites[0].x=3").startswith(
        "--set sites[0].x=3: sites[0].x: unknown key; known: name, cluster, requests"
    )
    assert fault(tmp_path, GOOD, "extends=b.yaml").startswith(
        "--set extends=b.yaml: `extends` cannot be overridden"
    )


def test_an_error_of_a_deeper_layer_gets_its_place_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace("campus", "unknown"))
    with pytest.raises(UnknownNameError) as caught:
        validate(load_tree(path), Scenario)
    assert caught.value.place == Place(str(path), 3, 11)
    assert vars(caught.value)["excerpt"] == "3 |   - name: unknown\n  |           ^"


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("sites[0].cluster.nodes", 4, 22),
        ("sites.campus.cluster.nodes", 4, 22),
        ("sites[0].cluster.rack", 4, 5),
        ("sites[0].facility.pue", 3, 5),
        ("sites[9].name", 2, 1),
        ("horizon_h", 0, 0),
        ("not a path", 0, 0),
    ],
)
def test_locate_finds_the_value_or_the_nearest_mapping(
    tmp_path: Path, path: str, line: int, column: int
) -> None:
    document = load_tree(write(tmp_path, GOOD))
    error = locate(document, InputError("is wrong", path=path))
    assert error.place == Place(str(tmp_path / "s.yaml"), line, column)


def test_locate_leaves_other_errors_alone(tmp_path: Path) -> None:
    document = load_tree(write(tmp_path, GOOD))
    assert locate(document, InputError("is wrong")).place is None
    elsewhere = Place("other.csv", 3, 1)
    error = locate(document, InputError("is wrong", place=elsewhere, path="name"))
    assert error.place == elsewhere
    assert vars(error)["excerpt"] == ""


def test_parents_are_merged_and_keep_their_places(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    write(tmp_path, GOOD, "base/parent.yaml")
    child = write(
        tmp_path,
        "extends: base/parent.yaml\nname: child\nsites:\n- name: campus\n  cluster: {rack: 8}\n",
        "child.yaml",
    )
    document = load_tree(child)
    assert document.tree["name"] == "child"
    assert document.tree["sites"][0]["cluster"] == {"nodes": 5, "rack": 8}
    assert "extends" not in document.tree
    assert [source.file for source in document.sources] == [
        str(child), str(tmp_path / "base" / "parent.yaml"),
    ]  # fmt: skip
    assert document.place(("sites", 0, "cluster", "rack")) == Place(str(child), 5, 19)
    parent = str(tmp_path / "base" / "parent.yaml")
    assert document.place(("sites", 0, "cluster", "nodes")) == Place(parent, 4, 22)
    assert validate(document, Scenario).sites[0].cluster.rack == 8


def test_a_fault_in_a_parent_names_the_parent(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("nodes: 5", "nodes: 0"), "parent.yaml")
    message = fault(tmp_path, "extends: parent.yaml\nname: child\n")
    assert message.startswith("parent.yaml:4:22: sites[0].cluster.nodes: 0 is below the least")


def test_the_child_comes_before_its_parent_in_the_order_of_faults(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("nodes: 5", "nodes: 0"), "parent.yaml")
    message = fault(tmp_path, "extends: parent.yaml\n\n\n\n\n\nname: 3\n")
    assert message.startswith("s.yaml:7:7: name: 3 is not text (and 1 more); give text")


def chain(folder: Path, length: int) -> Path:
    """Files that extend one another, the last with the name."""
    for number in range(length):
        write(folder, f"extends: f{number + 1}.yaml\n", f"f{number}.yaml")
    write(folder, "name: last\n", f"f{length}.yaml")
    return folder / "f0.yaml"


def test_the_depth_of_extends_has_a_limit(tmp_path: Path) -> None:
    assert load_tree(chain(tmp_path, MAX_EXTENDS)).tree == {"name": "last"}
    with pytest.raises(InputError, match=f"more than {MAX_EXTENDS} files extend one another"):
        load_tree(chain(tmp_path, MAX_EXTENDS + 1))


def test_a_circle_through_a_symbolic_link_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path, "extends: link.yaml\n")
    (tmp_path / "link.yaml").symlink_to(path)
    with pytest.raises(InputError, match="leads back to a file that extends it"):
        load_tree(path)


def test_a_parent_that_is_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    with pytest.raises(InputError, match="symbolic links lead in a circle"):
        load_tree(write(tmp_path, "extends: loop.yaml\n"))


def test_a_document_without_sources_still_has_places(tmp_path: Path) -> None:
    document = load_tree(write(tmp_path, GOOD))
    assert Document(document.root).place(("name",)) == Place(str(tmp_path / "s.yaml"), 1, 7)


def outcome(path: Path) -> str:
    """The message of a refusal, or `ok`."""
    try:
        validate(load_tree(path), Scenario)
    except InputError as error:
        return str(error)
    return "ok"


def test_a_file_cut_at_any_byte_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    whole = GOOD.replace("campus", "campüs").encode()
    messages = []
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        messages.append(outcome(path))
    assert all(m == "ok" or m.startswith(f"{path}") for m in messages)
    assert not any("\n" in message for message in messages)
    assert messages.count("ok") < 20


@settings(deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.sampled_from("\0\t\n :-[]{}#&*!|>'\"%@`,?x9"))
def test_one_changed_character_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, position: int, character: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.yaml"
    path.write_text(GOOD[:position] + character + GOOD[position + 1 :], encoding="utf-8")
    assert re.fullmatch(rf"ok|{re.escape(str(path))}(:\d+)*: .+", outcome(path))
