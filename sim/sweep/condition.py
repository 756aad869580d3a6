"""Conditions on named values, as sweep files write them: `gpus <= 1e5 and policy == "none"`.

A condition is Python's notation for comparisons, arithmetic, `and`, `or`, `not` and `in`. A
dotted name, with brackets where the column has them (`grid.verdicts[energy].binds`), stands
for a column; so does its last part alone where only one column ends so. `count`, `min`, `max`
and `sum` take a pattern in quotes: `count("grid.verdicts[*].binds") == 0` counts the true
ones. `col("...")` takes a name that is no Python. Nothing else is understood: no attribute is
read and no code is run.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sim.errors import InputError, nearest

Values = Mapping[str, Any]

_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
}
_COMPARE: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
_MANY: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "count": lambda values: sum(bool(value) for value in values),
    "min": min,
    "max": max,
    "sum": sum,
}
_WORDS: Final = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that has been read; see the module's docstring.

    Raises:
        InputError: it is no such condition.
    """

    text: str
    _tree: ast.expr = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            tree = ast.parse(self.text.strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError):
            raise InputError(
                f"condition {self.text!r} cannot be read", 'write it as a.b <= 3 and c == "x"'
            ) from None
        object.__setattr__(self, "_tree", tree)
        self._check(tree)

    def holds(self, values: Values) -> bool:
        """True if it holds for these values.

        Raises:
            InputError: a name is unknown, a value is missing, or kinds cannot be compared.
        """
        return bool(self.value(values))

    def value(self, values: Values) -> Any:
        """What the expression comes to; the errors of `holds`."""
        try:
            return self._of(self._tree, values)
        except (TypeError, ZeroDivisionError, ValueError) as error:
            raise InputError(f"condition {self.text!r}: {error}", "mend the condition") from None

    def _check(self, node: ast.expr) -> None:
        """Only what `_of` understands."""
        if isinstance(node, ast.BoolOp | ast.List | ast.Tuple):
            parts = node.values if isinstance(node, ast.BoolOp) else node.elts
        elif isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            parts = [node.operand]
        elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            parts = [node.left, node.right]
        elif isinstance(node, ast.Compare) and all(type(op) in _COMPARE for op in node.ops):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.Constant) or _name(node) or _argument(node) is not None:
            parts = []
        else:
            raise InputError(
                f"condition {self.text!r}: {ast.unparse(node)!r} is not understood",
                "use names, numbers, text, comparisons, and, or, not, count, min, max, sum, col",
            )
        for part in parts:
            self._check(part)

    def _of(self, node: ast.expr, values: Values) -> Any:
        if isinstance(node, ast.BoolOp):
            every = isinstance(node.op, ast.And)
            return (all if every else any)(self._of(part, values) for part in node.values)
        if isinstance(node, ast.List | ast.Tuple):
            return [self._of(part, values) for part in node.elts]
        if isinstance(node, ast.UnaryOp):
            return _UNARY[type(node.op)](self._of(node.operand, values))
        if isinstance(node, ast.BinOp):
            left, right = self._of(node.left, values), self._of(node.right, values)
            return _BINARY[type(node.op)](left, right)
        if isinstance(node, ast.Compare):
            return self._compare(node, values)
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Call):
            return self._call(node, values)
        name = _name(node)
        return _WORDS[name] if name in _WORDS else look_up(name, values)

    def _compare(self, node: ast.Compare, values: Values) -> bool:
        left = self._of(node.left, values)
        for op, part in zip(node.ops, node.comparators, strict=True):
            right = self._of(part, values)
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True

    def _call(self, node: ast.Call, values: Values) -> Any:
        function, pattern = _name(node.func), _argument(node) or ""
        if function == "col":
            return look_up(pattern, values)
        return _MANY[function]([values[name] for name in matching(pattern, values)])


def matching(pattern: str, names: Values) -> list[str]:
    """The names with a value that a pattern stands for; `*` is any text.

    Raises:
        InputError: there is none.
    """
    form = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
    found = [name for name in names if form.fullmatch(name) and names[name] is not None]
    if not found:
        raise InputError(f"no column matches {pattern!r}", "see results.csv for the names")
    return found


def full_name(name: str, values: Values) -> str:
    """The column that a name stands for: itself, or the only one that ends with it.

    Raises:
        InputError: there is none, or there are several.
    """
    if name in values:
        return name
    found = [column for column in values if column.endswith(f".{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(f"{name!r} stands for {len(found)} columns", f"write {found[0]!r} in full")
    near = nearest(name, values)
    todo = f"did you mean {near!r}?" if near else "see results.csv for the names"
    raise InputError(f"unknown column {name!r}", todo)


def look_up(name: str, values: Values) -> Any:
    """The value of a name; the errors of `full_name`, and a value that is missing."""
    found = values[full_name(name, values)]
    if found is None:
        raise InputError(f"column {name!r} has no value here", "use a column that every run has")
    return found


def _name(node: ast.expr) -> str:
    """The dotted name that a node writes, or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        stem = _name(node.value)
        return f"{stem}.{node.attr}" if stem else ""
    if isinstance(node, ast.Subscript):
        stem, index = _name(node.value), node.slice
        inside = str(index.value) if isinstance(index, ast.Constant) else ast.unparse(index)
        return f"{stem}[{inside}]" if stem else ""
    return ""


def _argument(node: ast.expr) -> str | None:
    """The one text that a known function is called with, else None."""
    if not isinstance(node, ast.Call) or _name(node.func) not in {*_MANY, "col"}:
        return None
    if len(node.args) != 1 or node.keywords:
        return None
    (argument,) = node.args
    text = argument.value if isinstance(argument, ast.Constant) else None
    return text if isinstance(text, str) else None
