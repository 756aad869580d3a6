"""Counter-based numbers: the published stream, and uniform."""

from __future__ import annotations

import numpy as np

from sim.workload.counter import MASK, counter_key, uniform


def test_the_stream_is_splitmix64() -> None:
    """First outputs for seed 1234567 as published with the reference code."""
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    said = [uniform(1234567, i) for i in range(3)]
    assert said == [(n >> 11) * 2.0**-53 for n in published]


def test_numbers_are_uniform() -> None:
    draws = np.array([uniform(counter_key(1, "x"), i) for i in range(20_000)])
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.03
    counts = np.histogram(draws, 20, (0, 1))[0]
    assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-square, 19 degrees, p = 0.001


def test_keys_differ_by_purpose_and_seed() -> None:
    keys = {counter_key(s, *p) for s in (0, 1) for p in (("a",), ("a", "b"), ("b", "a"))}
    assert len(keys) == 6
    assert max(keys) <= MASK
