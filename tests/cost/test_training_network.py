"""The fat tree and the links between regions, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import arch
from sim.cost.layout import Layout
from sim.cost.training import training_step
from sim.cost.training_exchange import expert_exchange, most_chosen, sorting_bytes
from sim.cost.training_kernels import micro_batch
from sim.cost.training_network import CROSS_RAIL_FRAC, Fabric, Regions
from sim.cost.training_pace import unpaired_share
from sim.cost.training_setup import Dispatcher, Schedule, TrainingSetup, check_setup
from sim.errors import InputError
from sim.flops import parameters
from sim.hardware.node import load_node

NODE = load_node()
SCHEDULES: tuple[Schedule, ...] = ("1f1b", "dualpipe", "zb1p")
MODEL = arch.load("llama-3-70b")
SETUP = TrainingSetup(MODEL, Layout(8, 4, 64, zero=1, virtual_stages=2), 8192, 8 * 2**20)


def test_a_ring_inside_a_node_runs_over_nvlink_and_one_across_nodes_over_its_port() -> None:
    fabric = Fabric()
    assert fabric.ring(8, 1, NODE) == NODE.nvlink
    assert fabric.ring(2, 4, NODE) == NODE.nvlink
    assert fabric.ring(2, 8, NODE) == NODE.network
    assert fabric.ring(128, 64, NODE).bytes_per_s == NODE.network.bytes_per_s


def test_rings_share_the_ports_of_their_members_in_a_node() -> None:
    """Two members: two rings, two ports of 40 GB/s. Eight: 320 GB/s, NVLink has 360, a slow one
    less."""
    fabric = Fabric()
    assert fabric.ring(64, 4, NODE).bytes_per_s == pytest.approx(2 * NODE.network.bytes_per_s)
    assert fabric.ring(64, 1, NODE).bytes_per_s == pytest.approx(8 * NODE.network.bytes_per_s)
    assert fabric.ring(64, 1, NODE).latency_s == pytest.approx(7 * NODE.network.latency_s)
    assert fabric.ring(64, 4, NODE).latency_s == pytest.approx(31 * NODE.network.latency_s)
    assert fabric.ring(64, 64, NODE).latency_s == pytest.approx(63 * NODE.network.latency_s)
    slow = load_node("hgx-h800")
    assert fabric.ring(64, 1, slow).bytes_per_s == pytest.approx(slow.nvlink.bytes_per_s)


def test_bisection_falls_with_oversubscription_beyond_a_pod() -> None:
    full, narrow = Fabric(), Fabric(oversubscription=7.0)
    assert full.bisection_bytes_per_s(6144, NODE) == pytest.approx(3072 * 40e9)
    assert narrow.bisection_bytes_per_s(6144, NODE) == pytest.approx(3072 * 40e9 / 7)
    assert narrow.bisection_bytes_per_s(3072, NODE) == pytest.approx(1536 * 40e9)


def test_a_ring_leaves_a_pod_once_so_that_many_members_hide_oversubscription() -> None:
    """64 members of a ring in a pod of 512 send one flow out; 2 members one each of two."""
    fabric = Fabric(pod_gpus=512, oversubscription=7.0)
    assert fabric.ring(128, 8, NODE).bytes_per_s == NODE.network.bytes_per_s
    assert fabric.ring(128, 256, NODE).bytes_per_s == pytest.approx(
        NODE.network.bytes_per_s * 2 / 7
    )


def test_an_all_to_all_beyond_a_pod_shares_the_up_links() -> None:
    fabric = Fabric(pod_gpus=64, oversubscription=4.0)
    assert fabric.exchange(64, NODE).bytes_per_s == NODE.network.bytes_per_s
    # half of the bytes leave, through a quarter of the ports
    assert fabric.exchange(128, NODE).bytes_per_s == pytest.approx(NODE.network.bytes_per_s / 2)


def test_without_rails_flows_meet() -> None:
    plain = Fabric(rail_optimised=False)
    assert plain.ring(16, 8, NODE).bytes_per_s == NODE.network.bytes_per_s * CROSS_RAIL_FRAC


@given(st.floats(1, 50), st.floats(1, 50), st.integers(2, 4096), st.sampled_from([1, 8, 64]))
def test_more_oversubscription_is_never_faster(
    one: float, other: float, members: int, stride: int
) -> None:
    low, high = sorted((one, other))
    fast, slow = Fabric(512, low), Fabric(512, high)
    assert (
        slow.ring(members, stride, NODE).bytes_per_s <= fast.ring(members, stride, NODE).bytes_per_s
    )


def test_exchange_between_regions_by_hand() -> None:
    """R = 4, 100 replicas, 1 TB, 100 GB/s, 20 ms."""
    flat = Regions(4, 1e11, 0.02, "synchronous").exchange_s(1e12, 100)
    tree = Regions(4, 1e11, 0.02, "hierarchical").exchange_s(1e12, 100)
    assert flat == pytest.approx(2 * 99 * 0.02 + 10 * 99 / 100)
    assert tree == pytest.approx(2 * 3 * 0.02 + 10 * 3 / 4)


def across(**changes: object) -> TrainingSetup:
    regions = Regions(2, 1e11, 0.02, **changes)  # type: ignore[arg-type]
    return replace(SETUP, regions=regions)


def test_the_link_between_regions_costs_most_when_every_step_waits_for_it() -> None:
    near = training_step(SETUP, NODE)
    flat = training_step(across(mode="synchronous"), NODE)
    tree = training_step(across(mode="hierarchical"), NODE)
    local = training_step(across(mode="local-sgd", local_steps=100), NODE)
    assert near.mean_time_s < local.mean_time_s < tree.mean_time_s < flat.mean_time_s
    payload = parameters(MODEL).total * 6
    exposed_s = payload / 2 / 1e11 + 2 * 0.02  # R = 2: half of it, once each way
    assert tree.time_s == pytest.approx(near.time_s + exposed_s, rel=0.2)


def test_local_sgd_averages_only_now_and_then() -> None:
    cost = training_step(across(mode="local-sgd", local_steps=50), NODE)
    assert cost.time_s == pytest.approx(training_step(SETUP, NODE).time_s)
    assert cost.average is not None
    assert cost.average.time_s == pytest.approx(
        2 * parameters(MODEL).total * 4 / 2 / 1e11 + 2 * 0.02
    )
    assert cost.mean_time_s == pytest.approx(cost.time_s + cost.average.time_s / 50)


@pytest.mark.parametrize(
    ("setup", "message"),
    [
        (replace(SETUP, context_parallel=7), "context_parallel 7 does not divide dp 64"),
        (replace(SETUP, schedule="dualpipe"), "dualpipe needs an even pp and no virtual_stages"),
        (replace(SETUP, schedule="zb1p"), "zb1p needs no virtual_stages"),
        (replace(SETUP, regions=Regions(3, 1e11, 0.0)), "64 data-parallel replicas do not divide"),
    ],
)
def test_what_cannot_be_shared_is_refused(setup: TrainingSetup, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_setup(setup)


def test_context_parallelism_shares_the_tokens_and_pays_for_keys() -> None:
    long = replace(SETUP, sequence_tokens=65_536, layout=replace(SETUP.layout, dp=64))
    alone = training_step(replace(long, recompute="full"), NODE)
    shared = training_step(replace(long, context_parallel=8), NODE)
    names = {p.name for p in shared.parts}
    assert "context parallel" in names
    assert "context parallel" not in {p.name for p in alone.parts}
    assert shared.tokens == alone.tokens
    assert shared.model_flops == pytest.approx(alone.model_flops)
    assert shared.gpu_memory_bytes["weights"] == alone.gpu_memory_bytes["weights"]


def test_fp8_is_faster_by_less_than_the_ratio_of_the_peaks_and_takes_less_memory() -> None:
    bf16 = training_step(SETUP, NODE)
    fp8 = training_step(replace(SETUP, precision="fp8"), NODE)
    assert 1.2 < bf16.time_s / fp8.time_s < 2.0
    assert fp8.model_flops == bf16.model_flops
    assert sum(fp8.gpu_memory_bytes.values()) < sum(bf16.gpu_memory_bytes.values())


def test_experts_across_nodes_send_a_token_once_to_each_node() -> None:
    model = arch.load("deepseek-v3")
    assert most_chosen(model) == 8
    inside = TrainingSetup(model, Layout(1, 16, 128, ep=8, zero=1), 4096, 2**24)
    across_nodes = replace(inside, layout=replace(inside.layout, ep=64))
    roomy = replace(NODE, device=replace(NODE.device, memory_bytes=1e13))
    parts = [
        {p.name: p.time_s for p in training_step(s, roomy).parts} for s in (inside, across_nodes)
    ]
    assert parts[0]["expert exchange"] < parts[1]["expert exchange"]


def test_an_all_to_all_sends_every_copy_and_deepep_one_to_each_gpu() -> None:
    """Of 8 GPUs 8 experts drawn alone reach 5.25; nobody sends to itself."""
    model = arch.load("qwen3-30b-a3b")
    setup = TrainingSetup(model, Layout(dp=8, ep=8, zero=1), 4096, 8 * 4096)
    batch = micro_batch(setup, NODE.device)
    there_and_back = 2 * 2 * model.hidden
    one, shown = expert_exchange(setup, batch, NODE)
    assert shown == 1
    reached = 48 * 4096 * 8 * (1 - (7 / 8) ** 8)
    assert one.link_bytes == pytest.approx(reached * there_and_back * 7 / 8)
    every, _ = expert_exchange(replace(setup, dispatcher="all-to-all"), batch, NODE)
    assert every.link_bytes == pytest.approx(48 * 4096 * 8 * there_and_back * 7 / 8)
    across = replace(setup, layout=Layout(dp=64, ep=64, zero=1))
    few, _ = expert_exchange(across, micro_batch(across, NODE.device), NODE)
    across = replace(across, dispatcher="all-to-all")
    all_copies, _ = expert_exchange(across, micro_batch(across, NODE.device), NODE)
    ratio = 1 / (1 - (7 / 8) ** 8)  # 8 nodes
    assert all_copies.time_s / few.time_s == pytest.approx(ratio, rel=0.01)


def test_experts_over_more_nodes_never_take_less_of_the_exchange() -> None:
    """Also where the router keeps a token's experts to four nodes."""
    model = arch.load("deepseek-v3")
    for dispatcher in get_args(Dispatcher):
        times_s = []
        for ep in (16, 32, 64):
            layout = Layout(1, 16, 128, ep=ep, zero=1)
            setup = TrainingSetup(model, layout, 4096, 2**24, dispatcher=dispatcher, routed_nodes=4)
            times_s.append(expert_exchange(setup, micro_batch(setup, NODE.device), NODE)[0].time_s)
        assert times_s == sorted(times_s)


