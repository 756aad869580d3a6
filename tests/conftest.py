"""Shared fixtures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

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
