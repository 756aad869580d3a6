"""Strategies for whole runs: small scenarios of every view, load and rule, and policies."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from sim.control.rule import knobs, rules
from sim.policy import policy_kinds
from sim.policy.registry import Parameter
from sim.scenario.schema import Checkpointing, Facility, FailuresSpec
from sim.scenario.schema.base import standard
from sim.scenario.schema.control import Fault, RidesThrough
from sim.scenario.schema.regions import Event
from sim.scenario.schema.serving import ClassSpec
from sim.scenario.schema.serving_parts import SpeculationSpec
from sim.scenario.schema.training import (
    EvaluationSpec,
    MaintenanceSpec,
    NetworkSpec,
    Smoothing,
    StragglersSpec,
)
from sim.testing.from_schema import Data, from_schema
from sim.testing.scenarios import MODELS, words

BUSES = (1082, 7095)
"""Of the synthetic Texas, at 115 kV and at 230 kV."""
ZONES = {"eastern": "VA", "ercot": "TX-ERCOT", "western": "AZ"}
"""A zone of each interconnection."""
GPUS_PER_NODE = 8
Part = st.SearchStrategy[dict[str, Data]]


@cache
def _part(kind: Any) -> Part:
    """What a part of a scenario may say, of moderate figures: only what its own checks accept."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def accepted(data: Data) -> bool:
        try:
            adapter.validate_python(data)
        except ValidationError:
            return False
        return True

    schema = standard(adapter.json_schema())
    return from_schema(schema, words() | {"sites": ["site-0"]}, extremes=False).filter(accepted)


@st.composite
def run_data(draw: st.DrawFn) -> dict[str, Data]:
    """What the file of a small scenario may say that runs in seconds, or is refused as a whole.

    Every view of the grid, fidelity, kind of work and part of a building comes up.
    """
    kind = draw(st.sampled_from(["zonal", "zonal", "regions", "dynamic", "nodal"]))
    case = draw(st.sampled_from(sorted(ZONES)))
    known = [ZONES[case]] if kind == "dynamic" else words()["zone"]
    zones = draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
    places: list[dict[str, Data]] = [{"zone": zone} for zone in zones]
    if kind == "nodal":
        places = [{"bus": draw(st.sampled_from(BUSES))}]
    return {
        "name": "drawn",
        "horizon_h": draw(st.sampled_from([0.004, 0.01, 0.02])),
        "seeds": [draw(st.integers(0, 2**31 - 1))],
        "sites": [draw(_site(f"site-{n}", place)) for n, place in enumerate(places)],
        "grid": draw(_grid(kind, case)),
        "control": draw(_control(kind, [f"site-{n}" for n in range(len(places))])),
        "record": {"requests": draw(st.sampled_from(["none", "all"])), "signals": True},
    }


def _grid(kind: str, case: str) -> Part:
    bits = st.booleans()
    grids: dict[str, dict[str, Any]] = {
        "zonal": {"samples": st.just(8), "hosting": bits},
        "regions": {
            "mixed_years": st.just(True), "first_day": st.integers(0, 364), "days": st.just(1),
            "site_load": st.sampled_from(["mean", "peak", "repeat"]), "adequacy": bits,
            "trip": bits, "samples": st.just(8),
        },
        "dynamic": {
            "case": st.just(case),
            "events": st.lists(_part(Event), min_size=1, max_size=2),
            "duration_s": st.sampled_from([5.0, 20.0]), "samples": st.just(8),
        },
        "nodal": {
            "redispatch": st.sampled_from(["none", "none", "dc-opf"]),
            "security": st.just("base"), "samples": st.just(8),
            "preexisting": st.sampled_from(["left-out", "frozen"]),
        },
    }  # fmt: skip
    return st.fixed_dictionaries({"kind": st.just(kind), **grids[kind]})


