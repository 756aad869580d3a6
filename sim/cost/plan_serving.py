"""Search the layouts of a serving fleet: the best for a rate and an SLO, and why others lose.

Exhaustive over GPU, precision, tensor, pipeline, expert and data parallelism and batch. What
cannot serve is left out before it is costed, with the reason: heads or experts that do not
divide, weights that do not fit, more GPUs than there are. All batch sizes of a layout are
costed in one call. A test holds the result equal to a search without any of that.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sim.cost.capacity import weight_bytes_per_gpu
from sim.cost.fit import check_serving, is_mixture
from sim.cost.layout import Layout, most_experts
from sim.cost.plan_serving_job import LARGEST_REPLICA_GPUS
from sim.cost.plan_serving_load import batch_grid, full_house, load_curve
from sim.cost.plan_serving_result import Candidate, Curve, Plan
from sim.cost.steps import StepModel
from sim.errors import CapacityError, InputError
from sim.flops import memory
from sim.units import MEGA, S_PER_H, gib

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.plan_serving_job import Job, Offer, Slo
    from sim.cost.plan_serving_load import LoadCurve
    from sim.cost.plan_serving_result import Stop
    from sim.flops import Precision
    from sim.hardware.node import Node

__all__ = ["LARGEST_REPLICA_GPUS", "plan_serving"]


def plan_serving(job: Job) -> Plan:
    """Search.

    Raises:
        CapacityError: no layout fits; says what the nearest one lacks.
        InputError: the SLO, or the rate on so many GPUs, cannot be met; says what can.
    """
    curves: list[tuple[Offer, Curve]] = []
    rejected: Counter[str] = Counter()
    nearest = (math.inf, "")
    for offer, precision in product(job.offers, job.precisions):
        for layout, why in layouts(job, offer.node):
            missing = 0.0 if why else missing_bytes(job, offer.node, precision, layout)
            if missing > 0:
                nearest = min(nearest, (missing, f"{_ways(layout)}, {precision.name}"))
            if why or missing > 0:
                rejected[why or "weights and a sequence do not fit"] += 1
                continue
            curves.append((offer, curve_of(job, offer.node, precision, layout)))
    if not curves:
        raise _nothing_fits(job, rejected, nearest)
    found = [c for offer, curve in curves for c in candidates(job, offer, curve)]
    if not found:
        raise _not_reached(job, [curve for _, curve in curves])
    found = within(job, found, rejected)
    return Plan(tuple(found), tuple(curve for _, curve in curves), dict(rejected))


def layouts(job: Job, node: Node) -> Iterator[tuple[Layout, str]]:
    """All layouts of powers of two, each with the reason why it cannot serve, or ""."""
    arch = job.arch
    most = min(job.gpus or LARGEST_REPLICA_GPUS, LARGEST_REPLICA_GPUS)
    mixture = is_mixture(arch)
    for tp in _powers_of_two(node.gpus):
        for pp in _powers_of_two(most):
            for dp in _powers_of_two(most) if mixture else [1]:
                if tp * pp * dp > most:
                    continue
                for ep in sorted({1, tp} if dp == 1 and mixture else {tp * dp if mixture else 1}):
                    layout = Layout(tp=tp, pp=pp, dp=dp, ep=ep)
                    yield layout, _why_not(arch, layout, node)


def _why_not(arch: Architecture, layout: Layout, node: Node) -> str:
    if layout.ep > 1 and most_experts(arch) % layout.ep:
        return "experts do not divide by ep"
    try:
        check_serving(arch, layout, node)
    except InputError as error:
        return f"{error.path.removeprefix('layout.')} cannot split the model"
    return ""


def missing_bytes(job: Job, node: Node, precision: Precision, layout: Layout) -> float:
    """What one GPU lacks at least to hold its weights and a running sequence; 0 if nothing.

    The cache counts as spread over all GPUs; heads that cannot be shared are seen by `fitting`.
    """
    held = memory(job.arch, precision)
    tokens = job.lengths.held_tokens
    window = sum(min(size, tokens) * each for size, each in held.windows)
    sequence = held.state_bytes_per_sequence + window
    sequence += held.kv_bytes_per_token * tokens
    weights = weight_bytes_per_gpu(job.arch, layout, precision)
    needed = weights + full_house(1) * sequence / layout.gpus
    return max(0.0, needed - node.device.usable_bytes)


def curve_of(job: Job, node: Node, precision: Precision, layout: Layout) -> Curve:
    """A layout at all batch sizes."""
    model = StepModel(
        job.arch, layout, node, engine=job.engine, precision=precision, cap_w=job.cap_w
    )
    found = load_curve(model, job.lengths, batch_grid(job.max_batch))
    return Curve(node.device.name, precision.name, layout, found)


def candidates(job: Job, offer: Offer, of: Curve) -> Iterator[Candidate]:
    """The fleets of one layout that meet the SLO, one a batch size."""
    good = np.flatnonzero(meets(of.curve, job.slo))
    for i in good:
        replicas = _replicas(job, of.layout, float(of.curve.requests_per_s[i]))
        if replicas:
            yield _candidate(job, offer, of, good, int(i))


def meets(curve: LoadCurve, slo: Slo) -> NDArray[np.bool_]:
    """Which batch sizes fit, pass their prompts and meet the SLO."""
    in_time = (curve.tpot_s <= slo.tpot_s) & (curve.ttft_s <= slo.ttft_s)
    return np.asarray(curve.fits & ~curve.saturated & in_time)


def _replicas(job: Job, layout: Layout, per_s: float) -> int:
    if job.per_s is not None:
        return math.ceil(job.per_s / per_s * (1 - 1e-12))
    return 1 if job.gpus is None else job.gpus // layout.gpus


def _candidate(job: Job, offer: Offer, of: Curve, good: NDArray[np.int64], i: int) -> Candidate:
    """The fleet whose replicas may run batch `i`; `good` are those that meet the SLO."""
    curve, layout, device = of.curve, of.layout, offer.node.device
    per_s = float(curve.requests_per_s[i])
    replicas = _replicas(job, layout, per_s)
    load = per_s if job.per_s is None else job.per_s / replicas
    rates = curve.requests_per_s[: i + 1]
    power_w = float(np.interp(load, [0.0, *rates], [device.idle_w, *curve.power_w[: i + 1]]))
    tokens_per_s = load * job.lengths.osl
    price = offer.usd_per_gpu_h
    return Candidate(
        gpu=of.gpu,
        calibrated=device.calibrated,
        precision=of.precision,
        layout=layout,
        batch=int(curve.batch[i]),
        most_batch=int(curve.batch[good[-1]]),
        stop=_stop(job, curve, int(good[-1])),
        replicas=replicas,
        gpus=replicas * layout.gpus,
        per_s=load * replicas,
        ttft_s=float(np.interp(load, rates, curve.ttft_s[: i + 1])),
        tpot_s=float(np.interp(load, rates, curve.tpot_s[: i + 1])),
        power_w=power_w,
        j_per_token=power_w * layout.gpus / tokens_per_s,
        tokens_per_s_per_gpu=tokens_per_s / layout.gpus,
        usd_per_million_tokens=None
        if price is None
        else price * layout.gpus / S_PER_H / tokens_per_s * MEGA,
        link_share=float(curve.link_share[i]),
        host_share=float(curve.host_share[i]),
    )


def _stop(job: Job, curve: LoadCurve, i: int) -> Stop:
    """What forbids the next larger batch."""
    if i + 1 == len(curve.batch):
        return "largest batch"
    after = i + 1
    if not curve.fits[after]:
        return "memory"
    if curve.saturated[after]:
        return "prompts"
    if curve.tpot_s[after] > job.slo.tpot_s:
        return "tpot"
    return "ttft"


def within(job: Job, found: list[Candidate], rejected: Counter[str]) -> list[Candidate]:
    """Those that the GPUs at hand can hold.

    Raises:
        InputError: none; says how many GPUs the rate needs, and which rate the GPUs serve.
    """
    if job.gpus is None:
        return found
    kept = [c for c in found if c.gpus <= job.gpus]
    if not kept:
        least = min(found, key=lambda c: (c.gpus, c.tpot_s))
        served = max(job.gpus // c.layout.gpus * c.per_s / c.replicas for c in found)
        raise InputError(
            f"{job.per_s:g} requests per second need {least.gpus} GPUs ({least.name}, batch "
            f"{least.batch}), {job.gpus} were given; they serve about {served:.3g} per second",
            f"give --gpus {least.gpus}, a lower --rate or a looser --slo",
            path="gpus",
        )
    if len(kept) < len(found):
        rejected["needs more GPUs than there are"] += len(found) - len(kept)
    return kept


def _nothing_fits(job: Job, rejected: Counter[str], nearest: tuple[float, str]) -> CapacityError:
    missing, what = nearest
    counts = ", ".join(f"{count} for {why}" for why, count in rejected.items())
    lacking = (
        f"; the nearest ({what}) lacks {gib(missing)} ({missing:.0f} bytes) a GPU"
        if math.isfinite(missing)
        else ""
    )
    return CapacityError(
        f"no layout of {job.arch.name} serves on at most "
        f"{min(job.gpus or LARGEST_REPLICA_GPUS, LARGEST_REPLICA_GPUS)} GPUs a replica "
        f"({counts}){lacking}",
        "give more GPUs, larger ones (--gpu) or a smaller format (--precision)",
        path="gpus",
    )


def _not_reached(job: Job, curves: list[Curve]) -> InputError:
    """The SLO cannot be met: what comes nearest, and the least of each measure."""
    points = [
        (max(float(c.curve.tpot_s[i]) / job.slo.tpot_s, float(c.curve.ttft_s[i]) / job.slo.ttft_s),
         float(c.curve.ttft_s[i]), float(c.curve.tpot_s[i]), int(c.curve.batch[i]), c)
        for c in curves
        for i in np.flatnonzero(c.curve.fits & ~c.curve.saturated)
    ]  # fmt: skip
    if not points:
        return CapacityError(
            f"prompts of {job.lengths.isl} tokens leave no room to run on any layout",
            "give more GPUs or a smaller format",
        )
    _, ttft_s, tpot_s, batch, nearest = min(points, key=lambda point: point[:4])
    return InputError(
        f"no layout of {job.arch.name} meets ttft {job.slo.ttft_s:g} s and tpot "
        f"{job.slo.tpot_s:g} s; the nearest is {_ways(nearest.layout)}, {nearest.precision} at "
        f"batch {batch} with ttft {ttft_s:.3g} s and tpot {tpot_s:.3g} s; the least ttft of all is "
        f"{min(p[1] for p in points):.3g} s and the least tpot {min(p[2] for p in points):.3g} s",
        "loosen --slo, or allow more GPUs a replica, faster ones or a smaller format",
        path="slo",
    )


def _ways(layout: Layout) -> str:
    return f"tp {layout.tp}, pp {layout.pp}, dp {layout.dp}, ep {layout.ep}"


def _powers_of_two(most: int) -> list[int]:
    return [2**n for n in range(max(most, 1).bit_length()) if 2**n <= most]
