"""What a load makes of a replica: throughput, times and power of a steady state.

Three kinds of load: a closed loop of n clients, everything queued at once, and an open loop
at a rate that goes on. Each comes down
to one fixed point: b sequences run, each for `osl` steps, so that b / osl prompts arrive per
step; a step with prompts takes longer than one without. A step's time is averaged over the
Poisson number of prompts in it (0, or the mean of the rest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.steps import EnergyTerms, StepModel, Steps
from sim.flops.features import BATCH_FEATURES, batch_feature

Floats = NDArray[np.float64]
ITERATIONS: Final = 40
CLOSED_ITERATIONS: Final = 3
GENERATED_FRAC: Final = 0.5
"""Mean position of a running sequence in its output."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Lengths in tokens."""

    isl: float
    osl: float


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Parts of the time to the first token.

    Attributes:
        alone_s: the rest of the running step, and the prompt's own pass.
        burst_s: the passes of all other clients' prompts.
    """

    alone_s: float
    burst_s: float


@dataclass(frozen=True, slots=True)
class SteadyState:
    """A replica in its steady state.

    Attributes:
        running: sequences that run. step_s: mean time of a step = mean time per output token.
        decode_step_s: of a step without prompts; prompt_step_s: of one with.
        median_step_s: what half of the steps stay below. prompt_share: steps with prompts.
        host_s: the engine's part of a mean step. energy: what a mean step spends energy on.
        tokens_per_s: output of the replica. power_w: of one GPU, mean over time.
    """

    running: float
    step_s: float
    decode_step_s: float
    prompt_step_s: float
    median_step_s: float
    prompt_share: float
    host_s: float
    energy: EnergyTerms
    tokens_per_s: float
    power_w: float


def mixed_features(
    model: StepModel, decodes: float, context: float, prompts: float, requests: Requests
) -> Floats:
    """Features of a step of equal decodes and equal prompts; counts may be fractions."""
    program = model.program
    isl = max(2, round(requests.isl))
    one = program.uniform_features(
        np.array([1, 1]), np.array([1, isl]), np.array([max(0, round(context)), 0])
    )
    features = decodes * one[0] + prompts * one[1]
    tokens = np.array([decodes + prompts * isl])
    logits = np.array([decodes + prompts])
    longest = np.array([isl * float(prompts > 0)])
    for index, feature in enumerate(program.features):
        if feature.kind in BATCH_FEATURES:
            features[index] = batch_feature(feature, tokens, logits, longest)[0]
    return np.asarray(features)


def steady_state(
    model: StepModel,
    requests: Requests,
    running: float,
    context: float | None = None,
    *,
    of_others: bool = False,
) -> SteadyState:
    """`running` sequences, replaced as they finish.

    Args:
        of_others: what one request sees between its own first and last token: the prompts
            of the others only, since its own comes before.
    """
    if context is None:
        context = requests.isl + GENERATED_FRAC * requests.osl
    seen = running - 1.0 if of_others else running
    rate = max(seen, 1e-6) / requests.osl  # prompts per step
    without = math.exp(-rate)
    batch = rate / (1 - without)  # prompts of a step that has some
    batch = min(batch, max(1.0, model.engine.max_batched_tokens / requests.isl))
    share = rate / batch  # steps with prompts
    steps = _two_steps(model, requests, running, context, batch)

    def mean(values: Floats) -> float:
        return float((1 - share) * values[0] + share * values[1])

    time_s = mean(steps.time_s)
    return SteadyState(
        running=running,
        step_s=time_s,
        decode_step_s=float(steps.time_s[0]),
        prompt_step_s=float(steps.time_s[1]),
        median_step_s=float(steps.time_s[0] if share < 0.5 else steps.time_s[1]),
        prompt_share=share,
        host_s=mean(steps.host_s),
        energy=steps.energy.mean(share),
        tokens_per_s=running / time_s,
        # Where more prompts come than a step may pass, the means are extrapolated.
        power_w=min(mean(steps.energy_j) / time_s, model.cap_w),
    )


def static_batch_s(model: StepModel, requests: Requests, batch: float) -> tuple[float, float]:
    """A batch that starts and ends together: time of its prompts, and of one later token."""
    context = requests.isl + GENERATED_FRAC * requests.osl
    steps = model.evaluate(
        np.stack(
            [
                mixed_features(model, 0.0, 0.0, batch, requests),
                mixed_features(model, batch, context, 0.0, requests),
            ]
        )
    )
    return float(steps.time_s[0]), float(steps.time_s[1])


def _two_steps(
    model: StepModel, requests: Requests, running: float, context: float, prompts: float
) -> Steps:
    """A step without prompts, and one in which `prompts` of the running are new."""
    rest = max(running - prompts, 0.0)
    return model.evaluate(
        np.stack(
            [
                mixed_features(model, running, context, 0.0, requests),
                mixed_features(model, rest, context, prompts, requests),
            ]
        )
    )


def first_token_s(
    model: StepModel, requests: Requests, running: float, request_s: float | None = None
) -> float:
    """Mean time to the first token in a closed loop of `running` clients.

    Args:
        request_s: of a request outside the steps; None for the engine's figure.
    """
    engine, parts = model.engine, first_token_parts(model, requests, running)
    outside_s = engine.request_s if request_s is None else request_s
    return parts.alone_s + engine.burst_frac * parts.burst_s + outside_s


def first_token_parts(model: StepModel, requests: Requests, running: float) -> FirstToken:
    """What the engine's constants multiply; a pass holds `max_batched_tokens`."""
    context = requests.isl + GENERATED_FRAC * requests.osl
    per_step = model.engine.max_batched_tokens / requests.isl
    steps = _two_steps(model, requests, running, context, min(1.0, per_step))
    pass_s = float(steps.time_s[1]) * max(1.0, 1.0 / per_step)
    return FirstToken(
        alone_s=float(steps.time_s[0]) / 2 * (running > 1) + pass_s,
        burst_s=pass_s * max(running - 1.0, 0.0),
    )


