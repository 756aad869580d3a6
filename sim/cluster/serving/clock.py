"""Order of events at one instant, so that ties have one meaning.

At equal times: (1) steps end, in the order in which they began; (2) requests arrive, in
order of their stream, each routed by what it finds; (3) steps begin. So a request that
arrives exactly when a step ends sees what that step released, and can be in the next step.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from simpy import Environment
from simpy.events import NORMAL, URGENT, Event, EventPriority


class Phase(IntEnum):
    """Position within an instant; SimPy runs the lower number first."""

    STEP_END = URGENT
    ARRIVAL = NORMAL
    STEP_BEGIN = NORMAL + 1


class At(Event):
    """An event after a delay, in a phase of its instant.

    Args:
        env: the simulation.
        phase: position within the instant.
        delay_ps: whole picoseconds from now.
    """

    def __init__(self, env: Environment, phase: Phase, delay_ps: int = 0):
        super().__init__(env)
        self._ok = True
        self._value: Any = None
        env.schedule(self, priority=EventPriority(phase), delay=delay_ps)
