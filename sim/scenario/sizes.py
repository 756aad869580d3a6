"""What a site would draw with nothing held back, before anything is run."""

from __future__ import annotations

from sim.scenario.build import build
from sim.scenario.desk import full_power_w
from sim.scenario.schema import Scenario, Site
from sim.units import MEGA


def full_site_mw(scenario: Scenario, site: Site) -> float:
    """MW at the meter of one site of a resolved scenario, all workloads running.

    Raises:
        InputError: the site cannot be built.
    """
    return full_power_w(build(scenario, 0, only=site).sites[0]) / MEGA


def provisioned_site_mw(scenario: Scenario, site: Site) -> float:
    """MW at the meter of one site with every GPU at its power limit: what it is built for."""
    plant = build(scenario, 0, only=site).sites[0].plant
    gpus = plant.nodes * plant.node.gpus
    return plant.parts(gpus * plant.node.device.limit_w).facility_w / MEGA
