"""What a replica does while no step runs: it idles, is off or broken, or loads its model."""

from __future__ import annotations

from dataclasses import dataclass

from sim.cluster.serving.coster import StepCoster
from sim.units import to_s


@dataclass(frozen=True, slots=True)
class Rested:
    """Time without a step so far.

    Attributes:
        idle_ps: with the model loaded. dark_ps: without; loading_ps: of it, while it is loaded.
    """

    idle_ps: int = 0
    dark_ps: int = 0
    loading_ps: int = 0

    def dark_j(self, coster: StepCoster) -> float:
        """Energy of the dark time, chip boundary."""
        off_j = coster.unloaded_power_w * to_s(self.dark_ps - self.loading_ps)
        return off_j + coster.loading_power_w * to_s(self.loading_ps)


class Rest:
    """Counts the time without a step.

    Attributes:
        dark: whether no model is loaded. loading: whether it is read, as soon as it is dark.
    """

    def __init__(self) -> None:
        self.dark = self.loading = False
        self._before = Rested()
        self._since_ps: int | None = None

    def begin(self, now_ps: int, *, dark: bool, loading: bool = False) -> None:
        """Rest like this from now on, whatever it did before."""
        self._before = self.until(now_ps)
        self._since_ps, self.dark, self.loading = now_ps, dark, loading

    def end(self, now_ps: int) -> None:
        """Work from now on."""
        self._before = self.until(now_ps)
        self._since_ps = None

    def until(self, now_ps: int) -> Rested:
        """The time so far."""
        before, span_ps = self._before, 0 if self._since_ps is None else now_ps - self._since_ps
        return Rested(
            before.idle_ps + (0 if self.dark else span_ps),
            before.dark_ps + (span_ps if self.dark else 0),
            before.loading_ps + (span_ps if self.dark and self.loading else 0),
        )

    def power_w(self, coster: StepCoster) -> float:
        """Chip power of the whole replica now."""
        if not self.dark:
            return coster.idle_power_w
        return coster.loading_power_w if self.loading else coster.unloaded_power_w
