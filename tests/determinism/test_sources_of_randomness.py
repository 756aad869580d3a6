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
COUNTERS = {
    "admission", "cell", "cells", "class", "failures", "gap", "handover", "move", "received",
    "requeue", "route", "service", "target", "tokens",
}  # fmt: skip
"""The words of each `counter_key(seed, ...)` that do not vary."""
FORBIDDEN = ("random", "secrets", "uuid")
SAMPLERS = ("Sobol", "LatinHypercube")
"""Of scipy: they draw from the generator that they are given."""
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


def counter_words() -> set[str]:
    """Constant words in and around the calls of `counter_key`, loops over words included."""
    found = set()
    for path in SIM.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        lists = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "counter_key":
                found |= words_of(ast.Tuple(node.args[1:]))
            if isinstance(node, ast.ListComp | ast.GeneratorExp) and "counter_key" in ast.dump(
                node
            ):
                over = node.generators[0].iter
                found |= words_of(lists[over.id] if isinstance(over, ast.Name) else over)
    return found


def words_of(tree: ast.AST) -> set[str]:
    """The texts in a piece of code."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_the_list_of_counters_is_whole() -> None:
    assert counter_words() <= COUNTERS


def strays(name: str, tree: ast.AST) -> list[str]:
    """Uses of a source of numbers that no seed and purpose name."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and name not in NO_NUMBERS:
            names = {alias.name for alias in node.names}
            names |= {node.module or ""} if isinstance(node, ast.ImportFrom) else set()
            found += sorted(names & set(FORBIDDEN))
        if isinstance(node, ast.Attribute) and node.attr == "urandom":
            found.append("urandom")
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "qmc"):
            is_ours = name == "randomness.py" or node.attr in ("Generator", "MAXDIM")
            found += [] if is_ours or node.attr in SAMPLERS else [node.attr]
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in SAMPLERS:
            found += [] if "rng" in {k.arg for k in node.keywords} else ["a sampler without rng"]
    return found


def test_no_other_source_of_numbers_is_used() -> None:
    """Neither the random module nor a generator of numpy's own outside `sim/randomness.py`."""
    for path in SIM.rglob("*.py"):
        name = path.relative_to(SIM).as_posix()
        assert strays(name, ast.parse(path.read_text("utf-8"))) == [], name


@pytest.mark.parametrize(
    "code",
    [
        "import random", "from random import choice", "from secrets import token_hex",
        "os.urandom(8)", "np.random.default_rng()", "np.random.random(3)", "np.random.seed(1)",
        "qmc.Sobol(3)", "qmc.Halton(3)",
    ],
)  # fmt: skip
def test_a_source_that_no_seed_names_would_be_seen(code: str) -> None:
    assert strays("some/file.py", ast.parse(code))


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
    keys = [counter_key(7, purpose, "fleet") for purpose in sorted(COUNTERS)]
    whole = [uniforms(key, numbers) for key in keys]
    for key, values in zip(keys, whole, strict=True):
        assert np.array_equal(uniforms(key, numbers[::-1])[::-1], values)
        assert np.array_equal(np.r_[uniforms(key, numbers[:9]), uniforms(key, numbers[9:])], values)
    for k, values in enumerate(whole):
        for other in whole[k + 1 :]:
            assert not np.isclose(values, other).all()
            assert abs(np.corrcoef(values, other)[0, 1]) < 0.4
