"""The resolved form of every valid case file, byte for byte; `tools/resolve_cases.py` writes it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import resolve_cases  # noqa: E402 - found through the path above


def test_the_resolved_forms_are_those_of_today() -> None:
    assert sorted(resolve_cases.stale()) == []


def test_there_are_enough_and_no_two_are_the_same() -> None:
    forms = [p.read_bytes() for kind in resolve_cases.FORMS
             for p in sorted((resolve_cases.CASES / kind / "resolved").glob("*.yaml"))]  # fmt: skip
    assert len(forms) >= 120
    nameless = {b"\n".join(form.split(b"\n")[2:]) for form in forms}
    assert len(nameless) >= 120


def test_a_changed_missing_or_extra_form_is_seen(tmp_path: Path) -> None:
    for kind, name in (("valid", "training-least.yaml"), ("sweeps", "zip-rows.yaml")):
        (tmp_path / kind / "resolved").mkdir(parents=True)
        for part in ("", "resolved"):
            shutil.copy(resolve_cases.CASES / kind / part / name, tmp_path / kind / part / name)
    assert resolve_cases.stale(tmp_path) == {}
    changed = tmp_path / "valid" / "resolved" / "training-least.yaml"
    changed.write_text(changed.read_text("utf-8").replace("128", "129"), "utf-8")
    (tmp_path / "valid" / "resolved" / "extra.yaml").touch()
    (tmp_path / "sweeps" / "resolved" / "zip-rows.yaml").unlink()
    found = {path.name: text for path, text in resolve_cases.stale(tmp_path).items()}
    assert sorted(found) == ["extra.yaml", "training-least.yaml", "zip-rows.yaml"]
    assert found["extra.yaml"] is None


@pytest.mark.parametrize("kind", resolve_cases.FORMS)
def test_no_path_of_a_machine_stands_in_a_form(kind: str) -> None:
    for path in (resolve_cases.CASES / kind / "resolved").glob("*.yaml"):
        assert str(ROOT) not in path.read_text("utf-8"), path
