"""Every reader of a model family with odd values in every field that its configs have.

A config is read, or refused in one line that names the file and the field.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from sim import arch
from sim.arch.fields import SAME_CLASS, family_defaults
from sim.arch.load import load
from sim.arch.registry import families
from sim.datum import read_yaml
from sim.errors import InputError

ODD: tuple[Any, ...] = (None, -1, 0, 10**300, "x", [], [{}], [-1])


def examples() -> dict[str, dict[str, Any]]:
    """A config of the zoo for each family, with its class defaults written out."""
    found: dict[str, dict[str, Any]] = {}
    for name in arch.names():
        config = read_yaml(f"zoo/{name}.yaml")["config"]
        inner = copy.deepcopy(config.get("text_config", config))
        family = inner.get("model_type", config.get("model_type"))
        found.setdefault(family, family_defaults(family) | inner | {"model_type": family})
    for family, same in SAME_CLASS.items():
        if family not in found and same in found:
            found[family] = found[same] | {"model_type": family}
    return found


EXAMPLES = examples()


def test_every_family_has_an_example() -> None:
    alone = set(families()) - set(EXAMPLES)
    assert alone <= {"gemma", "gemma3", "llama4", "minimax_m1", "minimax", "qwen3_5_moe"}


@pytest.mark.parametrize("family", sorted(EXAMPLES))
def test_odd_values_are_read_or_refused_with_the_field(family: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    refused: set[str] = set()
    for field in EXAMPLES[family]:
        for value in ODD:
            path.write_text(json.dumps(EXAMPLES[family] | {field: value}), "utf-8")
            try:
                load(str(path))
            except InputError as error:
                message = str(error)
                refused.add(field)
                assert message.startswith(str(path)), message
                assert len(message.splitlines()) == 1
                assert len(message) < 600
    assert {"model_type", "vocab_size"} <= refused


@pytest.mark.parametrize("family", sorted(EXAMPLES))
def test_no_more_layers_are_read_than_any_machine_holds(family: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    key = "n_layer" if "num_hidden_layers" not in EXAMPLES[family] else "num_hidden_layers"
    path.write_text(json.dumps(EXAMPLES[family] | {key: 10**9}), "utf-8")
    try:
        layers = load(str(path)).n_layers  # some families list their layers, and count none
    except InputError as error:
        message = str(error)
    else:
        message = str(path) if layers < 1000 else f"{layers} layers"
    assert message.startswith(str(path))
