"""Random numbers by counter: a hash of (key, index), so that any part can be drawn apart.

SplitMix64's output function [1] over `key + index * step`. A number depends on its key and
index only, not on what was drawn before, so a stream is the same in any chunks, in any
order and in any process.

References: [1] Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
OOPSLA 2014, doi:10.1145/2660193.2660195, figure 17.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

MASK: Final = 2**64 - 1
STEP: Final = 0x9E3779B97F4A7C15
FIRST: Final = 0xBF58476D1CE4E5B9
SECOND: Final = 0x94D049BB133111EB
UNIT: Final = 2.0**-53
HALF: Final = 2.0**-32


def counter_key(seed: int, *purpose: str) -> int:
    """A 64-bit key for one purpose (see `sim.randomness.stream`)."""
    words = "\x1f".join((str(seed), *purpose)).encode()
    return int.from_bytes(hashlib.sha256(words).digest()[:8], "little")


def uniform(key: int, index: int) -> float:
    """The number of this index, uniform in [0, 1) with 53 bits."""
    return (bits(key, index) >> 11) * UNIT


def uniforms(key: int, index: NDArray[np.uint64]) -> NDArray[np.float64]:
    """`uniform` of many indices."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + (index + np.uint64(1)) * np.uint64(STEP)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
        return np.asarray(((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * UNIT)


def halves(key: int, index: int) -> tuple[float, float]:
    """Two independent numbers of this index, uniform in [0, 1) with 32 bits each."""
    both = bits(key, index)
    return (both >> 32) * HALF, (both & (2**32 - 1)) * HALF


def bits(key: int, index: int) -> int:
    """The 64 random bits of this index."""
    z = (key + (index + 1) * STEP) & MASK
    z = ((z ^ (z >> 30)) * FIRST) & MASK
    z = ((z ^ (z >> 27)) * SECOND) & MASK
    return z ^ (z >> 31)
