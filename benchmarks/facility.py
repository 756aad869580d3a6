"""How long the building takes: python benchmarks/facility.py [NAME...] [--json].

NAMES: year sites optimal sizing step. Wall and processor seconds of this process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from measured import run_named

from sim.facility.battery import Battery
from sim.facility.chain import ChainPlan, PowerChain, build_chain
from sim.facility.cooling import cooling_year
from sim.facility.dispatch import dispatch_site, dispatch_sites
from sim.facility.optimal import dispatch_optimal
from sim.facility.profile import FloatArray, Profile
from sim.facility.series import market_prices
from sim.facility.sizing import size_self_supply
from sim.facility.solar import pv_profile
from sim.facility.supply import SiteSupply, Source, SupplyPlant
from sim.facility.weather import Weather, climate, climates
from sim.facility.year import facility_year, overhead

DESIGN_W = 144e6
SITES = 51
MWH = 3.6e9


def _chain() -> PowerChain:
    return build_chain(ChainPlan(DESIGN_W, 3125, 250, 60, 30))


def _weathers(count: int) -> list[Weather]:
    names = climates()
    return [climate(names[k % len(names)]) for k in range(count)]


def _load_w(weathers: list[Weather]) -> FloatArray:
    chain = _chain()
    plants = [overhead(chain, cooling_year("chilled-water", w), w, DESIGN_W) for w in weathers]
    return facility_year(np.full(8760, 0.8 * DESIGN_W), plants).facility_w


def _supply(weather: Weather) -> SupplyPlant:
    sun = Source(450e6, Profile(weather.utc(pv_profile(weather))))
    return SupplyPlant(battery=Battery(440e6, 1760 * MWH), pv=sun)


def year() -> str:
    """A year of hourly cooling and dispatch of one site (target: 0.5 s)."""
    weathers = _weathers(1)
    found = dispatch_site(_supply(weathers[0]), _load_w(weathers)[0])
    return f"self-supplied {found.self_supply_frac[0]:.3f}"


def sites() -> str:
    """A year of hourly cooling and dispatch of 51 sites in arrays (target: 10 s)."""
    weathers = _weathers(SITES)
    found = dispatch_sites([_supply(w) for w in weathers], _load_w(weathers))
    return f"{SITES} sites, self-supplied {found.self_supply_frac.mean():.3f} on average"


def optimal() -> str:
    """A year of one site, optimal over all its hours."""
    weathers = _weathers(1)
    price = market_prices("ercot", 2024)
    found = dispatch_optimal(_supply(weathers[0]), _load_w(weathers)[0], price)
    return f"{found.cost_usd / 1e6:.2f} M USD"


def sizing() -> str:
    """The cheapest PV and battery for one target in one climate."""
    weathers = _weathers(1)
    sun = weathers[0].utc(pv_profile(weathers[0]))
    (found,) = size_self_supply(_load_w(weathers)[0], sun, (0.8,))
    return f"{found.pv_w / 1e6:.0f} MW PV, {found.battery_j / MWH:.0f} MWh"


def step() -> str:
    """One call of a control loop; the figure is that of 10,000 calls."""
    supply = SiteSupply(_supply(climate("dallas")))
    start = time.process_time()
    for k in range(10_000):
        supply.step(60.0 * k, 60.0, 130e6)
    return f"{(time.process_time() - start) / 10_000 * 1e6:.1f} us a call"


ALL: dict[str, Callable[[], str]] = {
    "year": year,
    "sites": sites,
    "optimal": optimal,
    "sizing": sizing,
    "step": step,
}


def main(arguments: list[str]) -> None:
    """Run the named benchmarks, all without names. Weather is read before the clock starts."""
    for weather in _weathers(len(climates())):
        pv_profile(weather)
    run_named(ALL, arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
