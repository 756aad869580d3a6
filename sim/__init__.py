"""flopgrid: follow a token from the model's FLOPs to the power grid, and back.

import sim
print(sim.run("scenarios/100k-h100-one-state.yaml"))
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
_API = ("Run", "compare", "load", "run", "sweep", "whatif")


def __getattr__(name: str) -> Any:
    """`sim.run` and its like, loaded when they are first asked for: `--help` stays quick.

    `sim.sweep` is the room of that name, which can be called.
    """
    if name == "sweep":
        return importlib.import_module("sim.sweep")
    if name in _API:
        return getattr(importlib.import_module("sim.api"), name)
    raise AttributeError(f"module 'sim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_API})
