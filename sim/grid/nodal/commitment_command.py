"""`grid commit`: unit commitment over hours; plain in, plain out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.grid.nodal.cascade_command import extra_load
from sim.grid.nodal.cases import load_case
from sim.grid.nodal.commitment import Commitment, UnitCommitment
from sim.grid.nodal.commitment_spec import Horizon, Storage, read_profile, with_fuels
from sim.grid.nodal.dcflow import Susceptance
from sim.grid.nodal.settings import Settings
from sim.grid.nodal.study import Study
from sim.grid.nodal.tables import Floats, Network

Row = dict[str, Any]

DAY_FRAC = (
    0.74, 0.71, 0.69, 0.68, 0.70, 0.75, 0.82, 0.88, 0.92, 0.95, 0.97, 0.98,
    0.99, 1.00, 1.00, 1.00, 0.99, 0.98, 0.96, 0.95, 0.93, 0.88, 0.82, 0.77,
)  # fmt: skip
"""A made summer day, used where no profile is given: 68 % of the case's load at night."""


def commit(
    case: str,
    *,
    profile: Path | None = None,
    hours: int = 24,
    storages: Sequence[tuple[int, float, float]] = (),
    reserve_frac: float = 0.0,
    extra_load_mw: Mapping[int, float] | None = None,
    unserved_usd_per_mwh: float | None = 9000.0,
    secure: bool = False,
    gap_frac: float = 0.01,
    time_limit_s: float | None = None,
    susceptance: Susceptance = "1/(x tap)",
) -> Row:
    """Which units run in which hour, at the least cost.

    Args:
        profile: CSV with `load_frac` (and `FUEL_frac`); default a made day of `hours`.
        storages: (bus number, MW, MWh).
        reserve_frac: room that running units keep, over the hour's load.
        extra_load_mw: MW by bus number, in every hour.
        unserved_usd_per_mwh: None forbids unserved load.
    """
    if not 0 <= reserve_frac < 10 or not 0 <= gap_frac < 1 or not 1 <= hours <= 24:
        raise InputError(
            f"reserve {reserve_frac:g}, gap {gap_frac:g}, {hours} hours",
            "reserve from 0 on, gap in 0 to 1, hours in 1 to 24 (longer: a profile)",
        )
    settings = Settings(
        redispatch="n1-secure" if secure else "dc-opf",
        security="n1" if secure else "base",
        susceptance=susceptance,
    )
    study = Study(load_case(case), settings)
    network = study.network
    load, fuels = (np.array(DAY_FRAC[:hours]), {}) if profile is None else read_profile(profile)
    extra = np.tile(extra_load(network, extra_load_mw), (len(load), 1))
    total = load * network.buses.load_mw.sum() + extra.sum(axis=1)
    horizon = Horizon(load, extra_load_mw=extra, reserve_mw=reserve_frac * total)
    best = UnitCommitment(
        study,
        with_fuels(horizon, network, fuels),
        storages=[Storage(network.bus_index(bus), mw, mwh) for bus, mw, mwh in storages],
        unserved_usd_per_mwh=unserved_usd_per_mwh,
        secure=secure,
        gap_frac=gap_frac,
        time_limit_s=time_limit_s,
    ).optimum()
    return _answer(network, best, total) | {
        "conventions": settings.conventions(network)
        | {
            "profile": "a made summer day" if profile is None else str(profile),
            "first_hour": "free of starts and ramps (what ran before is not known)",
            "ramps": "the case's 30-minute ramps, doubled; none where they are 0",
            "minimum_times": "none (the case format holds none)",
            "reserve_frac": reserve_frac,
        }
    }


def _answer(network: Network, best: Commitment, load_mw: Floats) -> Row:
    price = best.price_usd_per_mwh
    hours = [
        {
            "hour": hour,
            "load_mw": float(load_mw[hour]),
            "units_on": int(best.is_on[hour].sum()),
            "starts": int(best.starts[hour].sum()),
            "generation_mw": float(best.output_mw[hour].sum()),
            "charge_mw": float(best.charge_mw[hour].sum()),
            "discharge_mw": float(best.discharge_mw[hour].sum()),
            "stored_mwh": float(best.stored_mwh[hour].sum()),
            "unserved_mw": float(best.unserved_mw[hour].sum()),
            "price_mean_usd_per_mwh": float(np.nanmean(price[hour])),
            "price_max_usd_per_mwh": float(np.nanmax(price[hour])),
            "limits_binding": sum(at == hour for at, _, _ in best.binding),
        }
        for hour in range(len(load_mw))
    ]
    return {
        "hours": hours,
        "objective_usd": best.objective_usd,
        "gap_frac": best.gap_frac,
        "startup_usd": best.startup_usd,
        "operation_usd": best.operation_usd,
        "unserved_usd": best.unserved_usd,
        "generators": [
            {
                "row": row + 1,
                "bus": int(network.buses.number[bus]),
                "is_on": best.is_on[:, row].tolist(),
                "output_mw": best.output_mw[:, row].tolist(),
            }
            for row, bus in enumerate(network.generators.bus.tolist())
            if best.is_on[:, row].any()
        ],
        "binding": [
            {
                "hour": hour,
                "branch": network.branch_name(limit.branch),
                "outage": network.branch_name(limit.outage) if limit.outage >= 0 else None,
                "shadow_price_usd_per_mwh": value,
            }
            for hour, limit, value in best.binding
        ],
    }
