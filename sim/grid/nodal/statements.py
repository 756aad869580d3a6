"""The few MATLAB statements that case files hold beside their tables.

Some cases convert units after the tables (kW to MW, ohm to per unit). Those statements are
carried out; any other is refused with its line, because a case read without it is wrong.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from sim.errors import InputError, Place
from sim.grid.nodal.tables import Floats

Value = float | Floats

_COLUMNS = {
    "bus": "BUS_I BUS_TYPE PD QD GS BS BUS_AREA VM VA BASE_KV ZONE VMAX VMIN",
    "gen": "GEN_BUS PG QG QMAX QMIN VG MBASE GEN_STATUS PMAX PMIN",
    "branch": "F_BUS T_BUS BR_R BR_X BR_B RATE_A RATE_B RATE_C TAP SHIFT BR_STATUS",
}
COLUMN = {name: i for names in _COLUMNS.values() for i, name in enumerate(names.split())}

_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "acos": np.arccos,
    "sqrt": np.sqrt,
}
_SELECTION = re.compile(r"mpc\.(\w+)\(\s*(:|\d+)\s*,\s*(\[[^\]]*\]|\w+)\s*\)")
_TARGET = re.compile(rf"^{_SELECTION.pattern}\s*=(?!=)\s*(.+)$")
_SCALAR = re.compile(r"^(?:mpc\.)?([A-Za-z]\w*)\s*=(?!=)\s*(.+)$")
_NOTHING = re.compile(r"^(?:\[[^\]]*\]\s*=\s*idx_\w+|define_constants|function\b.*|return)$")


class Statements:
    """Carries out statements one by one on the tables of a case.

    Args:
        file: name of the case file, for errors.
        tables: by name, the matrices read so far; changed in place.
    """

    def __init__(self, file: str, tables: dict[str, Floats]):
        self._file = file
        self._tables = tables
        self.scalars: dict[str, float] = {}
        self._skipping = False

    def run(self, statement: str, line: int) -> None:
        """Carry out one statement.

        Raises:
            InputError: it is none of the known kinds.
        """
        text = statement.strip().rstrip(";").strip()
        if self._skipping:
            self._skipping = text != "end"
        elif text and not _NOTHING.match(text):
            self._carry_out(text, line)

    def _carry_out(self, text: str, line: int) -> None:
        condition = re.match(r"^if\s+(\w+)$", text)
        target = _TARGET.match(text)
        scalar = _SCALAR.match(text)
        if condition and self.scalars.get(condition[1]) == 0:
            self._skipping = True
        elif target:
            self._set_columns(target, text, line)
        elif scalar:
            value = self._evaluate(scalar[2], text, line)
            if not isinstance(value, float):
                raise self._refuse(text, line)
            self.scalars[scalar[1]] = value
        else:
            raise self._refuse(text, line)

    def _set_columns(self, target: re.Match[str], text: str, line: int) -> None:
        table, row, columns, expression = target.groups()
        rows = slice(None) if row == ":" else slice(int(row) - 1, int(row))
        chosen = self._columns(columns, text, line)
        values = self._table(table, text, line)
        try:
            values[rows, chosen] = self._evaluate(expression, text, line)
        except (ValueError, IndexError) as error:  # other rows or columns than the table has
            raise self._refuse(text, line) from error

    def _table(self, name: str, text: str, line: int) -> Floats:
        if name not in self._tables:
            raise self._refuse(text, line)
        return self._tables[name]

    def _columns(self, text: str, statement: str, line: int) -> list[int]:
        names = text.strip("[]").replace(",", " ").split()
        if not names or any(name not in COLUMN for name in names):
            raise self._refuse(statement, line)
        return [COLUMN[name] for name in names]

    def _evaluate(self, expression: str, statement: str, line: int) -> Value:
        selected: dict[str, Value] = dict(self.scalars)
        selected["pi"] = math.pi

        def select(match: re.Match[str]) -> str:
            name = f"_selected{len(selected)}"
            columns = self._columns(match[3], statement, line)
            try:
                values = self._table(match[1], statement, line)[:, columns]
                selected[name] = values if match[2] == ":" else float(values[int(match[2]) - 1, 0])
            except IndexError as error:
                raise self._refuse(statement, line) from error
            return name

        text = _SELECTION.sub(select, expression)
        text = re.sub(r"mpc\.(\w+)", r"\1", text).replace("^", "**").replace(".*", "*")
        try:
            return _worked_out(text, selected)
        except ValueError as error:
            raise self._refuse(statement, line) from error

    def _refuse(self, statement: str, line: int) -> InputError:
        return InputError(
            f"statement {statement!r} is not understood",
            "a case read without it would be wrong: write the converted figures into the tables",
            place=Place(self._file, line),
        )


def number(text: str) -> float:
    """A number as MATLAB writes one: `1e3`, `Inf`, `135/sqrt(3)`.

    Raises:
        ValueError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        pass
    return float(_worked_out(text.replace("^", "**"), {}))


def _worked_out(text: str, names: dict[str, Value]) -> Value:
    """The value of an expression, which must be real.

    Raises:
        ValueError: it is none, has no real value, or is nested too deep.
    """
    try:
        with np.errstate(all="ignore"):
            value = _calculate(ast.parse(text, mode="eval").body, names)
        if np.iscomplexobj(value) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(text)
    except (SyntaxError, LookupError, ArithmeticError, RecursionError, MemoryError) as error:
        raise ValueError(text) from error
    return value


def _calculate(node: ast.expr, names: dict[str, Value]) -> Value:
    """Arithmetic of numbers, names and the known functions; anything else is a KeyError."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_calculate(operand, names)
        case ast.BinOp(left=left, op=op, right=right):
            result: Value = _OPERATORS[type(op)](_calculate(left, names), _calculate(right, names))
            return result
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
            value: Value = _FUNCTIONS[name](_calculate(argument, names))
            return value
        case _:
            raise KeyError(ast.dump(node))
