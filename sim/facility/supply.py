"""Behind the meter: what the grid sees when a site has a battery, PV, wind or generators.

    import + PV + wind + generation + discharge = facility - unserved + charge + export

holds in every interval to the last digit of a float. Powers are constant over an interval.
`plan` decides an interval, `settle` moves the storage on; both are pure. `SiteSupply` keeps
the state between two calls of a control loop. Without equipment it is the identity.

Order of means: PV and wind; generators by their rule (a backup set starts when the battery
alone could not hold the import limit until the set is up); the battery by its rule, but it
keeps the import between export limit, import limit and ramps first; what is still above the
import limit is unserved. A surplus beyond battery and export curtails PV, then wind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from sim.errors import CapacityError, LawViolation
from sim.facility.battery import NO_BATTERY, Battery
from sim.facility.generator import OFF, Generator, GeneratorState, reach, run
from sim.facility.profile import Profile
from sim.facility.rules import BatteryRule, BatteryView, SelfConsumption, Smoothing

BALANCE_FRAC = 1e-9


@dataclass(frozen=True, slots=True)
class Source:
    """PV or wind: capacity, and what each watt of it gives hour by hour."""

    capacity_w: float
    profile: Profile


@dataclass(frozen=True, slots=True)
class SupplyPlant:
    """What stands behind a site's meter, and what its connection allows.

    Attributes:
        import_limit_w: largest import; infinity for no limit.
        export_limit_w: largest export; 0 for none.
        ramp_limit_w_per_s: fastest change of the import; what cannot be kept is reported.
    """

    battery: Battery = NO_BATTERY
    rule: BatteryRule = SelfConsumption()  # noqa: RUF009  frozen, no fields
    pv: Source | None = None
    wind: Source | None = None
    generators: tuple[Generator, ...] = ()
    import_limit_w: float = math.inf
    export_limit_w: float = 0.0
    ramp_limit_w_per_s: float = math.inf

    def __post_init__(self) -> None:
        if self.import_limit_w < 0 or self.export_limit_w < 0 or self.ramp_limit_w_per_s <= 0:
            raise CapacityError(
                f"connection: import limit {self.import_limit_w:g} W, export limit "
                f"{self.export_limit_w:g} W, ramp limit {self.ramp_limit_w_per_s:g} W/s",
                "give limits >= 0 and a ramp above 0",
            )

    @property
    def is_bare(self) -> bool:
        """True if nothing stands behind the meter and the connection is unlimited."""
        return (
            not self.battery.power_w
            and self.pv is None
            and self.wind is None
            and not self.generators
            and math.isinf(self.import_limit_w)
            and math.isinf(self.ramp_limit_w_per_s)
        )


@dataclass(frozen=True, slots=True)
class SupplyOrder:
    """What the grid or a control rule asks for the interval to come.

    Attributes:
        import_limit_w: largest import for now; 0 when the grid is lost. What is above it is
            unserved.
        import_target_w: import that storage and backup generators try to keep to; what they
            cannot give is imported all the same.
        price_usd_per_mwh: market price now.
        discharge: help the grid: battery and backup generators as hard as they can.
        battery_w: set point of the battery (> 0 charges), in place of its rule.
    """

    import_limit_w: float | None = None
    import_target_w: float | None = None
    price_usd_per_mwh: float | None = None
    discharge: bool = False
    battery_w: float | None = None


NO_ORDER = SupplyOrder()


@dataclass(frozen=True, slots=True)
class SupplyState:
    """What a supply remembers.

    Attributes:
        stored_j: energy in the battery.
        discharged_j: AC energy it has given since the start (wear).
        since_s: length of the last interval, over which the import may ramp.
        import_w: import less export of the last interval; None before the first.
        smoothed_w: import that the smoothing rule follows; None before the first.
    """

    time_s: float
    stored_j: float
    discharged_j: float = 0.0
    since_s: float = 0.0
    import_w: float | None = None
    smoothed_w: float | None = None
    generators: tuple[GeneratorState, ...] = ()


@dataclass(frozen=True, slots=True)
class SupplyStep:
    """Powers of one interval; `battery_w > 0` charges, the others are >= 0.

    Attributes:
        pv_w, wind_w: what was used; with the curtailed part, what was there.
        fuel_w: fuel that the generators burn.
        unserved_w: load that must go: it exceeds what the supply may give.
        ramp_excess_w: change of the import beyond the ramp limit (it happens all the same).
        state_of_charge_j: stored energy at the interval's end.
        generators: each generator in this interval.
    """

    time_s: float
    dt_s: float
    facility_w: float
    import_w: float
    export_w: float
    battery_w: float
    pv_w: float
    wind_w: float
    generation_w: float
    fuel_w: float
    curtailed_pv_w: float
    curtailed_wind_w: float
    unserved_w: float
    ramp_excess_w: float
    state_of_charge_j: float
    generators: tuple[GeneratorState, ...] = ()

    @property
    def balance_w(self) -> float:
        """What comes in less what goes out; 0 but for rounding."""
        given_w = (self.import_w, self.pv_w, self.wind_w, self.generation_w, self.unserved_w)
        return math.fsum((*given_w, -self.battery_w, -self.export_w, -self.facility_w))


def first_state(plant: SupplyPlant, time_s: float = 0.0) -> SupplyState:
    """The state at the start."""
    battery = plant.battery
    return SupplyState(
        time_s, battery.initial_frac * battery.energy_j, generators=(OFF,) * len(plant.generators)
    )


def plan(
    plant: SupplyPlant,
    state: SupplyState,
    dt_s: float,
    facility_w: float,
    order: SupplyOrder = NO_ORDER,
) -> SupplyStep:
    """Powers for the `dt_s` seconds from the state's time on.

    Args:
        facility_w: load of the building at the meter, constant over the interval.

    Raises:
        CapacityError: the interval or the load is not positive or not finite.
    """
    if not (0 < dt_s < math.inf and 0 <= facility_w < math.inf):
        raise CapacityError(
            f"an interval of {dt_s:g} s with a load of {facility_w:g} W",
            "give a length above 0 and a load >= 0",
        )
    sun_w, wind_w = (_there_w(s, state.time_s, dt_s) for s in (plant.pv, plant.wind))
    limit_w = plant.import_limit_w
    if order.import_limit_w is not None:
        limit_w = min(limit_w, max(order.import_limit_w, 0.0))
    target_w = limit_w
    if order.import_target_w is not None:
        target_w = min(limit_w, max(order.import_target_w, 0.0))
    running = _run_generators(plant, state, dt_s, facility_w - sun_w - wind_w, target_w, order)
    generation_w = math.fsum(g.output_w for g in running)
    net_w = facility_w - sun_w - wind_w - generation_w
    battery_w = _battery_w(plant, state, dt_s, net_w, target_w, order)
    grid_w = net_w + battery_w
    import_w = min(max(grid_w, 0.0), limit_w)
    export_w = min(max(-grid_w, 0.0), plant.export_limit_w)
    surplus_w = max(-grid_w - export_w, 0.0)
    curtailed_pv_w = min(surplus_w, sun_w)
    curtailed_wind_w = min(surplus_w - curtailed_pv_w, wind_w)
    return SupplyStep(
        time_s=state.time_s,
        dt_s=dt_s,
        facility_w=facility_w,
        import_w=import_w,
        export_w=export_w,
        battery_w=battery_w,
        pv_w=sun_w - curtailed_pv_w,
        wind_w=wind_w - curtailed_wind_w,
        generation_w=generation_w,
        fuel_w=_fuel_w(plant, running),
        curtailed_pv_w=curtailed_pv_w,
        curtailed_wind_w=curtailed_wind_w,
        unserved_w=max(grid_w - limit_w, 0.0),
        ramp_excess_w=_ramp_excess_w(plant, state, import_w - export_w),
        state_of_charge_j=plant.battery.stored_after_j(state.stored_j, battery_w, dt_s),
        generators=running,
    )


def settle(
    plant: SupplyPlant, state: SupplyState, step: SupplyStep, elapsed_s: float
) -> SupplyState:
    """The state after `elapsed_s` of a planned interval (no more than its length).

    Raises:
        LawViolation: the interval was shorter than what elapsed.
    """
    if not 0 <= elapsed_s <= step.dt_s * (1 + BALANCE_FRAC):
        raise LawViolation(
            f"supply: {elapsed_s:.9e} s elapsed of an interval planned for {step.dt_s:.9e} s"
        )
    battery = plant.battery
    stored_j = battery.stored_after_j(state.stored_j, step.battery_w, elapsed_s)
    return SupplyState(
        time_s=state.time_s + elapsed_s,
        stored_j=stored_j,
        discharged_j=state.discharged_j + max(-step.battery_w, 0.0) * elapsed_s,
        since_s=elapsed_s,
        import_w=step.import_w - step.export_w,
        smoothed_w=_smoothed_w(plant, state, step, elapsed_s),
        generators=step.generators,
    )


class SiteSupply:
    """The supply of a running site: the state between two calls of a control loop.

    Args:
        plant: what stands behind the meter; nothing by default.
    """

    def __init__(self, plant: SupplyPlant | None = None, time_s: float = 0.0):
        self.plant = plant or SupplyPlant()
        self.state = first_state(self.plant, time_s)
        self.planned: SupplyStep | None = None

    def step(
        self, time_s: float, dt_s: float, facility_w: float, order: SupplyOrder = NO_ORDER
    ) -> SupplyStep:
        """Settle what has passed since the last call, then plan the next `dt_s` seconds.

        May be called before the last interval is over (the load or the order changed), never
        after it: the battery was only asked to last that long.

        Raises:
            LawViolation: `time_s` lies outside the interval planned last.
        """
        self.settle(time_s)
        self.planned = plan(self.plant, self.state, dt_s, facility_w, order)
        return self.planned

    def settle(self, time_s: float) -> SupplyState:
        """Bring the storage up to a time within the interval planned last."""
        if self.planned is None:
            self.state = replace(self.state, time_s=time_s)
            return self.state
        elapsed_s = time_s - self.state.time_s
        if elapsed_s:
            self.state = settle(self.plant, self.state, self.planned, elapsed_s)
            self.state = replace(self.state, time_s=time_s)  # no drift of the clock
            rest_s = self.planned.dt_s - elapsed_s
            self.planned = replace(self.planned, time_s=time_s, dt_s=max(rest_s, 0.0))
        return self.state


def _there_w(source: Source | None, time_s: float, dt_s: float) -> float:
    return 0.0 if source is None else source.capacity_w * source.profile.mean(time_s, dt_s)


def _run_generators(
    plant: SupplyPlant,
    state: SupplyState,
    dt_s: float,
    load_w: float,
    limit_w: float,
    order: SupplyOrder,
) -> tuple[GeneratorState, ...]:
    """Each generator in turn takes what its rule leaves to it of a load."""
    running: list[GeneratorState] = []
    for generator, last in zip(plant.generators, state.generators, strict=True):
        asked_w = load_w + plant.export_limit_w if order.discharge else load_w
        if generator.rule == "price" and not order.discharge:
            price = order.price_usd_per_mwh
            asked_w = load_w if price is not None and price > generator.cost_usd_per_mwh else 0.0
        if generator.rule == "backup" and not order.discharge:
            held_s = dt_s + generator.start_s
            asked_w = load_w - limit_w - plant.battery.most_discharge_w(state.stored_j, held_s)
        found = reach(generator, last, state.time_s, dt_s)
        state_now = run(generator, found, asked_w, most_w=max(load_w + plant.export_limit_w, 0.0))
        running.append(state_now)
        load_w -= state_now.output_w
    return tuple(running)


def _battery_w(
    plant: SupplyPlant,
    state: SupplyState,
    dt_s: float,
    net_w: float,
    limit_w: float,
    order: SupplyOrder,
) -> float:
    """Power of the battery: its rule, inside the connection's limits, inside its own."""
    battery = plant.battery
    if not battery.power_w:
        return 0.0
    wanted_w = order.battery_w
    if order.discharge:
        wanted_w = -battery.power_w
    if wanted_w is None:
        wanted_w = plant.rule.wanted_w(_view(plant, state, dt_s, net_w, order))
    low_w, high_w = _window_w(plant, state, limit_w)
    wanted_w = min(max(wanted_w, low_w - net_w), high_w - net_w)
    charge_w = battery.most_charge_w(state.stored_j, dt_s, state.discharged_j)
    discharge_w = battery.most_discharge_w(state.stored_j, dt_s)
    return min(max(wanted_w, -discharge_w), charge_w)


