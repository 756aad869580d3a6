"""Which grid answers in the loop, by the kind that the scenario asks for."""

from __future__ import annotations

from sim.errors import InputError
from sim.scenario.build import Simulation
from sim.scenario.coupling import CoupledGrid, GridSide
from sim.scenario.coupling_nodal import CoupledWires
from sim.scenario.desk import full_power_w
from sim.scenario.schema.control import IntervalCoupling
from sim.scenario.schema.grid import ZonalGrid
from sim.scenario.schema.nodal import NodalGrid
from sim.units import to_s


def couple(simulation: Simulation, spec: IntervalCoupling) -> GridSide:
    """The grid of a scenario, ready to be asked at every tick.

    Raises:
        InputError: this kind of grid cannot be coupled, or not to this run.
    """
    scenario = simulation.scenario
    grid, horizon_s = scenario.grid, to_s(simulation.horizon_ps)
    if isinstance(grid, NodalGrid):
        buses = tuple(site.at.bus or 0 for site in scenario.sites)
        return CoupledWires(
            grid, buses, scenario.epoch, horizon_s, spec.load_zone, spec.weather_year
        )
    if not isinstance(grid, ZonalGrid):
        raise InputError(
            f"a grid of kind {grid.kind!r} cannot be coupled",
            "give grid.kind: zonal or nodal, or coupling: {kind: none}",
            path="control.coupling",
        )
    if spec.load_zone:
        raise InputError(
            f"load_zone {spec.load_zone!r} on a grid of zones, each of which has its own hours",
            "leave it out, or give grid.kind: nodal",
            path="control.coupling.load_zone",
        )
    return CoupledGrid(scenario.epoch, horizon_s, spec.weather_year, _expected_w(simulation))


def _expected_w(simulation: Simulation) -> dict[str, float]:
    """Zone -> power of its sites at the start, which the day-ahead dispatch counts with."""
    expected: dict[str, float] = {}
    for site in simulation.sites:
        zone = site.spec.at.zone
        expected[zone] = expected.get(zone, 0.0) + full_power_w(site)
    return expected
