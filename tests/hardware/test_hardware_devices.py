"""Devices beyond the H100, device files of the user, and what is taken over."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import InputError, UnknownNameError
from sim.hardware.device import DEVICES, device_figures, load_device
from sim.hardware.node import NODES, gpu_of, load_node, node_of, plant_figures

H100 = load_device()
SHEET = """\
device: {like: h100-sxm, calibrated: false, basis: "a data sheet"}
peak:
  matmul_bf16_flops: {value: 500.0e12, unit: FLOP/s, source: sheet, as_of: 2026-01-01}
  multiprocessors: {value: 100, unit: "1", source: sheet, as_of: 2026-01-01}
  hbm_bytes_per_s: {value: 2.0e12, unit: B/s, source: sheet, as_of: 2026-01-01}
  memory_bytes: {value: 64.0e9, unit: B, source: sheet, as_of: 2026-01-01}
power:
  limit_w: {value: 350, unit: W, source: sheet, as_of: 2026-01-01}
links:
  nvlink_bytes_per_s: {value: 100.0e9, unit: B/s, source: sheet, as_of: 2026-01-01}
"""


def written(folder: Path, text: str) -> str:
    path = folder / "mine.device.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", DEVICES)
def test_every_figure_of_every_device_has_a_source_and_a_date(name: str) -> None:
    device = load_device(name)
    assert all(figure.source and figure.as_of for figure in device.figures)
    assert device.calibrated == (name == "h100-sxm")
    assert device.calibrated or device.basis
    assert 0 < device.idle_w < device.static_w < device.limit_w


def test_every_device_has_a_node() -> None:
    assert sorted(NODES.values()) == sorted(DEVICES)
    for name, gpu in NODES.items():
        assert node_of(gpu) is load_node(name)
        assert load_node(name).device is load_device(gpu)


def test_peaks_that_the_data_sheets_publish() -> None:
    peaks = {name: load_device(name).matmul_bf16_flops / 1e12 for name in DEVICES}
    assert peaks == pytest.approx(
        {
            "h100-sxm": 989.4,
            "h200-sxm": 989.4,
            "h800-sxm": 989.4,
            "a100-80-sxm": 312,
            "v100-sxm": 125,
            "b200-sxm": 2250,
        }
    )
    assert load_device("a100-80-sxm").matmul_fp8_flops == 312e12  # no fp8 units


def test_power_that_is_taken_over_keeps_its_share_of_the_limit() -> None:
    a100 = load_device("a100-80-sxm")
    assert a100.static_w / a100.limit_w == pytest.approx(H100.static_w / H100.limit_w)
    at_peak_w = a100.flop_j * a100.matmul_bf16_flops
    assert at_peak_w / 400 == pytest.approx(H100.flop_j * H100.matmul_bf16_flops / 700)
    at_peak_w = a100.hbm_byte_j * a100.hbm_bytes_per_s
    assert at_peak_w / 400 == pytest.approx(H100.hbm_byte_j * H100.hbm_bytes_per_s / 700)
    assert a100.link_byte_j == H100.link_byte_j


def test_the_share_of_idle_power_agrees_with_the_measured_a100() -> None:
    """The A100's idle power is measured (70.1 W); the rule of shares would say 68.8 W."""
    assert 400 / 700 * H100.idle_w == pytest.approx(load_device("a100-80-sxm").idle_w, rel=0.03)


def test_what_is_taken_over_is_an_assumption_with_a_range() -> None:
    figures = device_figures("b200-sxm")
    static = figures["power.static_w"]
    assert static.is_assumption
    assert static.low == pytest.approx(0.7 * static.value)
    assert "share of the power limit" in static.source
    error = figures["power.model_error_frac"]
    assert (error.low, error.high) == (-0.25, 0.25)
    assert "b200-sxm is UNCALIBRATED: data-sheet peaks" in error.source
    assert figures["efficiency.hbm_frac"].source.startswith("as h100-sxm")


def test_the_figures_behind_a_node_by_name() -> None:
    assert gpu_of("dgx-b200") == "b200-sxm"
    assert len(plant_figures("dgx-b200")) == len(plant_figures("dgx-h100"))
    with pytest.raises(UnknownNameError, match="did you mean 'dgx-b200'"):
        gpu_of("dgx-b20")


def test_slower_links_of_an_h800() -> None:
    fast, slow = load_node("dgx-h100"), load_node("hgx-h800")
    assert slow.nvlink.bytes_per_s == pytest.approx(fast.nvlink.bytes_per_s * 400 / 900)
    assert slow.network == fast.network


def test_a_device_file_of_the_user(tmp_path: Path) -> None:
    node = node_of(written(tmp_path, SHEET))
    device = node.device
    assert (device.name, device.calibrated, device.basis) == ("mine", False, "a data sheet")
    assert device.matmul_bf16_flops == 500e12
    assert device.static_w == pytest.approx(H100.static_w / 2)
    assert node.nvlink.bytes_per_s == pytest.approx(100e9 * 0.8)
    assert node.rated_w == pytest.approx(load_node().rated_w / 2)
    assert node.host_w == load_node().host_w
    path = written(tmp_path, SHEET)
    assert load_node(path) == node
    assert (node.name, gpu_of(path)) == (path, path)
    assert {figure.source for figure in plant_figures(path)} >= {"sheet"}


