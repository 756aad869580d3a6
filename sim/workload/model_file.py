"""A fitted traffic model as a JSON file, and made requests as a trace file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from sim.errors import InputError, Place
from sim.units import PS_PER_S
from sim.workload.course import DailyCourse
from sim.workload.fit import TraceModel, fit_trace
from sim.workload.fitted import FittedArrivals
from sim.workload.lengths import COLUMNS, EmpiricalLengths
from sim.workload.requests import RequestTable
from sim.workload.traces import OnBadRows, read_trace

FORM: Final = "flopgrid-traffic"
VERSION: Final = 1


def save_model(model: TraceModel, source: str, path: Path) -> None:
    """Write arrivals and lengths of a fitted trace.

    Args:
        source: the trace's name.
    """
    arrivals: dict[str, Any] = asdict(model.arrivals)
    content = {
        "form": FORM,
        "version": VERSION,
        "source": source,
        "requests": model.requests,
        "span_s": model.span_s,
        "tick_s": model.tick_s,
        "arrivals": arrivals,
        "lengths": {name: getattr(model.lengths, name).tolist() for name in COLUMNS},
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load_model(path: str | Path) -> tuple[FittedArrivals, EmpiricalLengths]:
    """Arrivals and lengths of a model file.

    Raises:
        InputError: the file cannot be read, or is no model of this version.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"cannot read the traffic model: {error}").at(Place(str(path))) from None
    if not isinstance(content, dict) or content.get("form") != FORM:
        raise InputError(
            "this JSON file is no traffic model", "make one with flopgrid trace fit TRACE --out"
        ).at(Place(str(path)))
    if content.get("version") != VERSION:
        raise InputError(
            f"traffic model of version {content.get('version')!r}, known: {VERSION}"
        ).at(Place(str(path)))
    try:
        return _arrivals(content["arrivals"]), EmpiricalLengths(
            *(np.array(content["lengths"][name], dtype=np.int64) for name in COLUMNS)
        )
    except InputError as error:
        raise error.at(Place(str(path))) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"malformed traffic model: {error!r}").at(Place(str(path))) from None


def _arrivals(entry: dict[str, Any]) -> FittedArrivals:
    plain = {key: value for key, value in entry.items() if key != "course"}
    values: dict[str, Any] = {
        key: tuple(map(float, value)) if isinstance(value, list) else float(value)
        for key, value in plain.items()
    }
    course = {key: tuple(map(float, value)) for key, value in entry["course"].items()}
    return FittedArrivals(**values, course=DailyCourse(**course))


def fitted_traffic(
    file: str | Path, on_bad_rows: OnBadRows = "stop"
) -> tuple[FittedArrivals, EmpiricalLengths, int]:
    """Traffic of a model file (`.json`), or fitted to a trace: once in a process.

    Returns:
        Arrivals at the trace's own rate, lengths, and bad rows that were left out.

    Raises:
        InputError: the file cannot be read or fitted.
    """
    path = Path(file)
    if path.suffix == ".json":
        return *load_model(path), 0
    return _fitted(path, _content(path), on_bad_rows)


def _content(path: Path) -> str:
    """A hash of what stands in a file; empty where it cannot be read, which reading it tells."""
    if not path.is_file():
        return ""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


@lru_cache(maxsize=16)
def _fitted(
    path: Path,
    content: str,  # noqa: ARG001
    on_bad_rows: OnBadRows,
) -> tuple[FittedArrivals, EmpiricalLengths, int]:
    """Fit a trace; what is kept is told by its content, so a file that changed is read again."""
    trace = read_trace(path, on_bad_rows)
    try:
        model = fit_trace(trace.requests)
    except InputError as error:
        raise InputError(f"{path.name}: {error.what}", error.todo) from None
    return model.arrivals, model.lengths, len(trace.bad_rows)


def write_trace(table: RequestTable, path: Path) -> None:
    """Write requests as `arrival_s,input_tokens,output_tokens`, CSV or Parquet by the name.

    Raises:
        InputError: another ending, or the file cannot be written.
    """
    arrival, tokens_in, tokens_out, *_ = table.columns
    try:
        if path.suffix == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet as pq

            names = ("arrival_s", "input_tokens", "output_tokens")
            columns = (arrival / PS_PER_S, tokens_in, tokens_out)
            pq.write_table(pa.table(dict(zip(names, columns, strict=True))), path)
        elif path.suffix == ".csv":
            rows = zip(arrival.tolist(), tokens_in.tolist(), tokens_out.tolist(), strict=True)
            with path.open("w", encoding="utf-8") as file:
                file.write("arrival_s,input_tokens,output_tokens\n")
                file.writelines(f"{at / PS_PER_S:.9f},{i},{o}\n" for at, i, o in rows)
        else:
            raise InputError(f"{path.name}: a trace ends in .csv or .parquet")
    except OSError as error:
        raise InputError(f"cannot write the trace: {error.strerror}").at(Place(str(path))) from None
