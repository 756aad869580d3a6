"""From chip power to the meter: each loss is a named term, each boundary a sum.

    chip  = GPUs
    it    = chip + host + fans + PSU loss + network + storage     (AC at the server input)
    meter = it + power train loss + cooling                       (facility)

PUE = facility / it. A building is given by its design PUE alone (the power train's part of it
follows from the efficiencies of UPS, PDU and transformer; the rest is cooling), or by a power
chain and a cooling plant in a year of weather: then loss and cooling are a constant plus a
share of the load, and the share of the cooling changes from hour to hour.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache

from sim.datum import Datum, data
from sim.errors import CapacityError
from sim.facility.profile import Profile
from sim.hardware.node import Node


@dataclass(frozen=True, slots=True)
class PowerParts:
    """Power by cause [W]; the boundaries are sums of the parts."""

    chip_w: float
    host_w: float
    fans_w: float
    psu_loss_w: float
    network_w: float
    storage_w: float
    power_train_loss_w: float
    cooling_w: float

    @property
    def it_w(self) -> float:
        """AC power at the input of servers, switches and storage."""
        return (
            self.chip_w
            + self.host_w
            + self.fans_w
            + self.psu_loss_w
            + self.network_w
            + self.storage_w
        )

    @property
    def facility_w(self) -> float:
        """Power at the meter."""
        return self.it_w + self.power_train_loss_w + self.cooling_w

    def causes(self) -> dict[str, float]:
        """Power by cause, in the order from the chip outward."""
        return {f.name.removesuffix("_w"): getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class HourlyOverhead:
    """Losses and cooling of a building in the hours of a run.

        power train loss = train_fixed_w + train_share * it
        cooling = cooling_fixed_w + cooling_share(hour) * (it + power train loss)

    Attributes:
        water_kg_per_j: make-up water per J of heat, by hour.
    """

    train_fixed_w: float
    train_share: float
    cooling_fixed_w: float
    cooling_share: Profile
    water_kg_per_j: Profile

    def train_loss_w(self, it_w: float) -> float:
        """Loss of the power train."""
        return self.train_fixed_w + self.train_share * it_w

    def cooling_w(self, it_w: float, time_s: float) -> float:
        """Power of the cooling plant."""
        heat_w = it_w + self.train_loss_w(it_w)
        return self.cooling_fixed_w + self.cooling_share.at(time_s) * heat_w


@dataclass(frozen=True, slots=True)
class Building:
    """A building: efficiency of its power train (0..1) and its PUE, or its hourly overhead.

    Attributes:
        hourly: losses and cooling by weather and load; then `pue` is only the design figure.
    """

    power_train_efficiency_frac: float
    pue: float
    hourly: HourlyOverhead | None = None


def building_figures() -> dict[str, Datum]:
    """The figures of the building's data file."""
    return data("facility/building.yaml")


@cache
def load_building(pue: float | None = None) -> Building:
    """The building of the data file, with its design PUE or the given one.

    Raises:
        CapacityError: the PUE is below what the power train alone costs.
    """
    return build_building(building_figures(), pue)


def build_building(figures: Mapping[str, Datum], pue: float | None = None) -> Building:
    """A building from its figures, for example sampled ones."""
    efficiency_frac = power_train_efficiency_frac(figures)
    chosen = figures["pue.design"].value if pue is None else pue
    if chosen < 1 / efficiency_frac:
        raise CapacityError(
            f"a PUE of {chosen:g} leaves nothing for cooling: the power train alone costs "
            f"{1 / efficiency_frac:.3f}",
            f"give a PUE of at least {1 / efficiency_frac + 0.0005:.3f}",
        )
    return Building(efficiency_frac, chosen)


def power_train_efficiency_frac(figures: Mapping[str, Datum]) -> float:
    """Efficiency of UPS, distribution and transformer together, 0..1."""
    return (
        figures["power_train.ups_efficiency_frac"].value
        * figures["power_train.pdu_efficiency_frac"].value
        * figures["power_train.transformer_efficiency_frac"].value
    )


def power_parts(
    chip_w: float, nodes: int, node: Node, building: Building, time_s: float = 0.0
) -> PowerParts:
    """Power by cause of a site whose GPUs draw `chip_w` in all.

    Every term is constant or proportional to `chip_w`, so the sum over nodes does not
    depend on how the load is spread over them.

    Args:
        chip_w: power of all GPUs of the site.
        nodes: number of servers, all powered.
        time_s: time of the run, for a building in its weather.
    """
    gpus = nodes * node.gpus
    host_w = nodes * node.host_w
    fans_w = (chip_w + host_w) * node.fan_frac / (1 - node.fan_frac)
    dc_w = chip_w + host_w + fans_w
    psu_loss_w = node.psu_loss_w(dc_w, nodes)
    network_w = gpus * node.switches_per_gpu * node.switch_w
    storage_w = gpus * node.storage_servers_per_gpu * node.storage_server_w
    it_w = dc_w + psu_loss_w + network_w + storage_w
    power_train_loss_w, cooling_w = _overhead_w(building, it_w, time_s)
    return PowerParts(
        chip_w=chip_w,
        host_w=host_w,
        fans_w=fans_w,
        psu_loss_w=psu_loss_w,
        network_w=network_w,
        storage_w=storage_w,
        power_train_loss_w=power_train_loss_w,
        cooling_w=cooling_w,
    )


def _overhead_w(building: Building, it_w: float, time_s: float) -> tuple[float, float]:
    """Power train loss, and cooling."""
    if building.hourly is not None:
        return building.hourly.train_loss_w(it_w), building.hourly.cooling_w(it_w, time_s)
    power_train_loss_w = it_w * (1 / building.power_train_efficiency_frac - 1)
    return power_train_loss_w, it_w * (building.pue - 1) - power_train_loss_w
