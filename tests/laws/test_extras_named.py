"""What a message tells the user to install exists: every extra is one of pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"flopgrid\[([a-z,]+)\]")
OPTIONAL = re.compile(r"optional extra '([a-z]+)'")


def named(root: Path) -> dict[str, str]:
    """Extra -> a file that names it."""
    files = [*(root / "sim").rglob("*.py"), *(root / "docs").rglob("*.md"), root / "README.md"]
    found = {}
    for file in files:
        text = file.read_text("utf-8")
        for match in (*NAMED.finditer(text), *OPTIONAL.finditer(text)):
            found |= dict.fromkeys(match[1].split(","), file.relative_to(root).as_posix())
    return found


def unknown(root: Path, extras: set[str]) -> dict[str, str]:
    return {extra: file for extra, file in named(root).items() if extra not in extras}


def test_every_extra_that_is_named_exists() -> None:
    told = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = set(told["project"]["optional-dependencies"])
    assert len(named(ROOT)) >= 4
    assert unknown(ROOT, extras) == {}


def test_an_extra_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "sim").mkdir()
    (tmp_path / "README.md").write_text("")
    (tmp_path / "sim" / "a.py").write_text("\"pip install 'flopgrid[cluster]'\"")
    assert unknown(tmp_path, {"dask"}) == {"cluster": "sim/a.py"}
