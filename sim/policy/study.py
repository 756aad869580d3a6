"""A study: a baseline, policies, and what is expected of each, in one file.

    question: ...
    baseline: baseline.yaml
    seeds: [1, 2, 3]
    policies:
      - policy: curtailment:budget_frac=0.005
        expect: {hosted_mw: more}

The expectation is the direction that the literature or plain physics gives; a run that goes
another way says so, and the command ends with exit code 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from sim.errors import InputError
from sim.policy.registry import Policy, parse_policies
from sim.scenario.load import Document, load_tree, locate, validate
from sim.scenario.schema.base import Name, SchemaVersion, Strict, Whole

Direction = Literal["more", "less", "same"]
SAME_FRAC = 1e-6
"""A change below this share of the baseline is no change."""


class Case(Strict):
    """One policy, or several that hold together, and what is expected of them."""

    policy: str = Field(min_length=1, description="KIND:key=value,...; joined with ;")
    expect: dict[str, Direction] = Field({}, description="figure -> direction of its change")
    why: str = Field("", description="where the expectation comes from")


class StudyFile(Strict):
    """A study as it is written."""

    schema_version: SchemaVersion = 1
    name: Name
    question: str = Field(min_length=1)
    baseline: str = Field(min_length=1, description="a scenario file, relative to this file")
    seeds: list[Annotated[Whole, Field(ge=0, le=2**31 - 1)]] = Field([1], min_length=1)
    policies: list[Case] = Field(min_length=1, max_length=64)


class Study:
    """A study, read: its file, its policies, the path of its baseline.

    Raises:
        InputError: with file, line and path of the fault.
    """

    def __init__(self, path: str | Path):
        self.document: Document = load_tree(path)
        self.file = validate(self.document, StudyFile)
        self.baseline = Path(path).parent / self.file.baseline
        self.combinations = tuple(self._parsed(n, c) for n, c in enumerate(self.file.policies))

    def _parsed(self, number: int, case: Case) -> tuple[Policy, ...]:
        try:
            return parse_policies(case.policy)
        except InputError as error:
            error.path = f"policies[{number}].policy"
            raise locate(self.document, error) from None

    def misses(self, found: dict[str, Any]) -> list[str]:
        """Expectations that the comparison does not meet, one line each.

        Args:
            found: what `compare` returned for the study's combinations.
        """
        lines = []
        for case, row in zip(self.file.policies, found["policies"], strict=True):
            for key, wanted in case.expect.items():
                line = _miss(key, wanted, row, found["baseline"])
                if line:
                    lines.append(f"{row['label']}: {line}")
        return lines


def is_study(path: str | Path) -> bool:
    """True if a file is a study: it names a baseline."""
    return isinstance(load_tree(path).tree, dict) and "baseline" in load_tree(path).tree


def _miss(key: str, wanted: str, row: dict[str, Any], baseline: dict[str, Any]) -> str | None:
    if key not in row["delta"]:
        return f"{key} is not a figure of this comparison"
    change = row["delta"][key]
    small = abs(change) <= SAME_FRAC * max(abs(baseline[key]), 1e-9)
    found = "same" if small else "more" if change > 0 else "less"
    return None if found == wanted else f"{key} was expected to be {wanted}, it is {found}"
