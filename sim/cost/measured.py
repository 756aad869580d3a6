"""What the kernels of a step take over their laws, from the measured curves.

Matrix products and decode attention: times at nodes, law x measured ratio, made to rise with
tokens and context, interpolated on logarithmic axes. Mixtures: the ratio itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sim.hardware.curves import Axis, kernel_curve, rising, spread
from sim.hardware.kernels import gemm_flops, joined

if TYPE_CHECKING:
    from sim.cost.layout import Layout
    from sim.cost.rows import Row
    from sim.hardware.device import Device
    from sim.hardware.kernels import KernelLaw

Floats = NDArray[np.float64]
TOKENS: Final = Axis(-6.0, 0.5, 53)
CONTEXT: Final = Axis(0.0, 1.0, 25)
UNITS: Final = Axis(-6.0, 1.0, 25)
EXPERT_TOKENS: Final = Axis(-7.0, 1.0, 18)


class Measured:
    """Time over law of every kernel of a step program on one device.

    Args:
        rows, laws: of the kernels, in the same order.
    """

    def __init__(
        self, rows: list[Row], laws: list[KernelLaw], layout: Layout, device: Device, engine: str
    ):
        self._gemm = _indices(rows, "gemm")
        self._moe = _indices(rows, "moe")
        self._decode = _indices(rows, "decode_attention")
        self._gemm_log_s = np.array([_gemm(rows[i], laws[i], device, engine) for i in self._gemm])
        self._decode_log_s = np.array(
            [_decode(rows[i], laws[i], device, engine) for i in self._decode]
        )
        self._moe_log = np.array([_moe(rows[i], layout, engine) for i in self._moe])
        self._context_bytes = np.array([rows[i].context_bytes for i in self._decode])
        self._expert_flops = np.array([rows[i].experts[0] * rows[i].experts[1] for i in self._moe])
        self._gemm_at, self._moe_at, self._decode_at = (
            np.arange(len(found))[None, :] for found in (self._gemm, self._moe, self._decode)
        )

    def ratio(
        self, gemm_m: Floats, flops: Floats, moved: Floats, units: Floats, law_s: Floats
    ) -> Floats:
        """Measured time over the law's, shape (n, n_rows).

        Args:
            gemm_m: tokens of each matrix product, shape (n, n_gemm).
            flops, moved, units, law_s: of all kernels, shape (n, n_rows).
        """
        found = np.ones_like(law_s)
        if self._gemm.size:
            left, weight = TOKENS.place(gemm_m)
            log_s = _between(self._gemm_log_s[self._gemm_at, left],
                             self._gemm_log_s[self._gemm_at, left + 1], weight)  # fmt: skip
            found[:, self._gemm] = _over(log_s, law_s[:, self._gemm], gemm_m)
        if self._moe.size:
            left, weight = EXPERT_TOKENS.place(flops[:, self._moe] / self._expert_flops)
            low = self._moe_log[self._moe_at, left]
            found[:, self._moe] = np.exp2(
                _between(low, self._moe_log[self._moe_at, left + 1], weight)
            )
        if self._decode.size:
            found[:, self._decode] = self._decode_ratio(moved, units, law_s)
        return found

    def _decode_ratio(self, moved: Floats, units: Floats, law_s: Floats) -> Floats:
        mine = units[:, self._decode]
        each = np.maximum(mine, 1e-9) * self._context_bytes
        column, right = CONTEXT.place(moved[:, self._decode] / each)
        row, up = UNITS.place(mine)
        at, table = self._decode_at, self._decode_log_s
        low = _between(table[at, row, column], table[at, row, column + 1], right)
        high = _between(table[at, row + 1, column], table[at, row + 1, column + 1], right)
        return _over(_between(low, high, up), law_s[:, self._decode], mine)


def _indices(rows: list[Row], family: str) -> NDArray[np.int64]:
    return np.flatnonzero([row.family == family for row in rows])


def _between(low: Floats, high: Floats, weight: Floats) -> Floats:
    return np.asarray(low + weight * (high - low))


def _over(log_s: Floats, law_s: Floats, work: Floats) -> Floats:
    """2**log_s over the law; 1 where there is no work."""
    return np.asarray(np.where(work > 0, np.exp2(log_s) / np.maximum(law_s, 1e-30), 1.0))


def _gemm(row: Row, law: KernelLaw, device: Device, engine: str) -> Floats:
    """Logarithm of the time at the nodes of TOKENS."""
    m = np.exp2(TOKENS.nodes)
    column = int(row.flops.argmax())
    per_token = (row.bytes_ - row.weight_bytes)[column] * 2 * row.n * row.k / row.flops[column]
    moved = row.weight_bytes.sum() + m * per_token
    padded = gemm_flops(m, row.n, row.k, device.multiprocessors, law.half)
    rate = law.compute_frac * device.matmul_flops(row.dtype)
    law_s = law.fixed_s + joined(
        moved / (law.memory_frac * device.hbm_bytes_per_s), padded / rate, law.sharpness
    )
    curve = kernel_curve(engine, row.family, row.dtype)
    size = np.array([np.log2(row.n * row.k)])
    ratio = np.ones_like(m) if curve is None else spread(curve, TOKENS.nodes, size)[0]
    return rising(law_s, ratio)


def _decode(row: Row, law: KernelLaw, device: Device, engine: str) -> Floats:
    """Logarithm of the time at the nodes of UNITS x CONTEXT."""
    units, context = np.exp2(UNITS.nodes)[:, None], np.exp2(CONTEXT.nodes)[None, :]
    moved = units * context * row.context_bytes
    bytes_per_s = law.memory_frac * device.hbm_bytes_per_s
    law_s = law.fixed_s + law.unit_s * units + moved / bytes_per_s
    curve = kernel_curve(engine, row.family, row.dtype)
    ratio = 1.0 if curve is None else spread(curve, CONTEXT.nodes, UNITS.nodes)
    return rising(law_s, np.asarray(ratio))


def _moe(row: Row, layout: Layout, engine: str) -> Floats:
    """Logarithm of the ratio at the nodes of EXPERT_TOKENS."""
    curve = kernel_curve(engine, row.family, row.dtype)
    if curve is None:
        return np.zeros(EXPERT_TOKENS.count)
    ways = np.array([np.log2(layout.ep)])
    return np.asarray(np.log2(spread(curve, EXPERT_TOKENS.nodes, ways)[0]))
