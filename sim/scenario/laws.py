"""Laws of a run that hold between its parts: checked at the end of every run.

What one part alone can check it checks itself (`sim.cluster`, `sim.facility`, `sim.grid`). Here
the recorded signals of each site are held against its workloads, and against its chain of losses,
written down a second time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sim.cluster.serving.cell_fleet import CellFleet
from sim.cluster.serving.compiled_fleet import CompiledFleet
from sim.cluster.serving.fleet import ServingFleet
from sim.cluster.serving.fluid import FluidFleet
from sim.errors import LawViolation
from sim.record.laws import (
    ENERGY_TOLERANCE,
    Floats,
    Recorded,
    check_follows,
    check_order,
    check_sum,
    check_times,
)
from sim.record.storage_law import check_stored
from sim.units import PS_PER_S, to_ps, to_s

if TYPE_CHECKING:
    from sim.cluster.serving.protocol import PowerFleet
    from sim.facility.battery import Battery
    from sim.facility.meter import SitePlant
    from sim.record.timeline import Timeline
    from sim.scenario.build import Simulation, SiteRun
    from sim.scenario.simulate import Outcome, SiteOutcome

BOUNDARIES = ("chip", "it", "facility")


def check_outcome(outcome: Outcome) -> None:
    """All laws between the parts of a run.

    Raises:
        LawViolation: with the place and the numbers.
    """
    signals = {line.name: recorded(line) for line in outcome.timelines}
    for signal in signals.values():
        check_times(signal)
    for site in outcome.sites:
        check_site(site.run.plant, [signals[f"{site.name}.{b}_w"] for b in BOUNDARIES])
        _check_energy(site, signals, outcome.simulation.horizon_ps)
        check_battery(site.name, signals, site.run.meter.supply.plant.battery)
    check_dealt_out(outcome.simulation)
    check_handed_over([fleet.fleet for site in outcome.sites for fleet in site.run.fleets.values()])


def check_dealt_out(simulation: Simulation) -> None:
    """Each fleet that is simulated whole got its part of its service's requests.

    Dealt out row by row it got exactly its rows. A Poisson stream of its own has about as many
    requests as the part's rate brings. Turns of sessions wait for answers: their number is open.

    Raises:
        LawViolation: with both numbers.
    """
    fleets = {
        (site.spec.name, name): fleet.fleet
        for site in simulation.sites
        for name, fleet in site.fleets.items()
    }
    for target, part in simulation.streams.parts.items():
        fleet = fleets[target]
        if not isinstance(fleet, CompiledFleet):
            continue
        due = simulation.streams.due(part, to_ps(fleet.spec.warmup_s), simulation.horizon_ps)
        taken = sum(one.count for one in fleet.handed.values())
        came = fleet.result().requests.value - taken
        if due is not None and abs(came - due[0]) > due[1]:
            raise LawViolation(
                f"requests of service {part.service.name}: {came:,.0f} came to "
                f"{'.'.join(target)}, of {due[0]:,.1f} +- {due[1]:,.1f}"
            )


def check_handed_over(fleets: Sequence[PowerFleet]) -> None:
    """Requests that fleets handed over are those that others took.

    Raises:
        LawViolation: with both numbers.
    """
    given, taken = [], []
    for fleet in fleets:
        if isinstance(fleet, CompiledFleet):
            given.append(fleet.moved(int(fleet.env.now)))
            taken.append(float(fleet.received))
        elif isinstance(fleet, FluidFleet):
            given.append(fleet.ledger.moved)
            taken.append(fleet.ledger.received)
    check_sum("requests handed over", math.fsum(given), taken, ENERGY_TOLERANCE)


def recorded(line: Timeline) -> Recorded:
    """A timeline as plain arrays."""
    return Recorded(line.name, line.times_ps / PS_PER_S, line.values)


def check_site(plant: SitePlant, boundaries: list[Recorded]) -> None:
    """At every moment: chip <= it <= facility, and each follows from the chips by the chain.

    Args:
        boundaries: chip, it, facility.

    Raises:
        LawViolation: with the moment and both numbers.
    """
    chip, it, facility = boundaries
    check_order(boundaries)
    check_follows(chip, it, it_w(plant, chip.values))
    check_follows(it, facility, facility_w(plant, it.values, it.times_s))


def check_battery(site: str, signals: Mapping[str, Recorded], battery: Battery) -> None:
    """What a site's battery holds is what its power put in and took out, within its window.

    Raises:
        LawViolation: with the moment and both numbers.
    """
    stored = signals.get(f"{site}.stored_j")
    if stored is not None:
        power, way = signals[f"{site}.battery_w"], battery.one_way_frac
        check_stored(stored, power, way, battery.floor_j(), battery.ceiling_j())


def it_w(plant: SitePlant, chip_w: Floats) -> Floats:
    """IT power by chip power: servers with fans and supplies, and what stands beside them."""
    node = plant.node
    dc_w = (chip_w + plant.nodes * node.host_w) / (1 - node.fan_frac)
    beside_w = node.switches_per_gpu * node.switch_w
    beside_w += node.storage_servers_per_gpu * node.storage_server_w
    rated_loss_w = plant.nodes * node.rated_w * (1 - node.psu_efficiency_frac)
    rises = (1 - node.psu_fixed_loss_frac) * (1 - node.psu_efficiency_frac)
    loss_w = node.psu_fixed_loss_frac * rated_loss_w + dc_w * rises / node.psu_efficiency_frac
    found: Floats = dc_w + loss_w + plant.nodes * node.gpus * beside_w
    return found


def facility_w(plant: SitePlant, it_power_w: Floats, times_s: Floats) -> Floats:
    """Power at the meter by IT power: times the PUE, or losses and cooling in the weather."""
    hourly = plant.building.hourly
    if hourly is None:
        return it_power_w * plant.building.pue
    heat_w = it_power_w * (1 + hourly.train_share) + hourly.train_fixed_w
    share = np.array([hourly.cooling_share.at(time_s) for time_s in times_s.tolist()])
    found: Floats = heat_w * (1 + share) + hourly.cooling_fixed_w
    return found


def _check_energy(site: SiteOutcome, signals: dict[str, Recorded], end_ps: int) -> None:
    """Energies integrated again; those of the chips summed over what the workloads did."""
    for boundary, measure in site.power.items():
        name = f"{site.name}.{boundary}_w"
        again_j = signals[name].energy_j(to_s(end_ps))
        check_sum(f"energy of {name}", measure.integral, [again_j], ENERGY_TOLERANCE)
    done_j = workload_energy_j(site.run, end_ps)
    what = f"chip energy of {site.name} and of its workloads and idle GPUs"
    check_sum(what, site.power["chip"].integral, done_j, ENERGY_TOLERANCE)


def workload_energy_j(run: SiteRun, end_ps: int) -> Iterator[float]:
    """Chip energy of GPUs without work, and of each workload from its own book of what it did."""
    yield run.meter.idle_w * to_s(end_ps)
    for job in run.jobs.values():
        yield job.accounts(end_ps)[1] * job.plan.step.gpus
    for fleet in run.fleets.values():
        yield fleet_energy_j(fleet.fleet, end_ps)


def fleet_energy_j(fleet: PowerFleet, end_ps: int) -> float:
    """Chip energy of a fleet from its steps (or rates) and idle times, all replicas."""
    if isinstance(fleet, ServingFleet):
        return fleet.scale * math.fsum(fleet.energy_split_j().values())
    if isinstance(fleet, CompiledFleet):
        return math.fsum(part.totals(end_ps).energy_j for pool in fleet.pools for part in pool)
    if isinstance(fleet, CellFleet):
        return fleet.scale * math.fsum(fleet_energy_j(part, end_ps) for part in fleet.parts)
    if isinstance(fleet, FluidFleet):
        return fleet.book.energy_j
    raise TypeError(f"no book of energy is known for a {type(fleet).__name__}")
