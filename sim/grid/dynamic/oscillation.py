"""A load that pulses against an inter-area mode: two machines and a tie.

Two areas with inertia M1 and M2 swing against each other at f0 with a damping ratio z. A load
in area 1 that goes up and down by P (peak to peak) at a frequency f drives the tie by

    amplification = w0^2 / |w0^2 - w^2 + 2 j z w0 w|,   tie = P x M2 / (M1 + M2) x amplification

(linear, steady state). At resonance amplification = 1 / (2 z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import InputError


@dataclass(frozen=True, slots=True)
class TwoAreas:
    """A mode between two areas.

    Args:
        mode_hz: its frequency.
        damping_ratio: 0 < z < 1.
        near_frac: share of the inertia in the area with the load.
    """

    mode_hz: float
    damping_ratio: float
    near_frac: float

    def __post_init__(self) -> None:
        inside = 0 < self.near_frac < 1 and 0 < self.damping_ratio < 1
        if not (inside and self.mode_hz > 0 and math.isfinite(self.mode_hz)):
            raise InputError(
                f"mode {self.mode_hz:g} Hz, damping {self.damping_ratio:g}, "
                f"share {self.near_frac:g}",
                "give a mode above 0 Hz, damping and share between 0 and 1",
            )

    def amplification(self, pulse_hz: float) -> float:
        """Tie swing over what the far side would carry of a slow swing."""
        mode, pulse = self.mode_hz**2, pulse_hz**2
        damped = 2 * self.damping_ratio * self.mode_hz * pulse_hz
        return mode / math.hypot(mode - pulse, damped)

    def tie_mw(self, pulse_mw: float, pulse_hz: float) -> float:
        """Swing on the tie, peak to peak, for a sine of `pulse_mw` peak to peak."""
        return pulse_mw * (1 - self.near_frac) * self.amplification(pulse_hz)

    def square_tie_mw(self, pulse_mw: float, pulse_hz: float, duty_frac: float = 0.5) -> float:
        """Largest swing on the tie of any harmonic of a square pulse, peak to peak.

        Harmonic k of a square of height P has the amplitude 2 P sin(pi k duty) / (pi k), peak to
        peak twice that: a slow square may hit the mode with a harmonic.
        """
        return max(
            self.tie_mw(harmonic_mw(pulse_mw, k, duty_frac), k * pulse_hz) for k in range(1, 40)
        )


def harmonic_mw(pulse_mw: float, k: int, duty_frac: float) -> float:
    """Peak to peak of harmonic k of a square pulse."""
    return 4 * pulse_mw * abs(math.sin(math.pi * k * duty_frac)) / (math.pi * k)
