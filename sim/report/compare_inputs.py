"""What differs between the inputs of runs: fields of scenarios, files, lines of assumptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

NONE: Final = "–"
LONGEST: Final = 120


def paths(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value of plain data by its dotted path, as text.

    Elements of a list are named by their `name` where they have one, else by their number.
    """
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from paths(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list) and any(isinstance(item, Mapping | list) for item in tree):
        for number, item in enumerate(tree):
            named = item.get("name") if isinstance(item, Mapping) else None
            yield from paths(item, f"{path}.{named}" if named else f"{path}[{number}]")
    else:
        yield path, shown_value(tree)


def shown_value(value: Any) -> str:
    """A value of a scenario as text, – for none; very long text is cut."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"{value:,.10g}" if isinstance(value, int | float) else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def changed_inputs(trees: Mapping[str, Any]) -> dict[str, Any]:
    """A table of the fields in which trees differ, one column for each; a missing one is –.

    Args:
        trees: plain data by label.
    """
    found = {label: dict(paths(tree)) for label, tree in trees.items()}
    names = dict.fromkeys(name for fields in found.values() for name in fields)
    rows = []
    for name in names:
        values = [fields.get(name, NONE) for fields in found.values()]
        if len(set(values)) > 1:
            rows.append([name, *values])
    return {"header": ["field", *trees], "rows": rows}


def changed_lines(lists: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Lines that some of the lists have and some have not: (who has it, line)."""
    every = dict.fromkeys(line for lines in lists.values() for line in lines)
    found = []
    for line in every:
        having = [label for label, lines in lists.items() if line in lines]
        if len(having) < len(lists):
            found.append((", ".join(having), line))
    return found
