"""Unit factors and formatting. SI inside; the unit is the suffix of every name.

The simulation clock is a whole number of picoseconds (rule: clock). Integers make ties
exact, so two engines that walk the same steps agree on which event comes first.
Seconds appear at the boundary: in arguments of pure functions, in files, on screen.
"""

from __future__ import annotations

import math
from typing import Final

KILO: Final = 1e3
MEGA: Final = 1e6
GIGA: Final = 1e9
TERA: Final = 1e12
KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30

PS_PER_S: Final = 10**12
S_PER_H: Final = 3600
PS_PER_H: Final = S_PER_H * PS_PER_S
J_PER_KWH: Final = 3.6e6
J_PER_MWH: Final = 3.6e9
H_PER_YEAR: Final = 8760

FLOPS_PER_MAC: Final = 2


def to_ps(time_s: float) -> int:
    """Seconds to whole picoseconds, rounded to nearest."""
    whole_s = math.floor(time_s)  # apart, so that whole seconds are exact at any size
    return whole_s * PS_PER_S + round((time_s - whole_s) * PS_PER_S)


def to_s(time_ps: int) -> float:
    """Picoseconds to seconds."""
    return time_ps / PS_PER_S


_PREFIXES: Final = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def si(value: float, unit: str, digits: int = 3) -> str:
    """Format with an SI prefix: `si(1.23e8, "W") == "123 MW"`. tera is 10^12."""
    magnitude = abs(value)
    for factor, prefix in _PREFIXES:
        if magnitude >= factor * (1 - 0.5 * 10**-digits):
            return f"{value / factor:.{digits}g} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


def gib(value_bytes: float) -> str:
    """Format bytes as GiB (2^30)."""
    return f"{value_bytes / GIB:,.2f} GiB"


def three_digits(value: float) -> str:
    """A number with three digits, whole where it is large: 1,190, 27.9, 0.0312."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def mw_text(power_mw: float) -> str:
    """MW with a decimal, and with three digits where it is small: 117.9, 0.0312."""
    return f"{power_mw:,.1f}" if abs(power_mw) >= 10 or power_mw == 0 else f"{power_mw:.3g}"
