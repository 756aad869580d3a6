"""`flopgrid check RUN`: a finished folder holds, and each law fails when its file is tampered with.

The manifest's hashes are made to fit again, so that the law itself must find the change.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.cli.main import main
from sim.record.store import file_hashes, find_runs

CASES = Path(__file__).resolve().parents[1] / "cases" / "valid"
SHEDS = "sites[0].workloads[0].classes[1].max_queue_tokens=2000"
TINY = ("grid.samples=8", "grid.hosting=false")

Capture = pytest.CaptureFixture[str]
Change = Callable[[Any], None]


def made(place: Path, name: str, *overrides: str) -> Path:
    sets = [word for text in overrides for word in ("--set", text)]
    assert main(["run", str(CASES / name), *sets, "--out", str(place)]) == 0
    (run,) = find_runs(place)
    return run.path


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Training and serving, every request recorded."""
    more = ("horizon_h=0.015", "record.requests=all", *TINY)
    return made(tmp_path_factory.mktemp("serving"), "training-and-serving.yaml", *more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every request of all replicas, on the compiled engine, with shedding."""
    place = tmp_path_factory.mktemp("whole")
    return made(place, "serving-classes.yaml", "record.requests=all", SHEDS, *TINY)


@pytest.fixture(scope="module")
def supplied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with battery, PV and generators in its weather."""
    place = tmp_path_factory.mktemp("supplied")
    return made(place, "facility-full.yaml", "horizon_h=0.5", *TINY)


@pytest.fixture(scope="module")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of the regions' grid."""
    place = tmp_path_factory.mktemp("hourly")
    return made(place, "grid-regions-year.yaml", "grid.samples=8", "grid.days=3")


def copied(folder: Path, place: Path) -> Path:
    return Path(shutil.copytree(folder, place / "copy"))


def sealed(folder: Path) -> Path:
    """Hashes that fit what stands there now."""
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    told["files"] = file_hashes(folder)
    path.write_text(json.dumps(told))
    return folder


def with_summary(folder: Path, place: Path, change: Change) -> Path:
    copy = copied(folder, place)
    summary = json.loads((copy / "summary.json").read_text())
    change(summary)
    (copy / "summary.json").write_text(json.dumps(summary))
    return sealed(copy)


def with_rows(folder: Path, place: Path, name: str, change: Change) -> Path:
    copy = copied(folder, place)
    table = pq.read_table(copy / name)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), copy / name)
    return sealed(copy)


def complaint(folder: Path, capsys: Capture) -> str:
    capsys.readouterr()
    assert main(["check", str(folder)]) == 1
    return capsys.readouterr().err


def test_untouched_runs_hold(serving: Path, supplied: Path, hourly: Path, capsys: Capture) -> None:
    lines = []
    for folder in (serving, supplied, hourly):
        assert main(["check", str(folder)]) == 0
        lines.append(capsys.readouterr().out)
    for word in ("schema:", "counts:", "signals:", "requests:", "to the same run"):
        assert word in lines[0]
    assert "supply: 1 behind the meter" in lines[1]
    assert "grid: 72 hours balance" in lines[2]


def set_at(path: str, value: Any) -> Change:
    """Set a value at a dotted path; a number that starts with * is a factor."""

    def change(data: Any) -> None:
        *steps, last = [int(s) if s.isdigit() else s for s in path.split("/")]
        for step in steps:
            data = data[step]
        factor = isinstance(value, str) and value.startswith("*")
        data[last] = data[last] * float(value[1:]) if factor else value

    return change