def _window_w(plant: SupplyPlant, state: SupplyState, limit_w: float) -> tuple[float, float]:
    """Least and largest import (export below 0): limits, and ramps inside them."""
    low_w, high_w = -plant.export_limit_w, limit_w
    if state.import_w is not None and state.since_s:
        step_w = plant.ramp_limit_w_per_s * state.since_s
        low_w = min(max(low_w, state.import_w - step_w), high_w)
        high_w = max(min(high_w, state.import_w + step_w), low_w)
    return low_w, high_w


def _view(
    plant: SupplyPlant, state: SupplyState, dt_s: float, net_w: float, order: SupplyOrder
) -> BatteryView:
    battery = plant.battery
    floor_j, ceiling_j = battery.floor_j(), battery.ceiling_j(state.discharged_j)
    window_j = ceiling_j - floor_j
    return BatteryView(
        net_w=net_w,
        price_usd_per_mwh=order.price_usd_per_mwh,
        state_of_charge_frac=(state.stored_j - floor_j) / window_j if window_j else 1.0,
        window_j=window_j,
        smoothed_w=net_w if state.smoothed_w is None else state.smoothed_w,
        duration_s=dt_s,
        power_w=battery.power_w,
    )


def _smoothed_w(
    plant: SupplyPlant, state: SupplyState, step: SupplyStep, elapsed_s: float
) -> float | None:
    if not isinstance(plant.rule, Smoothing):
        return None
    net_w = step.facility_w - step.pv_w - step.wind_w - step.generation_w
    start_w = net_w if state.smoothed_w is None else state.smoothed_w
    return plant.rule.follow(start_w, net_w, elapsed_s)


def _ramp_excess_w(plant: SupplyPlant, state: SupplyState, import_w: float) -> float:
    if state.import_w is None or math.isinf(plant.ramp_limit_w_per_s):
        return 0.0
    allowed_w = plant.ramp_limit_w_per_s * state.since_s
    return max(abs(import_w - state.import_w) - allowed_w, 0.0)


def _fuel_w(plant: SupplyPlant, running: tuple[GeneratorState, ...]) -> float:
    pairs = zip(plant.generators, running, strict=True)
    return math.fsum(state.output_w / g.efficiency_frac for g, state in pairs)
