"""Every operation of every family as it was recorded: no row changes without being seen."""

from __future__ import annotations

import csv

import pytest

from sim import arch
from tools.record_operations import FAMILIES, HEAD, RECORD, operations, totals


def recorded(name: str) -> list[list[str]]:
    with RECORD.open() as file:
        return [row for row in csv.reader(file) if row[0] == name]


def same(found: list[str], known: list[str]) -> bool:
    """Equal in every word; numbers to the last digit but one that is written."""
    if len(found) != len(known):
        return False
    for a, b in zip(found, known, strict=True):
        if a != b and not (_number(a) is not None and _number(b) == pytest.approx(_number(a))):
            return False
    return True


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


@pytest.mark.parametrize("name", FAMILIES)
def test_the_operations_of_a_family_are_those_of_the_record(name: str):
    model = arch.load(name)
    found, known = operations(model) + totals(model), recorded(name)
    wrong = [(f, k) for f, k in zip(found, known, strict=True) if not same(f, k)]
    assert not wrong, f"{len(wrong)} rows differ; if meant: python tools/record_operations.py"


def test_the_families_hold_every_block_of_the_zoo():
    def blocks(name: str) -> set[str]:
        return {type(getattr(b, "block", b)).__name__ for b, _, _ in arch.load(name).blocks()}

    assert set().union(*map(blocks, FAMILIES)) == set().union(*map(blocks, arch.names()))


def test_a_changed_row_is_seen():
    row = recorded(FAMILIES[0])[0]
    for at in range(len(row)):
        changed = [*row[:at], (row[at] or "x") + "1", *row[at + 1 :]]
        assert not same(changed, row), HEAD[at]
