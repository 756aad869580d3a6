"""The server of `flopgrid serve` under `tools/kills.py`: its worker, or itself, is killed."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from stress_sweep import children, end

ROOT = Path(__file__).resolve().parent.parent
WAIT_S = 120.0
ORPHAN_S = 30.0
GPUS = tuple(range(80, 80 + 8 * 40, 8))
ALWAYS = ("scenario.yaml", "figures.csv", "power_time.svg", "power_time.csv")
"""Files of every answer whose figures are all drawn, beside the report."""
OVER = ("done", "wrong", "failed", "cancelled")


class Serve:
    """A server that is asked, killed, asked again.

    Its answers live in memory, so what must survive is: a server whose worker died goes on, with
    the answers that it had; a dead server leaves no process; every answer is that of a calm one.
    """

    def __init__(self, _folder: Path, moments: random.Random):
        self._moments = moments
        self._answers: dict[int, Any] = {}
        self._done: dict[int, int] = {}
        self._faults: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._base = ""

    def round(self) -> str:
        """Ask; kill the worker or the server while it answers; ask again."""
        process = self._running()
        gpus = self._moments.choice(GPUS)
        number = self._ask(gpus)
        time.sleep(self._moments.uniform(0.0, 1.0))
        kind = self._moments.choice(("worker", "server"))
        workers = self._workers()
        for pid in workers if kind == "worker" else [process.pid]:
            end(pid)
        if kind == "worker":
            self._after_worker(number, gpus)
        else:
            process.wait()
            self._process = None
            self._wait_gone(workers)
        self._hold(gpus)
        return f"serve {kind}"

    def check(self) -> list[str]:
        """What did not hold in the round."""
        found, self._faults = self._faults, []
        return found

    def finish(self) -> list[str]:
        """Every question once more, then the end."""
        for gpus in list(self._answers):
            self._hold(gpus)
        if self._process:
            workers = self._workers()
            self._process.terminate()
            self._process.wait()
            self._wait_gone(workers)
        return self.check()

    def _after_worker(self, number: int, gpus: int) -> None:
        """The job under way fails in words, or was done; those before it are as they were."""
        told = self._wait(number)
        if told["state"] == "failed" and "the worker died" not in str(told.get("result")):
            self._faults.append(f"a job whose worker died says {told.get('result')!r}")
        elif told["state"] == "done":
            self._compare(gpus, told["answer"])
            self._check_figures(number, told, killed=True)
        elif told["state"] != "failed":
            self._faults.append(f"a job whose worker died is {told['state']}")
        for other, asked in self._done.items():
            known = self._state(other)
            self._compare(asked, known.get("answer"))
            self._check_figures(other, known, killed=False)

    def _hold(self, gpus: int) -> None:
        """Asked in peace, the answer is the one that we know."""
        self._running()
        number = self._ask(gpus)
        told = self._wait(number)
        if told["state"] != "done":
            self._faults.append(f"asked again, {gpus} GPUs: {told['state']}: {told.get('result')}")
            return
        self._done[number] = gpus
        self._compare(gpus, told["answer"])
        self._check_figures(number, told, killed=False)

    def _check_figures(self, number: int, told: dict[str, Any], *, killed: bool) -> None:
        """The figures of an answer come to an end, whole: all of them, or a word why not.

        Args:
            killed: whoever drew them may have been killed; else they are all there.
        """
        told = self._wait(number, "drawn") if not told.get("drawn") else told
        self._faults += [f"run {number}: {fault}" for fault in figure_faults(told, killed=killed)]

    def _compare(self, gpus: int, answer: Any) -> None:
        """Answers but for the captions of figures, which come after them one by one."""
        answer = {name: part for name, part in (answer or {}).items() if name != "captions"}
        known = self._answers.setdefault(gpus, answer)
        if answer != known:
            self._faults.append(f"the answer for {gpus} GPUs is not the one given before")

    def _running(self) -> subprocess.Popen[bytes]:
        """The server, started where it is not there."""
        if self._process is None or self._process.poll() is not None:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                port = int(found.getsockname()[1])
            self._base, self._done = f"http://127.0.0.1:{port}", {}
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-m", "sim", "serve", "--port", str(port)],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._wait_up()
        return self._process

    def _workers(self) -> list[int]:
        """Its children: the worker, and the tracker of its resources."""
        return children([self._process.pid]) if self._process else []

    def _wait_up(self) -> None:
        until_s = time.monotonic() + WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(self._base + "/", timeout=5).close()  # noqa: S310 - ours
                return
            time.sleep(0.05)
        raise TimeoutError("the server does not come up")

    def _wait_gone(self, pids: list[int]) -> None:
        """Children of a dead server end by themselves."""
        until_s = time.monotonic() + ORPHAN_S
        left = [pid for pid in pids if _lives(pid)]
        while left and time.monotonic() < until_s:
            time.sleep(0.05)
            left = [pid for pid in left if _lives(pid)]
        if left:
            self._faults.append(f"processes of a dead server live on: {left}")
            for pid in left:
                end(pid)

    def _ask(self, gpus: int) -> int:
        form = {"place": "VA", "work": "serving", "gpus": gpus, "arch": "llama-3.1-8b"}
        request = urllib.request.Request(  # noqa: S310 - ours
            self._base + "/api/runs",
            data=json.dumps(form).encode(),
            headers={"origin": self._base, "content-type": "application/json"},
        )
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - ours
                    return int(json.load(reply)["run"])
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(1.0)  # so many a minute

    def _state(self, number: int) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._base}/api/runs/{number}", timeout=30) as reply:  # noqa: S310
            found: dict[str, Any] = json.load(reply)
        return found

    def _wait(self, number: int, what: str = "state") -> dict[str, Any]:
        """The state of a job that is over, or drawn; the last one heard where that takes long."""
        until_s = time.monotonic() + WAIT_S
        while True:
            told = self._state(number)
            is_there = told["state"] in OVER if what == "state" else told.get(what)
            if is_there or time.monotonic() > until_s:
                return told
            time.sleep(0.05)


def figure_faults(told: dict[str, Any], *, killed: bool) -> list[str]:
    """What is wrong with the figures of an answer, as the page hears of them.

    Args:
        killed: whoever drew them may have been killed, so some may be missing, with the reason.
    """
    drawn, trouble, files = told.get("drawn"), told.get("trouble"), set(told.get("files", ()))
    if drawn is not True:
        return [f"its figures do not come to an end: drawn {drawn!r}"]
    if trouble:
        words = "" if killed and "died" in trouble else f"trouble {trouble!r}"
        return [words] if words else []
    missing = {"report.html", *ALWAYS} - files
    missing |= {f"{name}.svg" for name in told["answer"].get("captions", ())} - files
    return [f"no trouble, but no {', '.join(sorted(missing))}"] if missing else []


def _lives(pid: int) -> bool:
    """True for a process that is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
