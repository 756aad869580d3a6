"""Every run-time rule keeps the contract; each does what it says."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from control_helpers import site
from hypothesis import given
from hypothesis import strategies as st

import sim.control.rules  # noqa: F401 - registers the rules
from sim.control.rule import check_knobs, knobs, register, rules
from sim.control.rules.carbon import CarbonAware
from sim.control.rules.connection import ImportLimit
from sim.control.rules.curtailment import Curtailment
from sim.control.rules.demand_response import DemandResponse
from sim.control.rules.peaks import SuspendAtPeaks
from sim.control.rules.price import PriceResponse
from sim.control.rules.ramp import RampLimit
from sim.control.rules.shift import ShiftRequests
from sim.control.view import NOTHING, GridSignals
from sim.errors import FlopgridError, InputError

KINDS = sorted(rules())
GRID = st.builds(
    GridSignals,
    price_usd_per_mwh=st.floats(-50, 5000),
    carbon_kg_per_mwh=st.floats(0, 1000),
    short_w=st.floats(0, 2e6),
    load_rank_frac=st.floats(1e-4, 1),
)
SIGNALS = st.lists(GRID, min_size=1, max_size=6)


def default(kind: str):
    """A rule with its default knobs."""
    rule = rules()[kind]
    missing = {n: 1.0 for n, (f, _) in knobs(rule).items() if f.default is dataclasses.MISSING}
    return rule(**missing)


def views(signals, elsewhere=None):
    for number, grid in enumerate(signals):
        view = dataclasses.replace(site(), time_s=300.0 * number)
        yield view.told(grid, elsewhere or {})


def run(rule, signals, elsewhere=None):
    """The proposals of a rule, tick by tick."""
    memory, proposals = None, []
    for view in views(signals, elsewhere):
        proposal, memory = rule.propose(view, memory)
        proposals.append(proposal)
    return proposals


@pytest.mark.parametrize("kind", KINDS)
@given(signals=SIGNALS)
def test_a_rule_is_a_pure_function_and_asks_for_what_can_be(kind, signals):
    rule = default(kind)
    others = {"other": GridSignals(price_usd_per_mwh=10.0)}
    first, second = run(rule, signals, others), run(rule, signals, others)
    assert first == second
    for proposal in first:
        assert proposal.limit_w is None or proposal.limit_w >= 0
        assert proposal.suspend <= {"pretrain", "chat"}
        assert all(0 <= share <= 1 for share in proposal.shift_frac.values())
        assert proposal.shift_frac.keys() <= others.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_says_what_it_does_and_its_knobs_have_limits_and_meaning(kind):
    rule = rules()[kind]
    assert rule.says
    for _, limits in knobs(rule).values():
        assert limits.low < limits.high
        assert limits.says


@pytest.mark.parametrize("kind", KINDS)
def test_a_knob_outside_its_limits_is_refused(kind):
    rule = default(kind)
    check_knobs(rule)
    for name, (_, limits) in knobs(type(rule)).items():
        wrong = dataclasses.replace(rule, **{name: limits.low - 1})
        with pytest.raises(InputError, match=name):
            check_knobs(wrong)


def test_a_second_rule_of_the_same_name_is_a_defect():
    with pytest.raises(FlopgridError, match="twice"):
        register(ImportLimit)


def test_demand_response_holds_its_share_in_its_hours():
    rule = DemandResponse(depth_frac=0.25, start_h=1.0, duration_h=0.5, every_h=2.0)
    full_w = site().full_import_w
    asked = []
    for hour in (0.9, 1.0, 1.4, 1.5, 3.0, 3.4, 3.6):
        view = dataclasses.replace(site(), time_s=hour * 3600)
        asked.append(rule.propose(view, None)[0].limit_w)
    held = 0.75 * full_w
    assert asked == [None, held, held, None, held, held, None]


def test_import_limit_is_always_there():
    assert run(ImportLimit(limit_mw=0.5), [GridSignals()] * 2)[1].limit_w == 0.5e6


def test_price_response_does_not_chase_the_price_it_moves():
    """The price falls just below the threshold when the site answers: no ping-pong."""
    rule = PriceResponse(above_usd_per_mwh=100, depth_frac=0.5, band_frac=0.1, hold_s=600)
    prices, answered, price = [], [], 105.0
    memory = None
    for number in range(24):
        view = dataclasses.replace(site(), time_s=300.0 * number)
        proposal, memory = rule.propose(view.told(GridSignals(price_usd_per_mwh=price), {}), memory)
        answered.append(proposal.limit_w is not None)
        prices.append(price)
        price = 95.0 if answered[-1] else 105.0
    assert all(answered)


def test_price_response_ends_below_the_band_and_not_before_its_time():
    rule = PriceResponse(above_usd_per_mwh=100, depth_frac=0.5, band_frac=0.1, hold_s=600)
    signals = [GridSignals(price_usd_per_mwh=p) for p in (150, 50, 50, 50, 99)]
    assert [p.limit_w is not None for p in run(rule, signals)] == [True, True, False, False, False]


def test_carbon_aware_lets_training_wait():
    signals = [GridSignals(carbon_kg_per_mwh=c) for c in (500, 449, 300)]
    asked = [p.suspend for p in run(CarbonAware(450, 0.05, 0.0), signals)]
    assert asked == [{"pretrain"}, {"pretrain"}, frozenset()]


def test_peaks_suspend_training_in_the_highest_hours_only():
    signals = [GridSignals(load_rank_frac=r) for r in (0.5, 0.011, 0.01, 0.001)]
    asked = [bool(p.suspend) for p in run(SuspendAtPeaks(0.01), signals)]
    assert asked == [False, False, True, True]


def test_ramp_limit_returns_in_stages():
    """From nothing, the site comes back by the ramp in each interval, and is then left alone."""
    rule = RampLimit(up_mw_per_min=0.05)
    import_w, steps = 0.0, []
    for number in range(8):
        view = dataclasses.replace(site(), time_s=300.0 * number).metered(import_w)
        limit_w = rule.propose(view, None)[0].limit_w
        import_w = view.full_import_w if limit_w is None else limit_w
        steps.append(import_w)
    full_w = site().full_import_w
    rise_w = 0.05e6 * 5
    assert steps[:4] == [rise_w, 2 * rise_w, 3 * rise_w, 4 * rise_w]
    assert steps[-1] == full_w
    assert all(b - a <= rise_w + 1e-6 for a, b in itertools.pairwise(steps))


def test_curtailment_waits_for_its_notice_and_follows_its_ramp():
    rule = Curtailment(budget_frac=1.0, notice_s=600, depth_frac=1.0, ramp_frac_per_min=0.02)
    full_w = site().full_import_w
    asked = run(rule, [GridSignals(short_w=0.5 * full_w)] * 9)
    held = [0.0 if p.limit_w is None else (full_w - p.limit_w) / full_w for p in asked]
    assert held == pytest.approx([0, 0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])


def test_curtailment_releases_when_the_place_is_short_no_more():
    rule = Curtailment(budget_frac=1.0, notice_s=0, depth_frac=1.0, ramp_frac_per_min=1.0)
    asked = run(rule, [GridSignals(short_w=1e5), GridSignals(), GridSignals()])
    assert asked[0].limit_w is not None
    assert asked[1:] == [NOTHING, NOTHING]


@given(st.floats(1e-7, 1e-4))
def test_curtailment_never_passes_its_budget(budget_frac):
    rule = Curtailment(budget_frac, notice_s=0, depth_frac=1.0, ramp_frac_per_min=1e6)
    full_w = site().full_import_w
    asked = run(rule, [GridSignals(short_w=full_w)] * 12)
    held_j = sum(0.0 if p.limit_w is None else (full_w - p.limit_w) * 300 for p in asked)
    assert held_j <= budget_frac * full_w * 8760 * 3600 * (1 + 1e-9)


def test_requests_go_to_the_cheapest_place_that_is_not_short():
    rule = ShiftRequests(most_frac=0.5, margin_usd_per_mwh=20, carbon_usd_per_kg=0, hold_s=0)
    here = GridSignals(price_usd_per_mwh=100)
    others = {
        "cheap-but-short": GridSignals(price_usd_per_mwh=10, short_w=1.0),
        "cheap": GridSignals(price_usd_per_mwh=40),
        "dear": GridSignals(price_usd_per_mwh=90),
    }
    assert run(rule, [here], others)[0].shift_frac == {"cheap": 0.5}
    assert run(rule, [here], {"dear": others["dear"]})[0] == NOTHING
    assert run(rule, [here], {})[0] == NOTHING
