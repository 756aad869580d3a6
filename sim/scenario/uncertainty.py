"""How sure the meter's figure is: the same site with its assumptions drawn over their ranges."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import qmc

from sim.datum import Datum, ranged, sample
from sim.facility.building import Building, building_figures, power_train_efficiency_frac
from sim.facility.meter import SitePlant
from sim.hardware.device import device_figures
from sim.hardware.node import build_node, gpu_of, node_figures
from sim.randomness import stream
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.scenario.sites import plain_plant

DRAWS = 256
CHAIN_FIGURES = ("node.", "network.switch_w", "storage.servers_per_gpu", "storage.server_w")
"""Node figures that enter the meter's power when the chip power is known."""


@dataclass(frozen=True, slots=True)
class Range:
    """5th and 95th percentile."""

    low: float
    high: float


def meter_range_w(plant: SitePlant, chip_w: float, seed: int) -> Range:
    """Range of the meter's power for a nominal chip power.

    Drawn: the error of the chip power model and the figures of node, network, storage and
    power train. The PUE is the scenario's own and stays; chip power stays below the limit.
    """
    figures = _figures(plant)
    names = ranged(figures)
    sampler = qmc.Sobol(len(names), rng=stream(seed, "meter range", plant.name))
    powers_w = [
        _meter_w(plant, chip_w, sample(figures, dict(zip(names, row, strict=True))))
        for row in sampler.random(DRAWS)
    ]
    low, high = np.percentile(powers_w, [5, 95])
    nominal_w = plant.parts(chip_w).facility_w
    return Range(min(float(low), nominal_w), max(float(high), nominal_w))


def meter_effects_w(plant: SitePlant, chip_w: float) -> list[tuple[Datum, float, float]]:
    """Each ranged figure with the change of the meter's power at its low and at its high.

    One at a time, all others at their values.
    """
    figures = _figures(plant)
    nominal_w = _meter_w(plant, chip_w, figures)
    found = []
    for name in ranged(figures):
        low_w, high_w = (
            _meter_w(plant, chip_w, figures | {name: replace(figures[name], value=end)})
            for end in (figures[name].low or 0.0, figures[name].high or 0.0)
        )
        found.append((figures[name], low_w - nominal_w, high_w - nominal_w))
    return found


def meter_at_peak(outcome: Outcome, site: SiteOutcome) -> tuple[SitePlant, float]:
    """A site's plant, and its chip power when the meter peaks, W.

    The chain is linear, so the chip power at the meter's peak follows from the peak.
    """
    window_s = outcome.simulation.scenario.grid.peak_window_s
    peak_w = site.power["facility"].peaks[window_s]
    plant = plain_plant(site.run.plant, peak_w / site.power["it"].peaks[window_s])
    standing_w = plant.parts(0.0).facility_w
    per_chip_w = plant.parts(1.0).facility_w - standing_w
    return plant, (peak_w - standing_w) / per_chip_w


def assumptions(plant: SitePlant) -> list[Datum]:
    """The ranged figures behind a site's meter."""
    figures = _figures(plant)
    return [figures[name] for name in ranged(figures)]


def _figures(plant: SitePlant) -> dict[str, Datum]:
    device = device_figures(gpu_of(plant.node.name))
    node = node_figures(plant.node.name)
    chosen = {"power.model_error_frac": device["power.model_error_frac"]}
    chosen |= {n: f for n, f in node.items() if n.startswith(CHAIN_FIGURES)}
    chosen |= {n: f for n, f in building_figures().items() if n.startswith("power_train.")}
    return chosen


def _meter_w(plant: SitePlant, chip_w: float, drawn: dict[str, Datum]) -> float:
    node = build_node(plant.node.name, node_figures(plant.node.name) | drawn, plant.node.device)
    efficiency_frac = power_train_efficiency_frac(building_figures() | drawn)
    building = Building(efficiency_frac, max(plant.building.pue, 1 / efficiency_frac))
    limit_w = plant.nodes * node.gpus * plant.node.device.limit_w
    # The chip power already holds the error that the device's figures say.
    error = (1 + drawn["power.model_error_frac"].value) / (1 + plant.node.device.model_error_frac)
    drawn_chip_w = min(limit_w, chip_w * error)
    return SitePlant(plant.name, plant.nodes, node, building).parts(drawn_chip_w).facility_w
