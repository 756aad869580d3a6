"""Classes and the autoscaler in the report."""

from __future__ import annotations

from sim.report.serving_tables import serving_tables


def test_what_is_told_is_shown_and_nothing_else() -> None:
    counts = {"requests": 10, "completed": 8, "shed": 2, "dropped": 0}
    story = {"replicas_mean": 2.5, "replicas_min": 2, "replicas_max": 4, "load_s": 28.2}
    store = {"store_blocks": 1200, "block_tokens": 512, "prompt_tokens": 5000}
    broke = {"replica_mtbf_h": 12669.0, "count": 3, "repaired": 2, "replicas_down_mean": 0.251}
    fleet = {
        "sessions": {"started": 9, "ended": 5, "cut_short": 1, "turns": 1200},
        "failures": {**broke, "simulated_replicas": 25000, "requests_requeued": 1234},
        "prefix_cache": {**store, "hit_tokens": 1000, "hit_frac": 0.2},
        "classes": {
            "chat": {**counts, "met_frac": 0.5},
            "batch": {**counts, "completed": 0, "met_frac": None},
        },
        "autoscaler": {**story, "changes": [{}, {}, {}]},
    }
    classes, sessions, stores, failures, scaler = serving_tables(
        {"fleets": {"a.b": fleet, "c.d": {}}}
    )
    assert classes["rows"] == [
        ["a.b: chat", "10", "8", "2", "0", "0.500"],
        ["a.b: batch", "10", "0", "2", "0", "–"],
    ]
    assert stores["rows"] == [["a.b", "1,200 of 512 tokens", "5,000", "1,000", "20.0%"]]
    assert sessions["rows"] == [["a.b", "9", "5", "1", "1,200"]]
    assert failures["rows"] == [["a.b", "12,669", "3 (2)", "0.25 of 25,000", "1,234"]]
    assert scaler["rows"] == [["a.b", "2.5", "2 to 4", "2", "28.2"]]
    assert all(
        len(row) == len(t["header"])
        for t in (classes, sessions, stores, failures, scaler)
        for row in t["rows"]
    )
    assert serving_tables({"fleets": {"c.d": {}}}) == []
