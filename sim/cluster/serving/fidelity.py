"""How far the cheaper fidelities are from the simulation of every replica.

The table is made by `benchmarks/serving_fidelity.py`, which runs one fleet at several loads
in all fidelities.
"""

from __future__ import annotations

from sim.datum import read_table

TABLE = "serving/fidelity.csv"


def fidelity_errors(fidelity: str) -> dict[str, dict[str, float]]:
    """Largest and mean absolute error of a fidelity against `request`, by measure.

    Returns:
        measure -> {"max": frac, "mean": frac}; empty for `request` itself.
    """
    errors: dict[str, list[float]] = {}
    for row in read_table(TABLE):
        if row["fidelity"] == fidelity:
            errors.setdefault(row["measure"], []).append(abs(float(row["error_frac"])))
    return {
        name: {"max": max(values), "mean": sum(values) / len(values)}
        for name, values in errors.items()
    }
