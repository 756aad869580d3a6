"""The committed errors of the cheaper fidelities."""

from __future__ import annotations

from sim.cluster.serving.fidelity import TABLE, fidelity_errors
from sim.datum import read_table


def test_the_table_is_consistent_and_told_by_measure() -> None:
    rows = read_table(TABLE)
    for row in rows:
        error = float(row["value"]) / float(row["request"]) - 1
        assert abs(error - float(row["error_frac"])) < 2e-4
    worst = max(abs(float(r["error_frac"])) for r in rows if r["measure"] == "mean_power_w")
    told = [fidelity_errors(name)["mean_power_w"]["max"] for name in ("cells", "sampled", "fluid")]
    assert max(told) == worst < 0.02
    assert fidelity_errors("request") == {}
    assert "ttft_s_p50" not in fidelity_errors("fluid")


def test_whole_cells_are_nearer_than_single_replicas() -> None:
    cells, sampled = fidelity_errors("cells"), fidelity_errors("sampled")
    for measure in ("ttft_s_p50", "ttft_s_p99", "tpot_s_p50", "e2e_s_p99"):
        assert cells[measure]["max"] < 0.5 * sampled[measure]["max"], measure
    assert cells["ttft_s_p50"]["max"] < 0.1
