"""What a building and its supply did in a run, for the summary."""

from __future__ import annotations

import math
from typing import Any

from sim.facility.breaker import WARM_FRAC, breaker
from sim.facility.chain import PowerChain
from sim.facility.cooling import cooling_buffer
from sim.facility.ride_through import Excursion, describe, ride_through, ride_through_settings
from sim.scenario.schema.facility import DisturbancesSpec
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.scenario.site_building import design_it_w, site_chain
from sim.units import J_PER_MWH, MEGA, PS_PER_S, S_PER_H

Json = dict[str, Any]
BESIDE_THE_RUN = "judged beside the run at its mean power; the run itself goes on"


def cooling_json(site: SiteOutcome) -> Json:
    """Water of the run, and how long the plant may pause."""
    facility, plant = site.run.spec.facility, site.run.plant
    hourly = plant.building.hourly
    if facility.cooling is None or hourly is None:
        return {}
    water_kg = heat_j = 0.0
    for hour, chip_j in enumerate(site.chip_j_by_hour):
        parts = plant.parts(chip_j / S_PER_H, float(hour * S_PER_H))
        energy_j = (parts.it_w + parts.power_train_loss_w) * S_PER_H
        water_kg += hourly.water_kg_per_j.at(hour * S_PER_H) * energy_j
        heat_j += energy_j
    design_w = design_it_w(plant.nodes, plant.node, facility.chain)
    mean_heat_w = site.power["it"].mean + hourly.train_loss_w(site.power["it"].mean)
    return {
        "kind": facility.cooling.kind,
        "weather": facility.cooling.weather,
        "water_l_per_kwh_it": water_kg / (site.power["it"].integral / 3.6e6),
        "pause_s": cooling_buffer(design_w).hold_s(mean_heat_w),
        "pause_mw": site.causes_w["cooling"] / MEGA,
    }


def chain_json(outcome: Outcome, site: SiteOutcome) -> Json:
    """Use of each level at the highest power of the run, and its breakers."""
    plant, spec = site.run.plant, site.run.spec.facility.chain
    chain = site_chain(plant.nodes, plant.node, spec)
    flows = chain.flows(site.power["it"].max)
    levels = [
        {
            "name": f.name,
            "used_frac": f.used_frac,
            "loss_mw": f.loss_w / MEGA,
            "limit_mw": f.limit_w / MEGA,
        }
        for f in flows
    ]
    found: Json = {"levels": levels, "overloaded": [f.name for f in flows if f.used_frac > 1]}
    if spec is not None and spec.breakers:
        found["basis"] = "the recorded power; a trip does not stop the run"
        found["breakers"] = breakers = _breakers_json(outcome, site, chain)
        found["holds"] = not any(b["trips"] for b in breakers)
    return found


def _breakers_json(outcome: Outcome, site: SiteOutcome, chain: PowerChain) -> list[Json]:
    """When the breaker of each level trips on the recorded power; identical parts trip together."""
    line = next(t for t in outcome.timelines if t.name == f"{site.name}.it_w")
    part = line.between(0, outcome.simulation.horizon_ps)
    durations_s = (part.durations_ps / PS_PER_S).tolist()
    powers_w = [chain.flows(w) for w in part.values.tolist()]
    steady = chain.flows(site.power["it"].mean)
    found = []
    for place, level in enumerate(chain.levels):
        element = breaker(level.rating_w)
        story = [
            (duration, flows[place].out_w / level.count)
            for duration, flows in zip(durations_s, powers_w, strict=True)
        ]
        trip_s = element.first_trip_s(story)
        load = steady[place].out_w / level.count / level.rating_w
        for_ever = element.trip_s(load, min(load, WARM_FRAC))
        found.append(
            {
                "name": level.name,
                "rating_mw": level.rating_w / MEGA,
                "mean_load_frac": load,
                "trips": trip_s is not None or not math.isinf(for_ever),
                "first_trip_s": trip_s,
                "trips_at_mean_after_s": None if math.isinf(for_ever) else for_ever,
            }
        )
    return found


def ride_through_json(site: SiteOutcome, spec: DisturbancesSpec) -> Json:
    """What leaves the grid in the excursions of the scenario, at the run's mean power."""
    facility = site.run.spec.facility
    mean_w = site.power["facility"].mean
    settings = ride_through_settings(
        blocks=facility.chain.ups_blocks if facility.chain else 1,
        back=spec.back,
        generators=bool(facility.generators),
        without_ups_frac=site.causes_w["cooling"] / mean_w,
    )
    found = ride_through(
        settings,
        [Excursion(e.at_s, e.duration_s, e.voltage_pu, e.frequency_hz) for e in spec.excursions],
    )
    return {
        "load_mw": mean_w / MEGA,
        "off_grid_mw": found.largest_frac * mean_w / MEGA,
        "locked_mw": found.locked_frac * mean_w / MEGA,
        "lost_mw": found.lost_frac * mean_w / MEGA,
        "back_after_s": found.back_s,
        "steps": [{"time_s": t, "off_grid_mw": w / MEGA} for t, w in found.steps(mean_w)],
        "words": describe(found, mean_w),
        "basis": BESIDE_THE_RUN,
    }


def supply_json(site: SiteOutcome) -> Json:
    """Energies of the supply over the run."""
    book = site.supply
    if book is None:
        return {}
    energy = {f"{k.removesuffix('_w')}_mwh": j / J_PER_MWH for k, j in book.energy_j.items()}
    served_j = book.energy_j["facility_w"] - book.energy_j["unserved_w"]
    battery = book.plant.battery
    return energy | {
        "charged_mwh": book.charged_j / J_PER_MWH,
        "discharged_mwh": book.discharged_j / J_PER_MWH,
        "stored_start_mwh": book.start_j / J_PER_MWH,
        "stored_end_mwh": book.stored_j / J_PER_MWH,
        "stored_least_frac": book.low_j / battery.energy_j if battery.energy_j else None,
        "import_peak_mw": site.power["import"].max / MEGA,
        "ramp_excess_mw": book.ramp_excess_w / MEGA,
        "self_supply_frac": 1 - book.energy_j["import_w"] / served_j if served_j else None,
    }
