"""`flopgrid plan serving` from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sim.cli.main import main
from sim.cli.plan_serving import parse_slo
from sim.cost.plan_serving_job import Slo
from sim.errors import InputError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of text answers go to `outputs` of the working folder."""
    monkeypatch.chdir(tmp_path)


ASK = ("plan", "serving", "llama-3.1-8b", "--slo", "ttft_s=0.5,tpot_s=0.03", "--max-batch", "96")


def ask(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*ASK, *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_json_answer_holds_together(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, "--rate", "100", "--objective", "j-per-token")
    best = found["best"]
    assert set(best) == {"gpus", "usd", "j-per-token"}
    for row in best.values():
        assert row["tpot_s"] <= 0.03
        assert row["ttft_s"] <= 0.5
        assert row["requests_per_s"] == pytest.approx(100)
    first, *others = found["layouts"]
    assert first["loses_by"] == "best"
    assert first == {**best["j-per-token"], "loses_by": "best"}
    energies = [row["energy_j_per_output_token"] for row in found["layouts"]]
    assert energies == sorted(energies)
    assert all(row["loses_by"] for row in others)
    fast = found["pareto"][0]
    assert all(row["tpot_s"] >= fast["tpot_s"] for row in found["pareto"])
    assert found["job"]["offers"][0]["calibrated"] is True
    assert found["disaggregated"] is None
    assert any("the SLO is on the means" in line for line in found["assumptions"])


def test_the_text_names_the_best_and_why_others_lose(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ASK, "--rate", "100", "--top", "5"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("llama-3.1-8b: 1024 + 256 tokens, 100 requests/s; mean ttft 0.5 s")
    for word in ("fewest GPUs", "least USD", "least energy", "why it loses", "GPUs more"):
        assert word in text
    assert "layouts more (--top)" in text
    assert Path("outputs/plan-serving-llama-3.1-8b.svg").exists()


def test_pools_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    found = ask(capsys, "--rate", "100", "--disaggregated")
    row = found["disaggregated"]["gpus"]
    assert (
        row["gpus"]
        == row["prefill"]["replicas"] * row["prefill"]["tp"] * row["prefill"]["pp"]
        + row["decode"]["replicas"] * row["decode"]["tp"] * row["decode"]["pp"]
    )
    assert main([*ASK, "--rate", "100", "--disaggregated"]) == 0
    assert "prefill and decode in pools of their own" in capsys.readouterr().out


def test_the_figure_and_the_front_beside_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drawn = []
    for name in ("a.svg", "b.svg"):
        path = tmp_path / name
        found = ask(capsys, "--gpus", "8", "--gpu", "h100-sxm,b200-sxm", "--figure", str(path))
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1]
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [float(row["tpot_s"]) for row in rows] == [row["tpot_s"] for row in found["pareto"]]
    assert {row["gpu"] for row in found["layouts"]} == {"h100-sxm", "b200-sxm"}
    assert any("b200-sxm is UNCALIBRATED" in line for line in found["assumptions"])


def test_slo_as_text() -> None:
    assert parse_slo("ttft_s=1,tpot_s=0.05") == Slo(1.0, 0.05)
    assert parse_slo("tpot_s=2e-2") == Slo(tpot_s=0.02)
    assert parse_slo("") == Slo()
    for text, message in (
        ("tpot=1", "did you mean 'tpot_s'"),
        ("tpot_s=", "'' is not a number above 0"),
        ("tpot_s=-1", "is not a number above 0"),
        ("tpot_s=nan", "is not a number above 0"),
        ("tpot_s=1,tpot_s=2", "gives tpot_s twice"),
    ):
        with pytest.raises(InputError, match=message):
            parse_slo(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slo", "ttft_s=0.001,tpot_s=0.0001"), "the least ttft of all is"),
        (("--rate", "5000", "--gpus", "8"), "requests per second need"),
        (("--gpu", "h100-sxm,h200"), "did you mean 'h200-sxm'"),
        (("--precision", "bf16,int4"), "unknown precision of serving kernels 'int4'"),
        (("--disaggregated",), "give --rate"),
        (("--engine", "tensorrt"), "unknown engine 'tensorrt'"),
    ],
)
def test_wrong_questions(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert main([*ASK, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_a_device_file_has_no_rent(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["calibrate", "--template"]) == 0
    path = tmp_path / "mine.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    found = ask(capsys, "--gpus", "1", "--gpu", str(path))
    assert "usd" not in found["best"]
    assert main([*ASK, "--gpus", "1", "--gpu", str(path), "--objective", "usd"]) == 2
    assert "give --usd-per-gpu-h" in capsys.readouterr().err
    found = ask(capsys, "--gpus", "1", "--gpu", str(path), "--usd-per-gpu-h", "2")
    assert found["best"]["usd"]["usd_per_million_output_tokens"] > 0


def test_training_takes_a_device_too(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "training", "llama-3.1-8b", "--gpus", "16", "--gpu", "h200-sxm", "--json"]
    assert main(asked) == 0
    found = json.loads(capsys.readouterr().out)
    assert any("h200-sxm is UNCALIBRATED" in line for line in found["assumptions"])


def test_without_an_slo_the_largest_batch_wins(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "serving", "llama-3.1-8b", "--gpus", "1"]) == 0
    text = capsys.readouterr().out
    assert "no SLO" in text
    assert "most per GPU" in text


def test_models_published_in_four_bits_are_tried_in_four_bits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plan", "serving", "gpt-oss-20b", "--gpus", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["job"]["precisions"] == ["bf16", "fp8", "mxfp4"]
