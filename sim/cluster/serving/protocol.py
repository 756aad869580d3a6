"""What a run asks of a serving fleet, whatever its fidelity.

Three kinds of fleet answer it: all replicas request by request, a few that speak for all,
and a fluid of rates. A control process calls the two setters at its ticks; a recorder
subscribes to the power signal. A fleet starts its own SimPy processes when it is built.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sim.cluster.serving.breakdowns import Breakdowns
from sim.cluster.serving.fleet_result import FleetResult
from sim.cluster.serving.turns import SessionCounts
from sim.signals import StepSignal


class PowerFleet(Protocol):
    """A fleet of equal replicas that serves requests and draws power."""

    @property
    def gpus(self) -> int:
        """GPUs of all replicas, running or not."""

    @property
    def power_w(self) -> StepSignal:
        """Chip power of the whole fleet. Its integral is the fleet's energy."""

    def set_cap(self, time_ps: int, cap_w: float | None) -> None:
        """Limit the power of each GPU from `time_ps` on; None lifts the limit.

        Steps that begin at or after `time_ps` are slower and draw less; a step under way
        ends as it began.

        Args:
            time_ps: now or later.
            cap_w: per GPU, chip boundary.

        Raises:
            InputError: the time is past, or the fleet was built without costs under a cap;
                CapacityError: the cap lies below what the lowest clock draws.
        """

    def set_admission(self, time_ps: int, frac: float) -> None:
        """Admit a share of the arrivals from `time_ps` on; the rest is counted as shed.

        An independent coin per request decides, the same for each share: who is admitted at
        a small share is admitted at a larger one.

        Args:
            time_ps: now or later.
            frac: 0 to 1.

        Raises:
            InputError: the time is past, or the share is out of range.
        """

    def check_laws(self) -> None:
        """Check the conservation laws, now.

        Raises:
            LawViolation: one of them fails.
        """

    def result(self) -> FleetResult:
        """The fleet's figures over its window, up to now if that is not over yet.

        Raises:
            InputError: the simulation has not reached the window.
        """


@runtime_checkable
class BreakingFleet(Protocol):
    """A fleet whose replicas may break."""

    breakdowns: Breakdowns | None

    @property
    def requeued(self) -> int:
        """How often a request was routed again, because its replica broke."""


@runtime_checkable
class SessionFleet(Protocol):
    """A fleet whose requests may be turns of sessions."""

    @property
    def sessions(self) -> SessionCounts | None:
        """What became of the sessions so far; None where requests are no turns."""


@runtime_checkable
class PrefixFleet(Protocol):
    """A fleet that knows what its prefix stores saved."""

    @property
    def prefix_tokens(self) -> tuple[int, int]:
        """Prompt tokens that came from prefix stores, and all of the requests taken so far."""
