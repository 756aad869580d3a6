"""Operations of dense FFN, mixture of experts, norms, embedding and lm_head. 1 MAC = 2 FLOPs."""

from __future__ import annotations

from sim.arch import DenseFFN, MoE, Norms, Projection
from sim.flops.features import LOGIT_STEPS, LOGITS, Feature
from sim.flops.operation import Operation, Split, elementwise, linear, per_token

# Vector work per element: an activation is exp, add, divide, multiply; a gate one multiply.
ACTIVATION_FLOPS = 4
# LLM-Viewer counts a norm as 7 per element; the residual add before it is one more.
NORM_FLOPS = 8
# A fused add-and-norm reads input and residual and writes both.
NORM_PASSES = 4


def norm_operations(block: Norms, hidden: int) -> list[Operation]:  # noqa: ARG001
    """Norms and residual adds: vector work, in no FLOP total."""
    width = block.width * block.count
    flops = 2 * block.elements if block.counted else NORM_FLOPS * width
    return [
        elementwise(
            block.label,
            per_token(flops),
            NORM_PASSES * width,
            vectors=block.elements,
            counted=block.counted,
        )
    ]


def projection_operations(block: Projection, hidden: int) -> list[Operation]:  # noqa: ARG001
    """`count` plain matrices: 2 n_in n_out FLOPs per token each."""
    one = linear(block.label, block.n_in, block.n_out)
    return [one] * block.count


def _activation(name: str, width: int, gated: bool, shards: int, split: Split) -> Operation:
    """Activation (and gate) between up and down: reads one or two widths, writes one."""
    return elementwise(
        name,
        per_token((ACTIVATION_FLOPS + gated) * width),
        (3 if gated else 2) * width,
        shards=shards,
        split=split,
    )


def ffn_operations(
    block: DenseFFN, hidden: int, name: str = "ffn", *, reduces: bool = True
) -> list[Operation]:
    """Dense FFN: 4 d f FLOPs per token, 6 d f when gated (FORMULAS: dense attention block)."""
    ups = 2 if block.gated else 1
    width = block.width
    return [
        linear(f"{name}.up", hidden, ups * width, bias=block.bias, split="tp", shards=width),
        _activation(f"{name}.activation", width, block.gated, width, "tp"),
        linear(
            f"{name}.down",
            width,
            hidden,
            bias=block.bias,
            split="tp",
            shards=width,
            all_reduce_width=hidden if reduces else 0,
        ),
    ]


def _routed(name: str, block: MoE, n_in: int, n_out: int, bias: int) -> Operation:
    """One matrix of all routed experts: k of E work on a token, E (1-(1-k/E)^n) are read."""
    each = n_in * n_out
    return Operation(
        name=name,
        kind="matmul",
        flops=per_token(2.0 * block.top_k * each),
        weights=block.n_experts * each,
        vectors=block.n_experts * bias,
        role="expert",
        weights_on=Feature("experts_touched", experts=(block.n_experts, block.top_k)),
        weight_units=block.n_experts,
        activation=per_token(block.top_k * (n_in + n_out)),
        split="ep",
        shards=block.n_experts,
        dispatch=per_token(block.top_k * (n_out if name.endswith("down") else n_in)),
        n=n_out,
        k=n_in,
    )


def moe_operations(block: MoE, hidden: int) -> list[Operation]:
    """Router 2 d E, routed k x 6 d f_e (4 ungated), shared always (FORMULAS: MoE section).

    Dispatch and combine each send k copies of the token under expert parallelism.
    """
    width, ups = block.width, 2 if block.gated else 1
    inner = block.latent_width or hidden
    biased = block.expert_bias
    operations = [
        linear(
            "moe.router",
            hidden,
            block.n_experts,
            bias=block.n_experts if block.router_vector else 0,
            role="kept",
        )
    ]
    if block.latent_width:
        operations.append(linear("moe.latent_down", hidden, inner))
    operations += [
        _routed("moe.experts_up", block, inner, ups * width, ups * width * biased),
        _activation("moe.activation", block.top_k * width, block.gated, block.n_experts, "ep"),
    ]
    down = _routed("moe.experts_down", block, width, inner, inner * biased)
    reduces = 0 if block.shared_width else hidden
    operations.append(_with_reduce(down, 0 if block.latent_width else reduces))
    if block.latent_width:
        operations.append(linear("moe.latent_up", inner, hidden, all_reduce_width=reduces))
    if block.shared_width:
        operations += ffn_operations(DenseFFN(block.shared_width, block.gated), hidden, "shared")
    if block.shared_gate:
        operations.append(linear("shared.gate", hidden, 1, role="kept"))
    return operations


def _with_reduce(operation: Operation, width: int) -> Operation:
    from dataclasses import replace

    return replace(operation, all_reduce_width=width)


def embedding_operations(
    vocab: int, hidden: int, positions: int, *, tied: bool, head_bias: bool
) -> tuple[Operation, Operation]:
    """Look-up (2 d elements per token, no FLOPs) and lm_head (2 d V FLOPs per logit position).

    A matmul counter sees logits at every position. Tied weights are read all the same.
    """
    lookup = Operation(
        name="embedding",
        kind="vector",
        counted=False,
        weights=vocab * hidden,
        vectors=positions * hidden,
        role="kept",
        weights_on=None,
        activation=per_token(2 * hidden),
        split="tp",
        shards=vocab,
        all_reduce_width=hidden,
    )
    head = Operation(
        name="lm_head",
        kind="matmul",
        flops={LOGITS: 2.0 * hidden * vocab},
        full=per_token(2.0 * hidden * vocab),
        weights=vocab * hidden,
        vectors=vocab * head_bias,
        role="kept",
        owned=not tied,
        weights_on=LOGIT_STEPS,
        activation={LOGITS: float(hidden + vocab)},
        split="tp",
        shards=vocab,
        n=vocab,
        k=hidden,
    )
    return lookup, head
