"""What a layer is made of: frozen specs of its blocks, without any arithmetic.

A block says its shape and options; what it costs is `sim.flops`. Widths are numbers of
elements, never bytes. The residual width is the architecture's `hidden`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kernel = Literal["flash", "naive"]
ReachKind = Literal["full", "window", "chunk"]


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a token attends: everything, the last `size` keys, or its own chunk."""

    kind: ReachKind = "full"
    size: int = 0

    @property
    def bounded(self) -> bool:
        """True if the cache of this layer stops growing at `size` tokens."""
        return self.kind != "full"

    @property
    def label(self) -> str:
        """Suffix of row names: empty for full attention."""
        return f"[{self.kind} {self.size}]" if self.bounded else ""


FULL = Reach()


@dataclass(frozen=True, slots=True)
class Norms:
    """`count` norms of the given width; LayerNorm has a bias, RMSNorm does not.

    `counted` adds 2 FLOPs per parameter to the totals, as the RWKV papers count.
    """

    width: int
    count: int = 1
    bias: bool = False
    label: str = "norm"
    counted: bool = False

    @property
    def elements(self) -> int:
        """Parameters of all of them."""
        return self.width * self.count * (2 if self.bias else 1)


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax attention with any number of key-value heads (MHA, GQA, MQA).

    Args:
        n_heads: query heads H.
        n_kv_heads: key-value heads; shrinks K, V, their bytes and cache, not the scores.
        head_dim: width of one head; H x head_dim need not be the residual width.
        reach: which keys a token sees.
        qkv_bias, out_bias: biases of the projections.
        qk_norm: parameters of the norms on queries and keys (0: none).
        output_gate: the query projection also makes a gate of the same width.
        sinks: one learned logit per head (gpt-oss).
        input_width: width of the input where it is not the residual width (Zamba); 0: hidden.
        kernel: `flash` keeps the scores on the chip, `naive` writes them to memory.
        reduces: False where the next block adds into the same all-reduce (parallel attention).
    """

    n_heads: int
    n_kv_heads: int
    head_dim: int
    reach: Reach = FULL
    qkv_bias: bool = False
    out_bias: bool = False
    qk_norm: int = 0
    output_gate: bool = False
    sinks: bool = False
    input_width: int = 0
    kernel: Kernel = "flash"
    reduces: bool = True

    @property
    def width(self) -> int:
        """Width of the queries: H x head_dim."""
        return self.n_heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of the keys: n_kv x head_dim."""
        return self.n_kv_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class Indexer:
    """The scorer of sparse attention (DeepSeek-V3.2): picks `top_k` cached tokens per query."""

    n_heads: int
    head_dim: int
    top_k: int


@dataclass(frozen=True, slots=True)
class LatentAttention:
    """Multi-head latent attention (MLA): the cache holds one compressed latent per token.

    Args:
        n_heads: query heads H.
        q_rank: rank of the query compression; 0 projects queries directly.
        kv_rank: width of the cached latent (512 in DeepSeek-V2/V3).
        nope_dim, rope_dim, v_dim: per-head widths without and with position, and of values.
        bias: bias on the two down-projections and the output.
        indexer: sparse-attention indexer, if any.
    """

    n_heads: int
    q_rank: int
    kv_rank: int
    nope_dim: int
    rope_dim: int
    v_dim: int
    bias: bool = False
    indexer: Indexer | None = None
    kernel: Kernel = "flash"

    @property
    def reach(self) -> Reach:
        """Keys that enter the softmax of a token: all, or the indexer's choice."""
        return Reach("window", self.indexer.top_k) if self.indexer else FULL


@dataclass(frozen=True, slots=True)
class DenseFFN:
    """Two matrices, or three when gated (SwiGLU, GeGLU)."""

    width: int
    gated: bool = True
    bias: bool = False


@dataclass(frozen=True, slots=True)
class Projection:
    """A plain matrix between blocks: Zamba's linear after its shared block, adapters."""

    n_in: int
    n_out: int
    label: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class MoE:
    """Mixture of experts: a router picks `top_k` of `n_experts`; shared experts see every token.

    Args:
        width: FFN width of one routed expert.
        shared_width: summed FFN width of the shared experts; 0: none.
        shared_gate: a sigmoid gate (one vector) on the shared output (Qwen2-MoE).
        router_vector: one correction or bias parameter per expert in the router.
        expert_bias: biases inside the experts (gpt-oss).
        latent_width: experts work in this width between a down and an up projection; 0: hidden.
    """

    n_experts: int
    top_k: int
    width: int
    gated: bool = True
    shared_width: int = 0
    shared_gate: bool = False
    router_vector: bool = False
    expert_bias: bool = False
    latent_width: int = 0


