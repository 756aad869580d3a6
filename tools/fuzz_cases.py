"""Valid cases with a few fields changed, small enough to run to their end in a second."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from sim.scenario.canonical import to_yaml
from sim.testing.fields import Spot, get, leaves, put, spots

ROOT: Final = Path(__file__).resolve().parents[1]
CASES: Final = ROOT / "tests" / "cases" / "valid"
Tree = dict[str, Any]

HORIZON_H: Final = 0.006
MOST: Final = {
    "samples": 16, "days": 1, "duration_s": 5.0, "interval_s": 5.0, "respond_s": 1.0,
    "warmup_s": 2.0, "rate_per_s": 20.0, "on_rate_per_s": 20.0, "starts_per_s": 5.0, "runs": 3,
}  # fmt: skip
"""What is large takes long; smaller figures stay as they are."""
COSTLY: Final = ("activsg10k", "activsg25k", "activsg70k", "synthetic-usa")
"""Networks that take seconds to read."""
KEPT: Final = {("Scenario", field) for field in ("horizon_h", "schema_version", "name")}
SEEN_FRAC: Final = 0.6
"""Of the changes, those to a value that another case has in the same field."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The cases with every default filled in, and what their fields say.

    Args:
        seen: the values of each field of each part, over all cases.
    """

    schema: dict[str, Any]
    trees: dict[str, Tree]
    seen: dict[tuple[str, str], list[Any]]


@cache
def ground() -> Ground:
    """Read all cases once; those of costly networks are left out."""
    from sim.scenario.load import load_tree, validate
    from sim.scenario.schema import Scenario

    schema = Scenario.model_json_schema(by_alias=True)
    trees: dict[str, Tree] = {}
    seen: dict[tuple[str, str], list[Any]] = {}
    for path in sorted(CASES.glob("*.yaml")):
        tree = validate(load_tree(path), Scenario).model_dump(mode="json", by_alias=True)
        if tree["grid"].get("case") in COSTLY or get(tree, ("grid", "study", "kind")):
            continue
        trees[path.stem] = tree
        for spot in spots(schema, tree):
            values = seen.setdefault((spot.model, spot.field), [])
            value = get(tree, spot.steps)
            if value not in values:
                values.append(value)
    return Ground(schema, trees, seen)


def changed_case(data: bytes) -> bytes:
    """A case with one to four changes, as the bytes choose."""
    rng = random.Random(data)  # noqa: S311 - repeatable on purpose
    known = ground()
    name = rng.choice(sorted(known.trees))
    tree = copy.deepcopy(known.trees[name])
    shorten(tree)
    changes = [change(tree, rng) for _ in range(rng.choice((1, 1, 2, 3, 4)))]
    tame(tree, rng)
    head = f"# {name}: {'; '.join(changes)}".replace("\n", " ")[:500]
    tree["seeds"] = [rng.randrange(2**31)]
    return f"{head}\n{to_yaml(tree)}".encode()


def change(tree: Tree, rng: random.Random) -> str:
    """Change one field of a scenario; says which."""
    known = ground()
    found = [spot for spot in spots(known.schema, tree) if (spot.model, spot.field) not in KEPT]
    spot = rng.choice(found)
    value = other(spot, get(tree, spot.steps), rng)
    put(tree, spot.steps, value)
    return f"{'.'.join(map(str, spot.steps))} = {value!r}"


def other(spot: Spot, value: Any, rng: random.Random) -> Any:
    """Another value of a field: of another case, or as its schema allows."""
    known = ground()
    seen = [v for v in known.seen.get((spot.model, spot.field), []) if v != value]
    if seen and rng.random() < SEEN_FRAC:
        return copy.deepcopy(rng.choice(seen))
    choices = [c for leaf in leaves(known.schema, spot.schema) for c in _allowed(leaf, value, rng)]
    choices = [choice for choice in choices if choice != value]
    return copy.deepcopy(rng.choice(choices or seen or [value]))


def _allowed(leaf: dict[str, Any], value: Any, rng: random.Random) -> list[Any]:
    """Values that one branch of a field's schema allows."""
    kind = leaf.get("type")
    if "enum" in leaf:
        return list(leaf["enum"])
    if kind == "boolean":
        return [True, False]
    if kind == "null":
        return [None]
    if kind not in ("number", "integer"):
        return []
    low = leaf.get("minimum", leaf.get("exclusiveMinimum", 0.0))
    high = leaf.get("maximum", leaf.get("exclusiveMaximum", 1e9))
    now = value if isinstance(value, int | float) and not isinstance(value, bool) else 1.0
    tries = [leaf.get("minimum", now), now * 2, now / 2, now * 1.1, now + 1, now - 1]
    tries += [leaf["maximum"]] if "maximum" in leaf else []
    tries += [low + (min(high, low + 10.0) - low) * rng.random()]
    whole = [round(t) for t in tries] if kind == "integer" else [float(t) for t in tries]
    return [t for t in whole if low <= t <= high]


def shorten(tree: Tree) -> None:
    """Let a scenario be over within seconds of simulated time, with the faults that it has."""
    short = min(1.0, HORIZON_H / tree["horizon_h"])
    tree["horizon_h"] = min(tree["horizon_h"], HORIZON_H)
    for fault in tree["control"]["faults"]:
        fault["at_s"] *= short


def tame(tree: Tree, rng: random.Random) -> None:
    """Let the grid be asked little, and few requests come."""
    for key, odds in (("hosting", 0.05), ("adequacy", 0.05), ("trip", 0.2)):
        if tree["grid"].get(key):
            tree["grid"][key] = rng.random() < odds
    for part in _parts(tree):
        for key, most in MOST.items():
            value = part.get(key)
            if isinstance(value, int | float) and not isinstance(value, bool):
                part[key] = min(value, most)


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a tree."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(child, dict | list):
            yield from _parts(child)
