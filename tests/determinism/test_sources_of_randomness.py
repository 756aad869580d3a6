"""Every source of randomness, by the purpose that names it; none depends on another."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from sim.randomness import stream
from sim.workload.counter import counter_key, uniforms

SIM = Path(__file__).resolve().parents[2] / "sim"

STREAMS = {
    "arrivals", "bench-router", "capital", "cascade hidden-failures", "compliance", "failures",
    "fit judge", "fit lengths", "grid adequacy", "grid adequacy areas", "grid assumptions",
    "grid frequency", "grid load", "grid odessa", "lengths", "meter range", "router", "sessions",
    "index resamples", "sweep samples", "thinning", "validation",
}  # fmt: skip
"""The words of each `stream(seed, ...)` that do not vary."""
FORBIDDEN = ("random", "secrets", "uuid")
NO_NUMBERS = {"record/atomic.py", "sweep/cluster.py", "cli/serve.py", "report/page/jobs.py"}
"""Names of drafts, tasks and tokens: nothing of them is in a result."""


def calls(name: str) -> set[str]:
    """Constant words of every call of a function in the product."""
    found = set()
    for path in SIM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                words = [a.value for a in node.args[1:] if isinstance(a, ast.Constant)]
                found.add(" ".join(str(word) for word in words))
    return found


def test_the_list_of_streams_is_whole() -> None:
    found = calls("stream")
    assert {one for one in found if one} == STREAMS


def test_no_other_source_of_numbers_is_used() -> None:
    """Neither the random module nor a generator of numpy's own outside `sim/randomness.py`."""
    for path in SIM.rglob("*.py"):
        name = path.relative_to(SIM).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) and name not in NO_NUMBERS:
                assert not {alias.name for alias in node.names} & set(FORBIDDEN), name
            if isinstance(node, ast.Attribute) and node.attr in ("default_rng", "RandomState"):
                assert name == "randomness.py", name


@pytest.mark.parametrize("purpose", sorted(STREAMS))
def test_a_stream_is_its_own_whatever_the_others_draw(purpose: str) -> None:
    words = purpose.split()
    alone = stream(7, *words).random(64)
    others = [stream(7, *other.split()) for other in sorted(STREAMS - {purpose})]
    mine, drawn = stream(7, *words), []
    for n in range(64):
        for other in others:
            other.random(n % 3)
        drawn.append(mine.random())
    assert np.array_equal(alone, drawn)
    for other in others:
        assert not np.isclose(other.random(64), alone).any()
    assert not np.array_equal(stream(8, *words).random(64), alone)


def test_counters_are_their_own_whatever_else_is_asked() -> None:
    """Coins by number: asked in any order or in pieces, each number has its own."""
    numbers = np.arange(100, dtype=np.uint64)
    purposes = ("admission", "route", "move", "class", "cells", "received")
    keys = [counter_key(7, purpose, "fleet") for purpose in purposes]
    whole = [uniforms(key, numbers) for key in keys]
    for key, values in zip(keys, whole, strict=True):
        assert np.array_equal(uniforms(key, numbers[::-1])[::-1], values)
        assert np.array_equal(np.r_[uniforms(key, numbers[:9]), uniforms(key, numbers[9:])], values)
    for k, values in enumerate(whole):
        for other in whole[k + 1 :]:
            assert not np.isclose(values, other).all()
            assert abs(np.corrcoef(values, other)[0, 1]) < 0.4
