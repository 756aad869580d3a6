"""A run's sites at buses of a nodal grid: what the wires, the generators and the voltage say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.datum import Datum
from sim.errors import InputError
from sim.grid.nodal.batch import host, weighted
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.fresh import check_hosted, check_some_hosted
from sim.grid.nodal.hosting import Hosted, Site, generation_limit
from sim.grid.nodal.hosting_command import binding_row, preexisting_rows
from sim.grid.nodal.island_swing import SECONDS_OF_ISLANDS
from sim.grid.nodal.settings import Settings, assumed_cutoff, cutoff_words
from sim.grid.nodal.study import Study
from sim.grid.readings import LIMITS, SURE, Limit, Reading, answer
from sim.grid.verdict import GridVerdict
from sim.scenario.grid_view import GridView, Json, PlacedLoad
from sim.scenario.nodal_study import run_study
from sim.scenario.nodal_tables import Tables, study_settings
from sim.scenario.schema.nodal import CascadeStudy, EveryStateStudy, NodalGrid
from sim.units import MEGA

if TYPE_CHECKING:
    from sim.grid.nodal.tables import Network
    from sim.grid.nodal.voltage import VoltageHosting
    from sim.scenario.simulate import Outcome

Tell = Callable[[str], None]
WAYS: Final = (("none", "base"), ("none", "n1"), ("dc-opf", "base"), ("n1-secure", "n1"))
"""Who redispatches and what must be survived: the assumption that matters most."""

KEPT_ROWS: Final = 20
"""Violations before the load that the summary lists; it counts all."""

WORST_OUTAGES: Final = 10
ELSEWHERE: Final[dict[Limit, str]] = {
    "reserve": "one operating point, no reserve: ask grid.kind zonal or regions",
    "interface": "branches stand for interfaces here",
    "frequency": "flows only: ask grid.kind dynamic",
    "swing": "flows only: ask grid.kind dynamic",
}


def nodal_view(
    outcome: Outcome, grid: NodalGrid, placed: PlacedLoad, seed: int, tell: Tell | None = None
) -> GridView:
    """Hold the sites against the wires, and carry out the study that the grid asks for.

    Raises:
        InputError: a bus that is not in the case, or an extra that is missing.
    """
    say = tell or (lambda _line: None)
    network = load_case(grid.case)
    study = Study(network, settings_of(grid))
    before = preexisting_rows(study)
    answered: Json = {
        "kind": grid.kind,
        "conventions": study.settings.conventions(network),
        "preexisting_violations": before[:KEPT_ROWS],
        "preexisting_count": len(before),
        "unserved_mwh": outcome.loop.grid.book.unserved_mwh if outcome.loop else 0.0,
    }
    readings: tuple[Reading, ...] = ()
    if outcome.sites:
        say("asking the wires")
        sites = _Sites(outcome, network, placed, grid.samples)
        readings = _readings(sites, study, grid, before)
        answered |= {"sites": _alone(sites, study), "ways": _ways(sites, network, study.settings)}
    tables: Tables = {}
    if grid.study is not None:
        say(f"carrying out the study {grid.study.kind}")
        extra = {} if not outcome.sites else sites.peak_by_bus
        answered["study"], tables = run_study(grid, grid.study, network, extra, seed, say)
    verdict = GridVerdict(
        grid.case, (), readings, (), grid.samples, seed, ("one operating point, no hours",)
    )
    return GridView(verdict, grid=answered, assumptions=_assumptions(grid), tables=tables)


def settings_of(grid: NodalGrid) -> Settings:
    """The settings of the wires that a grid names."""
    return study_settings(grid, grid.redispatch, grid.security)


class _Sites:
    """The sites of a run as one load over their buses, in proportion to their peaks."""

    def __init__(self, outcome: Outcome, network: Network, placed: PlacedLoad, samples: int):
        self.network = network
        self.names = [site.name for site in outcome.sites]
        self.bus = [_bus_of(outcome, network, number) for number in range(len(outcome.sites))]
        self.peak_mw = np.array([outcome.peak_w(site) / MEGA for site in outcome.sites])
        self.total_mw = float(self.peak_mw.sum())
        places = sorted({site.zone for site in outcome.sites})
        self.label = ", ".join(places) if len(places) <= 3 else f"{len(places)} buses"
        low, high = (sum(mw[zone] for zone in places) for mw in (placed.low_mw, placed.high_mw))
        self.load_mw = _drawn_mw(self.total_mw, low, high, samples)

    @property
    def peak_by_bus(self) -> dict[int, float]:
        """MW by bus number."""
        found: dict[int, float] = {}
        for index, mw in zip(self.bus, self.peak_mw.tolist(), strict=True):
            number = int(self.network.buses.number[index])
            found[number] = found.get(number, 0.0) + mw
        return found

    @property
    def site(self) -> Site:
        """Buses with their shares."""
        shares = self.peak_mw / self.total_mw
        return weighted(np.array(self.bus, dtype=np.int64), shares)


def _bus_of(outcome: Outcome, network: Network, number: int) -> int:
    bus = outcome.sites[number].run.spec.at.bus
    try:
        return network.bus_index(-1 if bus is None else bus)
    except InputError as error:
        raise error.at(None, f"sites[{number}].at.bus") from None


def _drawn_mw(total_mw: float, low_mw: float, high_mw: float, samples: int) -> np.ndarray:
    """The nominal load, then the load over its range (evenly spaced in probability)."""
    figure = Datum(
        "load", total_mw, "MW", "run", "", min(low_mw, total_mw), max(high_mw, total_mw),
        "triangular",
    )  # fmt: skip
    drawn = [figure.quantile((i + 0.5) / samples) for i in range(samples)]
    return np.array([total_mw, *drawn])


def _readings(
    sites: _Sites, study: Study, grid: NodalGrid, before: Sequence[Json]
) -> tuple[Reading, ...]:
    hosted = next(iter(host(study, [sites.site])))
    check_hosted(study, hosted)
    most_mw, limit = generation_limit(study, sites.site)
    beyond = limit.kind == "island"
    energy = _reading(
        "energy",
        sites,
        most_mw,
        at=limit.reason if beyond else "generators in service",
        detail=limit.reason if beyond else f"they can give {most_mw:,.0f} MW more in all",
    )
    found: dict[Limit, Reading] = {
        "energy": energy,
        "branch": _branch_reading(sites, study, hosted, before),
        "voltage": _voltage_reading(sites, grid),
    }
    for name in LIMITS:
        if name not in found:
            found[name] = Reading(name, sites.label, "not-assessed", ELSEWHERE[name])
    return tuple(found[name] for name in LIMITS)


def _reading(
    limit: Limit,
    sites: _Sites,
    hosting_mw: float,
    *,
    at: str,
    detail: str,
    preexisting: str = "",
    preexisting_mw: float = 0.0,
) -> Reading:
    """A reading from the largest load that holds; only the sites' load has a range here."""
    margin_mw = hosting_mw - sites.load_mw
    drawn = margin_mw[1:]
    probability = float((drawn < 0).mean())
    low, high = (float(x) for x in np.percentile(drawn, [5, 95]))
    return Reading(
        limit=limit,
        zone=sites.label,
        verdict=answer(probability),
        detail=detail,
        margin_mw=float(margin_mw[0]),
        margin_low_mw=low,
        margin_high_mw=high,
        at=at,
        probability=probability,
        preexisting=preexisting,
        preexisting_mw=preexisting_mw,
    )


