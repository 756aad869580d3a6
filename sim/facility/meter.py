"""The meters of a site: they follow the chips and publish the power at each boundary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sim.errors import LawViolation
from sim.facility.building import Building, PowerParts, power_parts
from sim.facility.supply import NO_ORDER, SiteSupply, SupplyOrder, SupplyStep
from sim.hardware.node import Node
from sim.signals import Hook, StepSignal
from sim.units import S_PER_H, to_ps, to_s


@dataclass(frozen=True, slots=True)
class SitePlant:
    """What a site is built of: its servers and its building."""

    name: str
    nodes: int
    node: Node
    building: Building

    def parts(self, chip_w: float, time_s: float = 0.0) -> PowerParts:
        """Power by cause when the GPUs draw `chip_w`, in the weather of a time."""
        return power_parts(chip_w, self.nodes, self.node, self.building, time_s)


class SiteMeter:
    """Publishes `chip_w`, `it_w`, `facility_w` and `import_w` of a site, and its battery.

    `import_w` is what the grid sees: facility power less what stands behind the meter, below
    0 for an export. Without a supply it is `facility_w`. With one, someone must call `tick`
    before each interval ends; a change of the load within it plans the rest anew.

    `battery_w` (> 0 charges) and `stored_j` change together, when an interval begins: the stored
    energy is that of the moment, between two changes it follows from the power in a straight line.

    Args:
        plant: servers and building.
        idle_gpus: GPUs that no workload holds; they idle all the time.
        sources: chip-power signals of the workloads.
        supply: battery, PV, wind, generators, limits of the connection; none by default.
    """

    def __init__(
        self,
        plant: SitePlant,
        idle_gpus: int,
        sources: Sequence[StepSignal],
        supply: SiteSupply | None = None,
    ):
        self.plant = plant
        self.idle_w = idle_gpus * plant.node.device.idle_w
        self.sources = tuple(sources)
        self.supply = supply or SiteSupply()
        self.order = NO_ORDER
        self.off_grid_frac = 0.0
        self.planned_to_ps = 0
        parts = plant.parts(self._chip_w_now(), 0.0)
        self.chip_w = StepSignal(f"{plant.name}.chip_w", parts.chip_w)
        self.it_w = StepSignal(f"{plant.name}.it_w", parts.it_w)
        self.facility_w = StepSignal(f"{plant.name}.facility_w", parts.facility_w)
        self.import_w = StepSignal(f"{plant.name}.import_w", parts.facility_w)
        self.battery_w = StepSignal(f"{plant.name}.battery_w", 0.0)
        self.stored_j = StepSignal(f"{plant.name}.stored_j", self.supply.state.stored_j)
        self.supplied: Hook[SupplyStep] = Hook()
        for source in self.sources:
            source.subscribe(self._follow)

    def tick(self, time_ps: int, dt_s: float, order: SupplyOrder | None = None) -> SupplyStep:
        """Plan the supply for the next `dt_s` seconds, under a new order or the last one.

        Raises:
            LawViolation: the interval planned last has run out before.
        """
        self.order = self.order if order is None else order
        self.planned_to_ps = time_ps + to_ps(dt_s)
        return self._plan(time_ps)

    def command(self, time_ps: int, order: SupplyOrder) -> None:
        """Give the supply an order, from now on and until the next one."""
        self.order = order
        if time_ps < self.planned_to_ps:
            self._plan(time_ps)

    def leave_grid(self, time_ps: int, frac: float) -> None:
        """From now on a share of the load is carried by its UPS, and the grid does not see it.

        Behind a supply the battery and backup sets take what they can of it; what is left then
        counts as unserved there: the UPS carry it.
        """
        self.off_grid_frac = frac
        self._follow(time_ps, 0.0)

    def refresh(self, time_ps: int) -> None:
        """Follow the weather: to be called at the start of each hour of the run."""
        self._follow(time_ps, 0.0)

    def _follow(self, time_ps: int, _value: float) -> None:
        parts = self.plant.parts(self._chip_w_now(), to_s(time_ps))
        self.chip_w.set(time_ps, parts.chip_w)
        self.it_w.set(time_ps, parts.it_w)
        self.facility_w.set(time_ps, parts.facility_w)
        if self.supply.plant.is_bare:
            self.import_w.set(time_ps, parts.facility_w * (1.0 - self.off_grid_frac))
        elif time_ps < self.planned_to_ps:
            self._plan(time_ps)

    def _plan(self, time_ps: int) -> SupplyStep:
        dt_s = to_s(self.planned_to_ps - time_ps)
        step = self.supply.step(to_s(time_ps), dt_s, self.facility_w.value, self._order_now())
        self.import_w.set(time_ps, step.import_w - step.export_w)
        self.battery_w.set(time_ps, step.battery_w)
        self.stored_j.set(time_ps, self.supply.state.stored_j)
        self.supplied.emit(step)
        return step

    def _order_now(self) -> SupplyOrder:
        """The order in force, and no more from the grid than what is still connected."""
        if not self.off_grid_frac:
            return self.order
        limit_w = self.facility_w.value * (1.0 - self.off_grid_frac)
        if self.order.import_limit_w is not None:
            limit_w = min(limit_w, self.order.import_limit_w)
        return replace(self.order, import_limit_w=limit_w)

    def _chip_w_now(self) -> float:
        return math.fsum((self.idle_w, *(source.value for source in self.sources)))


def check_boundary_laws(
    plant: SitePlant,
    duration_s: float,
    chip_j: float,
    it_j: float,
    facility_j: float,
    chip_j_by_hour: Sequence[float] = (),
) -> None:
    """Energies rise from chip to it to facility, and follow from the chip energy by the chain.

    Within an hour the chain is linear in chip power, so the energies follow from the mean chip
    power of each hour; without weather, from the mean of the whole run.

    Args:
        chip_j_by_hour: chip energy of each hour of the run, for a building in its weather; the
            last one may be cut short.

    Raises:
        LawViolation: with the site and both numbers.
    """
    if not 0 <= chip_j <= it_j <= facility_j:
        raise LawViolation(
            f"{plant.name}: energies not in order chip {chip_j:.6e} J <= it {it_j:.6e} J "
            f"<= facility {facility_j:.6e} J"
        )
    expected = energy_by_cause_j(plant, duration_s, chip_j_by_hour or (chip_j,))
    for boundary, recorded_j, expected_j in (
        ("it", it_j, sum_it_j(expected)),
        ("facility", facility_j, math.fsum(expected.values())),
    ):
        if not math.isclose(recorded_j, expected_j, rel_tol=1e-9):
            raise LawViolation(
                f"{plant.name}: recorded {boundary} energy {recorded_j:.9e} J, from the chip "
                f"energy through the chain {expected_j:.9e} J"
            )


def energy_by_cause_j(
    plant: SitePlant, duration_s: float, chip_j_by_hour: Sequence[float]
) -> dict[str, float]:
    """Energy by cause of a run, from the chip energy of each of its hours.

    Args:
        chip_j_by_hour: one figure for each hour (or one for the whole run, without weather).
    """
    total: dict[str, float] = {}
    length_s = duration_s if len(chip_j_by_hour) == 1 else float(S_PER_H)
    for hour, chip_j in enumerate(chip_j_by_hour):
        start_s = hour * length_s
        span_s = min(length_s, duration_s - start_s)
        for cause, watts in plant.parts(chip_j / span_s, start_s).causes().items():
            total[cause] = total.get(cause, 0.0) + watts * span_s
    return total


def sum_it_j(by_cause: Mapping[str, float]) -> float:
    """The IT boundary's part of powers or energies by cause."""
    return math.fsum(v for k, v in by_cause.items() if k not in ("power_train_loss", "cooling"))