@dataclass(frozen=True, slots=True)
class Mamba1:
    """Selective state-space mixer of Mamba (Gu and Dao 2023).

    Args:
        inner: D_i. state: N. conv: K. dt_rank: R.
        inner_norm: parameters of norms on dt, B and C (Jamba: R + 2N).
        heads: B, C and dt projections per head (Zamba has 2), each over D_i / heads.
    """

    inner: int
    state: int
    conv: int
    dt_rank: int
    bias: bool = False
    conv_bias: bool = True
    inner_norm: int = 0
    heads: int = 1


@dataclass(frozen=True, slots=True)
class Mamba2:
    """State-space duality mixer of Mamba-2 (Dao and Gu 2024): D_i = heads x head_dim."""

    n_heads: int
    head_dim: int
    state: int
    groups: int
    conv: int
    chunk: int
    bias: bool = False
    conv_bias: bool = True
    gate_norm: bool = True

    @property
    def inner(self) -> int:
        """D_i: never derived from an expansion factor when the heads are given."""
        return self.n_heads * self.head_dim

    @property
    def conv_width(self) -> int:
        """Channels of the short convolution: x, B and C."""
        return self.inner + 2 * self.groups * self.state


@dataclass(frozen=True, slots=True)
class LinearAttention:
    """Lightning attention (MiniMax-01): linear attention with a fixed decay per head.

    A gate of the same width and a norm act on the output; prefill works in chunks.
    """

    n_heads: int
    head_dim: int
    chunk: int

    @property
    def width(self) -> int:
        """Width of queries, keys and values alike."""
        return self.n_heads * self.head_dim


@dataclass(frozen=True, slots=True)
class GatedDeltaNet:
    """Gated delta rule mixer (Qwen3-Next): a matrix state per value head."""

    n_key_heads: int
    n_value_heads: int
    key_dim: int
    value_dim: int
    conv: int

    @property
    def key_width(self) -> int:
        """Width of queries and of keys."""
        return self.n_key_heads * self.key_dim

    @property
    def value_width(self) -> int:
        """Width of values and of the output gate."""
        return self.n_value_heads * self.value_dim


@dataclass(frozen=True, slots=True)
class Rwkv4:
    """RWKV-4 layer: time mixing with a scalar state per channel, then channel mixing."""

    attention_width: int
    ffn_width: int


@dataclass(frozen=True, slots=True)
class RwkvMatrix:
    """RWKV-5 (Eagle) or RWKV-6 (Finch) layer: a matrix state per head.

    Args:
        mix_rank, decay_rank: ranks of Finch's data-dependent shift and decay; 0: Eagle.
    """

    attention_width: int
    head_size: int
    ffn_width: int
    mix_rank: int = 0
    decay_rank: int = 0


@dataclass(frozen=True, slots=True)
class Hyena:
    """Hyena operator: gated long convolutions with filters made by a small network.

    Args:
        order: gates and convolutions; `order - 1` long convolutions of full length.
        short_filter: taps of the short convolution.
        filter_width, filter_depth, filter_inputs: the network that makes the filters.
    """

    order: int
    short_filter: int
    filter_width: int
    filter_depth: int
    filter_inputs: int = 3


@dataclass(frozen=True, slots=True)
class H3:
    """H3 operator: a shift SSM on keys, a diagonal SSM of `state` on head-wise k v products.

    Args:
        head_dim: linear-attention head width; products make d x head_dim channels.
        shift: taps of the shift SSM. state: N of the diagonal SSM.
    """

    head_dim: int
    shift: int
    state: int


@dataclass(frozen=True, slots=True)
class Shared:
    """A block whose weights several layers share: counted `copies` times, run every time."""

    block: OwnBlock
    copies: int = 1


OwnBlock = (
    Norms
    | Attention
    | LatentAttention
    | DenseFFN
    | Projection
    | MoE
    | Mamba1
    | Mamba2
    | LinearAttention
    | GatedDeltaNet
    | Rwkv4
    | RwkvMatrix
    | Hyena
    | H3
)
Block = OwnBlock | Shared