def test_another_dispatcher_needs_experts_that_are_spread() -> None:
    model = arch.load("deepseek-v3")
    spread = TrainingSetup(model, Layout(1, 16, 128, ep=64), 4096, 2**24, dispatcher="all-to-all")
    check_setup(spread)
    for bad in (
        replace(spread, layout=Layout(1, 16, 128)), replace(spread, schedule="dualpipe")
    ):  # fmt: skip
        with pytest.raises(InputError, match="all-to-all brings tokens to experts"):
            check_setup(bad)


def test_a_router_that_limits_gpus_sends_a_token_once_to_each() -> None:
    model = arch.load("qwen3-30b-a3b")
    setup = TrainingSetup(model, Layout(dp=8, ep=8, zero=1), 4096, 8 * 4096)
    batch = micro_batch(setup, NODE.device)
    there_and_back = 2 * 2 * model.hidden
    few, _ = expert_exchange(replace(setup, routed_gpus=2), batch, NODE)
    drawn = 48 * 4096 * 2 * (1 - (1 / 2) ** 8)
    assert few.link_bytes == pytest.approx(drawn * there_and_back * 7 / 8)
    with pytest.raises(InputError, match="routed_gpus 2 limits experts that are spread"):
        check_setup(replace(setup, layout=Layout(dp=8, zero=1), routed_gpus=2))


