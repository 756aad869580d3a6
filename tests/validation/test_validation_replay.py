"""A benchmark followed request by request: by hand, against a queue, and in the limits."""

from __future__ import annotations

import numpy as np
import pytest

from sim import arch
from sim.cost.layout import Layout
from sim.cost.steps import StepModel
from sim.hardware.node import load_node
from sim.validation.load import Requests, steady_state
from sim.validation.replay import model_tables, poisson_s, replay

MODEL = StepModel(arch.load("llama-3.1-8b"), Layout(), load_node(), engine="trtllm")
TABLES = model_tables(MODEL, 64, 8192)


def test_one_request_by_hand() -> None:
    run = replay(TABLES, np.zeros(1), 100, 3, most=64, budget=8192)
    first, rest = TABLES.step([(100, 0)], []), [TABLES.step([], [100 + i]) for i in (0, 1)]
    assert run.first_token_s == pytest.approx(float(first[0]) / 1e12)
    assert run.token_s == pytest.approx(sum(float(s[0]) for s in rest) / 2e12)
    total_s = (float(first[0]) + sum(float(s[0]) for s in rest)) / 1e12
    assert run.tokens_per_s == pytest.approx(3 / total_s)
    energy_j = (float(first[1]) + sum(float(s[1]) for s in rest)) / 1e9
    assert run.power_w == pytest.approx(energy_j / total_s)


def test_a_prompt_longer_than_a_step_comes_in_chunks() -> None:
    run = replay(TABLES, np.zeros(1), 1000, 2, most=64, budget=400)
    chunks = [TABLES.step([(n, c)], []) for n, c in ((400, 0), (400, 400), (200, 800))]
    assert run.first_token_s == pytest.approx(sum(float(c[0]) for c in chunks) / 1e12)


def test_one_at_a_time_is_a_queue() -> None:
    """With one place, request k waits for k whole services."""
    alone = replay(TABLES, np.zeros(1), 100, 10, most=1, budget=8192)
    three = replay(TABLES, np.zeros(3), 100, 10, most=1, budget=8192)
    service_s = alone.first_token_s + 9 * alone.token_s
    assert three.first_token_s == pytest.approx(alone.first_token_s + service_s, rel=1e-9)
    assert three.token_s == pytest.approx(alone.token_s, rel=1e-9)


def test_a_long_crowded_run_comes_to_the_steady_state() -> None:
    run = replay(TABLES, np.zeros(3000), 150, 300, most=64, budget=8192)
    state = steady_state(MODEL, Requests(150, 300), 64)
    assert run.tokens_per_s == pytest.approx(state.tokens_per_s, rel=0.06)


def test_arrivals_have_exactly_the_rate() -> None:
    assert poisson_s(500, 4.0)[-1] == pytest.approx(125.0)
    assert (np.diff(poisson_s(500, 4.0)) >= 0).all()
    assert not poisson_s(5, float("inf")).any()


def test_more_load_never_shortens_the_wait() -> None:
    waits = [
        replay(TABLES, poisson_s(200, rate), 467, 64, most=64, budget=8192).first_token_s
        for rate in (1.0, 8.0, 64.0)
    ]
    assert waits == sorted(waits)
