"""Rules of a battery: what it wants to do now, before its own limits are applied.

Each is a frozen set of settings with `wanted_w(view)`: the power it wants, > 0 charges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from sim.errors import InputError


@dataclass(frozen=True, slots=True)
class BatteryView:
    """What a rule may read.

    Attributes:
        net_w: load less PV, wind and generators; below 0 is surplus.
        state_of_charge_frac: of the used window, 0 empty to 1 full.
        window_j: stored energy between empty and full.
        smoothed_w: import that the smoothing rule follows.
        duration_s: of the interval to come.
        power_w: rating of the battery.
    """

    net_w: float
    price_usd_per_mwh: float | None
    state_of_charge_frac: float
    window_j: float
    smoothed_w: float
    duration_s: float
    power_w: float


class BatteryRule(Protocol):
    """A rule of dispatch."""

    @property
    def kind(self) -> str:
        """Its name in scenario files."""

    def wanted_w(self, view: BatteryView) -> float:
        """Power that the battery should have, > 0 charges."""


@dataclass(frozen=True, slots=True)
class RideThrough:
    """Stay full for the moment when the grid fails; charge at a gentle rate until then."""

    charge_frac: float = 0.1
    kind = "ride-through"

    def wanted_w(self, view: BatteryView) -> float:
        """Charge until full."""
        return self.charge_frac * view.power_w if view.state_of_charge_frac < 1 else 0.0


@dataclass(frozen=True, slots=True)
class SelfConsumption:
    """Store what PV and wind give beyond the load, give it back when they fall short."""

    kind = "self-consumption"

    def wanted_w(self, view: BatteryView) -> float:
        """The surplus, or minus what is missing."""
        return -view.net_w


@dataclass(frozen=True, slots=True)
class PeakShaving:
    """Hold the import at or below `target_w`; charge with what is left below it."""

    target_w: float
    kind = "peak-shaving"

    def __post_init__(self) -> None:
        if self.target_w < 0:
            raise InputError(f"a target of {self.target_w:g} W is negative", "give it >= 0")

    def wanted_w(self, view: BatteryView) -> float:
        """Down to the target, up to the target."""
        return self.target_w - view.net_w


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Let the import follow the load with a time constant; drift back to half full."""

    time_constant_s: float
    recover_s: float = 3600.0
    kind = "smoothing"

    def __post_init__(self) -> None:
        if self.time_constant_s <= 0 or self.recover_s <= 0:
            raise InputError(
                f"smoothing over {self.time_constant_s:g} s, recovering in {self.recover_s:g} s",
                "give times above 0",
            )

    def wanted_w(self, view: BatteryView) -> float:
        """The smoothed import less the load, and a little towards half full."""
        back_w = (0.5 - view.state_of_charge_frac) * view.window_j / self.recover_s
        return view.smoothed_w - view.net_w + back_w

    def follow(self, smoothed_w: float, net_w: float, since_s: float) -> float:
        """The smoothed import after a time at a load."""
        return net_w + (smoothed_w - net_w) * math.exp(-since_s / self.time_constant_s)


@dataclass(frozen=True, slots=True)
class Arbitrage:
    """Charge below one price, discharge above another."""

    buy_below_usd_per_mwh: float
    sell_above_usd_per_mwh: float
    kind = "arbitrage"

    def __post_init__(self) -> None:
        if self.buy_below_usd_per_mwh > self.sell_above_usd_per_mwh:
            raise InputError(
                f"buys below {self.buy_below_usd_per_mwh:g} and sells above "
                f"{self.sell_above_usd_per_mwh:g} USD/MWh: it would lose on each cycle",
                "give a buying price below the selling price",
            )

    def wanted_w(self, view: BatteryView) -> float:
        """All or nothing by the price; without a price, nothing."""
        price = view.price_usd_per_mwh
        if price is None:
            return 0.0
        if price <= self.buy_below_usd_per_mwh:
            return view.power_w
        return -view.power_w if price >= self.sell_above_usd_per_mwh else 0.0
