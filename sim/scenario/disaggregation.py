"""The two pools of a disaggregated fleet: how many replicas of each, of what, and the link.

What a scenario leaves open is found here: the pools with which both kinds saturate together (in
steady state, `sim.cluster.serving.split`), and the link of the hardware data.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.cluster.serving.disaggregated import CacheLink
from sim.cluster.serving.split import Reading, Split, split_curve
from sim.errors import CapacityError
from sim.flops import memory
from sim.flops.precision import precision
from sim.scenario.schema.serving_parts import DisaggregationSpec
from sim.units import to_s

if TYPE_CHECKING:
    from sim.cost.serving import ReplicaCost
    from sim.scenario.cap_costs import CapCosts
    from sim.scenario.schema.serving import ServingSpec


def knobs(spec: ServingSpec) -> DisaggregationSpec:
    """What the scenario says of the pools; nothing with `true`."""
    given = spec.disaggregated
    return given if isinstance(given, DisaggregationSpec) else DisaggregationSpec()


def prefill_spec(spec: ServingSpec) -> ServingSpec:
    """A fleet like the replicas that read prompts."""
    layout = knobs(spec).prefill_layout or spec.layout
    return spec.model_copy(update={"disaggregated": False, "layout": layout})


def decode_spec(spec: ServingSpec) -> ServingSpec:
    """A fleet like the replicas that decode: prompts find their prefixes elsewhere."""
    return spec.model_copy(update={"prefix_cache": None}) if spec.disaggregated else spec


def cache_link(spec: ServingSpec, prefill: ReplicaCost, decode: ReplicaCost) -> CacheLink:
    """The link of each replica that reads prompts, and what a prompt's cache takes of it."""
    given, network = knobs(spec), prefill.node.network
    ports = min(prefill.layout.tp, decode.layout.tp)
    bytes_per_s = given.link_bytes_per_s or network.bytes_per_s * ports
    latency_s = network.latency_s if given.link_latency_s is None else given.link_latency_s
    held = memory(prefill.arch, precision(spec.precision))
    return CacheLink(
        latency_s=latency_s,
        s_per_token=held.kv_bytes_per_token / bytes_per_s,
        s_per_prompt=held.state_bytes_per_sequence / bytes_per_s,
        windows=tuple((size, each / bytes_per_s) for size, each in held.windows),
    )


def steady_split(costs: CapCosts, cap_w: float | None, prefill_frac: float | None) -> Split:
    """Both pools in steady state, per mean replica.

    Args:
        prefill_frac: share of the replicas; None for that with which both saturate together.
    """
    spec, decode, prefill = costs.spec, costs.at(cap_w), costs.prefill.at(cap_w)
    link = cache_link(spec, prefill, decode)
    sent_s = to_s(link.busy_ps(round(costs.mean_tokens[0])))
    return split_curve(
        decode,
        costs.mean_tokens,
        spec.max_num_seqs,
        spec.max_num_batched_tokens,
        read_frac=1 - spec.prefix_hit_frac,
        reading=Reading(prefill, prefill_frac, sent_s),
    )


def asked_frac(costs: CapCosts) -> float | None:
    """Share of the replicas that a share of the GPUs is, where the scenario asks for one."""
    share = knobs(costs.spec).prefill_frac
    if share is None:
        return None
    reads, decodes = share / costs.prefill.at(None).gpus, (1 - share) / costs.at(None).gpus
    return reads / (reads + decodes)


def pool_sizes(costs: CapCosts, gpus: int) -> tuple[int, int]:
    """Replicas that read prompts and that decode, on so many GPUs.

    Raises:
        CapacityError: one of the pools would be empty.
    """
    reads, decodes = costs.prefill.at(None).gpus, costs.at(None).gpus
    prefill = knobs(costs.spec).prefill_replicas
    if prefill is None:
        frac = asked_frac(costs) or steady_split(costs, None, None).prefill_frac
        most = max(1, (gpus - decodes) // reads)
        prefill = min(max(1, round(frac * gpus / (frac * reads + (1 - frac) * decodes))), most)
    decode = (gpus - prefill * reads) // decodes
    if decode < 1:
        raise CapacityError(
            f"{prefill} prefill replicas of {reads} GPUs leave {gpus - prefill * reads} of {gpus} "
            f"GPUs to decode, a replica needs {decodes}",
            "give more GPUs, or fewer prefill replicas",
            path="disaggregated",
        )
    return prefill, decode


def sized_pools(costs: CapCosts, wanted_per_s: float) -> int:
    """GPUs of two pools that saturate at a rate.

    Raises:
        CapacityError: the scenario's prefill replicas, or their links, carry less than that.
    """
    split = steady_split(costs, None, asked_frac(costs))
    reads, decodes = costs.prefill.at(None).gpus, costs.at(None).gpus
    replicas = max(2, math.ceil(wanted_per_s / split.curve.saturation_per_s))
    prefill = min(max(1, round(split.prefill_frac * replicas)), replicas - 1)
    if given := knobs(costs.spec).prefill_replicas:
        _check_prefill(given, split.curve.saturation_per_s / split.prefill_frac, wanted_per_s)
        each_per_s = split.curve.saturation_per_s / (1 - split.prefill_frac)
        return given * reads + math.ceil(wanted_per_s / each_per_s) * decodes
    return prefill * reads + (replicas - prefill) * decodes


def _check_prefill(given: int, each_per_s: float, wanted_per_s: float) -> None:
    """Refuse fewer prefill replicas than carry a rate: no decode replica makes up for them."""
    if given * each_per_s < wanted_per_s:
        raise CapacityError(
            f"{given} prefill replicas carry {given * each_per_s:.4g} requests/s with their links, "
            f"and {wanted_per_s:.4g} are wanted",
            f"give prefill_replicas: {math.ceil(wanted_per_s / each_per_s)} or more, a faster "
            "link, or leave it out",
            path="disaggregated",
        )
