"""Registry, answers and the one run behind A17."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.claims import VERDICTS, Answer, Claim, Judgement, answer_claims, claims, find_claim
from sim.claims.answers import number
from sim.claims.base import claim
from sim.claims.figures import FACTS, TEXTS
from sim.claims.grid import judge_hosting, measure_hosting, scenario
from sim.datum import data, read_table
from sim.errors import UnknownNameError
from sim.scenario.run import load_scenario

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = {"id", "verdict", "value", "unit", "condition", "sources"}


pytestmark = pytest.mark.xdist_group("measured claims")


def silent(_: str) -> None:
    return None


@pytest.fixture(scope="module")
def answered() -> tuple[list[Answer], list[str]]:
    told: list[str] = []
    return list(answer_claims([], told.append)), told


def test_all_claims_are_answered_in_order_and_told(
    answered: tuple[list[Answer], list[str]],
) -> None:
    answers, told = answered
    assert [a.id for a in answers] == [f"A{n:02d}" for n in range(1, 50)]
    assert [line[:3] for line in told] == [a.id for a in answers]
    for answer in answers:
        found = answer.to_json()
        assert found.keys() >= CONTRACT | {"how", "arithmetic", "statement", "original"}
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert answer.verdict in VERDICTS
        assert answer.statement
        assert answer.original
        assert answer.arithmetic
        assert answer.sources
        assert answer.condition, "every verdict says where it holds"


def test_no_claim_is_pure_opinion(answered: tuple[list[Answer], list[str]]) -> None:
    """The list of `not-testable` ids is empty: each claim has a figure that decides."""
    verdicts = {a.id: a.verdict for a in answered[0]}
    assert [i for i, verdict in verdicts.items() if verdict == "not-testable"] == []


def test_ids_are_case_insensitive_and_keep_their_order() -> None:
    assert [a.id for a in answer_claims(["a30", "A11"], silent)] == ["A30", "A11"]


def test_an_unknown_id_names_the_nearest_and_computes_nothing() -> None:
    told: list[str] = []
    with pytest.raises(UnknownNameError, match="unknown claim 'A99'"):
        answer_claims(["A30", "A99"], told.append)
    assert told == []
    with pytest.raises(UnknownNameError, match="did you mean"):
        find_claim("A1")


def test_a_claim_cannot_be_answered_twice() -> None:
    with pytest.raises(ValueError, match="A11 is registered twice"):
        claim("A11", dict, "again")(judge_hosting)


def test_texts_and_claims_are_the_same_set() -> None:
    assert {row["id"] for row in read_table(TEXTS)} == claims().keys()


def test_every_published_figure_is_cited_by_a_claim() -> None:
    cited = {name for found in claims().values() for name in found.facts}
    assert data(FACTS).keys() - cited == set()


@pytest.mark.parametrize("found", claims().values(), ids=list(claims()))
def test_facts_that_are_cited_exist(found: Claim) -> None:
    assert set(found.facts) <= data(FACTS).keys()


@pytest.mark.parametrize(
    ("value", "text"), [(128, "128"), (2464.0, "2,464"), (0.66551, "0.6655"), (1e11, "1e+11")]
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_the_scenario_is_the_one_of_the_file() -> None:
    _, from_file = load_scenario(ROOT / "scenarios" / "100k-h100-one-state.yaml")
    assert scenario() == from_file


def test_the_run_covers_every_state_and_runs_once() -> None:
    numbers = measure_hosting()
    assert measure_hosting() is numbers
    assert 100 <= numbers["load_mw"] <= 200
    zones = {name.split(".")[0] for name in numbers if "." in name}
    assert {"TX-ERCOT", "TX-other", "VA", "CA", "AK", "HI"} <= zones
    assert len(zones) == 52  # 50 states and DC, Texas twice
    assert numbers["year_hours"] == 3 * 7 * 24
    assert numbers["year_unserved_after_mwh"] >= numbers["year_unserved_before_mwh"] - 1e-3
    assert 60.0 < numbers["year_zenith_hz"] < numbers["year_limit_hz"]
    lines = judge_hosting(numbers).arithmetic
    assert any("in the peak weeks of 2024" in line for line in lines)
    assert any("mode and damping assumed" in line for line in lines)


def invented(**rooms: tuple[float, float, float]) -> dict[str, float]:
    """Numbers of a grid with the given (nominal, low, high) room and a load of 100 MW."""
    numbers = {"load_mw": 100.0}
    for zone, (hosting, low, high) in {"TX-ERCOT": (900.0, 800.0, 999.0), **rooms}.items():
        numbers |= {
            f"{zone}.hosting_mw": hosting,
            f"{zone}.low_mw": low,
            f"{zone}.high_mw": high,
            f"{zone}.first": 1.0,
        }
    return numbers


def test_a_grid_with_room_everywhere_says_how_many_gpus_it_takes() -> None:
    found: Judgement = judge_hosting(invented(CT=(200.0, 150.0, 300.0)))
    assert found.verdict == "false"
    assert "200,000 H100 at one site (5 % of the range: 150,000) in CT" in found.condition
    assert "900,000 in TX-ERCOT" in found.condition


def test_one_zone_without_room_is_named_with_its_limit() -> None:
    found = judge_hosting(invented(CT=(50.0, 40.0, 60.0)))
    assert found.verdict == "true-if"
    assert "CT (reserve)" in found.condition


def test_a_zone_that_may_lack_room_is_not_called_safe() -> None:
    assert judge_hosting(invented(CT=(200.0, 90.0, 300.0))).verdict == "true-if"


def test_room_nowhere_makes_it_true_only_over_the_whole_range() -> None:
    sure = invented(CT=(50.0, 40.0, 60.0)) | invented(**{"TX-ERCOT": (50.0, 40.0, 60.0)})
    assert judge_hosting(sure).verdict == "true"
    assert judge_hosting({**sure, "CT.high_mw": 120.0}).verdict == "true-if"


READINGS = ("energy and reserve", "wires", "voltage", "sudden loss", "swings")


def test_the_five_readings_each_say_what_flips_them() -> None:
    lines = [x for x in judge_hosting(measure_hosting()).arithmetic if x.startswith("reading ")]
    assert [line.removeprefix("reading ").partition(":")[0] for line in lines] == list(READINGS)
    for line in lines:
        assert "flips " in line or "not assessed" in line


def test_who_redispatches_and_what_must_be_survived_move_the_wires() -> None:
    """Fewer buses after outages than without, more with a dispatch that secures them."""
    numbers = measure_hosting()
    fits = [numbers[f"wires_fit_{way}"] for way in ("fixed", "secure", "base")]
    assert fits == sorted(fits)
    assert fits[0] < numbers["wires_buses"]
    assert numbers["wires_least_mw"] <= numbers["wires_least_secure_mw"]
    assert numbers["wires_least_mw"] < numbers["load_mw"] < numbers["wires_median_mw"]


def test_readings_follow_the_numbers() -> None:
    numbers = dict(measure_hosting())
    numbers |= {"wires_fit_secure": 0.0, "loop_short_h": 3.0, "swing_mw": 10.0}
    lines = "\n".join(judge_hosting(numbers).arithmetic)
    assert "0% with a dispatch that secures it" in lines
    assert "short in 3.0 h" in lines
    assert "reading swings: 10 MW" in lines
    bare = {k: v for k, v in numbers.items() if not k.startswith("voltage_")}
    assert any("needs the extra `ac`" in line for line in judge_hosting(bare).arithmetic)


ORDER = {"false": 0, "true-if": 1, "true": 2}
ROOMS = st.tuples(*[st.floats(1, 1e4)] * 3).map(sorted).map(lambda r: (r[1], r[0], r[2]))


@given(ROOMS, ROOMS, st.floats(1, 1e5), st.floats(1, 100))
def test_more_load_never_makes_the_claim_less_true(
    a: tuple[float, float, float], b: tuple[float, float, float], load_mw: float, more: float
) -> None:
    numbers = {**invented(CT=a, VA=b), "load_mw": load_mw}
    before = judge_hosting(numbers).verdict
    after = judge_hosting({**numbers, "load_mw": load_mw * more}).verdict
    assert ORDER[after] >= ORDER[before]
