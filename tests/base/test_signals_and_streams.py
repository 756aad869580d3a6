"""Base rooms: units, signals, random streams, data reading, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.datum import Datum, data, datum, ranged, read_table, sample, to_datum
from sim.errors import InputError, LawViolation, Place, UnknownNameError
from sim.randomness import stream
from sim.signals import Hook, StepSignal
from sim.units import PS_PER_S, gib, mw_text, si, three_digits, to_ps, to_s

PINNED = [3285598397, 2903730684, 3309713418, 2068116529]
"""The first draws of a stream: another generator or key would change every run."""


def test_observers_hear_the_current_value_and_each_change_once() -> None:
    heard: list[tuple[int, float]] = []
    signal = StepSignal("a.power_w", 5.0)
    signal.subscribe(lambda t, v: heard.append((t, v)))
    signal.set(10, 7.0)
    signal.set(20, 7.0)
    signal.set(20, 8.0)
    assert heard == [(0, 5.0), (10, 7.0), (20, 8.0)]


def test_a_signal_refuses_time_that_runs_backwards() -> None:
    signal = StepSignal("a.power_w")
    signal.set(10, 1.0)
    with pytest.raises(LawViolation, match=r"a\.power_w: time runs backwards, 9 ps after 10 ps"):
        signal.set(9, 2.0)


def test_hooks_tell_all_listeners_in_order() -> None:
    heard: list[str] = []
    hook: Hook[int] = Hook()
    hook.subscribe(lambda n: heard.append(f"first {n}"))
    hook.subscribe(lambda n: heard.append(f"second {n}"))
    hook.emit(3)
    assert heard == ["first 3", "second 3"]


def test_streams_depend_on_seed_and_purpose_only() -> None:
    draw = stream(1, "arrivals", "campus").random(4)
    assert np.array_equal(draw, stream(1, "arrivals", "campus").random(4))
    for other in (stream(2, "arrivals", "campus"), stream(1, "arrivals", "other"), stream(1, "a")):
        assert not np.array_equal(draw, other.random(4))


def test_purposes_do_not_run_together() -> None:
    assert stream(1, "ab", "c").random() != stream(1, "a", "bc").random()


@given(st.integers(0, 10**9))
def test_whole_seconds_survive_the_clock(seconds: int) -> None:
    assert to_ps(float(seconds)) == seconds * PS_PER_S
    assert to_s(seconds * PS_PER_S) == seconds


def test_formatting_uses_powers_of_ten_for_tera_and_two_for_gib() -> None:
    assert si(1.5e12, "FLOP/s") == "1.5 TFLOP/s"
    assert si(123.4e6, "W") == "123 MW"
    assert si(999.9, "W") == "1 kW"
    assert gib(2**30) == "1.00 GiB"
    assert [mw_text(x) for x in (117.94, 0.03121, 0.0)] == ["117.9", "0.0312", "0.0"]
    assert [three_digits(x) for x in (1191.2, 27.94, 0.03121)] == ["1,191", "27.9", "0.0312"]


def test_every_ranged_figure_of_the_product_holds_its_value() -> None:
    for path in (
        "hardware/h100-sxm.yaml",
        "hardware/dgx-h100.yaml",
        "facility/building.yaml",
        "training/assumptions.yaml",
    ):
        assert data(path), path


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"value": 1, "unit": "W"}, "datum lacks as_of, source"),
        ({"value": 1, "unit": "W", "source": "s", "as_of": "d", "low": 0}, "both low and high"),
        (
            {"value": 5, "unit": "W", "source": "s", "as_of": "d", "low": 0, "high": 4},
            "value 5 outside 0 to 4",
        ),
    ],
)
def test_an_incomplete_figure_is_refused(entry: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_datum("x", entry)


def test_quantiles_run_from_low_over_the_mode_to_high() -> None:
    figure = Datum("x", 2.0, "1", "s", "d", low=1.0, high=5.0, distribution="triangular")
    values = [figure.quantile(u) for u in (0.0, 0.25, 1.0)]
    assert values == pytest.approx([1.0, 2.0, 5.0])
    uniform = Datum("x", 2.0, "1", "s", "d", low=1.0, high=5.0, distribution="uniform")
    assert uniform.quantile(0.5) == 3.0
    middle = Datum("x", 1.0, "1", "s", "d", low=0.5, high=8.0, distribution="lognormal-80")
    found = [middle.quantile(u) for u in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert found[1:4] == pytest.approx([0.5, 2.0, 8.0])
    assert 0 < found[0] < 0.1 < 20 < found[4] < float("inf")
    assert Datum("x", 2.0, "1", "s", "d").quantile(0.9) == 2.0


def test_sampling_changes_only_the_named_figures() -> None:
    figures = {
        "a": Datum("a", 2.0, "1", "s", "d", low=1.0, high=3.0, distribution="uniform"),
        "b": Datum("b", 7.0, "1", "s", "d"),
    }
    assert ranged(figures) == ["a"]
    assert {n: f.value for n, f in sample(figures, {"a": 1.0}).items()} == {"a": 3.0, "b": 7.0}


def test_an_unknown_figure_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"power\.idle_w"):
        datum("hardware/h100-sxm.yaml", "power.idle_ww")


def test_an_error_says_place_path_fault_and_remedy() -> None:
    error = InputError("-5 is below 1", "give a whole number").at(Place("s.yaml", 12, 7), "a.b")
    assert str(error) == "s.yaml:12:7: a.b: -5 is below 1; give a whole number"


def test_table_notes_are_not_rows() -> None:
    rows = read_table("grid/zones.csv")
    assert rows
    assert not any(next(iter(r.values())).startswith("#") for r in rows)


def test_a_stream_is_the_same_on_every_machine_and_release() -> None:
    draw = stream(7, "arrivals", "campus", "chat")
    assert draw.integers(0, 2**32, 4).tolist() == PINNED
    assert stream(0).random() != stream(1).random()


@pytest.mark.parametrize(
    ("time_s", "time_ps"),
    [
        (0.5, 5 * 10**11),
        (-0.25, -25 * 10**10),
        (1e-12, 1),
        (0.4e-12, 0),
        (3.000000000001, 3 * 10**12 + 1),
    ],
)
def test_parts_of_seconds_are_rounded_to_the_nearest_tick(time_s: float, time_ps: int) -> None:
    assert to_ps(time_s) == time_ps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (999, "999 W"), (999.4, "999 W"), (999.6, "1 kW"), (1e3, "1 kW"), (-2.5e6, "-2.5 MW"),
        (1e9, "1 GW"), (1e12, "1 TW"), (1.5e15, "1.5 PW"), (2e18, "2 EW"), (0, "0 W"),
        (0.1, "0.1 W"),
    ],
)  # fmt: skip
def test_prefixes_change_where_three_digits_would_not_hold(value: float, text: str) -> None:
    assert si(value, "W") == text


def test_digits_are_asked_for() -> None:
    assert si(123_456, "B", 5) == "123.46 kB"


@pytest.mark.parametrize(
    ("mw", "text"),
    [(10, "10.0"), (9.994, "9.99"), (0, "0.0"), (-1234.56, "-1,234.6"), (0.0312, "0.0312")],
)
def test_small_powers_keep_three_digits(mw: float, text: str) -> None:
    assert mw_text(mw) == text


def test_bytes_are_shown_in_powers_of_two() -> None:
    assert gib(1536 * 2**30) == "1,536.00 GiB"
