"""The power of a synchronous job within a step: spectrum, ramps, steps, and how to smooth it.

A step is a periodic wave of constant stretches (`Phase`), so its Fourier series is exact:
c_n = sum over stretches of w (exp(-i w_n t0) - exp(-i w_n t1)) / (i w_n T), amplitude 2 |c_n|.

Two settings smooth it, both with dummy work, which costs energy and no time:

- a floor: no stretch draws less;
- a ramp limit: power never changes faster. The least wave above the job's own that keeps
  the limit is max over s of P(s) - r |t - s|: after a drop dummy work falls off slowly, and
  before a rise it climbs in time. It is drawn in stairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.training_phases import Phase
from sim.units import MEGA

Floats = NDArray[np.float64]
STAIRS: Final = 8
"""Stairs of a stretch that a ramp limit bends."""
SAMPLES: Final = 16
"""Points per stair over which its mean is taken."""
RAMP_WINDOWS_S: Final = (0.1, 1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Harmonic:
    """One frequency of a job's power. amplitude: peak of the sine, W."""

    hz: float
    amplitude_w: float


@dataclass(frozen=True, slots=True)
class Swing:
    """What the grid sees of a step.

    Attributes:
        spectrum: the largest harmonics, by frequency. peak_to_peak_w: highest less lowest.
        largest_step_w: largest jump between two stretches.
        ramps_w: window in s -> largest change of power within it.
        mean_w: over the step.
    """

    spectrum: tuple[Harmonic, ...]
    peak_to_peak_w: float
    largest_step_w: float
    ramps_w: dict[float, float]
    mean_w: float

    def ramp_mw_per_s(self, window_s: float = 1.0) -> float:
        """Largest change within a window over its length."""
        return self.ramps_w[window_s] / MEGA / window_s


def floored(phases: Sequence[Phase], floor_w: float) -> tuple[Phase, ...]:
    """The same stretches, none below a floor (W of a GPU)."""
    return tuple(Phase(p.name, p.time_s, max(p.gpu_power_w, floor_w)) for p in phases)


def ramp_limited(phases: Sequence[Phase], gpu_w_per_s: float) -> tuple[Phase, ...]:
    """The least periodic wave above the stretches whose slope keeps a limit, in stairs."""
    if math.isinf(gpu_w_per_s) or len(phases) == 1:
        return tuple(phases)
    starts = np.concatenate([[0.0], np.cumsum([p.time_s for p in phases])])
    period = float(starts[-1])
    levels = np.array([p.gpu_power_w for p in phases])
    found: list[Phase] = []
    for n, phase in enumerate(phases):
        later = (starts[:-1] - starts[n + 1]) % period  # from this end to each start
        earlier = (starts[n] - starts[1:]) % period  # from each end to this start
        others = np.arange(len(phases)) != n
        falling = float(np.max((levels - gpu_w_per_s * earlier)[others]))
        rising = float(np.max((levels - gpu_w_per_s * later)[others]))
        found += _bent(phase, falling, rising, gpu_w_per_s)
    return tuple(found)


def _bent(phase: Phase, falling_w: float, rising_w: float, slope: float) -> list[Phase]:
    """A stretch with what is left of its neighbours' power on both sides."""
    if max(falling_w, rising_w) <= phase.gpu_power_w:
        return [phase]
    x = (np.arange(STAIRS * SAMPLES) + 0.5) / (STAIRS * SAMPLES) * phase.time_s
    wave = np.maximum.reduce(
        [
            np.full_like(x, phase.gpu_power_w),
            falling_w - slope * x,
            rising_w - slope * (phase.time_s - x),
        ]
    )
    levels = wave.reshape(STAIRS, SAMPLES).mean(axis=1)
    return [Phase(phase.name, phase.time_s / STAIRS, float(level)) for level in levels]


def smoothed(
    phases: Sequence[Phase], floor_w: float = 0.0, gpu_w_per_s: float = math.inf
) -> tuple[Phase, ...]:
    """Both settings, the floor first."""
    return ramp_limited(floored(phases, floor_w), gpu_w_per_s)


def extra_energy_j(phases: Sequence[Phase], smooth: Sequence[Phase]) -> float:
    """Energy of the dummy work of one GPU in a step."""
    return math.fsum(p.energy_j for p in smooth) - math.fsum(p.energy_j for p in phases)


def spectrum(phases: Sequence[Phase], gpus: int, highest_hz: float = 10.0) -> list[Harmonic]:
    """All harmonics up to a frequency, exact."""
    times = np.concatenate([[0.0], np.cumsum([p.time_s for p in phases])])
    period = float(times[-1])
    count = max(1, math.floor(highest_hz * period))
    omega = 2 * np.pi * np.arange(1, count + 1) / period
    turns = np.exp(-1j * np.outer(omega, times))
    levels = np.array([p.gpu_power_w for p in phases]) * gpus
    sums = (turns[:, :-1] - turns[:, 1:]) @ levels
    amplitudes = 2 * np.abs(sums / (1j * omega * period))
    return [Harmonic(n / period, float(a)) for n, a in enumerate(amplitudes, start=1)]


def swing(phases: Sequence[Phase], gpus: int, harmonics: int = 12) -> Swing:
    """What the grid sees of a step of a whole job."""
    levels = [p.gpu_power_w * gpus for p in phases]
    jumps = [abs(b - a) for a, b in itertools.pairwise([*levels, levels[0]])]
    largest = sorted(spectrum(phases, gpus), key=lambda h: -h.amplitude_w)[:harmonics]
    period_s = math.fsum(p.time_s for p in phases)
    return Swing(
        spectrum=tuple(sorted(largest, key=lambda h: h.hz)),
        peak_to_peak_w=max(levels) - min(levels),
        largest_step_w=max(jumps),
        ramps_w={w: _largest_change(phases, gpus, w) for w in RAMP_WINDOWS_S},
        mean_w=math.fsum(p.energy_j for p in phases) * gpus / period_s,
    )


def _largest_change(phases: Sequence[Phase], gpus: int, window_s: float) -> float:
    """Largest difference between two moments at most a window apart, over the repeated step."""
    ends = np.cumsum([p.time_s for p in phases])
    period = float(ends[-1])
    starts = ends - [p.time_s for p in phases]
    levels = np.array([p.gpu_power_w for p in phases]) * gpus
    if window_s >= period:
        return float(levels.max() - levels.min())
    gaps = (starts[None, :] - ends[:, None]) % period  # from the end of i to the start of j
    close = gaps <= window_s + 1e-12
    return float(np.max(np.abs(levels[None, :] - levels[:, None]) * close))
