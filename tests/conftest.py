"""Shared fixtures."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Speed is measured by benchmarks, never by a test: a busy machine must not fail one.
settings.register_profile("flopgrid", deadline=None)
settings.load_profile("flopgrid")

FACTS = Path(__file__).resolve().parents[2] / "shared" / "facts"


@pytest.fixture(scope="session")
def facts() -> Path:
    """The reference facts beside the checkout; without them CI fails and others skip."""
    if not FACTS.is_dir():
        message = f"needs the reference facts at {FACTS}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return FACTS


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share a module's fixture run in one process, so that it is made once."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("xdist_group") is None:
            known = item._fixtureinfo.name2fixturedefs  # pytest has no public way
            if any(found[-1].scope == "module" for found in known.values()):
                item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(autouse="MUTANT_UNDER_TEST" in os.environ)
def _fresh_caches() -> None:
    """Under mutation testing a cached answer would hide which test calls what."""
    for name, module in list(sys.modules.items()):
        if name.startswith("sim."):
            for value in list(vars(module).values()):
                getattr(value, "cache_clear", lambda: None)()
