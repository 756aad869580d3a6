"""Power by cause adds up to the meter; stored energy is what the run recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.report.battery_figure import draw_battery, stored_mwh
from sim.report.cause_figure import COLOURS, IDLE, SERVING, TRAINING, cause_layers, draw_causes
from sim.report.cause_figure import job_layers as layers_of_job
from sim.report.figure_html import finding
from sim.report.power_rows import LABELS
from sim.report.series import Series, bin_means

PARTS = [
    {"name": "forward", "gpu_energy_j": 300.0},
    {"name": "tensor parallel", "gpu_energy_j": 50.0},
    {"name": "bubble", "gpu_energy_j": 50.0},
]
JOB = {
    "step_parts": PARTS, "step_time_s": 1.0, "gpus": 10,
    "time_frac": {"steps": 0.75, "restart": 0.25},
}  # fmt: skip
"""400 W a GPU in a step; 4 kW for the job, 1 kW at rest."""
CAUSES = dict.fromkeys(LABELS, 100.0)
SUMMARY = {
    "sites": {"a": {"causes_w": CAUSES}},
    "training": {"jobs": {"a.train": JOB}},
    "serving": {"fleets": {"a.serve": {}}},
}


def steps(*pairs: tuple[float, float]) -> Series:
    time_s, value = zip(*pairs, strict=True)
    return Series(np.array(time_s, dtype=float), np.array(value, dtype=float))


def recorded() -> dict[str, Series]:
    return {
        "a.train.chip_w": steps((0, 4000.0), (75, 1000.0)),
        "a.serve.chip_w": steps((0, 500.0)),
        "a.chip_w": steps((0, 4700.0), (75, 1700.0)),
        "a.it_w": steps((0, 6000.0), (75, 3000.0)),
        "a.facility_w": steps((0, 7000.0), (75, 4000.0)),
    }


def test_layers_add_up_to_the_meter_in_every_bin() -> None:
    edges_s = np.linspace(0, 100, 9)
    layers = cause_layers(SUMMARY, recorded(), edges_s)
    whole_w = np.sum(list(layers.values()), axis=0)
    assert whole_w == pytest.approx(bin_means(recorded()["a.facility_w"], edges_s))
    assert layers[IDLE] == pytest.approx(200.0)
    assert layers[SERVING] == pytest.approx(500.0)
    assert list(layers) == [name for name in COLOURS if name in layers]


def test_a_job_is_told_apart_by_the_parts_of_its_step_and_by_standing_still() -> None:
    compute, exchange, waiting, rest = (
        layers_of_job(JOB, np.array([4000.0, 4000.0, 4000.0, 1000.0]))[name] for name in TRAINING
    )
    assert compute == pytest.approx([3000, 3000, 3000, 0])
    assert exchange == pytest.approx([500, 500, 500, 0])
    assert waiting == pytest.approx([500, 500, 500, 0])
    assert rest == pytest.approx([0, 0, 0, 1000])


def test_without_recorded_workloads_nothing_is_drawn(tmp_path: Path) -> None:
    series = {n: s for n, s in recorded().items() if "train" not in n}
    draw_causes(SUMMARY, series, 100.0, tmp_path / "a.svg")
    draw_battery(series, 100.0, tmp_path / "b.svg")
    assert list(tmp_path.iterdir()) == []


def test_stored_energy_runs_straight_between_changes() -> None:
    stored = steps((0, 3.6e9), (100, 7.2e9))
    assert stored_mwh(stored, np.array([0.0, 50.0, 100.0, 200.0])) == pytest.approx([1, 1.5, 2, 2])


def test_both_figures_repeat_to_the_byte_and_say_what_they_find(tmp_path: Path) -> None:
    series = recorded() | {
        "a.stored_j": steps((0, 3.6e9), (50, 1.8e9), (100, 3.6e9)),
        "a.battery_w": steps((0, -36e6), (50, 36e6)),
        "b.stored_j": steps((0, 1.8e9)),
        "b.battery_w": steps((0, 0.0)),
    }
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        draw_causes(SUMMARY, series, 100.0, folder / "causes.svg")
        draw_battery(series, 100.0, folder / "battery.svg")
    for name in ("causes.svg", "causes.csv", "battery.svg", "battery.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    told = finding((tmp_path / "one" / "battery.svg").read_text())
    assert told.startswith("The battery of a goes from 1 to 1 MWh and is lowest, 0.5 MWh, at 50 s")
    assert "the battery of b rests at 0.5 MWh" in told
    assert finding((tmp_path / "one" / "causes.svg").read_text()).startswith("Largest: training")


def test_every_layer_has_its_own_colour() -> None:
    assert len(set(COLOURS.values())) == len(COLOURS)
