"""A sweep's results in Arrow, pandas, xarray and SQL."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import sim.results
from sim.errors import InputError
from sim.record.store import RunFolder, RunId
from sim.scenario.canonical import digest, hash8
from sim.sweep.expand import Sweep
from sim.sweep.identity import Identity
from sim.sweep.point import Point
from sim.sweep.run import run_sweep


class Work:
    """Power is size times two plus the seed; a series of two steps beside it."""

    def identify(self, point: Point) -> Identity:
        values = dict(point.values)
        return Identity("fake", hash8(values, {}, "1"), {"scenario": digest(values)})

    def run(self, point: Point, out: Path) -> Path:
        size = int(dict(point.values)["size"])
        with RunFolder.open(RunId("fake", self.identify(point).hash8, point.seed), out, {}) as run:
            if size == 30 and point.seed == 2:
                raise ValueError("no")
            power = {"mean_w": size * 2.0 + point.seed}
            run.write_json("summary.json", {"power": power, "note": "fine"})
            table = pa.table({"signal": ["a", "a"], "time_s": [0.0, 5.0], "value": [1.0, size]})
            run.write_table("signals.parquet", table)
        return run.final


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    points = tuple(
        Point(n, (("size", size), ("zone", zone)), seed)
        for n, (size, zone, seed) in enumerate(
            (size, zone, seed) for size in (10, 20, 30) for zone in ("MA", "VA") for seed in (1, 2)
        )
    )
    run_sweep(Sweep("study", Path("base.yaml"), points), out, Work())
    return out / "sweep-study"


def test_it_opens_by_folder_name_and_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("name: study\nbase: base.yaml\n")
    for path in (folder, "study", file):
        found = sim.results.open(path, folder.parent)
        assert found.folder == folder
        assert found.index.num_rows == 12
    with pytest.raises(InputError, match="sweep-nowhere: is no sweep's folder"):
        sim.results.open("nowhere", tmp_path)


def test_pandas(folder: Path) -> None:
    frame = sim.results.open(folder).frame()
    assert list(frame.columns[:5]) == ["point", "seed", "run", "status", "error"]
    assert (frame["status"] == "failed").sum() == 2
    means = frame.groupby("size")["power.mean_w"].mean()
    assert dict(means) == {10: 21.5, 20: 41.5, 30: 61.0}


def test_xarray_spans_axes_and_seeds(folder: Path) -> None:
    found = sim.results.open(folder)
    assert found.varied == found.axes == ["size", "zone"]
    assert found.sampled == []
    data = found.dataset(["power.mean_w"])
    assert dict(data.sizes) == {"size": 3, "zone": 2, "seed": 2}
    cell = data["power.mean_w"].sel(size=20, zone="VA", seed=2)
    assert float(cell) == 42.0
    assert np.isnan(data["power.mean_w"].sel(size=30, zone="VA", seed=2))
    with pytest.raises(InputError, match="there is no column 'nothing'"):
        found.dataset(["nothing"])


def test_sql_over_runs_and_series(folder: Path) -> None:
    found = sim.results.open(folder)
    rows = found.sql(
        'select zone, avg("power.mean_w") as w from runs where size = 10 group by 1 order by 1'
    ).to_pylist()
    assert rows == [{"zone": "MA", "w": 21.5}, {"zone": "VA", "w": 21.5}]
    joined = found.sql(
        "select r.size, max(s.value) as top, count(*) as n from series s join runs r using (point) "
        "group by r.size order by r.size"
    ).to_pylist()
    assert joined == [
        {"size": 10, "top": 10.0, "n": 8},
        {"size": 20, "top": 20.0, "n": 8},
        {"size": 30, "top": 30.0, "n": 4},
    ]
    columns = found.sql("describe runs").to_pylist()
    assert {"column_name": "power.mean_w"}.items() <= columns[-2].items() | columns[-1].items()


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("selec 1", "syntax error"),
        ("select power from runs", "names with dots stand in double quotes"),
        ("select * from requests", r"no run has requests\.parquet; let the scenario record requ"),
    ],
)
def test_wrong_questions(folder: Path, query: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        sim.results.open(folder).sql(query)


def test_an_index_that_is_older_than_the_runs_is_made_again(folder: Path) -> None:
    before = (folder / "results.parquet").read_bytes()
    (folder / "results.parquet").write_bytes(b"")
    os.utime(folder / "results.parquet", (0, 0))
    assert sim.results.open(folder).index.num_rows == 12
    assert (folder / "results.parquet").read_bytes() == before


def test_runs_of_other_hashes_do_not_show_in_the_series(folder: Path) -> None:
    with RunFolder.open(RunId("fake", "0123abcd", 1), folder / "runs", {}) as run:
        table = pa.table({"signal": ["a"], "time_s": [0.0], "value": [9e9]})
        run.write_table("signals.parquet", table)
    (row,) = sim.results.open(folder).sql("select max(value) as top from series").to_pylist()
    assert row == {"top": 30.0}


def test_a_package_that_is_missing_is_one_clear_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        InputError, match=r"needs the package duckdb; pip install 'flopgrid\[analysis"
    ):
        sim.results.open(folder).sql("select 1")
    with pytest.raises(InputError, match="needs the package pandas"):
        sim.results.open(folder).frame()
