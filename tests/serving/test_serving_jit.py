"""Machine code on disk: a changed kernel source is compiled anew, an unchanged one is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sim.cluster.serving import jit
from sim.cluster.serving.kernels.bring import abort, bring, requeue
from sim.cluster.serving.kernels.draw import draw
from sim.cluster.serving.kernels.power import cut, flush

PROGRAM = """\
import sys
from pathlib import Path
from sim.cluster.serving import jit
jit.KERNELS = Path(sys.argv[1])
import kernel
print(jit.is_stored(kernel.twice), kernel.twice(21), sum(kernel.twice.stats.cache_hits.values()))
"""
KERNEL = """\
from sim.cluster.serving.jit import compiled

@compiled
def twice(n):
    return 2 * n
"""


def stamp_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str]:
    monkeypatch.setattr(jit, "KERNELS", folder)
    return jit.source_stamp.__wrapped__()


def test_any_change_of_a_kernel_gives_another_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = jit.source_stamp.__wrapped__()
    folder = tmp_path / "kernels"
    shutil.copytree(jit.KERNELS, folder)
    assert stamp_of(folder, monkeypatch) == now
    seen = {now}
    for path in sorted(folder.glob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"\n")
        seen.add(stamp_of(folder, monkeypatch))
        path.write_bytes(text)
    (folder / "more.py").write_text("")
    seen.add(stamp_of(folder, monkeypatch))
    assert len(seen) == 2 + len(list(folder.glob("*.py"))) - 1


@pytest.mark.parametrize("kernel", [bring, requeue, abort, draw, cut, flush])
def test_every_kernel_called_from_python_has_the_stamp(kernel: object) -> None:
    assert kernel._cache._cache_file._source_stamp == jit.source_stamp()  # type: ignore[attr-defined]


def test_code_is_loaded_until_a_kernel_changes(tmp_path: Path) -> None:
    """One process compiles, the next loads, and after a change of a kernel file neither may."""
    folder = tmp_path / "kernels"
    shutil.copytree(jit.KERNELS, folder)
    (tmp_path / "kernel.py").write_text(KERNEL)

    def run() -> str:
        where = os.pathsep.join([str(tmp_path), str(Path(jit.__file__).parents[3])])
        env = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "store"), "PYTHONPATH": where}
        command = [sys.executable, "-c", PROGRAM, str(folder)]
        return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout

    assert run() == "False 42 0\n"
    assert run() == "True 42 1\n"
    layout = folder / "layout.py"
    layout.write_text(layout.read_text() + "\n")
    assert run() == "False 42 0\n"
    assert run() == "True 42 1\n"
