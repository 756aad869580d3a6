"""Sweep files: what they expand to, and how wrong ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.scenario.override import parse_override
from sim.sweep.expand import MAX_POINTS, load_sweep
from sim.sweep.point import Point

GOOD = """\
name: study
base: scenarios/base.yaml
axes:
  sites[0].cluster.nodes: [10, 20]
  sites.campus.at.zone: [TX-ERCOT, VA]
zip:
  grid.case: [a, b]
  horizon_h: [1, 2.5]
seeds: [7, 8]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "scenarios").mkdir(exist_ok=True)
    (folder / "scenarios" / "base.yaml").touch()
    path = folder / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_combination_in_a_fixed_order(tmp_path: Path) -> None:
    sweep = load_sweep(write(tmp_path, GOOD))
    assert (sweep.name, sweep.base) == ("study", tmp_path / "scenarios" / "base.yaml")
    assert len(sweep.points) == 2 * 2 * 2 * 2
    assert [point.index for point in sweep.points] == list(range(16))
    assert sweep.points[0].overrides == (
        "sites[0].cluster.nodes=10", "sites.campus.at.zone=TX-ERCOT", "grid.case=a", "horizon_h=1",
    )  # fmt: skip
    assert [point.seed for point in sweep.points[:4]] == [7, 8, 7, 8]
    assert [dict(point.values)["horizon_h"] for point in sweep.points[:4]] == [1, 1, 2.5, 2.5]
    assert [dict(p.values)["sites.campus.at.zone"] for p in sweep.points[::4]] == [
        "TX-ERCOT", "VA", "TX-ERCOT", "VA",
    ]  # fmt: skip
    assert sweep.points[0].label.endswith("horizon_h=1 seed=7")
    assert len({point.key for point in sweep.points}) == 16


def test_without_axes_one_run_of_each_seed(tmp_path: Path) -> None:
    (point,) = load_sweep(write(tmp_path, "name: a\nbase: scenarios/base.yaml\n")).points
    assert point == Point(0, (), 1)


def test_a_key_does_not_depend_on_the_index() -> None:
    values = (("a.b", 1),)
    assert Point(0, values, 1).key == Point(5, values, 1).key
    assert Point(0, values, 1).key != Point(0, values, 2).key
    assert Point(0, (("a.b", 1.0),), 1).key != Point(0, values, 1).key


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=5,
    )
)  # fmt: skip
def test_any_value_survives_the_way_through_an_override(value: object) -> None:
    (text,) = Point(0, (("a.b", value),), 1).overrides
    assert repr(parse_override(text).value.plain()) == repr(value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: study", "name: A b", "sweep.yaml:1:7: name: text 'A b' does not match .*; use sm"),
        ("base: scenarios/base.yaml\n", "", "sweep.yaml: base: is missing; add"),
        ("s/base.yaml", "s/bse.yaml", "2:7: base: no such file '.*bse.yaml'; the path is relative"),
        ("scenarios/base.yaml", "scenarios", "2:7: base: no such file '.*scenarios'; the path"),
        ("axes:", "axis:", "sweep.yaml:3:1: axis: unknown key; did you mean 'axes'?"),
        (
            "axes:",
            "workers: 2\naxes:",
            "sweep.yaml:3:1: workers: unknown key; known: schema_version, name, ques",
        ),
        ("[10, 20]", "10", r"sweep.yaml:4:27: axes\[.*\]: 10 is not a list; give a list"),
        ("[10, 20]", "[]", "4:27: .* has 0 elements, fewer than the least number 1; add some"),
        ("[10, 20]", "[10, 10]", r"4:32: axes\..*\.1: 10 stands twice; keep one of them"),
        ("[10, 20]", "[{a: 1}, {a: 1}]", "{a: 1} stands twice"),
        ("sites[0].cluster", "sites[0.cluster", "4:3: axes.* is malformed; write it as a.b"),
        ("horizon_h", "sites[0].cluster.nodes", "8:3: zip.*: is set by `axes` too; keep one"),
        ("[1, 2.5]", "[1, 2.5, 3]", "7:3: zip.grid.case: has 2 values where another column"),
        ("[7, 8]", "[7, 7]", "9:12: seeds.1: 7 stands twice"),
        ("[7, 8]", "[-7]", r"9:9: seeds\[0\]: -7 is below the least value 0; give a whole number"),
        ("[7, 8]", "[x]", r"9:9: seeds\[0\]: text 'x' is not a whole number"),
        (
            "[7, 8]",
            f"[{', '.join(map(str, range(20_000)))}]",
            "4:3: axes: the sweep has 160000 runs, ",
        ),
    ],
)
def test_faults_have_their_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        load_sweep(path)


def test_the_limit_itself_is_allowed(tmp_path: Path) -> None:
    lines = "name: a\nbase: scenarios/base.yaml\naxes:\n"
    lines += f"  a: [{', '.join(map(str, range(MAX_POINTS // 100)))}]\n"
    lines += f"  b: [{', '.join(map(str, range(100)))}]\n"
    assert len(load_sweep(write(tmp_path, lines)).points) == MAX_POINTS
