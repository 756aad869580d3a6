"""The public strategies: what they draw is read, or refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from sim import testing
from sim.arch.load import from_config
from sim.arch.spec import Architecture
from sim.errors import InputError
from sim.flops import Batch, parameters, step_operations
from sim.grid.nodal.build import build
from sim.grid.nodal.dcflow import DcGrid
from sim.grid.nodal.islands import labels
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.operating import base_point
from sim.grid.nodal.tables import Network
from sim.scenario.build import build as build_scenario
from sim.scenario.canonical import to_yaml
from sim.scenario.load import load_tree, validate
from sim.scenario.resolve import resolve
from sim.scenario.run import load_scenario, plain
from sim.scenario.schema import Scenario
from sim.sweep.expand import load_sweep
from sim.workload.traces import MAX_TOKENS, Trace

FEW = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def read_or_refused(load: Callable[[], object]) -> bool:
    """True if it is read, or refused in one line of printable text."""
    try:
        load()
    except InputError as error:
        message = str(error)
        return len(message.splitlines()) == 1 and message.isprintable()
    return True


def test_every_public_name_is_a_strategy() -> None:
    assert sorted(testing.__all__) == testing.__all__
    for name in testing.__all__:
        assert getattr(testing, name).__doc__, name
        assert name in dir(testing)
    with pytest.raises(AttributeError, match="no attribute 'weather'"):
        _ = testing.weather


def test_hypothesis_is_imported_only_when_a_strategy_is_asked_for() -> None:
    code = """
import sys
import sim.testing
assert "hypothesis" not in sys.modules
sys.modules["hypothesis"] = None
try:
    sim.testing.networks
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'flopgrid[testing]'" in done.stdout


@FEW
@given(testing.scenarios())
def test_scenarios_are_resolved_and_read_back_from_their_text(
    tmp_path: Path, scenario: Scenario
) -> None:
    assert resolve(scenario) == scenario
    path = tmp_path / "a.yaml"
    path.write_text(to_yaml(plain(scenario)), "utf-8")
    assert load_scenario(path)[1] == scenario
    build_scenario(scenario, seed=1)


@FEW
@given(testing.scenario_data())
def test_scenario_data_is_read_or_refused_in_one_line(
    tmp_path: Path, data: dict[str, object]
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(to_yaml(data), "utf-8")
    assert read_or_refused(lambda: validate(load_tree(path), Scenario))


@FEW
@given(testing.sweep_data())
def test_sweep_data_is_read_or_refused_in_one_line(tmp_path: Path, data: dict[str, object]) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(to_yaml(data), "utf-8")
    assert read_or_refused(lambda: load_sweep(path))


@FEW
@given(testing.architectures())
def test_architectures_have_parameters_and_work_to_do(model: Architecture) -> None:
    count = parameters(model)
    assert 0 < count.active <= count.total
    one = step_operations(model, Batch.uniform(1, 1, 0)).total_flops
    assert 0 < one <= step_operations(model, Batch.uniform(2, 1, 0)).total_flops


@FEW
@given(testing.config_data())
def test_config_data_is_read_or_refused_in_one_line(config: dict[str, object]) -> None:
    assert read_or_refused(lambda: from_config(json.loads(json.dumps(config))))


class TwoLinesError(InputError):
    """What no error of ours can be: a message of two lines."""

    def __str__(self) -> str:
        return "one\ntwo"


def test_a_traceback_or_two_lines_would_be_seen() -> None:
    def two_lines() -> None:
        raise TwoLinesError("one")

    assert not read_or_refused(two_lines)
    with pytest.raises(KeyError):
        read_or_refused(lambda: {}["a"])


@FEW
@given(testing.config_data(max_changes=0))
def test_config_data_without_changes_is_read(config: dict[str, object]) -> None:
    assert from_config(config).hidden > 0


@FEW
@given(testing.traces())
def test_traces_are_in_order_and_within_limits(trace: Trace) -> None:
    requests = trace.requests
    assert not trace.bad_rows
    assert (np.diff(requests.arrival_ps) >= 0).all()
    for lengths in (requests.input_tokens, requests.output_tokens):
        assert lengths.min() >= 1
        assert lengths.max() <= MAX_TOKENS


@FEW
@given(testing.networks())
def test_networks_are_connected_and_their_flows_balance(network: Network) -> None:
    assert set(labels(network).tolist()) == {0}
    point = base_point(DcGrid(network))
    injection_mw, flow_mw = point.injection_mw, point.flow_mw
    b = network.branches
    out_mw = network.at_bus(b.start, flow_mw) - network.at_bus(b.end, flow_mw)
    scale_mw = max(1.0, float(np.abs(injection_mw).max()))
    assert out_mw == pytest.approx(injection_mw, abs=1e-6 * scale_mw)


@FEW
@given(testing.case_text(costs=False))
def test_case_texts_have_no_costs_if_asked(text: str) -> None:
    assert build(parse(text, "a.m")).generators.cost == ()
