"""Long runs with flat memory and file handles.

    python tools/soak.py serve --minutes 30
    python tools/soak.py sweep --runs 10000

`serve` starts the page and asks it one new question after another, cancels some and reads the
answers' files. `sweep` runs one scenario with that many seeds. Both sample, every few seconds,
the resident memory and the open files of the process and of its workers. Flat means: the last
quarter's mean is at most 10 % and 20 MiB (or 8 files) above the second quarter's.

Prints one JSON line; exit code 1 if something grows or an answer is missing.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PORT = 8917
HOST = f"127.0.0.1:{PORT}"
ANSWER_S = 120
MIB = 2**20
SWEEP = """\
name: soak
base: base.yaml
seeds: [{seeds}]
"""
BASE = """\
name: soak
horizon_h: 1
sites:
  - name: campus
    at: {zone: VA}
    cluster: {nodes: 16}
    workloads: [{kind: training, name: job, arch: llama-3-8b, layout: {tp: 8}, tokens: 1e12}]
grid: {kind: zonal, case: us-states, samples: 8, hosting: false}
"""


@dataclass
class Watch:
    """Memory and files of a process and of all below it, over time."""

    pid: int
    every_s: float = 5.0
    rss_mib: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    last_s: float = 0.0

    def look(self) -> None:
        """One sample, if it is time."""
        now_s = time.monotonic()
        if now_s - self.last_s < self.every_s:
            return
        self.last_s = now_s
        tree = list(processes(self.pid))
        self.rss_mib.append(sum(map(rss_mib, tree)))
        self.files.append(sum(map(open_files, tree)))

    def flat(self) -> dict[str, Any]:
        """Means of the second and the last quarter, and whether they are alike."""
        quarter = max(len(self.files) // 4, 1)
        rss = [_mean(self.rss_mib[quarter : 2 * quarter]), _mean(self.rss_mib[-quarter:])]
        files = [_mean(self.files[quarter : 2 * quarter]), _mean(self.files[-quarter:])]
        grew = rss[1] > 1.1 * rss[0] + 20 or files[1] > files[0] + 8
        return {
            "samples": len(self.files),
            "rss_mib": [round(mib, 1) for mib in rss],
            "rss_mib_max": round(max(self.rss_mib, default=0), 1),
            "open_files": [round(n, 1) for n in files],
            "flat": not grew and len(self.files) >= 4,
        }


def _mean(values: list[Any]) -> float:
    return sum(values) / len(values) if values else 0.0


def processes(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from processes(int(child))


def rss_mib(pid: int) -> float:
    """Resident memory; 0 once the process is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def open_files(pid: int) -> int:
    """Open descriptors; 0 once the process is gone."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


@contextmanager
def page() -> Iterator[subprocess.Popen[bytes]]:
    """The page, served by the command line until the end of the block."""
    command = [sys.executable, "-m", "sim", "serve", "--port", str(PORT)]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        for _ in range(300):
            try:
                call("GET", "/")
                break
            except OSError:
                time.sleep(0.2)
        yield server
    finally:
        server.terminate()
        server.wait(timeout=30)


def call(method: str, path: str, body: object = None) -> tuple[int, bytes]:
    """One request to the page."""
    connection = http.client.HTTPConnection(HOST, timeout=60)
    try:
        head = {"Origin": f"http://{HOST}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body else None, head)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def soak_serve(minutes: float, seed: int) -> dict[str, Any]:
    """Ask until the time is over."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    told = {"asked": 0, "answered": 0, "cancelled": 0, "lost": 0, "refused": 0}
    with page() as server:
        watch = Watch(server.pid)
        end_s = time.monotonic() + 60 * minutes
        while time.monotonic() < end_s:
            asked = {"place": "VA", "work": "serving", "arch": "llama-3.1-8b"}
            status, body = call(
                "POST", "/api/runs", {**asked, "gpus": 8 * draw.randrange(1, 100_000)}
            )
            if status != http.client.ACCEPTED:  # the page limits how often one asks
                told["refused"] += 1
                time.sleep(2)
                continue
            told["asked"] += 1
            number = json.loads(body)["run"]
            if draw.random() < 0.1:
                call("POST", f"/api/runs/{number}/cancel")
            state = _follow(number, watch)
            told[{"done": "answered", "cancelled": "cancelled"}.get(state, "lost")] += 1
            if state == "done":
                call("GET", f"/api/runs/{number}/files/report.html")
    return {"minutes": minutes, **told, **watch.flat()}


def _follow(number: int, watch: Watch) -> str:
    """The state in which a run ends."""
    deadline_s = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline_s:
        watch.look()
        state = str(json.loads(call("GET", f"/api/runs/{number}")[1])["state"])
        if state not in ("waiting", "running"):
            return state
        time.sleep(0.2)
    return "silent"


def soak_sweep(runs: int) -> dict[str, Any]:
    """One sweep of many seeds, watched."""
    with tempfile.TemporaryDirectory(prefix="flopgrid-soak-") as folder:
        base = Path(folder) / "base.yaml"
        base.write_text(BASE)
        file = Path(folder) / "sweep.yaml"
        file.write_text(SWEEP.format(seeds=", ".join(map(str, range(runs)))))
        command = [sys.executable, "-m", "sim", "sweep", str(file), "--out", f"{folder}/out"]
        started_s = time.monotonic()
        sweep = subprocess.Popen(  # noqa: S603
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        watch = Watch(sweep.pid)
        while sweep.poll() is None:
            watch.look()
            time.sleep(0.5)
        wall_s = time.monotonic() - started_s
        finished = sum(1 for _ in Path(folder, "out").rglob("summary.json"))
    lost = runs - finished
    return {"runs": runs, "lost": lost, "rc": sweep.returncode, "wall_s": round(wall_s)} | (
        watch.flat()
    )


def main() -> int:
    """Soak, tell, judge."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("serve", "sweep"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = soak_sweep(args.runs) if args.what == "sweep" else soak_serve(args.minutes, args.seed)
    print(json.dumps(found))
    return 0 if found["flat"] and not found["lost"] and not found.get("rc") else 1


if __name__ == "__main__":
    sys.exit(main())
