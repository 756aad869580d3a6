"""The doctor: what is there, and a self-test that fails when something is broken."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import numpy as np
import pytest

from sim.cli import doctor
from sim.cli.main import main
from sim.flops import count
from sim.grid.nodal.operating import base_point


def test_a_sound_installation_passes_and_leaves_nothing(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "numpy " in said
    for name in doctor.CHECKS:
        assert f"self-test {name}: ok" in said
    assert not list(tmp_path.iterdir())


def test_an_optional_package_names_its_extra(capsys):
    from importlib.metadata import PackageNotFoundError, version

    main(["doctor"])
    said = capsys.readouterr().out
    try:
        version("torch")
    except PackageNotFoundError:
        assert "torch not installed (optional, for flopgrid[calibrate])" in said
    else:
        assert f"torch {version('torch')}" in said


def test_wrong_counts_fail(monkeypatch, capsys):
    class Wrong:
        total = 1

    monkeypatch.setattr("sim.flops.parameters", lambda _: Wrong)
    assert count.parameters is not Wrong
    assert main(["doctor"]) == 1
    assert "self-test FLOPs: FAILED, ValueError: llama-3-8b has 1 " in capsys.readouterr().out


def test_wrong_flows_fail(monkeypatch, capsys):
    def wrong(grid):
        point = base_point(grid)
        return type("Point", (), {"flow_mw": np.asarray(point.flow_mw) + 1e-6})

    monkeypatch.setattr("sim.grid.nodal.operating.base_point", wrong)
    assert main(["doctor"]) == 1
    assert "self-test flows: FAILED" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_fails(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.record.atomic.start", _full)
    assert main(["doctor"]) == 1
    assert "self-test files: FAILED, OSError" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def _full(_path: Path) -> None:
    raise OSError(28, "No space left on device")


def test_a_data_file_that_was_changed_fails(tmp_path: Path):
    file = tmp_path / "table.csv"
    file.write_bytes(b"a,b\n")
    digest = hashlib.sha256(b"a,b\n").digest()
    recorded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    doctor._compare(file, recorded)
    file.write_bytes(b"a,c\n")
    with pytest.raises(ValueError, match="not the one of the release"):
        doctor._compare(file, recorded)
