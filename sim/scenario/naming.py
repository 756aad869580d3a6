"""The hash that names a run: the same wherever the user's own files lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sim import __version__
from sim.datum import data_file
from sim.scenario.canonical import hash8
from sim.scenario.yamlfile import Plain


def run_hash(tree: Mapping[str, Plain], files: Mapping[str, str]) -> str:
    """8 hex digits over the scenario, what it reads and the version.

    A file of the user counts by its name and content, not by its folder.

    Args:
        tree: the resolved scenario as plain data.
        files: SHA-256 of each file that the run reads, by name or path.
    """
    own = {path: f"{Path(path).name} {told}" for path, told in files.items() if is_own(path)}
    # A network may be a folder of tables, and a file of several snapshots (`FILE@SNAPSHOT`).
    bare = {str(Path(path).parent): Path(path).parent.name for path in own} | own

    def renamed(value: Plain) -> Plain:
        if isinstance(value, Mapping):
            return {key: renamed(part) for key, part in value.items()}
        if isinstance(value, list | tuple):
            return [renamed(part) for part in value]
        if not isinstance(value, str):
            return value
        file, at, rest = value.partition("@")
        return bare.get(file, file) + at + rest

    found = {key: renamed(value) for key, value in tree.items()}
    return hash8(found, {own.get(path, path): told for path, told in files.items()}, __version__)


def is_own(path: str) -> bool:
    """Whether a file that a run reads is none of the shipped tables."""
    return not data_file(path).is_file()
