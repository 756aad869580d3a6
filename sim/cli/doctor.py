"""`flopgrid doctor`: what this installation is and has, and a self-test of two seconds."""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

LLAMA_3_8B_PARAMETERS: Final = 8_030_261_248
"""Of the published weights: the sum over the tensors of the checkpoint."""
TRIANGLE: Final = """\
function mpc = triangle
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
 1 3 0 0 0 0 1 1 0 230 1 1.1 0.9;
 2 1 0 0 0 0 1 1 0 230 1 1.1 0.9;
 3 1 90 0 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [ 1 90 0 0 0 1 100 1 200 0 ];
mpc.branch = [
 1 2 0 0.1 0 100 0 0 0 0 1 -360 360;
 1 3 0 0.1 0 100 0 0 0 0 1 -360 360;
 2 3 0 0.1 0 100 0 0 0 0 1 -360 360;
];
"""
"""Three equal lines: two thirds of 90 MW take the short way, one third the long one."""


def add_command(commands: Any) -> None:
    """Register the verb."""
    doctor = commands.add_parser(
        "doctor",
        help="what this installation is and has, and whether it computes rightly",
        description="Versions, threads, disk, optional packages, and a self-test of two seconds; "
        "exit code 1 if a check fails.",
    )
    doctor.set_defaults(handler=handle_doctor)


def handle_doctor(_args: argparse.Namespace) -> int:
    """Print what is there, then check it."""
    for line in (*_machine(), *_packages()):
        print(line)
    failed = 0
    for name, check in CHECKS.items():
        try:
            print(f"self-test {name}: ok, {check()}")
        except Exception as error:  # noqa: BLE001 - a doctor reports whatever is broken
            failed += 1
            print(f"self-test {name}: FAILED, {type(error).__name__}: {error}")
    return 1 if failed else 0


def _machine() -> Iterator[str]:
    from sim import __version__

    yield f"flopgrid {__version__}, Python {platform.python_version()}, {platform.system()}"
    free_gb = shutil.disk_usage(".").free / 1e9
    yield f"processors {os.cpu_count()}, free disk here {free_gb:,.0f} GB"
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        yield f"{variable} {os.environ.get(variable, 'not set (1 is best here)')}"


def _packages() -> Iterator[str]:
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        needed = requires("flopgrid") or []
    except PackageNotFoundError:
        yield "flopgrid is run from its source folder, not installed"
        return
    extras: dict[str, list[str]] = {}
    for requirement in needed:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        extra = re.search(r"extra == '([^']+)'", requirement.replace('"', "'"))
        extras.setdefault(name, []).append(extra[1] if extra else "")
    for name, wanted in extras.items():
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            optional = f" (optional, for flopgrid[{wanted[0]}])" if all(wanted) else ": install it"
            yield f"{name} not installed{optional}"


def _counts() -> str:
    from sim import arch
    from sim.flops import parameters

    found = parameters(arch.load("llama-3-8b")).total
    if found != LLAMA_3_8B_PARAMETERS:
        raise ValueError(f"llama-3-8b has {found} parameters, not {LLAMA_3_8B_PARAMETERS}")
    return f"{len(arch.names())} architectures, llama-3-8b has {found:,} parameters"


def _flows() -> str:
    from tempfile import TemporaryDirectory

    from sim.grid.nodal.cases import load_case
    from sim.grid.nodal.dcflow import DcGrid
    from sim.grid.nodal.operating import base_point

    with TemporaryDirectory() as folder:
        file = Path(folder) / "triangle.m"
        file.write_text(TRIANGLE)
        flows = base_point(DcGrid(load_case(str(file)))).flow_mw
    if max(abs(flows - [30.0, 60.0, 30.0])) > 1e-9:
        raise ValueError(f"a triangle carries {flows} MW, not 30, 60, 30")
    return "90 MW over a triangle of equal lines: 60 the short way, 30 the long one"


def _files() -> str:
    from tempfile import TemporaryDirectory

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sim.record.atomic import publish, start
    from sim.record.store import parquet_bytes

    kept = pa.table({"time_s": np.arange(1000.0)})
    with TemporaryDirectory(dir=".", prefix=".doctor-") as folder:
        draft = start(Path(folder) / "run")
        (draft.path / "signals.parquet").write_bytes(parquet_bytes(kept))
        publish(draft)
        if not pq.read_table(draft.final / "signals.parquet").equals(kept):
            raise ValueError("a table read back differs from the one written")
    return "a folder written, published and read back here"


def _data() -> str:
    """The shipped tables are those of the release, as far as the installation records them."""
    from importlib.metadata import PackageNotFoundError, distribution

    from sim.datum import data_file

    shipped = Path(str(data_file("claims"))).parent
    there = [file for file in shipped.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    try:
        listed = distribution("flopgrid").files or []
    except PackageNotFoundError:
        listed = []
    recorded = [f for f in listed if f.hash and f.parts[:2] == ("sim", "data")]
    for file in recorded:
        _compare(Path(str(file.locate())), file.hash.value if file.hash else "")
    told = f"{len(recorded)} equal to the release" if recorded else "hashes are not recorded here"
    return f"{len(there)} data files, {told}"


def _compare(path: Path, recorded: str) -> None:
    digest = hashlib.sha256(path.read_bytes()).digest()
    if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != recorded:
        raise ValueError(f"{path} is not the one of the release; install flopgrid again")


CHECKS: Final[dict[str, Callable[[], str]]] = {
    "data": _data,
    "FLOPs": _counts,
    "flows": _flows,
    "files": _files,
}
