"""Files of 100 MB: refused or read within a bound of memory, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIZE = 100 * 2**20
MOST_BYTES = 450 * 2**20
"""Above what the process has before it reads: the file as bytes and as text, and a margin."""

CODE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import fuzz_loaders
from pathlib import Path
from sim.errors import InputError
target = fuzz_loaders.TARGETS[sys.argv[2]]
small = Path(sys.argv[3]).with_name("small" + target.suffixes[0])
small.write_bytes(b"{")
def load(path):
    try:
        target.load(path)
    except InputError as error:
        return str(error)
    return "read"
load(small)
before = resource.getrusage(resource.RUSAGE_SELF)
told = load(Path(sys.argv[3]))
after = resource.getrusage(resource.RUSAGE_SELF)
print((after.ru_maxrss - before.ru_maxrss) * 1024)
print(told)
"""


@pytest.mark.parametrize(
    ("name", "suffix", "line"),
    [
        ("scenario", ".yaml", b"a: 1\n"),
        ("config", ".json", b"[1,"),
        ("case", ".m", b"mpc.bus = [ 1 2 3\n"),
        ("trace", ".csv", b"arrival_s,input_tokens,output_tokens "),
        ("weather", ".csv", b"LOCATION,a,b,c\n"),
    ],
)
def test_a_file_of_100_mb_is_refused_within_bounds(
    name: str, suffix: str, line: bytes, tmp_path: Path
) -> None:
    path = tmp_path / f"large{suffix}"
    path.write_bytes(line * (SIZE // len(line)))
    tools = Path(__file__).resolve().parents[2] / "tools"
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tools), name, str(path)],
        capture_output=True, text=True, check=True, timeout=120, env=os.environ,
    )  # fmt: skip
    path.unlink()
    grown_bytes, told = done.stdout.splitlines()
    assert told.startswith(f"{path}"), told
    assert int(grown_bytes) < MOST_BYTES
