"""How far each assumed figure, alone at its low and its high, moves the answer of one run.

Three figures are followed: the load at the meter, through the chain from the chips and through
the cost of a training step; what the zones of the sites host, through the zonal balance, reserve,
frequency and swing; and how fast training jobs go. All are computed from the finished run,
without simulating again; what would need a run each (sizes of a model, failures) is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.datum import Datum
from sim.grid.hosting import hosting_rooms
from sim.grid.network import FUELS, FloatArray, Network, Zone
from sim.grid.sampling import Draws
from sim.grid.us_states import us_states
from sim.report.influence_training import training_influences
from sim.scenario.schema.grid import ZonalGrid
from sim.scenario.simulate import Outcome
from sim.scenario.uncertainty import meter_at_peak, meter_effects_w
from sim.units import MEGA

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from sim.record.store import RunFolder

FILE: Final = "influence.parquet"
NOTHING_MW: Final = 1e-6
"""Smaller changes, in MW or of 1, are rounding."""


@dataclass(frozen=True, slots=True)
class Influence:
    """One assumed figure, and the change of the answer with it alone at its low and its high.

    Args:
        load_low_mw, load_high_mw: change of the load at the meter; None if it has no part in it.
        hosted_low_mw, hosted_high_mw: change of what the zones of the sites host.
        speed_low_frac, speed_high_frac: change of the tokens trained per second, 0..1.
    """

    name: str
    value: float
    unit: str
    low: float
    high: float
    source: str
    as_of: str
    load_low_mw: float | None = None
    load_high_mw: float | None = None
    hosted_low_mw: float | None = None
    hosted_high_mw: float | None = None
    speed_low_frac: float | None = None
    speed_high_frac: float | None = None


@dataclass(frozen=True, slots=True)
class OneAtATime(Draws):
    """Row 0 nominal, then two rows for each purpose: it alone at its low and its high."""

    purposes: tuple[str, ...] = ()

    @classmethod
    def over(cls, purposes: Iterable[str]) -> OneAtATime:
        """Draws for these purposes; all others keep their nominal values."""
        names = tuple(purposes)
        return cls(2 * len(names), {}, names)

    def of(self, purpose: str, figure: Datum | None) -> FloatArray:
        """Values of a figure, shape (1 + 2 n_purposes,)."""
        values = np.full(1 + self.n_samples, 1.0 if figure is None else figure.value)
        if purpose in self.purposes and figure is not None and figure.is_assumption:
            row = 1 + 2 * self.purposes.index(purpose)
            values[row : row + 2] = figure.low, figure.high
        return values


def influences(outcome: Outcome) -> list[Influence]:
    """Of every assumed figure that a run's load or hosting rests on, by name."""
    found = [*_on_load(outcome), *_on_training(outcome)]
    scenario = outcome.simulation.scenario
    if isinstance(scenario.grid, ZonalGrid) and scenario.grid.hosting and outcome.sites:
        found += _on_hosting(outcome)
    return sorted(found, key=lambda one: one.name)


def _on_load(outcome: Outcome) -> list[Influence]:
    """Sites that share a node and a building share their figures: effects add up."""
    figures: dict[str, Datum] = {}
    low_mw: dict[str, float] = {}
    high_mw: dict[str, float] = {}
    for site in outcome.sites:
        plant, chip_w = meter_at_peak(outcome, site)
        for figure, low_w, high_w in meter_effects_w(plant, chip_w):
            figures.setdefault(figure.name, figure)
            low_mw[figure.name] = low_mw.get(figure.name, 0.0) + low_w / MEGA
            high_mw[figure.name] = high_mw.get(figure.name, 0.0) + high_w / MEGA
    return [
        _told(name, figure, load_low_mw=_clean(low_mw[name]), load_high_mw=_clean(high_mw[name]))
        for name, figure in figures.items()
    ]


def _clean(change_mw: float) -> float:
    return 0.0 if abs(change_mw) < NOTHING_MW else change_mw


def _on_training(outcome: Outcome) -> list[Influence]:
    """What the step of a training job rests on moves its power and its speed."""
    return [
        _told(
            moved.figure.name,
            moved.figure,
            load_low_mw=_clean(moved.load_mw[0]),
            load_high_mw=_clean(moved.load_mw[1]),
            speed_low_frac=_clean(moved.speed_frac[0]),
            speed_high_frac=_clean(moved.speed_frac[1]),
        )
        for moved in training_influences(outcome)
    ]


