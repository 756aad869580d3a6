"""The what-if page: how soon the first answer, a later one, and how it bears 20 users.

Starts `flopgrid serve` on a free port of this machine and times, as a browser would see them:

- the start: from the command to the first byte of the page;
- the first answer of the default question, from the start and from the asking;
- later answers: the same form with another size or place, never from memory;
- 20 users at once for a while, each loading the page and asking for the state of runs, while
  questions are being answered: median and 95th percentile of a GET.

Aims: first answer 5 s after the start, later ones 2 s, GETs that stay quick. Wall time: run it
on a machine that does nothing else.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time

import httpx

USERS = 20
ROUNDS = 15
LATER = ({"gpus": 80_000}, {"gpus": 120_000}, {"place": "VA"}, {"place": "MA", "gpus": 64_000})
LIMIT_S = 120.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for_page(client: httpx.Client, deadline_s: float) -> str:
    """The page, as soon as the server answers."""
    while time.monotonic() < deadline_s:
        try:
            return client.get("/").text
        except httpx.TransportError:
            time.sleep(0.02)
    raise SystemExit("the server did not start")


def answer_s(client: httpx.Client, question: dict[str, object]) -> float:
    """Wall time from the question to its answer."""
    started_s = time.monotonic()
    origin = {"origin": str(client.base_url).rstrip("/")}
    number = client.post("/api/runs", json=question, headers=origin).json()["run"]
    while time.monotonic() - started_s < LIMIT_S:
        state = client.get(f"/api/runs/{number}").json()["state"]
        if state == "done":
            return time.monotonic() - started_s
        if state not in ("waiting", "running"):
            raise SystemExit(f"the run is {state}")
        time.sleep(0.02)
    raise SystemExit("no answer")


async def user(client: httpx.AsyncClient, times_s: list[float]) -> None:
    """One visitor: loads the page and asks how the last run does, again and again."""
    for _ in range(ROUNDS):
        for path in ("/", "/static/page.js", "/api/runs/1"):
            started_s = time.monotonic()
            (await client.get(path)).raise_for_status()
            times_s.append(time.monotonic() - started_s)
            await asyncio.sleep(0.02)


async def crowd(base: str, questions: int) -> tuple[list[float], float]:
    """20 users while questions are answered; times of the GETs, and of the whole."""
    times_s: list[float] = []
    started_s = time.monotonic()
    async with httpx.AsyncClient(base_url=base, timeout=LIMIT_S) as client:
        for k in range(questions):
            tree = {"place": "VA", "gpus": 8_000 + 800 * k, "arch": "llama-3.1-8b"}
            await client.post("/api/runs", json=tree, headers={"origin": base})
        await asyncio.gather(*(user(client, times_s) for _ in range(USERS)))
    return times_s, time.monotonic() - started_s


def measure(port: int, started_s: float) -> dict[str, float]:
    """All figures, in seconds."""
    base = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base, timeout=LIMIT_S) as client:
        page = wait_for_page(client, started_s + LIMIT_S)
        page_s = time.monotonic() - started_s
        first = json.loads(page.split('id="form">', 1)[1].split("</script>", 1)[0])["first"]
        asked_s = answer_s(client, first)
        from_start_s = time.monotonic() - started_s
        later_s = [answer_s(client, {**first, **change, "layout": None}) for change in LATER]
        known_s = answer_s(client, first)
    times_s, whole_s = asyncio.run(crowd(base, 3))
    times_s.sort()
    return {
        "page_after_start_s": page_s,
        "first_answer_s": asked_s,
        "first_answer_after_start_s": from_start_s,
        "later_answer_median_s": statistics.median(later_s),
        "later_answer_most_s": max(later_s),
        "known_answer_s": known_s,
        "get_p50_s": statistics.median(times_s),
        "get_p95_s": times_s[int(0.95 * len(times_s))],
        "get_most_s": times_s[-1],
        "gets_per_s": len(times_s) / whole_s,
    }


def main() -> None:
    """Serve, measure, print."""
    port = free_port()
    command = [sys.executable, "-m", "sim", "serve", "--port", str(port)]
    started_s = time.monotonic()
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        found = measure(port, started_s)
    finally:
        server.terminate()
        server.wait(timeout=10)
    for name, value in found.items():
        print(f"{name:<28} {value:10.3f}")


if __name__ == "__main__":
    main()
