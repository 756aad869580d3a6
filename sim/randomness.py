"""Random streams spawned by purpose.

One seed per run. Each consumer asks for a stream by its purpose ("arrivals", "campus"),
and gets the same numbers whatever else the run does, so two scenarios that differ in one
thing share the randomness of all others.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, *purpose: str) -> np.random.Generator:
    """A generator for one purpose.

    Args:
        seed: the run's seed, >= 0.
        purpose: words that name the use, for example ("arrivals", "campus", "chat").
    """
    digest = hashlib.sha256("\x1f".join(purpose).encode()).digest()
    key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
