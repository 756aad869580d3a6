"""Progress of a sweep: a bar on a terminal, a line now and then elsewhere, events for machines."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from sim.sweep.child import Result
    from sim.sweep.plan import Planned

LINES = 20
"""About as many lines of progress in a whole sweep where there is no terminal."""


class Progress:
    """Counts points and tells of them.

    Args:
        total: number of points, at most where it is not known.
        as_json: one JSON event a line on stdout.
    """

    def __init__(self, total: int, as_json: bool):
        self.total, self.as_json = total, as_json
        self.counts = {"done": 0, "skipped": 0, "failed": 0}
        self._start_s = time.monotonic()
        self._every = max(1, total // LINES)
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self.as_json:
            self.event({"event": "start", "runs": self.total})
        elif sys.stderr.isatty():
            self._bar, self._task = _bar(self.total)
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    def tell(self, item: Planned, status: str, result: Result | None) -> None:
        """A point came to an end."""
        self.counts[status] += 1
        number = sum(self.counts.values())
        if self.as_json:
            self.event(_run_event(item, status, result, number))
        elif self._bar:
            shown = {"failed": self.counts["failed"], "rate": self._rate()}
            self._bar.update(self._task, completed=number, **shown)
        elif number % self._every == 0 or status == "failed" or number == self.total:
            left = self._left_text(number)
            label = item.point.label
            print(f"{number}/{self.total} {status}: {label}{left}", file=sys.stderr)

    def event(self, data: dict[str, Any]) -> None:
        """One line of JSON."""
        print(json.dumps(data, ensure_ascii=False), flush=True)

    def _rate(self) -> float:
        """Runs a second, without those that were finished before."""
        ran = self.counts["done"] + self.counts["failed"]
        return ran / max(time.monotonic() - self._start_s, 1e-9)

    def _left_text(self, number: int) -> str:
        rate = self._rate()
        left = self.total - number
        if not rate or not left:
            return f" ({rate:.3g} runs/s)" if rate else ""
        from sim.sweep.forecast import duration

        return f" ({rate:.3g} runs/s, about {duration(left / rate)} left)"


def _bar(total: int) -> tuple[Any, Any]:
    """A bar with done, failed, runs a second and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    bar = Bar(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TextColumn("{task.fields[rate]:.2f} runs/s"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    return bar, bar.add_task("", total=total, failed=0, rate=0.0)


def _run_event(item: Planned, status: str, result: Result | None, number: int) -> dict[str, Any]:
    event: dict[str, Any] = {
        "event": "run",
        "number": number,
        "point": item.point.index,
        "set": dict(item.point.values),
        "seed": item.point.seed,
        "status": status,
    }
    if status != "failed":
        event["run"] = item.path
    if result is not None:
        event |= {"wall_s": round(result.wall_s, 3), "peak_rss_bytes": result.peak_bytes}
        event |= {"error": result.error} if result.error else {}
    return event