@st.composite
def _control(draw: st.DrawFn, grid: str, sites: list[str]) -> dict[str, Data]:
    found: dict[str, Data] = {}
    if draw(st.booleans()):
        found["power_cap"] = {"kind": "static", "gpu_w": draw(st.floats(200.0, 700.0))}
    if grid in ("zonal", "nodal") and draw(st.booleans()):
        found["coupling"] = {
            "kind": "interval",
            "interval_s": draw(st.sampled_from([10.0, 60.0])),
            "respond_s": draw(st.sampled_from([0.0, 5.0])),
            "compliance_frac": draw(st.sampled_from([0.0, 0.5, 1.0])),
        }
        found["rules"] = draw(st.lists(_rule(sites), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        found["faults"] = draw(st.lists(_part(Fault), min_size=1, max_size=2))
        found["ride_through"] = draw(_part(RidesThrough))
    return found


@st.composite
def _rule(draw: st.DrawFn, sites: list[str]) -> dict[str, Data]:
    """Any registered rule, its knobs within their limits."""
    kind = draw(st.sampled_from(sorted(rules())))
    limits = {name: limits for name, (_, limits) in knobs(rules()[kind]).items()}
    found = {name: draw(st.floats(one.low, one.high)) for name, one in limits.items()}
    return {"kind": kind, **found, "sites": draw(st.sampled_from([[], sites[:1]]))}


@st.composite
def _site(draw: st.DrawFn, name: str, at: dict[str, Data]) -> dict[str, Data]:
    kinds = draw(st.sampled_from([[_training], [_serving], [_serving, _training]]))
    return {
        "name": name,
        "at": at,
        "cluster": {"nodes": draw(st.integers(4, 12))},
        "facility": draw(st.just({}) | _part(Facility)),
        "workloads": [draw(kind()) for kind in kinds],
    }


def _some(**parts: Any) -> Part:
    """Any of these parts of a scenario, or none."""
    return st.fixed_dictionaries({}, optional={name: _part(kind) for name, kind in parts.items()})


@st.composite
def _training(draw: st.DrawFn) -> dict[str, Data]:
    fidelity = draw(st.sampled_from(["interval", "step"]))
    parts = _some(
        checkpoint=Checkpointing, failures=FailuresSpec, stragglers=StragglersSpec,
        maintenance=MaintenanceSpec, evaluation=EvaluationSpec, smoothing=Smoothing,
        network=NetworkSpec,
    )  # fmt: skip
    return {
        "kind": "training",
        "arch": MODELS[0],
        "tokens": draw(st.sampled_from([1e6, 1e9, 1e13])),
        "gpus": 2 * GPUS_PER_NODE,
        "layout": {"tp": draw(st.sampled_from([4, 8])), "zero": draw(st.sampled_from([1, 2, 3]))},
        "global_batch_tokens": 2**20,
        "recompute": draw(st.sampled_from(["selective", "full"])),
        "fidelity": fidelity,
        **draw(parts),
    }


@st.composite
def _serving(draw: st.DrawFn) -> dict[str, Data]:
    fidelity = draw(st.sampled_from(["request", "cells", "sampled", "fluid"]))
    found: dict[str, Data] = {
        "kind": "serving",
        "arch": draw(st.sampled_from(MODELS)),
        "gpus": 2 * GPUS_PER_NODE,
        "layout": {"tp": draw(st.sampled_from([2, 4]))},
        "warmup_s": draw(st.sampled_from([0.0, 5.0])),
        "fidelity": fidelity,
        "representative_replicas": draw(st.integers(2, 4)),
        "requests": draw(_requests()),
        "router": draw(
            st.sampled_from(["round-robin", "random", "join-shortest-queue", "power-of-two"])
        ),
        "batcher": draw(
            st.sampled_from(["chunked-prefill", "prefill-priority", "decode-priority"])
        ),
    }
    if fidelity == "request" and draw(st.booleans()):
        found["autoscaler"] = {"kind": "utilisation", "interval_s": 15, "storage_bytes_per_s": 1e10}
    if fidelity in ("request", "sampled") and draw(st.booleans()):
        classes = draw(st.lists(_part(ClassSpec), min_size=1, max_size=2, unique_by=_name))
        found["classes"] = [{**one, "share_frac": 1 / len(classes)} for one in classes]
    if draw(st.integers(0, 3)) == 0:
        found["speculation"] = draw(_part(SpeculationSpec))
    return found


def _name(part: dict[str, Data]) -> str:
    return str(part["name"])


def _requests() -> Part:
    lengths = st.just({"kind": "empirical"}) | st.builds(
        lambda read, written: {"kind": "constant", "input_tokens": read, "output_tokens": written},
        st.integers(1, 2000), st.integers(1, 400),
    )  # fmt: skip
    rate = st.floats(0.01, 20.0)
    kinds: list[dict[str, Any]] = [
        {"kind": st.just("poisson"), "rate_per_s": rate},
        {"kind": st.just("gamma"), "rate_per_s": rate, "cv": st.floats(0.1, 5.0)},
        {
            "kind": st.just("on-off"), "on_rate_per_s": rate, "mean_on_s": st.floats(1.0, 60.0),
            "mean_off_s": st.floats(1.0, 60.0),
        },
    ]  # fmt: skip
    return st.one_of([st.fixed_dictionaries({**kind, "lengths": lengths}) for kind in kinds])


@st.composite
def policy_text(draw: st.DrawFn) -> str:
    """A policy as it is written on the command line, its parameters within their limits."""
    kind = policy_kinds()[draw(st.sampled_from(sorted(policy_kinds())))]
    pairs = []
    for name, parameter in kind.parameters.items():
        needed = parameter.default is None and not parameter.optional
        if needed or draw(st.booleans()):
            pairs.append(f"{name}={draw(_value(name, parameter))}")
    return f"{kind.kind}:{','.join(pairs)}" if pairs else kind.kind


def _value(name: str, parameter: Parameter) -> st.SearchStrategy[Any]:
    if parameter.low is not None and parameter.high is not None:
        return st.floats(parameter.low, parameter.high).map(lambda value: f"{value:.6g}")
    named = {"arch": MODELS, "weather": words()["climates"]}.get(name, words()["zone"])
    return st.sampled_from(parameter.choices or tuple(named))
