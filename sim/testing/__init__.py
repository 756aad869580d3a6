"""Hypothesis strategies for the inputs of flopgrid, for property tests of code that uses it.

    from sim.testing import networks

    @given(networks())
    def test_flows_balance(network): ...

`scenarios`, `architectures`, `traces` and `networks` give what a loader accepts; `scenario_data`,
`sweep_data`, `config_data`, `trace_text` and `case_text` give what a file says, of the right
form but at times with contents that a loader must refuse; `run_data` and `policy_text` what a
scenario of a few seconds says, and a policy for it. Needs the extra `testing`, which is
imported only when a strategy is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.testing.configs import architectures, config_data
    from sim.testing.networks import case_text, networks
    from sim.testing.runs import policy_text, run_data
    from sim.testing.scenarios import scenario_data, scenarios, sweep_data
    from sim.testing.traces import trace_text, traces

__all__ = [
    "architectures",
    "case_text",
    "config_data",
    "networks",
    "policy_text",
    "run_data",
    "scenario_data",
    "scenarios",
    "sweep_data",
    "trace_text",
    "traces",
]

_HOMES = {
    "architectures": "configs",
    "config_data": "configs",
    "case_text": "networks",
    "networks": "networks",
    "policy_text": "runs",
    "run_data": "runs",
    "scenario_data": "scenarios",
    "scenarios": "scenarios",
    "sweep_data": "scenarios",
    "trace_text": "traces",
    "traces": "traces",
}


def __getattr__(name: str) -> Any:
    """The strategy of that name.

    Raises:
        ImportError: hypothesis is not installed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise ImportError(
            "sim.testing needs hypothesis: pip install 'flopgrid[testing]'"
        ) from error
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
