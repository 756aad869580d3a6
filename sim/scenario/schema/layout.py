"""The parallel layout of a workload."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from sim.cost.layout import Layout
from sim.scenario.schema.base import Strict, Whole


class LayoutSpec(Strict):
    """Parallel layout; `dp` is filled up to the GPUs of the workload if left out."""

    tp: Whole = Field(1, ge=1, le=64)
    pp: Whole = Field(1, ge=1, le=512)
    dp: Whole | None = Field(None, ge=1, le=1_000_000)
    ep: Whole = Field(1, ge=1, le=4096)
    zero: Literal[0, 1, 2, 3] = 0
    virtual_stages: Whole = Field(1, ge=1, le=64)

    def to_layout(self) -> Layout:
        """The layout, with dp 1 where it is left out."""
        return Layout(self.tp, self.pp, self.dp or 1, self.ep, self.zero, self.virtual_stages)
