"""The three interconnections with their figures, fitted on what was measured.

The share of governors that responds is set so that the reference loss settles at the measured
MW/0.1 Hz; their time constant so that the Western interconnection falls to 59.878 Hz after
937 MW (Canyon 2). Odessa 2022 (ERCOT) is not fitted on: it judges the fit, but for one rule
that was added after its miss was seen (`Online.inertia_mws`). Over-frequency has a share of its
own: ERCOT's loss of 2,600 MW of load reaches 60.4 Hz at the usual inertia.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from sim.datum import Datum, data
from sim.errors import InputError, UnknownNameError
from sim.grid.dynamic.model import NOMINAL_HZ, FastResponse, Governor, Island, Relay, Step
from sim.grid.dynamic.swing import simulate

DYNAMICS: Final = "grid/regions/dynamics.yaml"
RESPONSE: Final = "grid/frequency.yaml"
NAMES: Final = ("eastern", "western", "ercot")
ALIASES: Final = {
    "east": "eastern",
    "west": "western",
    "wecc": "western",
    "texas": "ercot",
    "tx-ercot": "ercot",
}
CLASSES: Final = {"gas": ("gas", "oil"), "steam": ("coal", "other"), "hydro": ("hydro",)}
MIX: Final[Mapping[str, Mapping[str, float]]] = {
    "eastern": {"gas": 0.5, "steam": 0.2, "hydro": 0.05},
    "western": {"gas": 0.4, "steam": 0.15, "hydro": 0.3},
    "ercot": {"gas": 0.55, "steam": 0.2, "hydro": 0.0},
}
"""Share of the machines on line by class where no dispatch is given (assumption)."""
COMMON: Final = (
    "governor",
    "load_damping",
    "loading_frac",
    "power_factor",
    "inertia_constant_s",
)
"""Figures that every interconnection uses."""
CANYON_MW: Final = 937.0
CANYON_HZ: Final = 59.878
ODESSA_MW: Final = 2555.0
ODESSA_HZ: Final = 59.7


@dataclass(frozen=True, slots=True)
class Online:
    """Machines on line by fuel, MW of rating, and the load, as a dispatch gives them."""

    rating_mw: Mapping[str, float]
    load_mw: float

    def inertia_mws(self, table: Mapping[str, Datum]) -> float:
        """Kinetic energy: MVA rating x inertia constant, summed over fuels.

        That the constants count per MVA and not per MW (`power_factor`) was put in after the
        miss at Odessa had been seen: there it is no prediction. `grid.regions.odessa` gives the
        error with and without it.

        Args:
            table: figures by name, of `dynamics.yaml` or as a study changes them.
        """
        per_mw = 1.0 / table["power_factor"].value
        return sum(
            mw * per_mw * table[f"inertia_constant_s.{fuel}"].value
            for fuel, mw in self.rating_mw.items()
        )


def inertia_fuels() -> tuple[str, ...]:
    """Fuels whose machines turn with the grid."""
    kind = "inertia_constant_s."
    return tuple(name.removeprefix(kind) for name in data(DYNAMICS) if name.startswith(kind))


def online_from_output(output_mw: Mapping[str, float], load_mw: float) -> Online:
    """Machines behind an output by fuel: output over the usual loading."""
    table = data(DYNAMICS)
    loading = table["loading_frac"].value
    spinning = {
        fuel: mw / loading
        for fuel, mw in output_mw.items()
        if f"inertia_constant_s.{fuel}" in table and mw > 0
    }
    return Online(spinning, load_mw)


def canonical(name: str) -> str:
    """The name of an interconnection.

    Raises:
        UnknownNameError: no such interconnection.
    """
    folded = name.strip().casefold()
    folded = ALIASES.get(folded, folded)
    if folded not in NAMES:
        raise UnknownNameError("interconnection", name, NAMES)
    return folded


def interconnection(
    name: str,
    *,
    inertia_gws: float | None = None,
    load_mw: float | None = None,
    online: Online | None = None,
    changes: Mapping[str, float] | None = None,
) -> Island:
    """An interconnection as an island, fitted on its measured response.

    Args:
        inertia_gws: kinetic energy; None takes that of `online`, or the usual figure.
        load_mw: None takes that of `online`, or the mean of 2024.
        online: machines of an hour, from a dispatch.
        changes: figures of the table by name (`governor.time_s`, ...).

    Raises:
        UnknownNameError: no such interconnection.
        InputError: an unknown figure.
    """
    known = canonical(name)
    table = _changed(changes)
    load = load_mw or (online.load_mw if online else table[f"mean_load_mw.{known}"].value)
    energy = (
        inertia_gws * 1e3
        if inertia_gws
        else (online.inertia_mws(table) if online else table[f"inertia_gws.{known}"].value * 1e3)
    )
    up = _share(known, table, load, online)
    ratio = over_frequency_ratio() if changes is None else table_ratio(changes)
    return replace(
        _island(known, table, load, energy, up, up * ratio, online),
        relays=_relays(known, table, load),
        fast=_fast(table) if known == "ercot" else (),
        assumptions=_used(known, table),
    )


def table_ratio(changes: Mapping[str, float]) -> float:
    """The over-frequency ratio: given by name, or the fitted one."""
    return changes.get("over_ratio", over_frequency_ratio())


def _changed(changes: Mapping[str, float] | None) -> dict[str, Datum]:
    table = dict(data(DYNAMICS))
    for name, value in (changes or {}).items():
        if name == "over_ratio":
            continue
        if name not in table and name not in data(RESPONSE):
            raise InputError(f"unknown figure {name!r}", f"see sim/data/{DYNAMICS}")
        old = table.get(name) or data(RESPONSE)[name]
        table[name] = Datum(name, value, old.unit, "given", old.as_of)
    return table


def _response(known: str, table: Mapping[str, Datum]) -> float:
    name = f"{known}.response_mw_per_0.1hz"
    return (table.get(name) or data(RESPONSE)[name]).value


def _dead_band(known: str) -> float:
    return data(RESPONSE)[f"{known}.dead_band_hz"].value


def _island(
    known: str,
    table: Mapping[str, Datum],
    load: float,
    energy_mws: float,
    up: float,
    down: float,
    online: Online | None = None,
) -> Island:
    governors = []
    rating = load / table["loading_frac"].value
    for kind, fuels in CLASSES.items():
        if online:
            capacity = sum(online.rating_mw.get(fuel, 0.0) for fuel in fuels)
        else:
            capacity = MIX[known][kind] * rating
        if capacity <= 0:
            continue
        governors.append(
            Governor(
                name=kind,
                capacity_mw=capacity,
                droop_frac=table["governor.droop_frac"].value,
                dead_band_hz=_dead_band(known),
                share_up=up,
                share_down=down,
                headroom_mw=capacity * up * table["governor.headroom_frac"].value,
                down_mw=capacity * min(1.0, down) * table["governor.down_frac"].value,
                rate_mw_per_s=capacity * max(up, down) * table["governor.rate_frac_per_s"].value,
                time_s=table["governor.time_s"].value * table[f"governor.time_{kind}"].value,
            )
        )
    return Island(known, energy_mws, load, table["load_damping"].value, tuple(governors))


def _share(
    known: str, table: Mapping[str, Datum], load: float, online: Online | None = None
) -> float:
    """Share of the governors that responds: the reference loss settles as measured.

    Beyond the dead band all classes have one slope, so the share is a closed form. It is set
    for the machines of the hour: operators hold the response, whatever is on line.

    Raises:
        InputError: the reference loss settles inside the dead band, or no machine is on line.
    """
    loss = table[f"reference_loss_mw.{known}"].value
    settled = loss / _response(known, table) * 0.1
    whole = _island(known, table, load, 1e6, 1.0, 1.0, online)
    slope = sum(governor.slope_mw_per_hz(up=True) for governor in whole.governors)
    rest = max(0.0, loss - whole.damping_mw_per_hz * settled)
    beyond = settled - _dead_band(known)
    if beyond <= 0 or slope <= 0:
        raise InputError(
            f"{known}: {loss:g} MW settles at {settled:.3f} Hz with {slope:g} MW/Hz on line",
            "give a larger reference loss, a smaller response or machines on line",
        )
    return rest / (slope * beyond)


@cache
def over_frequency_ratio() -> float:
    """Share that responds to a loss of load over that which responds to a loss of generation.

    Fitted on ERCOT's own limit: 2,600 MW reaches 60.4 Hz at the usual load and inertia. Taken
    for the other interconnections too (assumption).
    """
    table = data(DYNAMICS)
    load = table["mean_load_mw.ercot"].value
    energy = table["inertia_gws.ercot"].value * 1e3
    loss = table["ercot.over_frequency_loss_mw"].value
    limit = table["ercot.over_frequency_limit_hz"].value
    up = _share("ercot", table, load)
    low, high = 0.2, 1.0 / up
    for _ in range(20):
        middle = (low + high) / 2
        island = _island("ercot", table, load, energy, up, up * middle)
        peak = simulate(island, [Step(0.0, -loss)], duration_s=30.0).zenith_hz
        low, high = (middle, high) if peak > limit else (low, middle)
    return (low + high) / 2


def fit_time_s() -> float:
    """Time constant at which Canyon 2 falls to its measured nadir, by bisection, s."""
    low, high = 1.0, 30.0
    for _ in range(24):
        middle = (low + high) / 2
        table = _changed({"governor.time_s": middle})
        load = table["mean_load_mw.western"].value
        energy = table["inertia_gws.western"].value * 1e3
        up = _share("western", table, load)
        island = _island("western", table, load, energy, up, up)
        nadir = simulate(island, [Step(0.0, CANYON_MW)], duration_s=40.0).nadir_hz
        low, high = (middle, high) if nadir > CANYON_HZ else (low, middle)
    return (low + high) / 2


def _relays(known: str, table: Mapping[str, Datum], load: float) -> tuple[Relay, ...]:
    """Load resources, UFLS stages and over-frequency trips that are known."""
    delay = table["ufls_delay_s"].value
    relays = [
        Relay(
            f"UFLS stage {k}",
            "under",
            table[f"ufls.{known}.stage{k}_hz"].value,
            table[f"ufls.{known}.stage{k}_frac"].value * load,
            delay,
            is_ufls=True,
        )
        for k in (1, 2, 3)
        if f"ufls.{known}.stage{k}_hz" in table
    ]
    if known == "ercot":
        relays.insert(
            0,
            Relay(
                "load resources",
                "under",
                table["ercot.load_resource_hz"].value,
                table["ercot.load_resource_mw"].value,
                table["ercot.load_resource_delay_s"].value,
            ),
        )
    return tuple(relays)


def _fast(table: Mapping[str, Datum]) -> tuple[FastResponse, ...]:
    """ERCOT's batteries that respond at a threshold."""
    return (
        FastResponse(
            "fast frequency response",
            table["ercot.fast_response_hz"].value,
            table["ercot.fast_response_mw"].value,
            delay_s=0.0,
            full_s=table["ercot.fast_response_s"].value,
        ),
    )


