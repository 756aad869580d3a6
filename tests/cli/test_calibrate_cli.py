"""`flopgrid calibrate` from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sim.cli.main import main
from sim.errors import InputError
from sim.hardware.device import load_device
from sim.report.calibrate_tables import KNOWN_GPUS, known_gpu


def test_without_pytorch_exit_code_2_and_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["calibrate"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "needs PyTorch and nvidia-ml-py" in captured.err


def test_a_fake_run_writes_a_file_that_other_commands_accept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "made.yaml"
    assert main(["calibrate", "--fake", "--out", str(path)]) == 0
    captured = capsys.readouterr()
    assert "written to" in captured.out
    assert "27/27" in captured.err
    made, known = load_device(str(path)), load_device()
    assert not made.calibrated
    assert "made up from h100-sxm" in made.basis
    assert made.matmul_bf16_flops == pytest.approx(known.matmul_bf16_flops, rel=1e-3)
    assert made.static_w == pytest.approx(known.static_w, rel=1e-3)
    assert main(["cost", "llama-3.1-8b", "--gpu", str(path)]) == 0
    assert "UNCALIBRATED" in capsys.readouterr().out
    asked = ["plan", "serving", "llama-3.1-8b", "--slo", "tpot_s=0.05", "--gpu", str(path)]
    asked += ["--figure", str(tmp_path / "front.svg")]
    assert main([*asked, "--gpus", "1"]) == 0
    assert "made (UNCALIBRATED)" in capsys.readouterr().out


def test_the_file_goes_to_standard_output_without_a_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["calibrate", "--fake", "--like", "a100-80-sxm"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# measured by flopgrid calibrate: GPU made up from a100-80-sxm")
    assert "\npeak:\n" in text


def test_the_json_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--fake", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["calibrated"] is False
    assert len(found["kernels"]) == 27
    assert found["power_fit"]["median_error_frac"] < 0.01
    by_name = {row["name"]: row for row in found["figures"]}
    assert by_name["efficiency.matmul_frac"]["ratio"] == pytest.approx(1, rel=1e-3)
    gemm = next(row for row in found["kernels"] if row["kernel"] == "gemm 16384x8192x8192")
    assert gemm["law_s"] == pytest.approx(gemm["nominal_clock_s"], rel=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fake", "--out", "/no/such/folder/x.yaml"), "no folder /no/such/folder"),
        (("--fake", "--out", "x.txt"), "ends in .yaml"),
        (("--fake", "--like", "h100"), "did you mean 'h100-sxm'"),
    ],
)
def test_wrong_options(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert main(["calibrate", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_gpus_own_name_finds_its_data_sheet() -> None:
    assert known_gpu("NVIDIA H100 80GB HBM3", fake=False) == "h100-sxm"
    assert known_gpu("NVIDIA A100-SXM4-80GB", fake=False) == "a100-80-sxm"
    assert known_gpu("NVIDIA B200", fake=False) == "b200-sxm"
    with pytest.raises(InputError, match="no data sheet ships for the GPU 'NVIDIA L40S'"):
        known_gpu("NVIDIA L40S", fake=False)
    for device in KNOWN_GPUS.values():
        load_device(device)


def test_a_data_sheet_of_ones_own_can_be_calibrated(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["calibrate", "--template"]) == 0
    sheet, out = tmp_path / "sheet.yaml", tmp_path / "out.yaml"
    sheet.write_text(capsys.readouterr().out.replace("value: 700", "value: 600"), encoding="utf-8")
    assert main(["calibrate", "--fake", "--like", str(sheet), "--out", str(out)]) == 0
    assert load_device(str(out)).limit_w == 600
    assert "like: h100-sxm" in out.read_text("utf-8")
