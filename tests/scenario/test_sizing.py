"""How many GPUs a fleet gets where its utilisation is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.scenario.run import load_scenario

TEXT = """
name: sized
horizon_h: 1
sites:
  - name: campus
    at: {{zone: TX-ERCOT}}
    cluster: {{node: dgx-h100}}
    workloads:
      - kind: serving
        arch: llama-3.1-8b
        fidelity: {fidelity}
        sized_for_frac: 0.6
        representative_replicas: 5
        requests: {{kind: poisson, rate_per_s: {rate}}}
"""


def gpus(tmp_path: Path, fidelity: str, rate: float) -> int:
    (tmp_path / "sized.yaml").write_text(TEXT.format(fidelity=fidelity, rate=rate))
    (site,) = load_scenario(tmp_path / "sized.yaml")[1].sites
    return site.workloads[0].gpus or 0


def test_a_small_fleet_is_one_whatever_the_fidelity(tmp_path: Path) -> None:
    found = {gpus(tmp_path, fidelity, 1.0) for fidelity in ("request", "cells", "fluid")}
    assert len(found) == 1
    assert found.pop() < gpus(tmp_path, "sampled", 1.0), "which needs its five replicas"


@pytest.mark.parametrize("rate", [50.0, 400.0])
def test_a_large_fleet_is_about_the_same(tmp_path: Path, rate: float) -> None:
    found = [gpus(tmp_path, f, rate) for f in ("request", "cells", "sampled", "fluid")]
    assert found[0] == found[1] == found[2]
    assert found[3] == pytest.approx(found[0], rel=0.25)
