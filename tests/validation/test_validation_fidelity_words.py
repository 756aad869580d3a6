"""A run whose fleets are cheaper than every replica says how far off that was measured to be."""

from __future__ import annotations

import pytest

from sim.cluster.serving.fidelity import fidelity_errors
from sim.report.verdict_text import _serving_words


def words(*fidelities: str) -> str:
    fleet = {"interval": {"completed": {"low": None, "high": None}}, "basis": ""}
    serving = {
        "completed": 10,
        "energy_j_per_output_token": None,
        "fleets": {
            f: fleet | {"error_frac_against_request": fidelity_errors(f)} for f in fidelities
        },
    }
    return _serving_words(serving)


@pytest.mark.parametrize("fidelity", ["sampled", "fluid"])
def test_the_largest_measured_errors_are_told(fidelity: str) -> None:
    told = words(fidelity)
    for measure, name in (
        ("completed", "requests"),
        ("energy_j_per_output_token", "J per token"),
        ("ttft_s_p99", "TTFT p99"),
    ):
        known = fidelity_errors(fidelity).get(measure)
        assert (name in told) is (known is not None)
        assert known is None or f"{known['max']:.0%} on {name}" in told


def test_every_replica_simulated_has_nothing_to_tell() -> None:
    assert "off by" not in words("request")


def test_of_several_fleets_the_worst_counts() -> None:
    measure = "energy_j_per_output_token"
    both = [fidelity_errors(f)[measure]["max"] for f in ("sampled", "fluid")]
    assert f"{max(both):.0%} on J per token" in words("sampled", "fluid", "request")
