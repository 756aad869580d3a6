"""The folder of a run: `OUT/SCENARIO-HASH8/seed-N/`, complete or not there.

    with RunFolder.open(RunId("one-state", "0a1b2c3d", 1), out, manifest) as run:
        run.write_json("summary.json", summary)

`manifest.json` says `running` while the folder is written, `done` when it has its final
name. A run that fails leaves what it wrote under `seed-N.failed`, with the error in the
manifest, and never touches a finished one; wrong input and an interrupt leave nothing.
The bytes of every file but the manifest depend on the scenario, seed, data and version only.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from sim.errors import InputError, LawViolation, Place
from sim.record import atomic

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST: Final = "manifest.json"
SUMMARY: Final = "summary.json"
RUNNING, DONE, FAILED = "running", "done", "failed"

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_HASH: Final = re.compile(r"[0-9a-f]{8}")
_SEED_FOLDER: Final = re.compile(r"seed-(0|[1-9][0-9]*)")


@dataclass(frozen=True, slots=True)
class RunId:
    """What names a run.

    Args:
        scenario: name of the scenario, safe as a file name.
        hash8: hash of scenario without seeds, data and version; 8 hex digits.
        seed: >= 0.

    Raises:
        InputError: one of them has another form.
    """

    scenario: str
    hash8: str
    seed: int

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.scenario):
            raise InputError(
                f"scenario name {self.scenario!r} is no file name",
                "use letters, digits, '.', '_' and '-', at most 100",
                path="name",
            )
        if not _HASH.fullmatch(self.hash8):
            raise InputError(f"run hash {self.hash8!r} is not 8 hex digits", "use hash8()")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} is below 0", "give a seed of at least 0")

    def folder(self, out: Path) -> Path:
        """Where the finished run stands."""
        return out / f"{self.scenario}-{self.hash8}" / f"seed-{self.seed}"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A complete run on disk."""

    id: RunId
    path: Path
    manifest: Mapping[str, Any] = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """The run's `summary.json`.

        Raises:
            InputError: it is missing or damaged.
        """
        return read_json(self.path / SUMMARY)


