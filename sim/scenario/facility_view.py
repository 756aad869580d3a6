"""The `facility` part of a summary: what each building did, and the year that a study asks for.

Only sites that say more than a design PUE have one. Hourly results are folded into means by
month and hour of the day, which is what the figures show.
"""

from __future__ import annotations

from typing import Any

from sim.datum import data
from sim.facility.carbon import carbon_figures
from sim.facility.cost import capital_figures
from sim.facility.weather import doubt_of
from sim.scenario.facility_run import chain_json, cooling_json, ride_through_json, supply_json
from sim.scenario.facility_studies import climates_json, self_supply_json
from sim.scenario.facility_year import year_json
from sim.scenario.schema.facility import ClimatesStudy, Facility, SelfSupplyStudy, YearStudy
from sim.scenario.simulate import Outcome, SiteOutcome
from sim.scenario.site_building import cooling_settings
from sim.scenario.sites import is_plain

Json = dict[str, Any]


def facility_json(outcome: Outcome, summary: Json) -> Json:
    """The facility part of every site that has one; empty if none has.

    Args:
        summary: the run's summary so far (tokens and requests are read from it).
    """
    return {
        site.name: _site_json(outcome, site, summary)
        for site in outcome.sites
        if not is_plain(site.run.spec.facility)
    }


def _site_json(outcome: Outcome, site: SiteOutcome, summary: Json) -> Json:
    facility = site.run.spec.facility
    found: Json = {"pue": site.power["facility"].mean / site.power["it"].mean}
    if facility.cooling is not None:
        found["cooling"] = cooling_json(site)
    if facility.chain is not None:
        found["chain"] = chain_json(outcome, site)
    if site.supply is not None:
        found["supply"] = supply_json(site)
    if facility.ride_through is not None:
        found["ride_through"] = ride_through_json(site, facility.ride_through)
    study = facility.study
    if isinstance(study, YearStudy):
        found["year"] = year_json(site, study, summary)
    elif isinstance(study, ClimatesStudy):
        found["climates"] = climates_json(site, study)
    elif isinstance(study, SelfSupplyStudy):
        found["self_supply"] = self_supply_json(site, study)
    return found


def facility_assumptions(outcome: Outcome) -> list[str]:
    """What the facility part rests on: ranged figures, and years that are not the run's."""
    found: list[str] = []
    for site in outcome.sites:
        facility = site.run.spec.facility
        if is_plain(facility):
            continue
        figures = list(cooling_settings(facility).values()) if facility.cooling else []
        figures += list(data("facility/chain.yaml").values())
        if facility.study is not None or facility.tariff is not None:
            figures += list(capital_figures().values())
        if facility.ride_through is not None:
            figures += list(data("facility/ride_through.yaml").values())
        if facility.carbon is not None:
            figures += list(carbon_figures().values())
        if facility.pv or facility.wind or isinstance(facility.study, SelfSupplyStudy):
            figures += list(data("facility/solar.yaml").values())
        found += [f.describe() for f in figures if f.is_assumption]
        found += _years(site.name, facility)
    return sorted(set(found))


def _climates(facility: Facility) -> set[str]:
    """Every climate that the facility and its study ask."""
    parts = (facility.cooling, facility.pv, facility.wind)
    own = {part.weather for part in parts if part is not None and part.weather is not None}
    study = facility.study
    return own | set(study.climates if isinstance(study, ClimatesStudy | SelfSupplyStudy) else ())


def _years(name: str, facility: Facility) -> list[str]:
    """Series of a year that is not the scenario's, and weather that is not to be trusted."""
    told = [
        f"{name}: the weather table {climate} is doubtful: {doubt_of(climate)}"
        for climate in sorted(_climates(facility))
        if doubt_of(climate)
    ]
    if facility.cooling is not None:
        told.append(
            f"{name}: weather of a typical year ({facility.cooling.weather}), not of the run's year"
        )
    if facility.carbon is not None:
        told.append(f"{name}: grid mix of {facility.carbon.area} in 2022; import at hourly means")
    if facility.tariff is not None and facility.tariff.market is not None:
        told.append(f"{name}: prices of {facility.tariff.market} in {facility.tariff.market_year}")
    return told
