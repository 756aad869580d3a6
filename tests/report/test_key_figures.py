"""Key figures with their intervals, and the figure of architectures."""

from __future__ import annotations

from pathlib import Path

from sim.report.arch_figure import draw_architectures, used_architectures
from sim.report.key_figures import key_figures

SITE = {"gpus": 8, "peak_load_mw": 10.0, "peak_load_low_mw": 9.0, "peak_load_high_mw": 12.0}
ESTIMATE = {"value": 100.0, "low": 90.0, "high": 110.0}
QUANTILES = {"p50": 0.1, "p99": 1.0, "interval": {"p50": ESTIMATE, "p99": None}}
FLEET = {
    "interval": {"completed": ESTIMATE, "tokens_out": {"value": 5.0, "low": None, "high": None}},
    "ttft_s": QUANTILES,
    "tpot_s": None,
}


def summary(**more: object) -> dict[str, object]:
    power = {b: {"mean": 5e6} for b in ("chip", "it", "facility")}
    found: dict[str, object] = {
        "sites": {"a": SITE, "b": SITE}, "power_w": power, "energy_j": {"facility": 3.6e9},
        "horizon_s": 3600, "grid": {"kind": "zonal"},
    }  # fmt: skip
    return found | more


def serving(fleets: dict[str, object]) -> dict[str, object]:
    return {
        "fleets": fleets,
        "completed": 100.0,
        "tokens_out": 2e9,
        "energy_j_per_output_token": {"facility": 0.5},
    }


def test_the_peak_has_the_interval_of_its_sites() -> None:
    rows = {row["name"]: row for row in key_figures(summary())}
    assert rows["peak at the meter"]["value"] == "20.0"
    assert rows["peak at the meter"]["interval"] == "18.0 to 24.0"
    assert rows["GPUs"]["interval"] == ""


def test_serving_figures_have_an_interval_where_one_was_estimated() -> None:
    rows = {r["name"]: r for r in key_figures(summary(serving=serving({"a.s": FLEET})))}
    assert rows["requests completed"]["interval"] == "90 to 110"
    assert rows["output tokens"]["interval"] == ""
    assert rows["output tokens"]["value"] == "2 G"
    assert rows["time to first token, median"]["interval"] == "90 to 110"
    assert rows["time to first token, 99th percentile"]["interval"] == ""
    both = {r["name"] for r in key_figures(summary(serving=serving({"a.s": FLEET, "b.s": FLEET})))}
    assert "time to first token, median" not in both


def test_what_users_of_a_service_see_stands_beside_several_fleets() -> None:
    seen = {"ttft_s": {"p50": 0.065, "p99": 0.254}, "e2e_s": None}
    told = serving({"a.s": FLEET, "b.s": FLEET}) | {"services": {"chat": seen}}
    rows = {r["name"]: r["value"] for r in key_figures(summary(serving=told))}
    users = {name: value for name, value in rows.items() if "as users see it" in name}
    assert users == {
        "chat: time to first token as users see it, median": "0.065",
        "chat: time to first token as users see it, 99th percentile": "0.254",
    }


def test_architectures_are_drawn_where_there_are_several(tmp_path: Path) -> None:
    tree = {"sites": [{"workloads": [{"arch": "llama-3-8b"}, {"arch": "mixtral-8x7b"}]}]}
    jobs = {"training": {"jobs": {"a.t": {"arch": "llama-3-8b"}}}}
    assert used_architectures(jobs, tree) == ["llama-3-8b", "mixtral-8x7b"]
    assert used_architectures(jobs) == ["llama-3-8b"]
    draw_architectures(used_architectures(jobs), tmp_path / "one.svg")
    assert not (tmp_path / "one.svg").exists()
    draw_architectures(used_architectures(jobs, tree), tmp_path / "two.svg")
    assert (tmp_path / "two.svg").exists()