def drop(path: str) -> Change:
    def change(data: Any) -> None:
        *steps, last = path.split("/")
        for step in steps:
            data = data[step]
        del data[last]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("energy_j/it"), "schema: summary.json.energy_j lacks 'it'"),
        (set_at("horizon_s", "72"), "schema: summary.json.horizon_s is '72'"),
        (set_at("seed", True), "schema: summary.json.seed is True"),
        (set_at("sites/campus", 3), "schema: sites.campus is 3, not an object"),
        (set_at("grid/verdicts/0/limit", "luck"), "grid.verdicts[0].limit is 'luck'"),
        (drop("serving/tokens_out"), "schema: serving lacks 'tokens_out'"),
        (drop("training/steps"), "schema: training lacks 'steps'"),
        (set_at("sites/campus/energy_j/chip", "*99"), "boundaries of campus out of order"),
        (set_at("energy_j/it", "*1.000001"), "it energy of the run: "),
        (set_at("power_w/chip/max", "*0.5"), "chip power of the run: "),
        (set_at("sites/campus/causes_w/cooling", "*1.01"), "causes of campus: "),
        (set_at("sites/campus/peak_load_mw", "*9"), "peak of campus: "),
        (set_at("serving/completed", "*2"), "serving completed: "),
        (set_at("serving/fleets/campus.serving/tokens_in", None), "summary.json: cannot be read"),
        (set_at("training/tokens", "*1.1"), "training tokens: "),
        (set_at("training/jobs/campus.train/time_frac/steps", 1.5), "time of campus.train: "),
    ],
)
def test_a_tampered_summary_is_found(
    serving: Path, tmp_path: Path, capsys: Capture, change: Change, message: str
) -> None:
    assert message in complaint(with_summary(serving, tmp_path, change), capsys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("facility/campus/supply/import_mwh", "*1.01"), "supply of campus, in and out: "),
        (set_at("facility/campus/supply/stored_end_mwh", "*1.01"), "battery of campus: "),
        (drop("facility/campus/supply/pv_mwh"), "summary.json: cannot be read: KeyError 'pv_mwh'"),
    ],
)
def test_a_tampered_supply_is_found(
    supplied: Path, tmp_path: Path, capsys: Capture, change: Change, message: str
) -> None:
    assert message in complaint(with_summary(supplied, tmp_path, change), capsys)


def of_signal(name: str, row: int, column: str, value: Any) -> Change:
    def change(rows: list[dict[str, Any]]) -> None:
        own = [one for one in rows if one["signal"] == name]
        set_at(column, value)(own[row])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_signal("campus.chip_w", 5, "time_s", 0.0), "signal campus.chip_w, row 5: time runs"),
        (of_signal("campus.chip_w", 5, "value", "*9"), "W at "),
        (of_signal("campus.it_w", 5, "value", "*1.0001"), "but from campus.chip_w = "),
        (of_signal("campus.facility_w", 5, "value", "*1.0001"), "but from campus.it_w = "),
        (of_signal("campus.it_w", 0, "time_s", 1.0), "signal campus.it_w begins at 1.0 s"),
    ],
)
def test_tampered_signals_are_found(
    serving: Path, tmp_path: Path, capsys: Capture, change: Change, message: str
) -> None:
    folder = with_rows(serving, tmp_path, "signals.parquet", change)
    assert message in complaint(folder, capsys)


def scale_all_signals(rows: list[dict[str, Any]]) -> None:
    """Shifts one change of all three boundaries, so that only the energy tells."""
    at_s = [row["time_s"] for row in rows if row["signal"] == "campus.chip_w"][7]
    for row in rows:
        if row["time_s"] == at_s:
            row["time_s"] += 1e-3


def test_energy_that_does_not_follow_from_the_signals_is_found(
    serving: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = with_rows(serving, tmp_path, "signals.parquet", scale_all_signals)
    assert "signal campus.chip_w: " in complaint(folder, capsys)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.append(dict(rows[0])), "requests of campus.serving: 0 stands there"),
        (set_at("0/first_token_s", 0.5), "request 0 of campus.serving: times out of order"),
        (set_at("0/energy_chip_j", -1.0), "energy below 0"),
        (set_at("0/energy_chip_j", 1e12), "requests of campus.serving: shares "),
        (lambda rows: rows.pop(3), "of campus.serving: "),
        (set_at("3/output_tokens", 9999), "tokens_out of campus.serving: "),
        (set_at("3/input_tokens", 9999), "tokens_in of campus.serving: "),
        (set_at("3/fleet", "a.fleet"), "requests of a.fleet: the summary counts none there"),
    ],
)
def test_tampered_requests_are_found(
    serving: Path, tmp_path: Path, capsys: Capture, change: Change, message: str
) -> None:
    folder = with_rows(serving, tmp_path, "requests.parquet", change)
    assert message in complaint(folder, capsys)


def last_completed(column: str, value: Any) -> Change:
    """Change the last row that was completed."""

    def change(rows: list[dict[str, Any]]) -> None:
        set_at(column, value)([row for row in rows if row["status"] == "completed"][-1])

    return change


