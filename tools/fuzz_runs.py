"""Whole commands under attack: runs of drawn scenarios to their end, and readers of run folders."""

from __future__ import annotations

import contextlib
import io
import shutil
import zlib
from pathlib import Path

from sim.errors import InputError

POLICY = "# policy: "
SAMPLE = 4
"""One of so many runs is also made again, byte for byte."""
DRAWN = 32
"""One of so many runs is made by the command, with its figures and its report."""


class Wrong(Exception):
    """A command ended otherwise than a command may."""


def told(*command: str, may_fail: bool = False) -> str:
    """What a command printed that ended well.

    Args:
        may_fail: a check that failed (exit code 1) is told in one line, too, or printed.

    Raises:
        InputError: it was refused in one line.
        Wrong: it ended in any other way.
    """
    from sim.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(command))
    lines = [line for line in err.getvalue().split("\n") if line.startswith("flopgrid: ")]
    lines = [line for line in lines if not line.startswith("flopgrid: note: ")]
    if code == 0 and not lines:
        return out.getvalue()
    if code == 1 and may_fail and not lines:
        return out.getvalue()
    if code == 2 or (code == 1 and may_fail):
        if len(lines) == 1:
            raise InputError(lines[0])
        raise Wrong(f"{command[0]} ended with {code} and {len(lines)} lines: {err.getvalue()!r}")
    raise Wrong(f"{command[0]} ended with {code}: {' / '.join(lines) or out.getvalue()!r}")


def load_run(path: Path) -> object:
    """Run a scenario to its end, check it, and now and then make it again or ask a policy."""
    from sim.record.store import find_runs

    out, again = path.parent / "out", path.parent / "again"
    for folder in (out, again):
        shutil.rmtree(folder, ignore_errors=True)
    told("run", str(path), "--out", str(out))
    for run in find_runs(out):
        told("check", str(run.path))
        if zlib.crc32(path.read_bytes()) % SAMPLE == 0:
            told("run", "--from", str(run.path / "manifest.json"), "--out", str(again))
    policies = [line for line in path.read_text("utf-8").split("\n") if line.startswith(POLICY)]
    for line in policies:
        told("whatif", str(path), "--policy", line.removeprefix(POLICY))
    return len(policies)


def load_little(path: Path) -> object:
    """The same for a fraction of the time: most runs without figures, in this process."""
    from sim.record.store import file_hashes
    from sim.scenario.run import load_scenario, located, run_to_folder
    from sim.scenario.verify import verify_run

    number = zlib.crc32(path.read_bytes())
    if number % DRAWN == 0:
        return load_run(path)
    document, scenario = load_scenario(path)
    found = []
    for name in ("out", "again") if number % SAMPLE == 1 else ("out",):
        out = path.parent / name
        shutil.rmtree(out, ignore_errors=True)
        with located(document):
            folder, _ = run_to_folder(scenario, scenario.seeds[0], out, ["run", str(path)])
        verify_run(folder)
        found.append(file_hashes(folder))
    if found[0] != found[-1]:
        unlike = sorted(name for name in found[0] if found[0][name] != found[-1].get(name))
        raise Wrong(f"a second run differs in {', '.join(unlike)}")
    return number
