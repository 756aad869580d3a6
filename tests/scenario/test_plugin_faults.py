"""Every registered policy with every parameter: a wrong type, out of range, unknown, missing.

Run-time rules, request kinds, routers, batchers, grids and dispatch rules are parts of the
schema: `test_schema_faults.py` has them. Readers of model families: `tests/arch`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import sim.policy  # noqa: F401 - registers the policies
from sim.cli.main import build_parser, main
from sim.control.rule import rules
from sim.policy.registry import Parameter, PolicyKind, policy_kinds
from sim.scenario.schema import Scenario, ServingSpec

BASE = Path(__file__).resolve().parents[1] / "cases" / "valid" / "training-least.yaml"


def good(parameter: Parameter) -> str:
    """A value that a parameter takes."""
    if parameter.is_number:
        return f"{parameter.high:g}"
    return parameter.choices[0] if parameter.choices else "x"


def bad_values(parameter: Parameter) -> Iterator[tuple[str, str]]:
    """Faults of one parameter: the value, and what the message must say."""
    if parameter.is_number:
        yield "soon", "is not a number"
        yield f"{(parameter.high or 0) + 1:.9g}", "is outside"
        yield f"{(parameter.low or 0) - 1:.9g}", "is outside"
        yield "nan", "is outside"
    elif parameter.choices:
        yield "no-such-word", "unknown"
    yield "", "is not key=value"


def texts(kind: PolicyKind) -> Iterator[tuple[str, str]]:
    """Every fault of a policy, as it would be written, and the words that tell it."""
    needed = {
        name: good(parameter)
        for name, parameter in kind.parameters.items()
        if parameter.default is None and not parameter.optional
    }
    for name in needed:
        rest = ",".join(f"{key}={value}" for key, value in needed.items() if key != name)
        yield f"{kind.kind}:{rest}", f"{name} is missing"
    for name, parameter in kind.parameters.items():
        for value, words in bad_values(parameter):
            given = needed | {name: value}
            yield f"{kind.kind}:" + ",".join(f"{k}={v}" for k, v in given.items()), words
    yield f"{kind.kind}:no_such_knob=1", "unknown parameter"
    yield f"{kind.kind};{kind.kind}", "missing" if needed else "contradicts"


@pytest.mark.parametrize("kind", policy_kinds().values(), ids=lambda kind: kind.kind)
def test_each_fault_of_a_policy_is_told_at_its_place(
    kind: PolicyKind,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parser = build_parser()
    monkeypatch.setattr("sim.cli.main.build_parser", lambda: parser)
    path = tmp_path / "sweep.yaml"
    for text, words in texts(kind):
        path.write_text(f"name: a\nbase: {BASE}\npolicies:\n  - none\n  - '{text}'\n", "utf-8")
        assert main(["sweep", str(path), "-n"]) == 2, text
        told = capsys.readouterr()
        first = told.err.splitlines()[0]
        assert first.startswith(f"flopgrid: {path}:5:5: policies.1: "), first
        assert words in first, (text, first)


def test_every_rule_router_and_batcher_is_in_the_schema() -> None:
    """So that the faults that are made from the schema reach each of them."""
    parts = Scenario.model_json_schema()["$defs"]
    kinds = {part.get("properties", {}).get("kind", {}).get("const") for part in parts.values()}
    assert set(rules()) <= kinds
    serving = ServingSpec.model_json_schema()["properties"]
    assert len(serving["router"]["enum"]) >= 5
    assert len(serving["batcher"]["enum"]) >= 3
