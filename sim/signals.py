"""Step signals and event hooks: what models own and recorders subscribe to.

A model changes a `StepSignal` when its state changes; between changes the value is
constant, so an observer can integrate it exactly. No SimPy, no files, no metrics here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from sim.errors import LawViolation

T = TypeVar("T")
Observer = Callable[[int, float], None]
"""Called with (time_ps, new value) at each change."""


class StepSignal:
    """A piecewise-constant quantity over the simulation clock.

    Args:
        name: unique name with the unit as suffix, for example `campus.facility_w`.
        value: the value from `time_ps` on.
    """

    __slots__ = ("_observers", "name", "time_ps", "value")

    def __init__(self, name: str, value: float = 0.0, time_ps: int = 0):
        self.name = name
        self.value = value
        self.time_ps = time_ps
        self._observers: list[Observer] = []

    def subscribe(self, observer: Observer) -> None:
        """Add an observer; it first hears the current value."""
        self._observers.append(observer)
        observer(self.time_ps, self.value)

    def set(self, time_ps: int, value: float) -> None:
        """Change the value from `time_ps` on.

        Raises:
            LawViolation: time runs backwards.
        """
        if time_ps < self.time_ps:
            raise LawViolation(
                f"signal {self.name}: time runs backwards, {time_ps} ps after {self.time_ps} ps"
            )
        if value == self.value:
            return
        self.time_ps = time_ps
        self.value = value
        for observer in self._observers:
            observer(time_ps, value)


class Hook(Generic[T]):
    """A list of listeners for one kind of domain event."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: list[Callable[[T], None]] = []

    def subscribe(self, listener: Callable[[T], None]) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def emit(self, event: T) -> None:
        """Tell all listeners, in the order in which they subscribed."""
        for listener in self._listeners:
            listener(event)
