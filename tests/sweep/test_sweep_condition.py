"""Conditions of sweep files: what they mean, and that they are nothing more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.sweep.condition import Condition, full_name, matching

VALUES = {
    "sites.campus.cluster.gpus": 300,
    "policy": "none",
    "grid.verdicts[energy].binds": False,
    "grid.verdicts[swing].binds": True,
    "grid.verdicts[energy].margin_mw": 12.5,
    "grid.verdicts[swing].margin_mw": -3.0,
    "empty": None,
    "a-b": 7,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sites.campus.cluster.gpus == 300", True),
        ("gpus <= 1e5 and policy == 'none'", True),
        ("100 < gpus < 300", False),
        ("not grid.verdicts[energy].binds", True),
        ("grid.verdicts[swing].binds or false", True),
        ('policy in ["none", "cap"]', True),
        ("policy not in ['none']", False),
        ('count("grid.verdicts[*].binds")', 1),
        ('min("grid.verdicts[*].margin_mw")', -3.0),
        ('max("grid.verdicts[*].margin_mw")', 12.5),
        ('sum("grid.verdicts[*].margin_mw")', 9.5),
        ("-gpus + 2 * 3 - 4 / 2 % 5 + 7 // 2", -300 + 6 - 2.0 + 3),
        ('col("a-b") == 7', True),
        ("true != null", True),
    ],
)
def test_what_conditions_mean(text: str, value: object) -> None:
    assert Condition(text).value(VALUES) == value
    assert Condition(text).holds(VALUES) is bool(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpus <", "cannot be read; write it as"),
        ("__import__('os').system('true')", "is not understood; use names"),
        ("().__class__.__bases__", "is not understood"),
        ("[x for x in gpus]", "is not understood"),
        ("(lambda: 1)()", "is not understood"),
        ("gpus ** 99999", "is not understood"),
        ("count(gpus)", "is not understood"),
        ('count("a", "b")', "is not understood"),
        ("f'{gpus}'", "is not understood"),
        ("x := 1", "cannot be read"),
    ],
)
def test_what_is_no_condition(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Condition(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gpu == 1", "unknown column 'gpu'"),
        ("binds", r"'binds' stands for 2 columns; write 'grid.verdicts\[energy\].binds' in full"),
        ("empty > 1", "column 'empty' has no value here"),
        ('count("nothing*") == 0', r"no column matches 'nothing\*'"),
        ("policy < 3", "not supported between instances of 'str' and 'int'; mend the condition"),
        ("gpus / 0", "division by zero"),
    ],
)
def test_what_has_no_answer(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Condition(text).holds(VALUES)


def test_names() -> None:
    assert full_name("gpus", VALUES) == "sites.campus.cluster.gpus"
    assert matching("grid.verdicts[*].binds", VALUES) == [
        "grid.verdicts[energy].binds", "grid.verdicts[swing].binds",
    ]  # fmt: skip


@given(st.integers(-1000, 1000), st.integers(-1000, 1000))
def test_comparison_is_pythons(a: int, b: int) -> None:
    for sign, answer in (("<", a < b), ("<=", a <= b), ("==", a == b), ("!=", a != b)):
        assert Condition(f"x {sign} y").holds({"x": a, "y": b}) is answer


@given(st.text(max_size=30))
def test_any_text_is_a_condition_or_one_clear_error(text: str) -> None:
    """It answers yes or no, or says what is wrong; nothing else is raised."""
    answer = answer_of(text)
    assert answer in (True, False) or (isinstance(answer, InputError) and answer.what)


def answer_of(text: str) -> bool | InputError:
    try:
        return Condition(text).holds({"x": 1})
    except InputError as error:
        return error
