"""The law of power balance: it holds for real dispatches, and fails when it must."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sim.errors import LawViolation
from sim.grid.law import Dispatch, Flow, ZoneBalance, check_power_balance
from sim.grid.us_states import us_states
from sim.grid.verdict import assess

GOOD = Dispatch(
    "peak",
    "all",
    (ZoneBalance("A", 140.0, 100.0, 0.0, 0.0), ZoneBalance("B", 60.0, 90.0, 15.0, 5.0)),
    (Flow("A-B", "A", "B", 40.0),),
)


def change(zone: int, **what: float) -> Dispatch:
    zones = list(GOOD.zones)
    zones[zone] = replace(zones[zone], **what)
    return replace(GOOD, zones=tuple(zones))


def test_balanced_by_hand() -> None:
    assert check_power_balance(GOOD) == pytest.approx(0.0)
    assert GOOD.unserved_mw == 5.0


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (change(0, generation_mw=140.001), "off by 0.001 MW"),
        (change(1, site_mw=14.0), "power balance of B"),
        (replace(GOOD, flows=(Flow("A-B", "A", "B", -40.0),)), "power balance of A"),
        (replace(GOOD, flows=()), "power balance of A"),
        (change(0, generation_mw=145.0, unserved_mw=-5.0), "negative"),
        (change(0, generation_mw=float("nan")), "off by nan"),
        (
            Dispatch(
                "h", "x", (ZoneBalance("A", 0.0, 1.0, 0.0, 3.0),), (Flow("f", "A", "B", 2.0),)
            ),
            "3 MW unserved of 1 MW",
        ),
    ],
)
def test_law_fails_when_it_must(bad: Dispatch, what: str) -> None:
    with pytest.raises(LawViolation, match=what):
        check_power_balance(bad)


def test_dispatch_of_the_states_balances_with_the_sites_in_it() -> None:
    verdict = assess(us_states(), {"VA": 3000.0, "TX-ERCOT": 20_000.0}, samples=1)
    assert len(verdict.dispatches) == 2
    for dispatch in verdict.dispatches:
        assert check_power_balance(dispatch) < 1e-3
        assert sum(zone.site_mw for zone in dispatch.zones) == 23_000.0
    assert any(dispatch.unserved_mw > 1000.0 for dispatch in verdict.dispatches)