def _branch_reading(sites: _Sites, study: Study, hosted: Hosted, before: Sequence[Json]) -> Reading:
    settings, binding = study.settings, hosted.binding
    ways = f"redispatch {settings.redispatch}, security {settings.security}"
    text = f"{hosted.hosting_mw:,.1f} MW fit ({ways})"
    if binding.kind in ("generation", "island"):
        text += f"; {binding.reason}, the wires hold at least that"
    over = [abs(row["flow_mw"]) - row["limit_mw"] for row in before]
    how = "left out" if settings.preexisting == "left-out" else "may not get worse"
    told = f"{len(before)} limits are over before the load ({how})" if before else ""
    return _reading(
        "branch",
        sites,
        hosted.hosting_mw,
        at=_at(sites.network, hosted),
        detail=text,
        preexisting=told,
        preexisting_mw=float(max(over, default=0.0)),
    )


def _at(network: Network, hosted: Hosted) -> str:
    """Branch and outage that bind, in words."""
    binding = hosted.binding
    if binding.branch is None:
        return binding.reason
    text = f"branch {_branch(network, binding.branch)}"
    if binding.outage is not None:
        text += f" after the outage of {_branch(network, binding.outage)}"
    return text


def _branch(network: Network, row: int) -> str:
    name = network.branch_name(row)
    return f"{name['from']}-{name['to']} #{name['circuit']} (row {name['row']})"


def _voltage_reading(sites: _Sites, grid: NodalGrid) -> Reading:
    """The site with the least room by voltage, each alone."""
    skipped = "not asked (grid.voltage: none)"
    if grid.voltage != "none":
        try:
            return _voltage(sites)
        except InputError as error:
            if grid.voltage == "required":
                raise
            skipped = error.what
    return Reading("voltage", sites.label, "not-assessed", skipped)