def test_a_device_file_that_changes_is_read_again(tmp_path: Path) -> None:
    first = load_device(written(tmp_path, SHEET))
    second = load_device(written(tmp_path, SHEET.replace("value: 350", "value: 300")))
    assert (first.limit_w, second.limit_w) == (350, 300)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.0e12, unit: B/s", "2.0e3, unit: GB/s", r"in 'GB/s'.*give it in 'B/s'"),
        ("  multiprocessors", "  multiprocesors", "did you mean 'peak.multiprocessors'"),
        ("value: 350", "value: -5", r"limit_w = -5 W"),
        ("value: 350", "value: 0", r"above 0"),
        ("value: 350", "value: many", r"power.limit_w: could not convert"),
        ("{value: 350, unit: W, source: sheet, as_of: 2026-01-01}", "350", r"write \{value: "),
        ("source: sheet, as_of: 2026-01-01}\nlinks", "as_of: 2026-01-01}\nlinks", "lacks source"),
        ("like: h100-sxm", "like: h10-sxm", "did you mean 'h100-sxm'"),
        ("like: h100-sxm", "like: mine.device.yaml", "unknown GPU 'mine.device.yaml'"),
        ("calibrated: false", "calibrated: maybe", "write true or false"),
        ("basis:", "bases:", "the head 'device' is"),
        ("peak:", "peak: [", "is not YAML"),
    ],
)  # fmt: skip
def test_wrong_device_files_say_what_is_wrong(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SHEET
    with pytest.raises(InputError, match=message):
        node_of(written(tmp_path, SHEET.replace(old, new)))


def test_a_data_sheet_with_gaps_names_them(tmp_path: Path) -> None:
    text = "\n".join(line for line in SHEET.splitlines() if "hbm_bytes" not in line)
    with pytest.raises(InputError, match=r"lacks peak.hbm_bytes_per_s"):
        load_device(written(tmp_path, text))


def test_files_that_are_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_device(str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match="holds no figures"):
        load_device(written(tmp_path, ""))
    with pytest.raises(UnknownNameError, match="did you mean 'h200-sxm'"):
        node_of("h200-smx")


def test_a_chip_with_other_memory_keeps_its_power() -> None:
    h200 = load_device("h200-sxm")
    assert (h200.static_w, h200.flop_j, h200.hbm_byte_j) == (
        H100.static_w,
        H100.flop_j,
        H100.hbm_byte_j,
    )


def test_measured_efficiencies_scale_what_kernels_run_at(tmp_path: Path) -> None:
    """Half of the reference's share of the peak is half of its rate, in every kernel law."""
    slow = SHEET + (
        'efficiency:\n  matmul_frac: {value: 0.4, unit: "1", source: m, as_of: 2026-01-01}\n'
        '  hbm_frac: {value: 0.415, unit: "1", source: m, as_of: 2026-01-01}\n'
    )
    device = load_device(written(tmp_path, slow))
    assert device.sheet("peak.matmul_bf16_flops") == 500e12
    assert device.matmul_bf16_flops == pytest.approx(250e12)
    assert device.hbm_bytes_per_s == pytest.approx(1e12)
    achieved = device.matmul_bf16_flops * device.matmul_frac
    assert achieved == pytest.approx(500e12 * 0.4)
    assert device.matmul_bf16_flops * device.attention_frac == pytest.approx(
        500e12 * H100.attention_frac
    )
    with pytest.raises(UnknownNameError, match=r"peak\.memory_bytes"):
        device.sheet("peak.memory_byte")


def test_the_h200_kernels_that_were_measured_follow_the_h100_laws(facts: Path) -> None:
    """Median error of bf16 matrix products below the power limit: what the basis says, 7.7 %."""
    import numpy as np
    import pyarrow.parquet as pq

    from sim.hardware.kernels import gemm_flops, joined, kernel_law

    table = pq.read_table(
        facts / "measured/kernels_h200_power/gemm_vllm_0.22.0_gemm_perf.parquet",
        filters=[("gemm_dtype", "==", "bfloat16"), ("power", "<", 650.0), ("latency", ">", 0.02)],
    )
    m, n, k, ms = (table[name].to_numpy().astype(float) for name in ("m", "n", "k", "latency"))
    device, law = load_device("h200-sxm"), kernel_law("vllm", "gemm")
    memory_s = 2 * (m * k + n * k + m * n) / (law.memory_frac * device.hbm_bytes_per_s)
    compute_s = gemm_flops(m, n, k, device.multiprocessors, law.half) / (
        law.compute_frac * device.matmul_bf16_flops
    )
    predicted_s = law.fixed_s + joined(memory_s, compute_s, law.sharpness)
    error = np.median(np.abs(predicted_s / (ms * 1e-3) - 1))
    assert len(m) == 7_600
    assert error == pytest.approx(0.077, abs=0.003)
