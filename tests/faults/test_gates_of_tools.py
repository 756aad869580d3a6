"""The gates of the long tools, which the suite does not run: each must be able to fail."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import mutation_score
import soak


@pytest.mark.parametrize(
    ("rss_mib", "files", "flat"),
    [
        ([200.0] * 40, [30] * 40, True),
        ([200.0 + 5 * n for n in range(40)], [30] * 40, False),
        ([200.0] * 40, [30 + n for n in range(40)], False),
        ([200.0] * 3, [30] * 3, False),
    ],
    ids=["flat", "memory grows", "files stay open", "too short"],
)
def test_the_soak_sees_what_grows(rss_mib: list[float], files: list[int], flat: bool) -> None:
    assert soak.Watch(1, rss_mib=rss_mib, files=files).flat()["flat"] is flat


def test_the_score_counts_mutants_that_live() -> None:
    lines = [f"    sim.units.x_f__mutmut_{n}: killed" for n in range(8)]
    lines += ["    sim.units.x_f__mutmut_8: survived", "    sim.units.x_g__mutmut_1: no tests"]
    found = mutation_score.counts(lines)
    assert mutation_score.score(found["sim.units"]) == pytest.approx(0.8)
    assert mutation_score.score(found["sim.units"]) < mutation_score.LEAST_FRAC
    assert mutation_score.score(Counter(killed=9, survived=1)) >= mutation_score.LEAST_FRAC
