"""Policy `siting`: a rule says where the sites go."""

from __future__ import annotations

from sim.grid.hosting import hosting_by_zone
from sim.grid.nodal.hosting_command import hosting
from sim.grid.us_states import resolve_zone, us_states
from sim.policy.patch import each_site
from sim.policy.registry import Parameter, PolicyKind, Values, number, register, word
from sim.scenario.schema import At, NodalGrid, Scenario, Site

SAMPLES = 32
SWING_FRAC = 0.3
MOST_ROOM = "most-room"


def _patch(scenario: Scenario, values: Values) -> Scenario:
    """All sites to the chosen zone or bus, or to the one with the most room for a new load."""
    if isinstance(scenario.grid, NodalGrid):
        return _to_bus(scenario, scenario.grid, number(values, "least_kv"))
    chosen = word(values, "zone")
    network = us_states()
    name = _most_room() if chosen == MOST_ROOM else resolve_zone(network, chosen).name

    def move(site: Site) -> Site:
        return site.model_copy(update={"at": site.at.model_copy(update={"zone": name})})

    return each_site(scenario, move)


def _to_bus(scenario: Scenario, grid: NodalGrid, least_kv: float) -> Scenario:
    """All sites to the bus of a voltage level that hosts most, asked as the grid asks."""
    found = hosting(
        grid.case,
        least_kv=least_kv,
        security=grid.security,
        emergency_factor=grid.emergency_rating_factor,
    )
    best = max(found["buses"], key=lambda row: (row["hosting_mw"], -row["bus"]))
    at = At(bus=best["bus"])
    return each_site(scenario, lambda site: site.model_copy(update={"at": at}))


def _most_room() -> str:
    found = hosting_by_zone(us_states(), swing_frac=SWING_FRAC, samples=SAMPLES, seed=0)
    best = max(found, key=lambda h: (h.hosting_mw or 0.0, h.zone))
    return best.zone


SITING = register(
    PolicyKind(
        kind="siting",
        patch=_patch,
        parameters={
            "least_kv": Parameter(
                "on a nodal grid: lowest voltage of the bus; the one that hosts most is taken",
                "kV",
                230.0,
                0,
                1500,
            ),
            "zone": Parameter(
                "a zone of the grid, or most-room for the one that hosts most", default=MOST_ROOM
            ),
        },
        says="put the sites where a rule wants them",
        metric="limits_binding",
        decides="where the sites stand",
        assumes=(
            "a swing of 30 % of the load for the choice of the zone with most room",
            "on a nodal grid the bus is chosen with fixed dispatch",
        ),
    )
)
