"""`flopgrid bench serving`: both engines, the contract's keys, bad input."""

from __future__ import annotations

import json

import pytest

from sim.cli.main import main

Capture = pytest.CaptureFixture[str]


def test_bench_serving_has_the_contract_keys_for_both_engines(capsys: Capture) -> None:
    assert main(["bench", "serving", "--requests", "300", "--rate", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() >= {"reference", "compiled"}
    for row in found.values():
        assert row.keys() >= {
            "engine", "features", "requests", "wall_s", "cpu_s", "requests_per_cpu_s",
            "steps_per_cpu_s", "mean_running_batch", "peak_rss_bytes", "compile_s",
        }  # fmt: skip
    assert found["compiled"]["requests"] == found["reference"]["requests"] == 300


def test_bench_refuses_what_cannot_be(capsys: Capture) -> None:
    assert main(["bench", "serving", "--requests", "-5"]) == 2
    assert "requests" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["bench", "flying"])
    assert left.value.code == 2
