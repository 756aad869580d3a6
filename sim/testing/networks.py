"""Strategies for small grids, as MATPOWER text and as networks."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sim.grid.nodal.build import build
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.tables import Network

Row = list[float | int]


@st.composite
def case_text(draw: st.DrawFn, max_buses: int = 8, costs: bool = True) -> str:
    """The text of a MATPOWER case: connected, with generation for all of its load.

    Args:
        max_buses: the largest number of buses; there are at least two.
        costs: with a table of costs, linear or quadratic.
    """
    count = draw(st.integers(2, max_buses))
    numbers = draw(st.lists(st.integers(1, 9999), min_size=count, max_size=count, unique=True))
    loads = draw(st.lists(_mw(200.0), min_size=count, max_size=count))
    buses: list[Row] = [
        [number, 3 if place == 0 else 1, load, 0, 0, 0, 1, 1, 0, 230, 1, 1.1, 0.9]
        for place, (number, load) in enumerate(zip(numbers, loads, strict=True))
    ]
    at = [numbers[0], *draw(st.lists(st.sampled_from(numbers), max_size=3))]
    each = sum(loads) / len(at)
    generators: list[Row] = [[bus, each, 0, 99, -99, 1, 100, 1, 2 * each + 1, 0] for bus in at]
    tables: dict[str, list[Row]] = {
        "bus": buses, "gen": generators, "branch": draw(_branches(numbers)),
    }  # fmt: skip
    if costs:
        tables["gencost"] = [[2, 0, 0, 3, *draw(_curve())] for _ in at]
    body = "".join(f"mpc.{name} = [\n{_lines(rows)}];\n" for name, rows in tables.items())
    return f"function mpc = drawn\nmpc.version = '2';\nmpc.baseMVA = 100;\n{body}"


def _mw(largest: float) -> st.SearchStrategy[float]:
    return st.floats(0.0, largest).map(lambda value: round(value, 3))


def _curve() -> st.SearchStrategy[tuple[float, float, int]]:
    return st.tuples(st.sampled_from([0.0, 0.01, 0.02]), st.floats(5.0, 80.0), st.just(0))


@st.composite
def _branches(draw: st.DrawFn, numbers: list[int]) -> list[Row]:
    """A tree over all buses, and a few more lines; some have no limit (0)."""
    pairs = [
        (numbers[draw(st.integers(0, place - 1))], numbers[place])
        for place in range(1, len(numbers))
    ]
    for _ in range(draw(st.integers(0, 4))):
        start, end = draw(st.lists(st.sampled_from(numbers), min_size=2, max_size=2, unique=True))
        pairs.append((start, end))
    rows: list[Row] = []
    for start, end in pairs:
        x_pu, rating = draw(st.floats(0.01, 0.5)), draw(st.sampled_from([0, 60, 150, 400]))
        tap = draw(st.sampled_from([0, 0, 0, 0.95, 1.05]))
        rows.append([start, end, 0.1 * x_pu, x_pu, 0, rating, rating, rating, tap, 0, 1])
    return rows


def _lines(rows: list[Row]) -> str:
    return "".join("  " + " ".join(repr(value) for value in row) + ";\n" for row in rows)


def networks(max_buses: int = 8, **options: Any) -> st.SearchStrategy[Network]:
    """Connected networks with enough generation.

    Args:
        max_buses: the largest number of buses.
        options: those of `case_text`.
    """
    return case_text(max_buses, **options).map(lambda text: build(parse(text, "drawn.m")))
