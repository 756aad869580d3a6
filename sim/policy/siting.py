"""Policy `siting`: a rule says where the sites go."""

from __future__ import annotations

from sim.grid.hosting import hosting_by_zone
from sim.grid.us_states import resolve_zone, us_states
from sim.policy.patch import each_site
from sim.policy.registry import Parameter, PolicyKind, Values, register, word
from sim.scenario.schema import Scenario, Site

SAMPLES = 32
SWING_FRAC = 0.3
MOST_ROOM = "most-room"


def _patch(scenario: Scenario, values: Values) -> Scenario:
    """All sites into the chosen zone, or the one with the most room for a new load."""
    chosen = word(values, "zone")
    network = us_states()
    name = _most_room() if chosen == MOST_ROOM else resolve_zone(network, chosen).name

    def move(site: Site) -> Site:
        return site.model_copy(update={"at": site.at.model_copy(update={"zone": name})})

    return each_site(scenario, move)


def _most_room() -> str:
    found = hosting_by_zone(us_states(), swing_frac=SWING_FRAC, samples=SAMPLES, seed=0)
    best = max(found, key=lambda h: (h.hosting_mw or 0.0, h.zone))
    return best.zone


SITING = register(
    PolicyKind(
        kind="siting",
        patch=_patch,
        parameters={
            "zone": Parameter(
                "a zone of the grid, or most-room for the one that hosts most", default=MOST_ROOM
            )
        },
        says="put the sites where a rule wants them",
        metric="limits_binding",
        assumes=("a swing of 30 % of the load for the choice of the zone with most room",),
    )
)