def _voltage(sites: _Sites) -> Reading:
    from sim.grid.nodal.voltage import HIGH_PU, LOW_PU, VoltageCheck

    check = VoltageCheck(sites.network, worst=WORST_OUTAGES)
    rooms = []
    for bus, peak_mw in zip(sites.bus, sites.peak_mw.tolist(), strict=True):
        most_mw = max(2000.0, 1.5 * peak_mw)
        found = check.hosting(bus, most_mw=most_mw, step_mw=max(1.0, peak_mw / 100))
        rooms.append((found.hosting_mw - peak_mw, bus, found))
    room_mw, bus, found = min(rooms, key=lambda room: room[0])
    low = check.hosting(bus, most_mw=most_mw, step_mw=max(1.0, sites.total_mw / 100), low_only=True)
    number = sites.network.buses.number
    at = f"bus {number[bus if found.bus is None else found.bus]}"
    if found.outage is not None:
        at += f" after the outage of {_branch(sites.network, found.outage)}"
    text = (
        f"{found.hosting_mw:,.0f} MW fit at bus {number[bus]} ({_why(found)}; power factor 0.98, "
        f"{LOW_PU:g}-{HIGH_PU:g} pu, base case and the {WORST_OUTAGES} outages that matter most); "
        f"counting low voltages only {low.hosting_mw:,.0f} MW ({_why(low)})"
    )
    told = _reading("voltage", sites, sites.total_mw + room_mw, at=at, detail=text)
    peak_mw = dict(zip(sites.bus, sites.peak_mw.tolist(), strict=True))[bus]
    if told.verdict == "binds" and low.hosting_mw >= peak_mw:
        mended = "only voltages that are too high bind: set points and shunts, held here, mend some"
        return replace(told, verdict="indeterminate", detail=f"{text}; {mended}")
    return told


def _why(found: VoltageHosting) -> str:
    if found.reason == "none":
        return "no limit up to what was tried"
    return found.reason if found.voltage_pu is None else f"{found.voltage_pu:.3f} pu just beyond"


def _alone(sites: _Sites, study: Study) -> list[Json]:
    """What each site's bus hosts, without the other sites."""
    answers = list(host(study, [((bus, 1.0),) for bus in sites.bus]))
    check_some_hosted(study, answers)
    rows = []
    for name, mw, found in zip(sites.names, sites.peak_mw.tolist(), answers, strict=True):
        rows.append(
            {
                "site": name,
                "bus": int(sites.network.buses.number[found.bus]),
                "base_kv": float(sites.network.buses.base_kv[found.bus]),
                "peak_load_mw": mw,
                "hosting_alone_mw": found.hosting_mw,
                "binding": binding_row(sites.network, found.binding),
            }
        )
    return rows


def _ways(sites: _Sites, network: Network, settings: Settings) -> list[Json]:
    """The same question under every way to ask it."""
    rows = []
    for redispatch, security in WAYS:
        least = settings.least_effect_frac if redispatch == "none" else 0.0
        way = replace(
            settings,
            redispatch=redispatch,  # type: ignore[arg-type]
            security=security,  # type: ignore[arg-type]
            least_effect_frac=least,
        )
        study = Study(network, way)
        found = next(iter(host(study, [sites.site])))
        check_hosted(study, found)
        rows.append(
            {
                "redispatch": redispatch,
                "security": security,
                "hosting_mw": found.hosting_mw,
                "margin_mw": found.hosting_mw - sites.total_mw,
                "binding": binding_row(network, found.binding),
            }
        )
    return rows


def _assumptions(grid: NodalGrid) -> tuple[str, ...]:
    """What the wires rest on that nobody published."""
    told = [
        f"{grid.case} is a test system: buses, ratings and dispatch are its own, not a real grid's",
        f"redispatch {grid.redispatch}, security {grid.security}: a setting, see grid.ways",
        f"a limit counts from {SURE:.0%} of the samples over the range of the sites' load",
    ]
    if grid.emergency_rating_factor != 1:
        told.append(f"after an outage branches carry {grid.emergency_rating_factor:g} x rating")
    asked = grid.study.least_effect_frac if isinstance(grid.study, EveryStateStudy) else []
    cutoffs = sorted({cutoff for cutoff in (grid.least_effect_frac, *asked) if cutoff})
    told += [cutoff_words(cutoff) for cutoff in cutoffs]
    if isinstance(grid.study, CascadeStudy):
        told.append(SECONDS_OF_ISLANDS)
    if cutoffs:
        told.append(assumed_cutoff().describe())
    return tuple(told)
