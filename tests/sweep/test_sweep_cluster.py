"""The same sweep on a Dask cluster, and clusters that are not as they should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import LocalCluster
from fake_work import POINTS, Fake

from sim.errors import InputError
from sim.scenario.again import FIGURES_FILE
from sim.sweep import cluster as cluster_module
from sim.sweep.child import FAILED, Study, difference, stamp
from sim.sweep.cluster import inputs_of, run_on_worker
from sim.sweep.executor import Limits
from sim.sweep.expand import Sweep
from sim.sweep.point import Point
from sim.sweep.run import cluster, local, run_sweep, serial
from sim.sweep.work import ScenarioWork

SWEEP = Sweep("study", Path("base.yaml"), POINTS)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of two worker processes on this machine; they import the tests' own modules."""
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", host="127.0.0.1"
    ) as found:
        yield found.scheduler_address
    del os.environ["PYTHONPATH"]


def results(out: Path) -> tuple[bytes, ...]:
    folder = out / "sweep-study"
    names = ("results.parquet", "results.csv", "points.jsonl")
    return tuple((folder / name).read_bytes() for name in names)


def test_serial_two_processes_and_a_cluster_give_the_same_bytes(
    tmp_path: Path, address: str
) -> None:
    run_sweep(SWEEP, tmp_path / "serial", Fake())
    run_sweep(SWEEP, tmp_path / "local", Fake(), local(2))
    outcome = run_sweep(SWEEP, tmp_path / "cluster", Fake(), cluster(address))
    assert (outcome.done, outcome.exit_code) == (6, 0)
    assert results(tmp_path / "serial") == results(tmp_path / "local")
    assert results(tmp_path / "serial") == results(tmp_path / "cluster")
    folders = [
        {
            path.relative_to(tmp_path / name).as_posix(): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file() and path.name not in ("manifest.json", "journal.jsonl")
        }
        for name in ("serial", "cluster")
    ]
    assert folders[0] == folders[1]


def test_a_real_scenario_gives_the_same_bytes_on_a_cluster(tmp_path: Path, address: str) -> None:
    """With a policy and a figure of the data set: all that must reach a worker."""
    base = Path(__file__).parents[2] / "scenarios" / "base" / "campus-load.yaml"
    common = (("grid.samples", 8), ("policy", "power-cap:gpu_w=500"))
    figure = "figure:grid/frequency.yaml:ercot.response_mw_per_0.1hz"
    points = tuple(Point(n, (*common, (figure, value)), 1) for n, value in enumerate((150, 250)))
    sweep, work = Sweep("study", base, points), ScenarioWork.of(base, None, points)
    makes = {"serial": serial, "cluster": cluster(address)}
    for name, make in makes.items():
        assert run_sweep(sweep, tmp_path / name, work, make).failures == ()
    assert results(tmp_path / "serial") == results(tmp_path / "cluster")
    first, second = (tmp_path / "serial").rglob("summary.json")
    assert first.read_bytes() != second.read_bytes()  # the figure has an effect
    told = [json.loads(path.read_text()) for path in (tmp_path / "cluster").rglob(FIGURES_FILE)]
    assert sorted(
        one["grid/frequency.yaml:ercot.response_mw_per_0.1hz"]["value"] for one in told
    ) == [150, 250]


def test_what_goes_wrong_on_a_cluster_is_recorded_and_the_others_go_on(
    tmp_path: Path, address: str
) -> None:
    faults: dict[tuple[int, int], object] = {
        (10, 1): "die", (20, 1): tmp_path / "died", (30, 1): ValueError("no")
    }  # fmt: skip
    outcome = run_sweep(SWEEP, tmp_path, Fake(faults=faults), cluster(address, Limits(retries=1)))
    assert dict(outcome.failures) == {
        "size=10 zone=VA seed=1": "its worker died (signal 9), 2 times",
        "size=30 zone=VA seed=1": "ValueError: no",
    }
    run_sweep(SWEEP, tmp_path, Fake(), cluster(address), resume=True)
    run_sweep(SWEEP, tmp_path / "calm", Fake())
    assert results(tmp_path) == results(tmp_path / "calm")


def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 1)
    with pytest.raises(InputError, match=r"no scheduler at tcp://127.0.0.1:9.*start one: dask sch"):
        run_sweep(SWEEP, tmp_path, Fake(), cluster("tcp://127.0.0.1:9"))
    with pytest.raises(InputError, match="no scheduler at nonsense"):
        run_sweep(SWEEP, tmp_path, Fake(), cluster("nonsense://x"))