def more_energy(rows: list[dict[str, Any]]) -> None:
    """Twice the energy of each request: more than the fleet used while it was never idle."""
    for row in rows:
        row["energy_chip_j"] = 2 * row["energy_chip_j"] if row["energy_chip_j"] else None


def last_dropped(column: str, value: Any) -> Change:
    """Change the last row that was refused."""

    def change(rows: list[dict[str, Any]]) -> None:
        set_at(column, value)([row for row in rows if row["status"] == "dropped"][-1])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.append(dict(rows[-1])), "stands there twice"),
        (lambda rows: rows.pop(), "requests of campus.serving: "),
        (lambda rows: rows.clear(), "requests of campus.serving: "),
        (set_at("0/request", -1), "-1 is no number of a request"),
        (set_at("0/request", 10**15), "1000000000000000 is no number of a request"),
        (set_at("0/fleet", "campus.other"), "the summary counts none there"),
        (last_completed("end_s", 1e9), "times out of order"),
        (last_completed("output_tokens", 9999), "tokens_out of campus.serving: "),
        (last_completed("input_tokens", 9999), "tokens_in of campus.serving: "),
        (last_completed("status", "unfinished"), "completed of campus.serving: "),
        (last_completed("energy_chip_j", None), "completed without energy"),
        (last_completed("energy_chip_j", -1.0), "energy below 0"),
        (more_energy, "shares of "),
        (last_dropped("reason", "exceeds-kv-cache"), "dropped of campus.serving: "),
        (last_dropped("status", "unfinished"), "shed of campus.serving: "),
    ],
)
def test_tampered_requests_of_a_whole_fleet_are_found(
    whole: Path, tmp_path: Path, capsys: Capture, change: Change, message: str
) -> None:
    folder = with_rows(whole, tmp_path, "requests.parquet", change)
    assert message in complaint(folder, capsys)


def test_counts_that_do_not_follow_from_the_rows_are_found(
    whole: Path, tmp_path: Path, capsys: Capture
) -> None:
    """The fleet's total and that of all fleets agree, but the rows tell another."""

    def change(summary: Any) -> None:
        for part in (summary["serving"], summary["serving"]["fleets"]["campus.serving"]):
            part["shed"] += 1

    assert main(["check", str(whole)]) == 0
    message = complaint(with_summary(whole, tmp_path, change), capsys)
    assert "shed of campus.serving: " in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at("900/output_mw", "*3"), "power balance at hour "),
        (set_at("900/hour", 1), "time runs backwards"),
        (set_at("900/unserved_mw", -9e4), "power balance at hour "),
    ],
)
def test_tampered_hours_of_the_grid_are_found(
    hourly: Path, tmp_path: Path, capsys: Capture, change: Change, message: str
) -> None:
    folder = with_rows(hourly, tmp_path, "grid_hours.parquet", change)
    assert message in complaint(folder, capsys)


def test_unserved_energy_that_no_hour_shows_is_found(
    hourly: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = with_summary(hourly, tmp_path, set_at("grid/unserved_mwh", 5.0))
    assert "unserved energy: 5.0 MWh" in complaint(folder, capsys)


@pytest.mark.parametrize("name", ["signals.parquet", "requests.parquet"])
def test_a_damaged_table_is_one_clear_error(
    serving: Path, tmp_path: Path, capsys: Capture, name: str
) -> None:
    copy = copied(serving, tmp_path)
    whole = (copy / name).read_bytes()
    for bad in (b"", whole[:40], whole[: len(whole) // 2], b"PAR1" + whole[9:]):
        (copy / name).write_bytes(bad)
        capsys.readouterr()
        assert main(["check", str(copy)]) == 1
        assert f"files: {name} was changed" in capsys.readouterr().err
        sealed(copy)
        assert main(["check", str(copy)]) == 2
        assert f"{name}: is damaged: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("import_w", "signal campus.import_w:"),
        ("stored_j", "campus.stored_j = "),
        ("battery_w", "the integral of its power"),
    ],
)
def test_tampered_signals_behind_the_meter_are_found(
    supplied: Path, tmp_path: Path, capsys: Capture, signal: str, message: str
) -> None:
    def change(rows: Any) -> None:
        own = [row for row in rows if row["signal"] == f"campus.{signal}"]
        own[len(own) // 2]["value"] += 0.01 * max(abs(row["value"]) for row in own)

    assert message in complaint(with_rows(supplied, tmp_path, "signals.parquet", change), capsys)