def test_so_many_gpus_lie_on_no_more_nodes() -> None:
    """Two GPUs hold a token's experts: they are on two nodes at the most."""
    model = arch.load("deepseek-v3")
    setup = TrainingSetup(model, Layout(1, 16, 128, ep=64, zero=1), 4096, 2**24, routed_gpus=2)
    batch = micro_batch(setup, NODE.device)
    both = replace(setup, routed_nodes=2)
    assert expert_exchange(setup, batch, NODE) == expert_exchange(both, batch, NODE)
    fewer = replace(setup, routed_nodes=1)
    assert (
        expert_exchange(fewer, batch, NODE)[0].time_s < expert_exchange(both, batch, NODE)[0].time_s
    )


@pytest.mark.parametrize(("tp", "ep", "shared"), [(8, 1, 1), (8, 2, 2), (8, 8, 8), (2, 8, 2)])
def test_cuts_of_an_expert_each_order_all_of_its_tokens(tp: int, ep: int, shared: int) -> None:
    model = arch.load("mixtral-8x7b")
    setup = TrainingSetup(model, Layout(tp, 1, 8, ep=ep, zero=1), 4096, 16 * 4096)
    batch = micro_batch(setup, NODE.device)
    every = 32 * 4096 * 2 * model.hidden * 4  # two copies, read and written, two bytes each
    assert sorting_bytes(setup, batch) == pytest.approx(every / shared)


