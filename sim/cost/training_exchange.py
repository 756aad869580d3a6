"""What GPUs send each other in a training step besides tensor parallelism, and what shows.

Each function gives a transfer and the share of its time that is not hidden behind compute.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.arch.blocks import MoE
from sim.cost.training_memory import bytes_per_parameter, gpu_parameters
from sim.cost.training_pace import unpaired_share
from sim.datum import datum
from sim.flops import parameters
from sim.hardware.collectives import Transfer, all_gather, all_to_all, reduce_scatter

if TYPE_CHECKING:
    from sim.arch import Architecture
    from sim.cost.training_kernels import MicroBatch
    from sim.cost.training_setup import TrainingSetup
    from sim.hardware.node import Node

ASSUMPTIONS = "training/assumptions.yaml"


def _figure(name: str) -> float:
    return datum(ASSUMPTIONS, name).value


def expert_exchange(setup: TrainingSetup, batch: MicroBatch, node: Node) -> tuple[Transfer, float]:
    """Dispatch and combine of all layers of a micro-batch.

    DeepEP sends a token once to each node that holds one of its experts, and inside once to each
    such GPU over NVLink (DeepSeek-V3 report, arXiv 2412.19437, section 3.2.2; on 8 H100s it moves
    these bytes, at about 0.9 of the link rate here: tables of ai-dynamo/aiconfigurator). Of N
    places k experts reach N (1 - (1 - 1/N)^k); all but one in N of them are others. An all-to-all
    sends k copies, wherever the experts lie.

    Tensor ranks send a part of the tokens each. Where experts are cut too (ep < tp), the sum
    over tensor ranks that follows a mixture counts what its other cuts need.
    """
    layout = setup.layout
    top_k = most_chosen(setup.arch)
    sent = batch.dispatch_bytes / layout.tp / setup.context_parallel / top_k
    link = setup.fabric.exchange(layout.ep, node)
    nodes = max(1.0, layout.ep / node.gpus)
    gpus = min(layout.ep, setup.routed_gpus or layout.ep)
    drawn = min(nodes, setup.routed_nodes or nodes, gpus)
    copies = sent * _sent_copies(setup, min(drawn * node.gpus, gpus))
    if nodes > 1:
        inside = all_to_all(copies, node.gpus, node.nvlink)
        across_bytes = sent * _sent_copies(setup, drawn) * (1 - 1 / nodes)
        across_s = link.latency_s + across_bytes / link.bytes_per_s
        one = Transfer(max(inside.time_s, across_s), across_bytes + inside.link_bytes)
    else:
        one = all_to_all(copies, layout.ep, link)
    if setup.schedule == "dualpipe":
        compute_s = (batch.forward.time_s() + batch.backward.time_s()) / 2
        alone = unpaired_share(setup)
        return one, alone + (1 - alone) * max(0.0, 1 - compute_s / one.time_s)
    return one, 1 - _figure("overlap.expert_frac")


def _sent_copies(setup: TrainingSetup, places: float) -> float:
    """Copies of a token that are sent to so many places where its experts may lie."""
    top_k = most_chosen(setup.arch)
    if setup.dispatcher == "all-to-all":
        return top_k
    return places * (1 - (1 - 1 / places) ** top_k)


def sorting_bytes(setup: TrainingSetup, batch: MicroBatch) -> float:
    """Bytes that a GPU reads and writes in a pass to put tokens in the order of their experts.

    `dispatch_bytes` are the k copies of all tokens, once to the experts and once back. The
    tensor ranks share them as far as whole experts are dealt out among them; where an expert is
    cut instead (ep < tp), each of its cuts needs all of its tokens.
    """
    layout = setup.layout
    copies = batch.dispatch_bytes / 2 / min(layout.tp, layout.ep) / setup.context_parallel
    return copies * _figure("experts.sorting_moves")


def most_chosen(arch: Architecture) -> int:
    """Routed experts of a token in the layer that has most; 1 for a model without."""
    return max((b.top_k for b, _, _ in arch.blocks() if isinstance(b, MoE)), default=1)


def gradient_exchange(setup: TrainingSetup, node: Node, compute_s: float) -> tuple[Transfer, float]:
    """Reducing gradients and gathering weights over the GPUs that hold the same parameters.

    Up to ZeRO 1 gradients are reduced and weights gathered once a step. ZeRO 2 keeps no
    whole gradient, so every micro-batch reduces its own; ZeRO 3 keeps no whole weights, so
    every micro-batch gathers them for forward and for backward (Rajbhandari et al. 2020,
    section 7). What is hidden is hidden behind the micro-batches whose gradients or weights
    they are: once a step behind one micro-batch, else behind all. In every micro-batch each
    layer has a transfer of its own.
    """
    layout = setup.layout
    held = gpu_parameters(setup.trained, layout)
    layers = math.ceil(setup.trained.n_layers / layout.pp)
    reduces, parts = (setup.micro_batches, layers) if layout.zero >= 2 else (1, 1)
    gathers, pieces = (2 * setup.micro_batches, layers) if layout.zero == 3 else (1, 1)
    gradient, weight = _figure("bytes_per_parameter.gradient"), weight_bytes(setup)
    copies = max(1, round(layout.tp * layout.dp / max(layout.tp, layout.ep)))
    ways = ((held.dense, layout.dp, layout.tp), (held.expert, copies, max(layout.tp, layout.ep)))
    time_s = link_bytes = 0.0
    for count, members, stride in ways:
        link = setup.fabric.ring(members, stride, node)
        reduce = reduce_scatter(count * gradient / parts, members, link)
        gather = all_gather(count * weight / pieces, members, link)
        time_s += reduce.time_s * parts * reduces + gather.time_s * pieces * gathers
        link_bytes += reduce.link_bytes * parts * reduces + gather.link_bytes * pieces * gathers
    if time_s == 0:
        return Transfer(0.0, 0.0), 0.0
    window_s = compute_s if layout.zero >= 2 else compute_s / setup.micro_batches
    hidden_s = min(_figure("overlap.gradient_frac") * time_s, window_s)
    return Transfer(time_s, link_bytes), 1 - hidden_s / time_s


def weight_bytes(setup: TrainingSetup) -> float:
    """Bytes of a weight as it is gathered and multiplied."""
    return bytes_per_parameter(setup.precision, "weight")


def region_exchange(setup: TrainingSetup, compute_s: float) -> tuple[Transfer, float]:
    """What passes between regions, all parameters of the model through each site's link.

    A step's gradients can hide behind one micro-batch; averaging in local SGD hides nothing.
    """
    regions = setup.regions
    if regions is None or regions.count == 1:
        return Transfer(0.0, 0.0), 0.0
    count = parameters(setup.trained).total
    if regions.mode == "local-sgd":
        payload = 2 * count * _figure("local_sgd.weight_bytes")
        hideable_s = 0.0
    else:
        payload = count * (_figure("bytes_per_parameter.gradient") + weight_bytes(setup))
        hideable_s = compute_s / setup.micro_batches
    time_s = regions.exchange_s(payload, setup.layout.dp)
    hidden_s = min(_figure("overlap.gradient_frac") * time_s, hideable_s)
    return Transfer(time_s, payload / setup.layout.gpus), 1 - hidden_s / time_s
