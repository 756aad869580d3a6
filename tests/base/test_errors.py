"""The message of an error is one line of text that can be shown, whatever a file says."""

from __future__ import annotations

import pytest

from sim.errors import InputError, LawViolation, Place, excerpt, one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a key 'é' and µ", "a key 'é' and µ"),
        ("one\ntwo\r\n  three", "one two three"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("tab\there\x00", "tab\\there\\x00"),
        ("\ue000 \U000ae816 \ud800", "\\ue000 \\U000ae816 \\ud800"),
        ("a\u2028b", "a b"),
    ],
)
def test_marks_that_cannot_be_shown_are_named(text: str, line: str) -> None:
    assert one_line(text) == line
    assert line.isprintable()
    assert str(LawViolation(text)) == line
    error = InputError(text, text, path=text, place=Place(text, 1, 2))
    assert str(error).isprintable()
    assert str(error).count(line) == 4


def test_an_excerpt_keeps_its_columns() -> None:
    shown = excerpt("a: \x1b[31mred\tgreen", Place("a.yaml", 7, 4)).splitlines()
    assert shown == ["7 | a: \ufffd[31mred green", "  |    ^"]