def test_tokens_are_brought_into_the_order_of_their_experts_in_every_pass() -> None:
    """Each of k copies is read and written once: 4 B an element, twice or three times a step."""
    model = arch.load("qwen3-30b-a3b")
    setup = TrainingSetup(model, Layout(dp=8, ep=8, zero=1), 4096, 16 * 4096)
    roomy = replace(NODE, device=replace(NODE.device, memory_bytes=1e13))
    moved = 48 * 4096 * 8 * model.hidden * 4
    for recompute, passes in (("none", 2), ("selective", 2), ("full", 3)):
        step = training_step(replace(setup, recompute=cast("Any", recompute)), roomy)
        part = next(p for p in step.parts if p.name == "expert sorting")
        assert part.hbm_bytes == pytest.approx(moved * passes * setup.micro_batches)
        rate = NODE.device.hbm_bytes_per_s * NODE.device.hbm_frac
        assert part.time_s == pytest.approx(part.hbm_bytes / rate)
    dense = training_step(SETUP, roomy)
    assert "expert sorting" not in {p.name for p in dense.parts}


def test_a_forward_pass_made_again_exchanges_again() -> None:
    """Full recomputation repeats the sums of tensor parallelism and the way to the experts."""
    model = arch.load("mixtral-8x7b")
    setup = TrainingSetup(model, Layout(2, 1, 8, ep=8, zero=1), 4096, 16 * 4096)
    roomy = replace(NODE, device=replace(NODE.device, memory_bytes=1e13))
    some, again = (
        {p.name: p.time_s for p in training_step(replace(setup, recompute=r), roomy).parts}
        for r in ("selective", "full")
    )
    for name in ("tensor parallel", "expert exchange", "expert sorting"):
        assert again[name] == pytest.approx(1.5 * some[name])


def test_dualpipe_hides_the_expert_exchange_and_shortens_the_bubble() -> None:
    model = arch.load("deepseek-v3")
    roomy = replace(NODE, device=replace(NODE.device, memory_bytes=1e13))
    plain = TrainingSetup(model, Layout(1, 16, 128, ep=64, zero=1), 4096, 2**25, precision="fp8")
    pipes = [
        {p.name: p.time_s for p in training_step(replace(plain, schedule=s), roomy).parts}
        for s in SCHEDULES
    ]
    # 19.5 of 64 micro-batches run alone (deepseek-ai/DualPipe): their exchange shows, as all
    # of them do in 1F1B, and only the others share the GPU with an exchange.
    alone = unpaired_share(replace(plain, schedule="dualpipe"))
    assert alone == pytest.approx(19.5 / 64)
    assert pipes[1]["expert exchange"] == pytest.approx(pipes[0]["expert exchange"] * alone)
    assert pipes[1]["bubble"] < pipes[2]["bubble"] < pipes[0]["bubble"] / 1.5
    shared = alone + (1 - alone) / (1 - 20 / 132)
    assert pipes[1]["forward"] == pytest.approx(pipes[0]["forward"] * shared, rel=1e-3)


def test_a_router_that_keeps_to_few_nodes_sends_fewer_copies() -> None:
    """Eight experts drawn from 8 nodes reach 5.25 of them, from 4 nodes 3.6."""
    model = arch.load("deepseek-v3")
    roomy = replace(NODE, device=replace(NODE.device, memory_bytes=1e13))
    free = TrainingSetup(model, Layout(1, 16, 128, ep=64, zero=1), 4096, 2**25, precision="fp8")
    setups = (free, replace(free, routed_nodes=4), replace(free, routed_nodes=64))
    parts = [{p.name: p.time_s for p in training_step(s, roomy).parts} for s in setups]
    times_s = [found["expert exchange"] for found in parts]
    nodes = [n * (1 - (1 - 1 / n) ** 8) for n in (8, 4)]
    assert times_s[1] / times_s[0] == pytest.approx(nodes[1] / nodes[0], rel=0.02)
    assert times_s[2] == times_s[0]
