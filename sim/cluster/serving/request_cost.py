"""What a request costs: its share of each step it was in (DESIGN.md section 9).

A step's time, FLOPs, bytes and energy are each divided in two parts:

1. The own part: what grows with a sequence's own context. A decoding sequence with c cached
   tokens owns c times the cost per cached token; a prefill chunk of n tokens on c cached
   ones owns n c + n (n - 1) / 2 times the cost per pair of tokens, and, of the bytes, c
   times the bytes per cached token (a chunk reads its context once). Both prices are slopes
   of the coster itself, taken once when the replica is built.
2. The rest (weights, linear layers, collectives, static power) is shared by the new tokens
   in the step.

If the own parts exceed a step's total, they are cut in proportion. So the shares of a step
sum to the step, and shares plus idle sum to the meter. With a step cost linear in the
cached tokens, both parts have closed forms over k equal steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sim.cluster.serving.coster import PrefillChunk, StepCoster
from sim.cost.step import StepCost

Amounts = tuple[float, float, float, float]
"""(time_s, flops, hbm_bytes, energy_j)."""

NOTHING: Amounts = (0.0, 0.0, 0.0, 0.0)
PROBE_CONTEXT_TOKENS = 8192
PROBE_CHUNK_TOKENS = 512
BYTES = 2


@dataclass(frozen=True, slots=True)
class OwnPrices:
    """Cost that grows with a sequence's own context.

    Attributes:
        decode: per cached token of a decoding sequence.
        prefill: per pair of tokens of a prefill chunk; of the bytes, per cached token.
    """

    decode: Amounts
    prefill: Amounts


@dataclass(frozen=True, slots=True)
class StepPrices:
    """One step's prices: per new token, and for the own parts after any cut."""

    token: Amounts
    decode: Amounts
    prefill: Amounts

    def decode_share(self, cached: int) -> Amounts:
        """Share of a decoding sequence."""
        t, d = self.token, self.decode
        return (
            t[0] + d[0] * cached,
            t[1] + d[1] * cached,
            t[2] + d[2] * cached,
            t[3] + d[3] * cached,
        )

    def prefill_share(self, new: int, cached: int) -> Amounts:
        """Share of a prefill chunk."""
        t, p, pairs = self.token, self.prefill, chunk_pairs(new, cached)
        return (
            t[0] * new + p[0] * pairs,
            t[1] * new + p[1] * pairs,
            t[2] * new + p[2] * cached,
            t[3] * new + p[3] * pairs,
        )


def chunk_pairs(new: int, cached: int) -> int:
    """Pairs of a chunk's token and an earlier token."""
    return new * cached + new * (new - 1) // 2


def amounts(cost: StepCost) -> Amounts:
    """The four shared quantities of a step."""
    return (cost.time_s, cost.flops, cost.hbm_bytes, cost.energy_j)


def own_prices(coster: StepCoster) -> OwnPrices:
    """Slopes of the coster over the context, for one sequence alone.

    From one cached token on, so that what a sequence costs once it has any context (a
    recurrent state to read) counts as the rest.
    """
    span = max(1, min(PROBE_CONTEXT_TOKENS, coster.kv_capacity_tokens // 2))
    chunk = PROBE_CHUNK_TOKENS
    decode = _slope(coster.cost((), (1,)), coster.cost((), (1 + span,)), span)
    near, far = coster.cost(((chunk, 1),), ()), coster.cost(((chunk, 1 + span),), ())
    prefill = list(_slope(near, far, chunk * span))
    prefill[BYTES] *= chunk
    return OwnPrices(decode, (prefill[0], prefill[1], prefill[2], prefill[3]))


def _slope(near: StepCost, far: StepCost, distance: int) -> Amounts:
    rise = [max(0.0, b - a) / distance for a, b in zip(amounts(near), amounts(far), strict=True)]
    return (rise[0], rise[1], rise[2], rise[3])


def step_prices(
    cost: StepCost,
    prefill: Sequence[PrefillChunk],
    decode_contexts: Sequence[int],
    own: OwnPrices,
) -> StepPrices:
    """Divide a step among its sequences.

    Args:
        cost: the step.
        prefill: its chunks.
        decode_contexts: cached tokens of its decoding sequences.
        own: prices of the own parts.
    """
    tokens = len(decode_contexts)
    pairs = reads = 0
    for new, cached in prefill:
        tokens += new
        pairs += chunk_pairs(new, cached)
        reads += cached
    decode_reads = sum(decode_contexts)
    token, decode, chunk = [], [], []
    for index, total in enumerate(amounts(cost)):
        owned = own.decode[index] * decode_reads
        owned += own.prefill[index] * (reads if index == BYTES else pairs)
        cut = total / owned if owned > total else 1.0
        token.append((total - owned * cut) / tokens)
        decode.append(own.decode[index] * cut)
        chunk.append(own.prefill[index] * cut)
    return StepPrices(_four(token), _four(decode), _four(chunk))


def _four(values: list[float]) -> Amounts:
    return (values[0], values[1], values[2], values[3])
