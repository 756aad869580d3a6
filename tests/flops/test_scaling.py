"""Scaling laws: optimum, budget, and the what-if about better data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError, UnknownNameError
from sim.flops.scaling import law, laws

budgets = st.floats(min_value=1e18, max_value=1e27)


def test_fits_are_sourced() -> None:
    assert len(laws()) == 3
    assert all("arXiv" in law(name).source for name in laws())
    with pytest.raises(UnknownNameError, match="did you mean 'hoffmann-2022'"):
        law("hofmann-2022")


@pytest.mark.parametrize("name", ["hoffmann-2022", "besiroglu-2024"])
@given(budget=budgets, shift=st.floats(min_value=0.2, max_value=5.0))
def test_the_optimum_spends_the_budget_and_no_other_size_beats_it(
    name: str, budget: float, shift: float
) -> None:
    fit = law(name)
    size, tokens = fit.optimum(budget)
    assert 6 * size * tokens == pytest.approx(budget)
    assert fit.loss(size * shift, tokens / shift) >= fit.loss(size, tokens) - 1e-12


def test_the_refit_gives_about_twenty_tokens_per_parameter() -> None:
    size, tokens = law("besiroglu-2024").optimum(5.76e23)
    assert tokens / size == pytest.approx(20, rel=0.15)
    rounded = law("hoffmann-2022").optimum(5.76e23)
    assert rounded[1] / rounded[0] > 50  # the rounded constants do not give 20


@given(tokens=st.floats(min_value=1e9, max_value=1e14))
def test_tokens_for_a_loss_inverts_the_loss(tokens: float) -> None:
    fit = law()
    assert fit.tokens_for(fit.loss(7e9, tokens), 7e9) == pytest.approx(tokens, rel=1e-6)


@given(saved=st.floats(min_value=0.0, max_value=0.95))
def test_better_data_must_be_worth_what_it_saves(saved: float) -> None:
    fit = law("besiroglu-2024")
    size, tokens = fit.optimum(1e24)
    needed = fit.quality_for_saving(size, tokens, saved)
    assert needed.same_model == pytest.approx(1 / (1 - saved))
    assert needed.best_model == pytest.approx(1 / (1 - saved), rel=1e-6)


def test_a_model_off_the_optimum_needs_less_when_it_may_shrink() -> None:
    """From the optimum the loss depends on q C alone; off it, re-balancing helps."""
    fit = law("besiroglu-2024")
    needed = fit.quality_for_saving(8e9, 15e12, 0.5)
    assert needed.best_model < 1 < needed.same_model == 2


def test_impossible_wishes_are_input_errors() -> None:
    fit = law()
    with pytest.raises(InputError, match="out of reach"):
        fit.tokens_for(1.7, 7e9)
    with pytest.raises(InputError, match=r"not in \[0, 1\)"):
        fit.quality_for_saving(7e9, 2e12, 1.0)
    with pytest.raises(InputError, match="not above 0"):
        fit.optimum(0)
