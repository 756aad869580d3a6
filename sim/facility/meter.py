"""The meters of a site: they follow the chips and publish the power at each boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.errors import LawViolation
from sim.facility.building import Building, PowerParts, power_parts
from sim.hardware.node import Node
from sim.signals import StepSignal


@dataclass(frozen=True, slots=True)
class SitePlant:
    """What a site is built of: its servers and its building."""

    name: str
    nodes: int
    node: Node
    building: Building

    def parts(self, chip_w: float) -> PowerParts:
        """Power by cause when the GPUs draw `chip_w`."""
        return power_parts(chip_w, self.nodes, self.node, self.building)


class SiteMeter:
    """Publishes `chip_w`, `it_w` and `facility_w` of a site.

    Args:
        idle_gpus: GPUs that no workload holds; they idle all the time.
        sources: chip-power signals of the workloads.
    """

    def __init__(self, plant: SitePlant, idle_gpus: int, sources: Sequence[StepSignal]):
        self.plant = plant
        self.idle_w = idle_gpus * plant.node.device.idle_w
        self.sources = tuple(sources)
        parts = plant.parts(self._chip_w_now())
        self.chip_w = StepSignal(f"{plant.name}.chip_w", parts.chip_w)
        self.it_w = StepSignal(f"{plant.name}.it_w", parts.it_w)
        self.facility_w = StepSignal(f"{plant.name}.facility_w", parts.facility_w)
        for source in self.sources:
            source.subscribe(self._follow)

    def _follow(self, time_ps: int, _value: float) -> None:
        parts = self.plant.parts(self._chip_w_now())
        self.chip_w.set(time_ps, parts.chip_w)
        self.it_w.set(time_ps, parts.it_w)
        self.facility_w.set(time_ps, parts.facility_w)

    def _chip_w_now(self) -> float:
        return math.fsum((self.idle_w, *(source.value for source in self.sources)))


def check_boundary_laws(
    plant: SitePlant, duration_s: float, chip_j: float, it_j: float, facility_j: float
) -> None:
    """Energies rise from chip to it to facility, and follow from the chip energy by the chain.

    The chain is linear in chip power, so the energies follow from the mean chip power.

    Raises:
        LawViolation: with the site and both numbers.
    """
    if not 0 <= chip_j <= it_j <= facility_j:
        raise LawViolation(
            f"{plant.name}: energies not in order chip {chip_j:.6e} J <= it {it_j:.6e} J "
            f"<= facility {facility_j:.6e} J"
        )
    parts = plant.parts(chip_j / duration_s)
    for boundary, recorded_j, expected_w in (
        ("it", it_j, parts.it_w),
        ("facility", facility_j, parts.facility_w),
    ):
        if not math.isclose(recorded_j, expected_w * duration_s, rel_tol=1e-9):
            raise LawViolation(
                f"{plant.name}: recorded {boundary} energy {recorded_j:.9e} J, from the chip "
                f"energy through the chain {expected_w * duration_s:.9e} J"
            )
