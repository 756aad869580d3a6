"""Strategies for scenarios and sweeps."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sim import arch
from sim.facility.weather import climates
from sim.grid.us_states import us_states
from sim.hardware.node import NODES
from sim.scenario.resolve import resolve
from sim.scenario.schema import Scenario
from sim.sweep.schema import SweepFile
from sim.testing.from_schema import Data, from_schema

MODELS = ("llama-3-8b", "llama-3-70b", "mixtral-8x7b", "mamba-2.8b")
"""Small ones: a scenario of a few nodes holds them."""


def words() -> dict[str, list[str]]:
    """Names that exist, by the field that takes them."""
    zones = sorted(zone.name for zone in us_states().zones)
    paths = ["sites[0].cluster.nodes", "sites.campus.facility.pue_design", "horizon_h", "policy"]
    return {
        "arch": arch.names(),
        "zone": zones,
        "load_zone": zones,
        "node": sorted(NODES),
        "weather": [*climates(), "by-zone"],
        "climates": climates(),
        "case": ["activsg2000"],
        "file": ["../traces/tiny.csv", "../traces/bad-rows.csv"],
        "base": ["../valid/training-least.yaml", "../valid/serving-least.yaml"],
        "axes": paths,
        "set": paths,
        "zip": paths,
        "policies": ["none", "power-cap", "power-cap:gpu_w=500", "curtailment"],
    }


def scenario_data() -> st.SearchStrategy[dict[str, Data]]:
    """What a scenario file may say: the right form, now and then with contents to refuse."""
    return from_schema(Scenario.model_json_schema(), words())


def sweep_data() -> st.SearchStrategy[dict[str, Data]]:
    """What a sweep file may say; its `base` stands beside the case files of the tests."""
    return from_schema(SweepFile.model_json_schema(by_alias=True), words())


@st.composite
def scenarios(draw: st.DrawFn, max_sites: int = 2) -> Scenario:
    """Resolved scenarios of one or a few small sites on the zonal grid, quick to run.

    Args:
        max_sites: the largest number of sites.
    """
    zones = draw(st.lists(st.sampled_from(words()["zone"]), min_size=1, max_size=max_sites))
    sites = [draw(_site(f"site-{number}", zone)) for number, zone in enumerate(zones)]
    data = {
        "name": "drawn",
        "horizon_h": draw(st.sampled_from([0.05, 0.1, 0.25])),
        "seeds": [draw(st.integers(0, 2**31 - 1))],
        "sites": sites,
        "grid": {"kind": "zonal", "samples": 8, "hosting": draw(st.booleans())},
        "control": {"power_cap": draw(_cap())},
    }
    return resolve(Scenario.model_validate(data))


def _cap() -> st.SearchStrategy[dict[str, Any]]:
    capped = st.floats(350.0, 700.0).map(lambda gpu_w: {"kind": "static", "gpu_w": gpu_w})
    return st.just({"kind": "none"}) | capped


@st.composite
def _site(draw: st.DrawFn, name: str, zone: str) -> dict[str, Any]:
    workloads = draw(st.sampled_from([[_training], [_serving], [_training, _serving]]))
    return {
        "name": name,
        "at": {"zone": zone},
        "cluster": {"node": "dgx-h100", "nodes": draw(st.integers(8, 64))},
        "facility": {"pue_design": draw(st.floats(1.1, 2.0))},
        "workloads": [draw(kind()) for kind in workloads],
    }


@st.composite
def _training(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "kind": "training",
        "arch": MODELS[0],
        "tokens": draw(st.floats(1e9, 1e13)),
        "gpus": 32,
        "layout": {"tp": 8, "zero": draw(st.sampled_from([1, 2, 3]))},
    }


@st.composite
def _serving(draw: st.DrawFn) -> dict[str, Any]:
    lengths = st.just({"kind": "empirical"}) | st.builds(
        lambda read, written: {"kind": "constant", "input_tokens": read, "output_tokens": written},
        st.integers(1, 2000), st.integers(1, 400),
    )  # fmt: skip
    return {
        "kind": "serving",
        "arch": draw(st.sampled_from(MODELS)),
        "gpus": 16,
        "layout": {"tp": 4},
        "warmup_s": 10.0,
        "fidelity": draw(st.sampled_from(["sampled", "fluid"])),
        "representative_replicas": draw(st.integers(2, 4)),
        "requests": {
            "kind": "poisson",
            "rate_per_s": draw(st.floats(0.01, 5.0)),
            "lengths": draw(lengths),
        },
    }
