"""What a user installs: pinned, and under licences that an Apache-2.0 project may ship with."""

from __future__ import annotations

import re
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
from packaging.markers import Marker

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    "0BSD", "APACHE", "BSD", "CC0", "ISC", "MIT", "MIT-CMU", "MOZILLA", "MPL", "PSF", "PYTHON",
    "UNLICENSE", "ZLIB",
}  # fmt: skip
"""Families of licences; MPL-2.0 binds changes to its own files only."""


def locked(file: str = "requirements.lock") -> dict[str, str]:
    """Packages of the lock file that this machine needs, with their versions."""
    found = {}
    for line in (ROOT / file).read_text().splitlines():
        pin = re.match(r"([\w.-]+)==([\w.]+)(?:\s*;\s*([^\\]+))?", line)
        if pin and (not pin[3] or Marker(pin[3].strip()).evaluate()):
            found[pin[1]] = pin[2]
    return found


def licence(name: str) -> str:
    """What a distribution says about its licence, the newest form first."""
    told = metadata(name)
    classified = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    first_line = next(iter((told.get("License") or "").strip().splitlines()), "")
    return told.get("License-Expression") or " AND ".join(classified) or first_line


def allowed(said: str) -> bool:
    """Whether every part of a licence is of a known family; of alternatives one is enough."""
    if not said:
        return False
    return all(
        any(_family(choice) in ALLOWED for choice in part.split(" OR "))
        for part in said.strip("()").split(" AND ")
    )


def _family(choice: str) -> str:
    name = choice.rsplit("::", maxsplit=1)[-1].strip().upper()
    return "MIT-CMU" if name == "MIT-CMU" else re.split(r"[-\s]", name)[0]


@pytest.mark.parametrize("name", locked())
def test_a_locked_package_is_installed_as_locked_and_its_licence_fits(name: str):
    assert version(name) == locked()[name]
    assert allowed(licence(name)), licence(name)


def test_some_packages_are_locked():
    assert {"numpy", "simpy", "scipy", "networkx", "matplotlib"} <= locked().keys()


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ("GPL-3.0-or-later", False),
        ("MIT AND GPL-2.0-only", False),
        ("AGPL-3.0", False),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", False),
        ("", False),
        ("Proprietary", False),
        ("MIT OR GPL-2.0-only", True),
        ("BSD-3-Clause AND Zlib", True),
        ("License :: OSI Approved :: Apache Software License", True),
    ],
)
def test_licences_are_told_apart(said: str, fits: bool):
    assert allowed(said) is fits
