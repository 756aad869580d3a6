"""Batch sweeps: expand, plan, run, collect.

The package is callable, so that `sim.sweep(FILE)` runs a sweep (see `sim.api.sweep`).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


class _Sweep(ModuleType):
    """This package, which can also be called."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run a sweep file: `sim.api.sweep`."""
        # By name: this room knows nothing of the rooms below it.
        return importlib.import_module("sim.api").sweep(*args, **options)


sys.modules[__name__].__class__ = _Sweep
