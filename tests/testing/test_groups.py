"""Tests that share something costly stay in one process: the suite's own machinery."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def costly() -> object:
    return object()


@pytest.mark.xdist_group("named")
def test_a_named_group_reaches_the_scheduler(request: pytest.FixtureRequest) -> None:
    """It goes by the end of a test's name; pytest 9.2 with pytest-xdist 3.8 left that out."""
    if hasattr(request.config, "workerinput"):
        assert request.node.nodeid.endswith("@named")


def test_users_of_a_fixture_of_a_module_are_a_group(
    request: pytest.FixtureRequest, costly: object
) -> None:
    assert costly
    if hasattr(request.config, "workerinput"):
        assert request.node.nodeid.endswith("@test_groups")
