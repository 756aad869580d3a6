"""Prefill and decode in pools of their own, the cache sent from one to the other.

A prefill replica passes one prompt at a time; prompts come at random, so a prompt waits
r s / (2 (1 - r)) for a pass of s seconds at utilisation r (M/D/1, Pollaczek-Khinchine; less behind
a router that sees the queues). The pass gives the first token. The cache then crosses the network
once, and a decode replica takes it up at its next step: the second token waits for that, and the
time per output token has its share of it (as in the simulator, and in Splitwise, Patel et al. 2024,
arXiv 2311.18677, section 4). A decode step has no prompts in it. The search is exhaustive over
pairs of layouts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.cost.plan_serving import layouts, missing_bytes
from sim.cost.plan_serving_load import (
    batch_grid,
    fitting,
    mixed_features,
)
from sim.cost.steps import StepModel
from sim.errors import InputError
from sim.flops import memory
from sim.units import MEGA, S_PER_H

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sim.cost.layout import Layout
    from sim.cost.plan_serving_job import Job, Objective, Offer
    from sim.flops import Precision

Floats = NDArray[np.float64]
MOST_BUSY_FRAC: Final = 0.95
"""Utilisation of a prefill pool at most, whatever the SLO allows."""


@dataclass(frozen=True, slots=True)
class PrefillPool:
    """Replicas that pass prompts: a layout, the time of a pass, the power in it [W a GPU].

    Attributes:
        request_s: of a request outside the steps.
    """

    offer: Offer
    layout: Layout
    pass_s: float
    power_w: float
    request_s: float


@dataclass(frozen=True, slots=True, eq=False)
class DecodeLoads:
    """One layout that decodes at each batch size that fits; arrays of shape (n,), rising batch."""

    offer: Offer
    layout: Layout
    batch: Floats
    step_s: Floats
    power_w: Floats


@dataclass(frozen=True, slots=True)
class DecodePool:
    """Replicas that decode, the fewest that carry the rate, at the load that each then has.

    Attributes:
        batch: running sequences of a replica at its load. most_batch: within the SLO.
    """

    offer: Offer
    layout: Layout
    replicas: int
    batch: float
    most_batch: int
    step_s: float
    power_w: float


@dataclass(frozen=True, slots=True)
class Split:
    """A fleet of two pools that meets the SLO.

    Attributes:
        prefill_frac: utilisation of the prefill replicas.
        transfer_s: of one request's cache from prefill to decode.
        tpot_s: mean after the first token, the transfer's share included.
    """

    prefill: PrefillPool
    decode: DecodePool
    precision: str
    prefill_replicas: int
    prefill_frac: float
    transfer_s: float
    per_s: float
    ttft_s: float
    tpot_s: float
    j_per_token: float
    usd_per_million_tokens: float | None

    @property
    def gpus(self) -> int:
        """GPUs of both pools."""
        return (
            self.prefill_replicas * self.prefill.layout.gpus
            + self.decode.replicas * self.decode.layout.gpus
        )

    def value(self, objective: Objective) -> float:
        """What the objective wants small."""
        if objective == "gpus":
            return float(self.gpus)
        if objective == "usd":
            return math.inf if self.usd_per_million_tokens is None else self.usd_per_million_tokens
        return self.j_per_token


def plan_split(job: Job) -> list[Split]:
    """All pairs of layouts that meet the SLO at the job's rate, with the fewest replicas each.

    Raises:
        InputError: no rate is given, nothing is left to decode, or no pair meets the SLO.
    """
    if job.lengths.osl == 1:
        raise InputError("one output token leaves nothing to decode", "leave --disaggregated out")
    rate = job.per_s
    if rate is None:
        raise InputError("prefill and decode pools are sized for a rate", "give --rate")
    found = [
        split
        for precision in job.precisions
        for split in _pairs(job, precision, rate)
        if job.gpus is None or split.gpus <= job.gpus
    ]
    if not found:
        raise InputError(
            f"no pair of prefill and decode pools of {job.arch.name} meets ttft "
            f"{job.slo.ttft_s:g} s and tpot {job.slo.tpot_s:g} s within "
            f"{job.gpus or 'any number of'} GPUs",
            "loosen --slo or leave out --disaggregated",
            path="slo",
        )
    return found


def _pairs(job: Job, precision: Precision, rate: float) -> Iterator[Split]:
    moved = cache_bytes(job, precision)
    prefills, decodes = _prefill_pools(job, precision), _decode_loads(job, precision)
    for prefill, loads in product(prefills, decodes):
        sent_s = transfer_s(moved, prefill, loads)
        decode = _decode_pool(job, loads, sent_s, rate)
        if decode is not None:
            split = _pair(job, precision, prefill, decode, sent_s, rate)
            if split is not None:
                yield split


def _models(job: Job, precision: Precision) -> Iterator[tuple[Offer, StepModel]]:
    for offer in job.offers:
        for layout, why in layouts(job, offer.node):
            if not why and missing_bytes(job, offer.node, precision, layout) == 0:
                yield (
                    offer,
                    StepModel(
                        job.arch,
                        layout,
                        offer.node,
                        engine=job.engine,
                        precision=precision,
                        cap_w=job.cap_w,
                    ),
                )


def _prefill_pools(job: Job, precision: Precision) -> list[PrefillPool]:
    pools = []
    for offer, model in _models(job, precision):
        budget = model.engine.max_batched_tokens / job.lengths.isl
        passes = max(1.0, 1.0 / budget)
        features = mixed_features(model, job.lengths, np.zeros(1), np.array([min(1.0, budget)]))
        step = model.evaluate(features)
        pass_s = float(step.time_s[0]) * passes
        power_w, outside_s = float(step.power_w[0]), model.engine.request_s
        pools.append(PrefillPool(offer, model.layout, pass_s, power_w, outside_s))
    return pools


def _decode_loads(job: Job, precision: Precision) -> list[DecodeLoads]:
    """Every layout that holds a sequence, at each batch that it holds."""
    batch = batch_grid(job.max_batch)
    running = batch.astype(float)
    found = []
    for offer, model in _models(job, precision):
        fits = fitting(model, job.lengths, batch)
        if fits[0]:
            features = mixed_features(model, job.lengths, running, np.zeros_like(running))
            steps = model.evaluate(features)
            held = slice(int(np.flatnonzero(fits)[-1]) + 1)
            found.append(
                DecodeLoads(
                    offer, model.layout, running[held], steps.time_s[held], steps.power_w[held]
                )
            )
    return found


def _decode_pool(job: Job, loads: DecodeLoads, sent_s: float, rate: float) -> DecodePool | None:
    """The fewest replicas that meet the time per output token; None if none do."""
    good = _token_s(job, loads.step_s, sent_s) <= job.slo.tpot_s
    if not good[0]:
        return None
    last = int(np.flatnonzero(good)[-1]) + 1
    running, step_s = loads.batch[:last], loads.step_s[:last]
    rates = running / ((job.lengths.osl - 1) * step_s)
    replicas = _least(rate / float(rates[-1]), 1.0)
    load = rate / replicas
    power_w = [loads.offer.node.device.idle_w, *loads.power_w[:last]]
    return DecodePool(
        offer=loads.offer,
        layout=loads.layout,
        replicas=replicas,
        batch=float(np.interp(load, [0.0, *rates], [0.0, *running])),
        most_batch=int(running[-1]),
        step_s=float(np.interp(load, rates, step_s)),
        power_w=float(np.interp(load, [0.0, *rates], power_w)),
    )


def _token_s(job: Job, step_s: Floats, sent_s: float) -> Floats:
    """Mean time per token after the first: a step, and a share of what the second one waits."""
    return step_s + (sent_s + 0.5 * step_s) / (job.lengths.osl - 1)


def cache_bytes(job: Job, precision: Precision) -> float:
    """What one request's prompt leaves in the cache: keys, values, windows, state."""
    held = memory(job.arch, precision)
    window = sum(min(size, job.lengths.isl) * each for size, each in held.windows)
    return held.kv_bytes_per_token * job.lengths.isl + window + held.state_bytes_per_sequence


