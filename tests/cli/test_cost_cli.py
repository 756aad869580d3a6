"""`flopgrid cost` from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sim import arch as archs
from sim.cli.main import main
from sim.hardware.device import DEVICES


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["cost", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["cost", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_the_json_answer_holds_together(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, "llama-3.1-70b", "--tp", "4", "--batch", "32", "--context", "2000")
    operations = found["operations"]
    assert found["layout"] == {"tp": 4, "pp": 1, "ep": 1, "dp": 1, "gpus": 4}
    assert found["phase"] == "decode"
    assert sum(op["time_s"] for op in operations) == pytest.approx(found["time_s"])
    assert 4 * sum(op["energy_j"] for op in operations) == pytest.approx(found["energy_j"])
    assert found["energy_j"] == pytest.approx(found["power_w"] * found["time_s"])
    assert found["energy_j_per_token"] == pytest.approx(found["energy_j"] / 32)
    assert found["tokens_per_s"] == pytest.approx(32 / found["time_s"])
    assert found["intensity_flop_per_byte"] == pytest.approx(found["flops"] / found["hbm_bytes"])
    assert {op["limit"] for op in operations} == {"memory", "launch", "link", "host"}
    assert found["gpu"]["calibrated"] is True
    assert found["memory"]["used_tokens"] == 32 * 2001
    assert any("chip boundary" in line for line in found["assumptions"])
    price = found["usd_per_gpu_h"] * 4 * found["time_s"] / 3600 / 32 * 1e6
    assert found["usd_per_million_tokens"] == pytest.approx(price)


def test_a_prefill_counts_its_own_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, "llama-3.1-8b", "--batch", "2", "--new-tokens", "4096", "--context", "0")
    assert (found["phase"], found["tokens"]) == ("prefill", 8192)
    assert max(found["limits_share_of_time"].items(), key=lambda x: x[1])[0] == "compute"
    assert 0.4 < found["mfu"] < 0.9


@pytest.mark.parametrize("gpu", DEVICES)
def test_every_device_is_marked_as_it_is(capsys: pytest.CaptureFixture[str], gpu: str) -> None:
    assert main(["cost", "llama-3.1-8b", "--gpu", gpu, "--batch", "4"]) == 0
    text = capsys.readouterr().out
    assert ("UNCALIBRATED" in text) == (gpu != "h100-sxm")
    found = ask(capsys, "llama-3.1-8b", "--gpu", gpu, "--batch", "4")
    assert found["gpu"]["calibrated"] == (gpu == "h100-sxm")
    assert any("UNCALIBRATED" in line for line in found["assumptions"]) == (gpu != "h100-sxm")


def test_the_template_is_a_device_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["calibrate", "--template"]) == 0
    path = tmp_path / "filled.device.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    mine = ask(capsys, "llama-3.1-8b", "--gpu", str(path), "--batch", "8")
    ours = ask(capsys, "llama-3.1-8b", "--batch", "8")
    assert mine["gpu"]["name"] == "filled"
    assert mine["gpu"]["calibrated"] is False
    assert mine["usd_per_million_tokens"] is None
    assert mine["time_s"] == pytest.approx(ours["time_s"], rel=0.02)


@pytest.mark.parametrize("over", ["batch", "context"])
def test_a_sweep_and_its_figure(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, over: str
) -> None:
    path = tmp_path / "sweep.svg"
    found = ask(capsys, "llama-3.1-8b", "--batch", "4", "--sweep", over, "--figure", str(path))
    rows = found["sweep"]["rows"]
    assert found["sweep"]["over"] == over
    assert [row[over] for row in rows] == sorted({row[over] for row in rows})
    assert [row["time_s"] for row in rows] == sorted(row["time_s"] for row in rows)
    if over == "batch":
        energies = [row["energy_j_per_token"] for row in rows]
        assert energies == sorted(energies, reverse=True)
    at = next(row for row in rows if (row["batch"], row["context"]) == (4, 1024))
    assert at["time_s"] == pytest.approx(found["time_s"], rel=1e-9)
    assert at["energy_j_per_token"] == pytest.approx(found["energy_j_per_token"], rel=1e-9)
    shown = list(csv.DictReader(path.with_suffix(".csv").read_text().splitlines()))
    assert [float(row["time_s"]) for row in shown] == [row["time_s"] for row in rows]
    operations = list(csv.DictReader((tmp_path / "sweep-operations.csv").read_text().splitlines()))
    assert [op["name"] for op in operations] == [op["name"] for op in found["operations"]]


def test_a_sweep_of_power_caps(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    asked = ["llama-3.1-8b", "--new-tokens", "4096", "--context", "0", "--sweep", "cap"]
    found = ask(capsys, *asked, "--figure", str(tmp_path / "cap.svg"))
    rows = found["sweep"]["rows"]
    assert rows[-1]["cap"] == 700
    assert rows[0]["cap"] <= 300
    assert [row["power_w_per_gpu"] for row in rows] == pytest.approx([row["cap"] for row in rows])
    times = [row["time_s"] for row in rows]
    assert times == sorted(times, reverse=True)
    energies = [row["energy_j_per_token"] for row in rows]
    assert min(energies) < energies[-1]  # a lower clock saves energy in a compute-bound step


def test_the_roofline_figure_is_the_same_for_the_same_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drawn = []
    for name in ("a.svg", "b.svg"):
        ask(capsys, "qwen3-30b-a3b", "--batch", "16", "--figure", str(tmp_path / name))
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert b"<svg" in drawn[0]


def test_text_of_a_sweep(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cost", "mamba-2.8b", "--sweep", "batch"]) == 0
    text = capsys.readouterr().out
    assert "J/token" in text
    assert (tmp_path / "outputs" / "cost-mamba-2.8b-h100-sxm.svg").exists()
    assert "assumptions (sources: --json)" in text
    assert main(["cost", "mamba-2.8b"]) == 0
    assert "the cache does not grow" in capsys.readouterr().out


def test_a_price_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, "llama-3.1-8b", "--usd-per-gpu-h", "1.5")
    assert found["usd_per_gpu_h"] == 1.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("llama-3.1-8b", "--gpu", "h100"), "did you mean 'h100-sxm'"),
        (("llama-3.1-8b", "--gpu", "none.yaml"), "none.yaml: no such file"),
        (("llama-3.1-8", ), "did you mean 'llama-3.1-8b'"),
        (("llama-3.1-8b", "--tp", "3"), "does not divide the 32 attention heads"),
        (("llama-3.1-70b",), "GiB ("),
        (("llama-3.1-8b", "--batch", "1000", "--context", "9000"), "give a batch of at most"),
        (("llama-3.1-8b", "--dtype", "int8"), "known: bf16, fp16, fp8"),
        (("llama-3.1-8b", "--engine", "vlm"), "did you mean 'vllm'"),
        (("llama-3.1-8b", "--cap-w", "100"), "below the 120 W that an idle"),
        (("qwen3-30b-a3b", "--dp", "2"), "give ep 2"),
    ],
)  # fmt: skip
def test_wrong_questions(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert message in refused(capsys, *arguments)


@pytest.mark.parametrize("option", ["--batch=0", "--tp=-1", "--context=x", "--cap-w=0"])
def test_numbers_out_of_range(capsys: pytest.CaptureFixture[str], option: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["cost", "llama-3.1-8b", option])
    assert stopped.value.code == 2
    assert "is not a" in capsys.readouterr().err


@pytest.mark.parametrize("name", archs.names())
def test_every_model_of_the_zoo_has_a_cost(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """On eight B200; what does not fit or divide is refused with the reason."""
    arguments = ["cost", name, "--gpu", "b200-sxm", "--tp", "8", "--dtype", "fp8", "--json"]
    code = main(arguments)
    captured = capsys.readouterr()
    if code == 2:
        assert "tp 8 does not divide" in captured.err or "a GPU lacks" in captured.err
        return
    found = json.loads(captured.out)
    assert code == 0
    assert sum(op["time_s"] for op in found["operations"]) == pytest.approx(found["time_s"])
    assert 8 * sum(op["energy_j"] for op in found["operations"]) == pytest.approx(found["energy_j"])
