"""The loop is stable: no rule chases what it moves itself, after a step or along a ramp.

A small world stands in for the grid: price, carbon and shortage rise with what the site draws, so
that an answer moves what it answers. The disturbance comes from outside, as a step or a ramp, and
then stands still. A rule is stable if its orders stand still some time after.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable

import pytest
from control_helpers import site

import sim.control.rules  # noqa: F401 - registers the rules
from sim.control.allocate import SiteOrders, allocate
from sim.control.rule import knobs, rules
from sim.control.rules.curtailment import Curtailment
from sim.control.rules.price import PriceResponse
from sim.control.view import GridSignals

TICKS = 96
INTERVAL_S = 300.0
STEP_AT, RAMP_TO = 12, 36
SETTLED_AFTER = RAMP_TO + 24
FULL_W = site().full_import_w
World = Callable[[float, float], GridSignals]
"""(disturbance 0 to 1, what the site drew) -> what the grid says."""


def step(tick: int) -> float:
    return float(tick >= STEP_AT)


def ramp(tick: int) -> float:
    return min(1.0, max(0.0, (tick - STEP_AT) / (RAMP_TO - STEP_AT)))


def fall(tick: int) -> float:
    """Up at once, and down again: the release is watched too."""
    return float(STEP_AT <= tick < RAMP_TO)


def tense(disturbance: float, drawn_w: float) -> GridSignals:
    """Just above every threshold with the site on, just below with it at half."""
    load = drawn_w / FULL_W
    return GridSignals(
        price_usd_per_mwh=disturbance * (100 + 100 * load),
        carbon_kg_per_mwh=disturbance * (350 + 150 * load),
        short_w=max(0.0, (disturbance - 0.6) * FULL_W),
        load_rank_frac=1.0 if disturbance < 0.99 else 0.005,
    )


def steep(disturbance: float, drawn_w: float) -> GridSignals:
    """The site sets the price: ten times from half to full."""
    found = tense(disturbance, drawn_w)
    price = disturbance * 1000 * max(0.0, drawn_w / FULL_W - 0.4)
    return dataclasses.replace(found, price_usd_per_mwh=price)


def default(kind: str):
    rule = rules()[kind]
    missing = {n for n, (f, _) in knobs(rule).items() if f.default is dataclasses.MISSING}
    return rule(**dict.fromkeys(missing, 0.7 * FULL_W / 1e6))


def play(
    rule, world: World, disturbance: Callable[[int], float], ticks: int = TICKS
) -> list[SiteOrders]:
    """The orders of every tick; a site gives what it is told to, at once."""
    memory, drawn_w, found = None, FULL_W, []
    for tick in range(ticks):
        grid = world(disturbance(tick), drawn_w)
        there = GridSignals(price_usd_per_mwh=60.0)
        view = dataclasses.replace(site(), time_s=INTERVAL_S * tick).metered(drawn_w)
        proposal, memory = rule.propose(view.told(grid, {"other": there}), memory)
        orders = allocate(view.told(grid, {}), proposal)
        drawn_w = orders.expected_w
        found.append(orders)
    return found


def changes(orders: list[SiteOrders], since: int) -> int:
    return sum(a != b for a, b in zip(orders[since:-1], orders[since + 1 :], strict=True))


@pytest.mark.parametrize("kind", sorted(rules()))
@pytest.mark.parametrize("world", [tense, steep])
@pytest.mark.parametrize("disturbance", [step, ramp, fall])
def test_after_a_disturbance_the_orders_stand_still(kind, world, disturbance):
    """Every registered rule.

    Where an answer moves the value across its whole band, neither on nor off can last: the least
    time doubles from answer to answer, so that one answer more, at the most, falls into the rest.
    """
    orders = play(default(kind), world, disturbance)
    assert changes(orders, SETTLED_AFTER) <= (3 if kind in SWITCHES else 0)


SWITCHES = ("price-response", "carbon-aware")


@pytest.mark.parametrize("kind", SWITCHES)
def test_the_changes_of_a_switch_die_out(kind):
    """Ten days in a world where no position lasts: at most two changes per doubling to a day."""
    days, rule = 10, default(kind)
    orders = play(rule, steep, step, ticks=days * 288)
    doublings = math.ceil(math.log2(86_400 / rule.hold_s)) + 1
    assert changes(orders, 0) <= 2 * (doublings + days)
    assert changes(orders, (days - 2) * 288) <= 5


@pytest.mark.parametrize("kind", [k for k, r in rules().items() if "hold_s" in knobs(r)])
@pytest.mark.parametrize("disturbance", [step, ramp, fall])
def test_no_answer_is_shorter_than_its_least_time(kind, disturbance):
    rule = default(kind)
    orders = play(rule, steep, disturbance)
    answers = [bool(o.shift_frac or o.suspend or o.limit_w is not None) for o in orders]
    groups = [(on, len(list(run))) for on, run in itertools.groupby(answers)]
    for on, ticks in groups[:-1]:
        assert not on or ticks * INTERVAL_S >= rule.hold_s


def test_the_check_fails_for_a_rule_that_chases_the_price():
    """No band and no least time: on above, off below, at every tick."""
    nervous = PriceResponse(above_usd_per_mwh=150, depth_frac=0.5, band_frac=0.0, hold_s=0.0)
    orders = play(nervous, tense, step)
    assert changes(orders, SETTLED_AFTER) > 20


def test_curtailment_follows_a_ramp_without_overshoot():
    """Depth rises with the shortage, never beyond it by more than the GPUs' rungs."""
    rule = Curtailment(budget_frac=1.0, notice_s=0.0, depth_frac=1.0, ramp_frac_per_min=1.0)
    orders = play(rule, tense, ramp)
    held = [FULL_W - o.limit_w if o.limit_w is not None else 0.0 for o in orders]
    asked = [max(0.0, (ramp(t) - 0.6) * FULL_W) for t in range(TICKS)]
    assert held == pytest.approx(asked, abs=1e-6 * FULL_W)


@pytest.mark.parametrize("delay", [1, 2, 4])
def test_a_late_meter_does_not_set_price_response_swinging(delay):
    """The grid hears what the site drew some ticks ago: the band and the least time still hold."""
    rule = PriceResponse(above_usd_per_mwh=150, depth_frac=0.5, band_frac=0.4, hold_s=1800)
    memory, drawn, found = None, [FULL_W] * (delay + 1), []
    for tick in range(TICKS):
        view = dataclasses.replace(site(), time_s=INTERVAL_S * tick)
        view = view.told(tense(step(tick), drawn[-1 - delay]), {})
        proposal, memory = rule.propose(view, memory)
        found.append(allocate(view, proposal))
        drawn.append(found[-1].expected_w)
    assert changes(found, SETTLED_AFTER) == 0