def _used(known: str, table: Mapping[str, Datum]) -> tuple[str, ...]:
    """Every figure behind an answer, in words; what was not read itself says so."""
    common = [name for name in table if name.split(".")[0] in COMMON]
    own = [name for name in table if known in name.split(".") or name.endswith(f".{known}")]
    response = data(RESPONSE)
    figures = [table[name] for name in (*own, *common)]
    figures += [response[n] for n in response if n.startswith(f"{known}.")]
    listed = [figure.describe() for figure in figures]
    if not any(name.startswith(f"ufls.{known}.") for name in table):
        listed.append(f"UFLS stages of the {known} interconnection: not found, none modelled")
    listed.append(f"mix of machines on line without a dispatch: {dict(MIX[known])} (assumption)")
    return tuple(listed)


def not_primary(island: Island) -> tuple[str, ...]:
    """The figures of an answer that come from no source that was read itself."""
    return tuple(text for text in island.assumptions if "[primary:" not in text)


def limits_hz(known: str) -> tuple[float | None, float | None]:
    """First load-shedding threshold and over-frequency limit, None where not found."""
    table = data(DYNAMICS)
    stage = table.get(f"ufls.{known}.stage1_hz")
    over = table.get(f"{known}.over_frequency_limit_hz")
    return (stage.value if stage else None), (over.value if over else None)


def deviation_hz(frequency_hz: float) -> float:
    """Distance from 60 Hz."""
    return abs(frequency_hz - NOMINAL_HZ)
