"""The view of the grid that a scenario asks for, chosen by `grid.kind`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sim.grid.hosting import Hosting, hosting_by_zone
from sim.grid.law import check_flows, check_power_balance
from sim.grid.us_states import us_states
from sim.grid.verdict import assess
from sim.scenario.dynamic_view import dynamic_view
from sim.scenario.grid_view import GridView, PlacedLoad
from sim.scenario.nodal_view import nodal_view
from sim.scenario.regions_view import regions_view
from sim.scenario.schema.grid import ZonalGrid
from sim.scenario.schema.nodal import NodalGrid
from sim.scenario.schema.regions import DynamicGrid, RegionsGrid
from sim.scenario.simulate import Outcome, SiteOutcome, Tell
from sim.scenario.uncertainty import Range
from sim.units import MEGA

HOSTING_SAMPLES = 64
"""Samples for each of the zones other than the scenario's: 50 zones take seconds at this."""


def grid_view(
    outcome: Outcome, ranges: Mapping[str, Range], seed: int, tell: Tell | None = None
) -> GridView:
    """Hold the load of a run against the grid.

    Args:
        ranges: site -> range of its peak at the meter, W.

    Raises:
        InputError: the view cannot be made.
        LawViolation: a law does not hold in the grid.
    """
    placed = PlacedLoad(
        peak_mw=by_zone_mw(outcome, outcome.peak_w),
        low_mw=by_zone_mw(outcome, lambda site: ranges[site.name].low),
        high_mw=by_zone_mw(outcome, lambda site: ranges[site.name].high),
        swing_mw=by_zone_mw(outcome, lambda site: site.swing_w),
    )
    if tell:
        tell("asking the grid")
    grid = outcome.simulation.scenario.grid
    if isinstance(grid, RegionsGrid):
        return regions_view(outcome, grid, placed, seed, tell)
    if isinstance(grid, DynamicGrid):
        return dynamic_view(outcome, grid, placed, seed, tell)
    if isinstance(grid, NodalGrid):
        return nodal_view(outcome, grid, placed, seed, tell)
    return _zonal_view(grid, placed, seed)


def _zonal_view(grid: ZonalGrid, placed: PlacedLoad, seed: int) -> GridView:
    network = us_states()
    verdict = assess(
        network,
        placed.peak_mw,
        placed.swing_mw,
        load_low_mw=placed.low_mw,
        load_high_mw=placed.high_mw,
        samples=grid.samples,
        seed=seed,
    )
    for dispatch in verdict.dispatches:
        check_power_balance(dispatch)
        check_flows(dispatch)
    hosting: tuple[Hosting, ...] = ()
    if grid.hosting:
        swing_frac = sum(placed.swing_mw.values()) / sum(placed.peak_mw.values())
        samples = min(grid.samples, HOSTING_SAMPLES)
        hosting = hosting_by_zone(network, swing_frac=swing_frac, samples=samples, seed=seed)
    return GridView(verdict, hosting)


def by_zone_mw(outcome: Outcome, watts: Callable[[SiteOutcome], float]) -> dict[str, float]:
    """A figure of the sites, summed by zone."""
    zones: dict[str, float] = {}
    for site in outcome.sites:
        zones[site.zone] = zones.get(site.zone, 0.0) + watts(site) / MEGA
    return zones