def _on_hosting(outcome: Outcome) -> list[Influence]:
    network = us_states()
    zones = [network.zone(name) for name in sorted({s.zone for s in outcome.sites})]
    figures = dict(_grid_figures(network, zones))
    draws = OneAtATime.over(figures)
    peak_w = sum(outcome.peak_w(site) for site in outcome.sites)
    swing_frac = sum(site.swing_w for site in outcome.sites) / peak_w
    rooms = hosting_rooms(network, draws, swing_frac, [zone.name for zone in zones])
    whole_mw: FloatArray = np.sum(list(rooms.values()), axis=0)
    change_mw = np.where(np.abs(whole_mw - whole_mw[0]) < NOTHING_MW, 0.0, whole_mw - whole_mw[0])
    return [
        _told(
            *figures[purpose],
            hosted_low_mw=float(change_mw[1 + 2 * k]),
            hosted_high_mw=float(change_mw[2 + 2 * k]),
        )
        for k, purpose in enumerate(draws.purposes)
    ]


def _grid_figures(network: Network, zones: list[Zone]) -> list[tuple[str, tuple[str, Datum]]]:
    """(purpose of the draws, (name for a reader, figure)) of what the zones' hosting rests on."""
    found: list[tuple[str, tuple[str, Datum | None]]] = []
    many = len({zone.interconnection for zone in zones}) > 1
    for ic in sorted({zone.interconnection for zone in zones} - {""}):
        where = f" ({ic})" if many else ""
        hour = network.hours[0]
        found += [
            (f"fuel.{fuel}.{ic}", (f"availability of {fuel}{where} ({hour.name})", share))
            for fuel, share in zip(FUELS, hour.availability, strict=True)
        ]
        found.append((f"limit.{ic}", (f"interface limits{where}", network.interface_limit_factor)))
        load = network.interconnection_load_factor
        found.append((f"load.{ic}", (f"load of the interconnection{where}", load)))
        found += [
            (f"peak.{zone.name}", (f"peak of {zone.name}", zone.peak_factor))
            for zone in network.zones
            if zone.interconnection == ic
        ]
        found += _frequency_figures(network, ic, where)
    areas = {name for zone in zones for name in zone.nerc_areas}
    found += [
        (f"area.{area.name}", (f"peak of {area.name}", area.peak_factor))
        for area in network.areas
        if area.name in areas
    ]
    if network.split:
        found.append(("split", (f"capacity share of {network.split.first}", network.split.share)))
    return [
        (purpose, (name, figure))
        for purpose, (name, figure) in found
        if figure is not None and figure.is_assumption
    ]


def _frequency_figures(
    network: Network, ic: str, where: str
) -> list[tuple[str, tuple[str, Datum | None]]]:
    zone = next(zone for zone in network.zones if zone.interconnection == ic)
    figures = network.frequency_of(zone)
    if figures is None:
        return []
    return [
        (f"response.{ic}", (f"frequency response{where}", figures.response_mw_per_tenth_hz)),
        (f"loss.{ic}", (f"largest load loss{where}", figures.largest_load_loss_mw)),
        (f"band.{ic}", (f"dead band{where}", figures.dead_band_hz)),
    ]


def _told(name: str, figure: Datum, **changes: float) -> Influence:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    source, as_of = figure.source, figure.as_of
    return Influence(name, figure.value, figure.unit, low, high, source, as_of, **changes)


def write_influences(outcome: Outcome, folder: RunFolder) -> None:
    """Compute them and write them into a run folder, if the run has any."""
    if found := influences(outcome):
        folder.write_table(FILE, to_table(found))


def to_table(found: list[Influence]) -> pa.Table:
    """One row for each figure, for the run folder."""
    import pyarrow as pa

    columns = {
        name: pa.array(
            [getattr(one, name) for one in found],
            pa.string() if name in ("name", "unit", "source", "as_of") else pa.float64(),
        )
        for name in Influence.__slots__
    }
    return pa.table(columns)


def read_influences(folder: Path) -> list[Influence]:
    """Those of a run folder; none where the run did not write them."""
    path = folder / FILE
    if not path.is_file():
        return []
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return [Influence(**row) for row in rows]
