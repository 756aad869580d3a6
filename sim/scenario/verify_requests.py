"""Laws of a finished run's `requests.parquet`, read in pieces: it may be larger than the memory."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from sim.errors import LawViolation
from sim.record.laws import Floats, check_sum
from sim.record.table_stream import read_pieces
from sim.scenario.requests_table import REQUESTS

if TYPE_CHECKING:
    import pyarrow as pa

Json = Mapping[str, Any]
Bools = NDArray[np.bool_]
SCALED: Final = re.compile(r"(\d+) of (\d+) replicas simulated and scaled")
ORDER: Final = ("arrival_s", "start_s", "first_token_s", "end_s")
WORDS: Final = ("fleet", "status", "reason")
NUMBERS: Final = (*ORDER, "request", "input_tokens", "output_tokens", "energy_chip_j")
COUNTS: Final = ("requests", "completed", "dropped", "shed", "tokens_in", "tokens_out")
MOST_REQUESTS: Final = 2**34
APART: Final = {"requests": ("turned_away", "handed_over"), "shed": ("turned_away",)}
"""Requests that never came to a replica have no row."""


def check_requests(folder: Path, summary: Json, cells: frozenset[str] = frozenset()) -> str:
    """Requests: each once, its times in order, and the window's counts those of the summary.

    Args:
        cells: fleets of which whole routing cells speak for the others. They differ in size,
            so the summary's totals are not the rows times one number.
    """
    fleets = summary["serving"]["fleets"] if "serving" in summary else {}
    books = {
        name: RequestBook(name, told, summary["horizon_s"])
        for name, told in fleets.items()
        if told.get("counted")
    }
    rows = 0
    for piece in read_pieces(folder / REQUESTS, (*WORDS, *NUMBERS)):
        rows += piece.num_rows
        names, codes = _words(piece, "fleet")
        columns = {name: _numbers(piece, name) for name in NUMBERS}
        status, reason = (_masks(piece, name) for name in ("status", "reason"))
        for code, name in enumerate(names):
            if name not in books:
                raise LawViolation(f"requests of {name}: the summary counts none there")
            own = codes == code
            mine = {key: values[own] for key, values in columns.items()}
            refused = status.get("dropped", ~own)[own]
            full = reason.get("queue-full", np.zeros_like(own))[own]
            books[name].add(mine, status.get("completed", np.zeros_like(own))[own], refused, full)
    for name, book in books.items():
        book.check(summary, whole_cells=name in cells)
    return f"requests: {rows:,} rows, each once, counts of the window agree"


@dataclass(slots=True)
class RequestBook:
    """What the rows of one fleet sum to.

    Args:
        fleet: its name. told: what the summary says of it. horizon_s: of the run.
    """

    fleet: str
    told: Json
    horizon_s: float
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    shares_j: list[float] = field(default_factory=list)
    window_j: list[float] = field(default_factory=list)
    seen: Bools = field(default_factory=lambda: np.zeros(1024, dtype=np.bool_))

    def add(self, mine: dict[str, Floats], done: Bools, refused: Bools, full: Bools) -> None:
        """Take rows in.

        Args:
            mine: columns. done, refused: which were completed and dropped, and of these which
                because too much waited.

        Raises:
            LawViolation: a row stands there twice or is impossible.
        """
        self._once(mine["request"].astype(np.int64))
        self._check_times(mine, done)
        start_s = self.horizon_s - self.told["window_s"]
        arrived = (mine["arrival_s"] >= start_s) & (mine["arrival_s"] < self.horizon_s)
        ended = done & (mine["end_s"] >= start_s) & (mine["end_s"] < self.horizon_s)
        more = {
            "requests": arrived.sum(),
            "completed": ended.sum(),
            "dropped": (refused & ~full & arrived).sum(),
            "shed": (refused & full & arrived).sum(),
            "tokens_in": mine["input_tokens"][ended].sum(),
            "tokens_out": mine["output_tokens"][ended].sum(),
        }
        for key, count in more.items():
            self.counts[key] += int(count)
        within = ended & (mine["start_s"] >= start_s)
        self.shares_j.append(float(np.nansum(mine["energy_chip_j"])))
        self.window_j.append(float(np.nansum(mine["energy_chip_j"][within])))

    def _once(self, ids: NDArray[np.int64]) -> None:
        most = int(ids.max(initial=0))
        if ids.min(initial=0) < 0 or most >= MOST_REQUESTS:
            worst = int(ids.min(initial=0)) or most
            raise LawViolation(f"requests of {self.fleet}: {worst} is no number of a request")
        if most >= len(self.seen):
            more = np.zeros(most + 1, dtype=np.bool_)
            self.seen = np.concatenate([self.seen, more])
        kinds, counts = np.unique(ids, return_counts=True)
        twice = (counts > 1) | self.seen[kinds]
        if twice.any():
            one = int(kinds[twice.argmax()])
            raise LawViolation(f"requests of {self.fleet}: {one} stands there twice")
        self.seen[kinds] = True

    def _check_times(self, mine: dict[str, Floats], done: Bools) -> None:
        times = np.stack([np.zeros(done.sum()), *(mine[name][done] for name in ORDER)], axis=1)
        late = times[:, -1] > self.horizon_s
        wrong = ~(np.diff(times, axis=1) >= 0).all(axis=1) | late
        if wrong.any():
            k = int(wrong.argmax())
            raise LawViolation(
                f"request {int(mine['request'][done][k])} of {self.fleet}: times out of order, "
                f"{times[k, 1:].tolist()} s in a run of {self.horizon_s!r} s"
            )
        energy_j = mine["energy_chip_j"][done]
        if (energy_j < 0).any():
            raise LawViolation(f"requests of {self.fleet}: energy below 0")
        if np.isnan(energy_j).any():
            k = int(np.isnan(energy_j).argmax())
            number = int(mine["request"][done][k])
            raise LawViolation(f"request {number} of {self.fleet}: completed without energy")

    def check(self, summary: Json, *, whole_cells: bool) -> None:
        """Whether the summary says the same of the window.

        Raises:
            LawViolation: it does not.
        """
        told, counted = self.told, self.told["counted"]
        for key in COUNTS:
            check_sum(f"{key} of {self.fleet}", counted[key], [self.counts[key]], 0.0)
        scaled = SCALED.match(told["basis"])
        scale = int(scaled[2]) / int(scaled[1]) if scaled else 1.0
        for key in COUNTS if not (whole_cells and scaled) else ():
            apart = sum(counted[name] for name in APART.get(key, ()))
            check_sum(f"{key} of {self.fleet}", told[key], [scale * (counted[key] + apart)], 1e-9)
        if not (whole_cells and scaled):
            self._check_window(scale)
        shares_j = scale * math.fsum(self.shares_j)
        site_j = summary["sites"][self.fleet.partition(".")[0]]["energy_j"]["chip"]
        if shares_j > site_j * (1 + 1e-9):
            raise LawViolation(
                f"requests of {self.fleet}: shares {shares_j!r} J of {site_j!r} J at the chip"
            )

    def _check_window(self, scale: float) -> None:
        """What began and ended in the window used no more than the fleet; idle is the rest."""
        used_j, own_j = scale * math.fsum(self.window_j), self.told["mean_power_w"]["value"]
        own_j *= self.told["window_s"]
        if used_j > own_j * (1 + 1e-9):
            raise LawViolation(
                f"requests of {self.fleet}: shares of {used_j!r} J in the window, in which the "
                f"fleet used {own_j!r} J"
            )


def _words(piece: pa.RecordBatch, name: str) -> tuple[list[str], NDArray[np.int64]]:
    """The words of a column, and which one each row has (-1 for none)."""
    encoded = piece.column(name).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy()
    return encoded.dictionary.to_pylist(), codes


def _masks(piece: pa.RecordBatch, name: str) -> dict[str, Bools]:
    """Which rows have each word of a column."""
    words, codes = _words(piece, name)
    return {word: codes == code for code, word in enumerate(words)}


def _numbers(piece: pa.RecordBatch, name: str) -> Floats:
    """A column of numbers; NaN where there is none."""
    found: Floats = piece.column(name).cast("float64").to_numpy(zero_copy_only=False)
    return found
