"""The reliability test system of 1979 from the reference facts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sim.grid.adequacy.units import Unit
from sim.grid.network import FloatArray

# Repair times of the RTS by unit size, h (IEEE RTS Task Force 1979, table 6).
MTTR_H = {12: 60, 20: 50, 50: 20, 76: 40, 100: 50, 155: 40, 197: 50, 350: 100, 400: 150}


def rts79_units(facts: Path) -> tuple[Unit, ...]:
    lines = (facts / "grid" / "rts79" / "G1979.TXT").read_text().splitlines()[7:]
    cells = [line.split(",") for line in lines]
    return tuple(
        Unit(f"u{i}", float(c[0]), float(c[2]), mttr_h=MTTR_H[int(float(c[0]))])
        for i, c in enumerate(cells)
    )


def rts79_load(facts: Path) -> FloatArray:
    lines = (facts / "grid" / "rts79" / "H1979RTS.TXT").read_text().splitlines()[2:]
    return np.array([float(line.split(",")[3]) for line in lines if line[0].isdigit()])