def test_a_scheduler_without_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 2)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", host="127.0.0.1") as empty,
        pytest.raises(InputError, match=r"has no worker; start one: dask worker"),
    ):
        run_sweep(SWEEP, tmp_path, Fake(), cluster(empty.scheduler_address))


def test_a_worker_with_another_program_is_refused(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**stamp(), "flopgrid": "9.9"}
    monkeypatch.setattr(cluster_module, "stamp", StampOf(other))
    with pytest.raises(InputError, match=r"runs another program: flopgrid 9\.9 here, .* there"):
        run_sweep(SWEEP, tmp_path, Fake(), cluster(address))
    assert not list((tmp_path / "sweep-study" / "runs").iterdir())


class StampOf:
    """Our own stamp, that the client alone tells; on workers the true one is asked."""

    def __init__(self, told: dict[str, str]):
        self._told = told

    def __call__(self) -> dict[str, str]:
        return self._told

    def __reduce__(self) -> object:
        return _true_stamp, ()


def _true_stamp() -> object:
    return stamp


def test_a_worker_that_joins_later_with_another_program_fails_its_points() -> None:
    study = Study(Fake(), None, stamp={**stamp(), "numpy": "0.1"})
    result = run_on_worker(study, "token", POINTS[0], Limits())
    assert result.status == FAILED
    assert "a worker runs another program: numpy 0.1 here" in result.error


def test_stamps_differ_in_words() -> None:
    assert difference({"a": "1"}, {"a": "1", "b": "2"}) == ""
    assert difference({"a": "1"}, {}) == "a 1 here, None there"
    assert set(stamp()) == {"flopgrid", "code and data", "python", "numpy", "scipy"}


def test_a_scheduler_that_goes_away_loses_nothing(tmp_path: Path) -> None:
    scheduler, worker, address = _processes(tmp_path)
    try:

        def kill_it(_item: object, _status: str, _result: object) -> None:
            scheduler.kill()

        with pytest.raises(InputError, match=r"the scheduler .* is gone; go on with --resume"):
            run_sweep(SWEEP, tmp_path, Fake(), cluster(address), progress=kill_it)
    finally:
        scheduler.kill()
        worker.kill()
        scheduler.communicate()
        worker.communicate()
    done = len(list((tmp_path / "sweep-study" / "runs").glob("*/seed-*")))
    assert 1 <= done < 6
    log = tmp_path / "log"
    assert run_sweep(SWEEP, tmp_path, Fake(log=log), resume=True).exit_code == 0
    assert len(Fake(log=log).ran()) == 6 - done
    run_sweep(SWEEP, tmp_path / "calm", Fake())
    assert results(tmp_path) == results(tmp_path / "calm")


def _processes(
    folder: Path,
) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes], str]:
    """A scheduler and a worker as processes of their own."""
    file = folder / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    dask = [sys.executable, "-m", "distributed.cli"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    scheduler = subprocess.Popen(
        [*dask[:2], "distributed.cli.dask_scheduler", "--port", "0", "--host", "127.0.0.1",
         "--no-dashboard", "--scheduler-file", str(file)], **quiet)  # type: ignore[call-overload]  # fmt: skip
    worker = subprocess.Popen(
        [*dask[:2], "distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads",
         "1", "--no-dashboard", "--no-nanny"], **quiet)  # type: ignore[call-overload]  # fmt: skip
    for _ in range(300):
        if file.is_file() and file.stat().st_size:
            return scheduler, worker, json.loads(file.read_text())["address"]
        time.sleep(0.1)
    raise AssertionError("the scheduler did not start")


class Reading(Fake):
    """Reads a file of the user's."""

    def identify(self, point: Point) -> object:  # type: ignore[override]
        found = super().identify(point)
        return replace(found, files={"grid/zones.csv": "a", str(dict(point.values)["file"]): "b"})

    def run(self, point: Point, out: Path) -> Path:
        text = Path(str(dict(point.values)["file"])).read_text()
        assert text == "the trace"
        return super().run(point, out)


def test_files_of_the_user_travel_to_workers_that_do_not_see_them(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "trace.csv").write_text("the trace")
    monkeypatch.chdir(tmp_path / "here")
    points = tuple(Point(n, (("size", 10), ("file", "../trace.csv")), n) for n in range(2))
    inputs = inputs_of(points, Reading())  # type: ignore[arg-type]
    assert inputs == {"../trace.csv": b"the trace"}
    (tmp_path / "trace.csv").unlink()  # the workers stand elsewhere anyway
    sweep = replace(SWEEP, points=points)
    outcome = run_sweep(sweep, tmp_path, Reading(), cluster(address, None, inputs))  # type: ignore[arg-type]
    assert outcome.failures == ()
