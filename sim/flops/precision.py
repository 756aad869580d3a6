"""Bytes per element at each precision, scales included.

A block-scaled format carries one scale per block of elements: MXFP4 is 4 bits + 8 bits per
32 (OCP Microscaling 1.0), NF4 4 bits + fp32 per 64 (Dettmers et al. 2023, QLoRA, without
double quantisation), FP8 as DeepSeek-V3 stores it: 8 bits + fp32 per 128 x 128 block,
INT8 8 bits + fp16 per group of 128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sim.errors import UnknownNameError

FP32_BYTES: Final = 4.0


@dataclass(frozen=True, slots=True)
class Format:
    """A number format: `bits` per element and `scale_bytes` per `block` elements."""

    name: str
    bits: int
    scale_bytes: int = 0
    block: int = 1

    @property
    def element_bytes(self) -> float:
        """Bytes per element with its share of the scale."""
        return self.bits / 8 + self.scale_bytes / self.block


FP32_FORMAT: Final = Format("fp32", 32)
BF16_FORMAT: Final = Format("bf16", 16)
FP16_FORMAT: Final = Format("fp16", 16)
FP8_FORMAT: Final = Format("fp8", 8, scale_bytes=4, block=128 * 128)
FP8_PLAIN_FORMAT: Final = Format("fp8-unscaled", 8)
INT8_FORMAT: Final = Format("int8", 8, scale_bytes=2, block=128)
MXFP4_FORMAT: Final = Format("mxfp4", 4, scale_bytes=1, block=32)
NF4_FORMAT: Final = Format("nf4", 4, scale_bytes=4, block=64)

Scope = Literal["linear", "experts"]


@dataclass(frozen=True, slots=True)
class Precision:
    """What is stored how.

    Args:
        weights: format of the quantised weights.
        activations: format of what passes between operations.
        cache: format of the key-value cache and latents.
        kept: format of embeddings, lm_head, router, norms and biases.
        scope: `linear` quantises every matrix of the layers, `experts` the routed experts only.

    SSM and WKV states are always fp32; conv and token-shift states have the `kept` format.
    """

    name: str
    weights: Format = BF16_FORMAT
    activations: Format = BF16_FORMAT
    cache: Format = BF16_FORMAT
    kept: Format = BF16_FORMAT
    scope: Scope = "linear"


BF16: Final = Precision("bf16")
FP16: Final = Precision("fp16", FP16_FORMAT, FP16_FORMAT, FP16_FORMAT, FP16_FORMAT)
FP32: Final = Precision("fp32", FP32_FORMAT, FP32_FORMAT, FP32_FORMAT, FP32_FORMAT)
FP8: Final = Precision("fp8", FP8_FORMAT, FP8_PLAIN_FORMAT)
FP8_KV8: Final = Precision("fp8-kv8", FP8_FORMAT, FP8_PLAIN_FORMAT, FP8_PLAIN_FORMAT)
INT8: Final = Precision("int8", INT8_FORMAT)
MXFP4: Final = Precision("mxfp4", MXFP4_FORMAT, scope="experts")
NF4: Final = Precision("nf4", NF4_FORMAT)

PRECISIONS: Final = {p.name: p for p in (BF16, FP16, FP32, FP8, FP8_KV8, INT8, MXFP4, NF4)}


def precision(name: str) -> Precision:
    """A precision by name.

    Raises:
        UnknownNameError: no such precision.
    """
    if name not in PRECISIONS:
        raise UnknownNameError("precision", name, PRECISIONS)
    return PRECISIONS[name]