class RunFolder:
    """Context manager that writes one run; see the module's docstring.

    Args:
        id: what names the run.
        manifest: what the caller knows (versions, command, input hashes).
    """

    def __init__(self, id: RunId, draft: atomic.Draft, manifest: Mapping[str, Any]):  # noqa: A002
        self.id = id
        self.path = draft.path
        self.final = draft.final
        self._draft = draft
        self._started_s = time.monotonic()
        self._manifest: dict[str, Any] = {
            **manifest,
            "scenario": id.scenario,
            "hash": id.hash8,
            "seed": id.seed,
            "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    @classmethod
    def open(cls, id: RunId, out: Path, manifest: Mapping[str, Any]) -> Self:  # noqa: A002
        """Start a run; what dead runs left beside it is removed.

        Raises:
            InputError: the folder cannot be made.
        """
        final = id.folder(out)
        try:
            atomic.clean_stale(final.parent)
            run = cls(id, atomic.start(final), manifest)
        except OSError as error:
            raise unwritable(final, error) from error
        try:
            run._write_manifest(RUNNING)
        except BaseException:
            atomic.discard(run._draft)
            raise
        return run

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._close(error)
        except OSError as problem:
            atomic.discard(self._draft)
            raise unwritable(self.final, problem) from problem
        except BaseException:
            atomic.discard(self._draft)
            raise

    def _close(self, error: BaseException | None) -> None:
        """Publish as done or failed, or leave nothing behind."""
        failed = self.final.with_name(f"{self.final.name}.failed")
        if error is None:
            self._write_manifest(DONE)
            atomic.publish(self._draft)
            atomic.remove(failed)
        elif isinstance(error, InputError) or not isinstance(error, Exception):
            atomic.discard(self._draft)
        else:
            self._manifest["error"] = f"{type(error).__name__}: {error}"
            self._write_manifest(FAILED)
            atomic.publish(replace(self._draft, final=failed))

    def write_text(self, name: str, text: str) -> None:
        """Write a text file as UTF-8; `name` may have folders (`figures/a.svg`).

        Raises:
            InputError: the disk refuses it.
        """
        self.write_bytes(name, text.encode())

    def write_json(self, name: str, data: object) -> None:
        """Write JSON: keys sorted, floats as `repr`, a newline at the end; numpy is accepted.

        Raises:
            LawViolation: a number is not finite.
            InputError: the disk refuses it.
        """
        self.write_text(name, json_text(data))

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a table as Parquet; the same table gives the same bytes.

        Raises:
            InputError: the disk refuses it.
        """
        self.write_bytes(name, parquet_bytes(table))

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file.

        Raises:
            InputError: the disk refuses it.
        """
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or name == MANIFEST:
            raise ValueError(f"{name!r} is no file name inside a run")
        self._write(name, data)

    def _write(self, name: str, data: bytes) -> None:
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise unwritable(self.final / name, error) from error

    @property
    def manifest(self) -> dict[str, Any]:
        """What the manifest says so far."""
        return dict(self._manifest)

    def _write_manifest(self, status: str) -> None:
        """The manifest, with the hash of each file when the run is over."""
        manifest = {**self._manifest, "status": status}
        if status != RUNNING:
            manifest["wall_s"] = round(time.monotonic() - self._started_s, 3)
            manifest["files"] = file_hashes(self.path)
        self._write(MANIFEST, json_text(manifest).encode())


def find_run(id: RunId, out: Path) -> FinishedRun | None:  # noqa: A002
    """The finished run of that name, or None."""
    return _finished(id, id.folder(out))


def find_runs(out: Path) -> list[FinishedRun]:
    """All finished runs below a folder, by scenario, hash and seed; drafts are not counted."""
    found = []
    for path in out.glob("*/seed-*"):
        scenario, dash, hash8 = path.parent.name.rpartition("-")
        seed = _SEED_FOLDER.fullmatch(path.name)
        if seed and dash and _NAME.fullmatch(scenario) and _HASH.fullmatch(hash8):
            run = _finished(RunId(scenario, hash8, int(seed[1])), path)
            found += [run] if run else []
    return sorted(found, key=lambda run: (run.id.scenario, run.id.hash8, run.id.seed))


def clean_runs(out: Path) -> list[Path]:
    """Remove what dead runs left below a folder; the removed paths, sorted."""
    parents = sorted(path for path in out.glob("*") if path.is_dir())
    return [path for parent in parents for path in atomic.clean_stale(parent)]


def damage(run: FinishedRun) -> list[str]:
    """The files of a finished run that are not as its manifest says: missing, changed or new."""
    expected, found = dict(run.manifest.get("files", {})), file_hashes(run.path)
    names = sorted(expected.keys() | found.keys())
    return [name for name in names if expected.get(name) != found.get(name)]


def json_text(data: object) -> str:
    """JSON text that is the same for the same data.

    Raises:
        LawViolation: a number is not finite (the message says where).
    """
    plain = _plain(data, "")
    return json.dumps(plain, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def parquet_bytes(table: pa.Table) -> bytes:
    """A table as Parquet, with nothing in it that depends on the machine or the time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", version="2.6")
    return bytes(sink.getvalue())


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object.

    Raises:
        InputError: it is missing, damaged or holds something else.
    """
    place = Place(str(path))
    try:
        data = json.loads(path.read_bytes(), parse_constant=_no_number)
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise InputError(what, "name a finished run", place=place) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"is damaged: {error}", "run it again", place=place) from error
    if not isinstance(data, dict):
        raise InputError("is damaged: not an object", "run it again", place=place)
    return data


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of each file below a folder but the manifest, by its name with `/`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files}
    return {name: _file_hash(path) for name, path in names.items() if name != MANIFEST}


def _file_hash(path: Path) -> str:
    """SHA-256 of a file, read in pieces: a table may be larger than the memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finished(id: RunId, path: Path) -> FinishedRun | None:  # noqa: A002
    """The run at a path, if its manifest says that this run is done."""
    try:
        manifest = read_json(path / MANIFEST)
    except InputError:
        return None
    told = (manifest.get("status"), manifest.get("hash"), manifest.get("seed"))
    return FinishedRun(id, path, manifest) if told == (DONE, id.hash8, id.seed) else None


def _plain(data: object, where: str) -> object:
    """Data as JSON knows it; numpy scalars and arrays become Python's."""
    if isinstance(data, np.generic | np.ndarray):
        data = data.tolist()
    if isinstance(data, Mapping):
        return {str(key): _plain(value, f"{where}.{key}") for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value, f"{where}[{index}]") for index, value in enumerate(data)]
    if isinstance(data, float) and not math.isfinite(data):
        raise LawViolation(f"{where.lstrip('.') or 'the result'} is {data}, not a finite number")
    return data


def unwritable(path: Path, error: OSError) -> InputError:
    """The error of a file or folder that the disk refuses."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(
        f"cannot be written: {reason}",
        "make room there, or give another folder with --out",
        place=Place(str(path)),
    )
