"""The zonal network: zones, the limits between them, and the hours at which it is judged.

Rules of this room. Everything is in MW. `load_mw` >= 0 consumes, generation >= 0 injects, a
flow is positive from an interface's `source` to its `target`. Zones keep their order: arrays
of shape (n_zones,) and (n_interfaces,) follow `Network.zones` and `Network.interfaces`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from sim.datum import Datum
from sim.errors import InputError, UnknownNameError

FUELS: Final = ("coal", "gas", "nuclear", "hydro", "storage", "solar", "wind", "oil", "other")
PeakKind = Literal["measured", "derived", "missing"]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with load and capacity.

    Args:
        interconnection: the synchronous area of most of its load; "" for an island.
        shares: (interconnection, share of the zone's load), summing to 1.
        peak_mw: highest load of the year, None where it is not known.
        peak_factor: range of the peak as a factor; None where it is exact.
        capacity_mw: summer rating by fuel, in the order of `FUELS`.
    """

    name: str
    title: str
    interconnection: str
    shares: tuple[tuple[str, float], ...]
    peak_mw: float | None
    peak_kind: PeakKind
    capacity_mw: tuple[float, ...]
    peak_factor: Datum | None = None
    region: str = ""
    nerc_areas: tuple[str, ...] = ()
    mean_load_mw: float | None = None
    data_centre_mw: float | None = None
    net_generation_twh: float | None = None

    @property
    def peak_is_derived(self) -> bool:
        """True if the peak is computed from sales, not measured."""
        return self.peak_kind == "derived"

    @property
    def total_capacity_mw(self) -> float:
        """Summer rating of all fuels."""
        return sum(self.capacity_mw)


@dataclass(frozen=True, slots=True)
class Interface:
    """A transfer limit: `forward_mw` from source to target, `reverse_mw` the other way."""

    source: str
    target: str
    forward_mw: float
    reverse_mw: float
    kind: Literal["ac", "dc"] = "ac"
    note: str = ""

    @property
    def name(self) -> str:
        """`A-B`, or `A-B (dc)`."""
        return f"{self.source}-{self.target}" + (" (dc)" if self.kind == "dc" else "")


@dataclass(frozen=True, slots=True)
class HourView:
    """A named hour as it falls when one region has it.

    Args:
        at: the region whose peak it is.
        load_frac: each zone's load over its own peak, shape (n_zones,).
        totals_mw: (interconnection, measured load), to which derived loads are scaled.
    """

    at: str
    load_frac: tuple[float, ...]
    totals_mw: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Hour:
    """A named hour: what each fuel can give, and the load seen from each region.

    Args:
        availability: share of the summer rating by fuel, in the order of `FUELS`.
        view_of: for each zone, the index of the view that holds at its own peak.
    """

    name: str
    availability: tuple[Datum, ...]
    views: tuple[HourView, ...]
    view_of: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReserveArea:
    """A NERC assessment area: margins are fractions of the peak."""

    name: str
    anticipated_frac: float
    reference_frac: float
    peak_mw: float
    peak_factor: Datum
    peak_kind: Literal["published", "derived"] = "published"


@dataclass(frozen=True, slots=True)
class FrequencyFigures:
    """What is known of an interconnection's frequency response."""

    interconnection: str
    response_mw_per_tenth_hz: Datum
    largest_load_loss_mw: Datum
    dead_band_hz: Datum


@dataclass(frozen=True, slots=True)
class CapacitySplit:
    """Two zones that share the capacity of one state; `share` is the first zone's."""

    first: str
    second: str
    share: Datum


@dataclass(frozen=True, slots=True)
class Network:
    """Zones and limits, with the hours and figures against which a load is judged.

    Raises:
        InputError: an interface ends in no zone, a name or a pair stands twice, or a limit
            is negative.
    """

    name: str
    zones: tuple[Zone, ...]
    interfaces: tuple[Interface, ...]
    hours: tuple[Hour, ...]
    areas: tuple[ReserveArea, ...] = ()
    frequency: tuple[FrequencyFigures, ...] = ()
    observed_load_loss_mw: Datum | None = None
    interconnection_load_factor: Datum | None = None
    interface_limit_factor: Datum | None = None
    split: CapacitySplit | None = None
    omitted: tuple[str, ...] = ()
    _index: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        index = {zone.name: i for i, zone in enumerate(self.zones)}
        if len(index) != len(self.zones):
            raise InputError(f"{self.name}: a zone name stands twice", "name each zone once")
        for line in self.interfaces:
            _check_interface(line, index)
        if len({line.name for line in self.interfaces}) != len(self.interfaces):
            raise InputError(f"{self.name}: an interface stands twice", "sum them per kind")
        object.__setattr__(self, "_index", index)

    def index(self, zone: str) -> int:
        """Position of a zone in the arrays."""
        if zone not in self._index:
            raise UnknownNameError("zone", zone, self._index)
        return self._index[zone]

    def zone(self, name: str) -> Zone:
        """A zone by its exact name."""
        return self.zones[self.index(name)]

    def area(self, name: str) -> ReserveArea | None:
        """A reserve area, None where its margins are not known."""
        return next((area for area in self.areas if area.name == name), None)

    def frequency_of(self, zone: Zone) -> FrequencyFigures | None:
        """Frequency figures of the zone's interconnection, None where nothing is known."""
        return next((f for f in self.frequency if f.interconnection == zone.interconnection), None)

    def is_balanced_zone(self, zone: Zone) -> bool:
        """True if the zone can be put in the power balance: known peak, in an interconnection."""
        return zone.peak_mw is not None and zone.interconnection != ""

    def import_limit_mw(self, zone: str) -> float:
        """Sum of the limits into a zone."""
        into = (line.forward_mw for line in self.interfaces if line.target == zone)
        back = (line.reverse_mw for line in self.interfaces if line.source == zone)
        return sum(into) + sum(back)

    def graph(self) -> nx.DiGraph[str]:
        """The limits as a directed graph; parallel AC and DC limits are summed.

        Nodes carry `zone`; an edge u -> v carries `capacity_mw` and the `interfaces` in it.
        """
        graph: nx.DiGraph[str] = nx.DiGraph(name=self.name)
        for zone in self.zones:
            graph.add_node(zone.name, zone=zone)
        for line in self.interfaces:
            _add_edge(graph, line.source, line.target, line.forward_mw, line)
            _add_edge(graph, line.target, line.source, line.reverse_mw, line)
        return graph


def _check_interface(line: Interface, index: dict[str, int]) -> None:
    for end in (line.source, line.target):
        if end not in index:
            raise UnknownNameError("zone", end, index)
    if line.source == line.target or min(line.forward_mw, line.reverse_mw) < 0:
        raise InputError(
            f"interface {line.name}: {line.forward_mw:g} / {line.reverse_mw:g} MW",
            "give two zones and limits >= 0 MW",
        )


def _add_edge(
    graph: nx.DiGraph[str], source: str, target: str, limit_mw: float, line: Interface
) -> None:
    if not graph.has_edge(source, target):
        graph.add_edge(source, target, capacity_mw=0.0, interfaces=())
    edge = graph.edges[source, target]
    edge["capacity_mw"] += limit_mw
    edge["interfaces"] += (line,)