def transfer_s(moved_bytes: float, prefill: PrefillPool, decode: DecodeLoads | DecodePool) -> float:
    """Time to send a cache over the network ports of the narrower replica's tp GPUs."""
    ports = min(prefill.layout.tp, decode.layout.tp)
    slower = min(
        (prefill.offer.node.network, decode.offer.node.network), key=lambda link: link.bytes_per_s
    )
    return slower.latency_s + moved_bytes / (slower.bytes_per_s * ports)


def _pair(
    job: Job,
    precision: Precision,
    prefill: PrefillPool,
    decode: DecodePool,
    sent_s: float,
    rate: float,
) -> Split | None:
    """The fewest prefill replicas that meet the time to the first token; None if none do."""
    alone_s = prefill.request_s + prefill.pass_s
    room_s = job.slo.ttft_s - alone_s
    if room_s <= 0:
        return None
    most_frac = 1.0 if math.isinf(room_s) else 2 * room_s / (prefill.pass_s + 2 * room_s)
    senders = _least(rate * prefill.pass_s, min(most_frac, MOST_BUSY_FRAC))
    busy_frac = rate * prefill.pass_s / senders
    sending_w = busy_frac * prefill.power_w + (1 - busy_frac) * prefill.offer.node.device.idle_w
    pools = (
        (prefill.offer.usd_per_gpu_h, senders * prefill.layout.gpus, sending_w),
        (decode.offer.usd_per_gpu_h, decode.replicas * decode.layout.gpus, decode.power_w),
    )
    tokens_per_s = rate * job.lengths.osl
    rents = [usd * gpus for usd, gpus, _ in pools if usd is not None]
    return Split(
        prefill=prefill,
        decode=decode,
        precision=precision.name,
        prefill_replicas=senders,
        prefill_frac=busy_frac,
        transfer_s=sent_s,
        per_s=rate,
        ttft_s=alone_s + busy_frac * prefill.pass_s / (2 * (1 - busy_frac)),
        tpot_s=float(_token_s(job, np.asarray(decode.step_s), sent_s)),
        j_per_token=sum(gpus * power_w for _, gpus, power_w in pools) / tokens_per_s,
        usd_per_million_tokens=sum(rents) / S_PER_H / tokens_per_s * MEGA
        if len(rents) == len(pools)
        else None,
    )


def _least(work: float, most_frac: float) -> int:
    """Replicas so that each carries at most `most_frac` of what it can."""
    return max(1, math.ceil(work / most_frac * (1 - 1e-12)))


def best_split(splits: Sequence[Split], objective: Objective) -> Split:
    """The best by an objective; ties go to fewer GPUs, less energy, smaller replicas."""
    return min(
        splits,
        key=lambda s: (
            s.value(objective),
            s.gpus,
            s.j_per_token,
            s.prefill.layout.gpus + s.decode.layout.gpus,
            s.tpot_s,
            s.ttft_s,
        ),
    )