def closed_loop(
    model: StepModel,
    requests: Requests,
    clients: float,
    places: float,
    request_s: float | None = None,
) -> tuple[SteadyState, float]:
    """N clients that each wait for their answer: the state, and the mean time to a first token.

    A client's cycle is its first token and the `osl - 1` steps after it, so that N clients answer
    at N / cycle (Little's law). It holds a place for all of it but the waiting, and there are only
    so many places: where all are taken, clients wait for one. The state's times and `running`
    are what one request sees between its first and last token, itself included; throughput and
    power are those of the whole cycle, in which prompts are passed too.

    Args:
        request_s: as `first_token_s`.
    """
    at_once = min(clients, places)
    alone_s = first_token_parts(model, requests, at_once).alone_s
    first_s = max(first_token_s(model, requests, at_once, request_s), alone_s)
    others = at_once - 1
    for _ in range(CLOSED_ITERATIONS):
        state = steady_state(model, requests, 1 + max(others, 0.0), of_others=True)
        answer_s = (requests.osl - 1) * state.step_s
        held_s = alone_s + answer_s
        cycle_s = max(first_s + answer_s, clients / places * held_s)
        # Prompts per step are those of the other clients: running others / osl.
        others = min(at_once - 1, (clients - 1) * requests.osl * state.step_s / cycle_s)
    tokens_per_s = clients * requests.osl / cycle_s
    power_w = _closed_power_w(model, requests, clients * held_s / cycle_s)
    return replace(state, tokens_per_s=tokens_per_s, power_w=power_w), cycle_s - answer_s


def _closed_power_w(model: StepModel, requests: Requests, held: float) -> float:
    """Of one GPU, where `held` places are taken in the mean; below one it waits at times."""
    busy_w = steady_state(model, requests, max(held, 1.0)).power_w
    busy_frac = min(held, 1.0)
    return busy_frac * busy_w + (1 - busy_frac) * model.node.device.static_w


def open_first_token_s(model: StepModel, requests: Requests, state: SteadyState) -> float:
    """Mean time to the first token of a request that comes at random."""
    parts = first_token_parts(model, requests, state.running)
    # A prompt that comes while another is passed waits for the rest of that pass.
    return parts.alone_s + state.prompt_share * state.prompt_step_s / 2


def open_loop(model: StepModel, requests: Requests, per_s: float, most: float) -> SteadyState:
    """Requests at a rate: b = rate x osl x step time (Little's law), at most `most`.

    Saturation shows as `running == most`.
    """
    low, high = 1e-3, most
    if steady_state(model, requests, most).tokens_per_s <= per_s * requests.osl:
        return steady_state(model, requests, most)
    for _ in range(ITERATIONS):
        middle = math.sqrt(low * high)
        state = steady_state(model, requests, middle)
        if state.tokens_per_s > per_s * requests.osl:
            high = middle
        else:
            low = middle
        if high / low < 1.002:
            break
    return steady_state(model, requests, high)
