"""A day of fitted traffic, from a trace to the requests of a run: its course comes out again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.cluster.serving.fleet import ServingFleet
from sim.randomness import stream
from sim.scenario.build import build
from sim.scenario.requests_table import REQUESTS, requests_file
from sim.scenario.run import load_scenario
from sim.scenario.schema import Scenario, ServingSpec
from sim.scenario.simulate import simulate
from sim.scenario.traffic import traffic
from sim.units import S_PER_H
from sim.workload.course import DAY_S, DailyCourse
from sim.workload.fit import fit_trace
from sim.workload.fitted import FittedArrivals
from sim.workload.model_file import save_model, write_trace
from sim.workload.requests import RequestTable
from sim.workload.traces import read_trace

TRUE = FittedArrivals(
    1.0,
    batch_extra=0.5,
    windows_s=(30.0,),
    shares=(1.0,),
    course=DailyCourse((-0.5, 0.1), (0.25, 0.0)),
)
RATE_PER_S = 2.0
TEXT = """\
name: day
horizon_h: 24
record: {requests: all}
sites:
  - name: campus
    at: {zone: VA}
    cluster: {gpus: 8}
    workloads:
      - kind: serving
        arch: llama-3-8b
        requests: {kind: fitted, file: day.json, rate_per_s: 2}
        fidelity: FIDELITY
        tick_s: 300
        warmup_s: WARMUP
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model that is fitted to a trace of a day."""
    folder = tmp_path_factory.mktemp("day")
    times = (TRUE.times_s(DAY_S, stream(5, "day")) * 1e12).astype(np.int64)
    length = np.full(len(times), 50)
    write_trace(RequestTable(times, length, length), folder / "trace.csv")
    model = fit_trace(read_trace(folder / "trace.csv").requests)
    save_model(model, "trace.csv", folder / "day.json")
    return folder


def scenario(place: Path, fidelity: str, warmup_s: float = 0.0) -> tuple[Scenario, FittedArrivals]:
    """A scenario of the trace, and what is fitted to it."""
    file = place / f"{fidelity}.yaml"
    text = TEXT.replace("FIDELITY", fidelity).replace("WARMUP", f"{warmup_s:g}")
    if fidelity in ("fluid", "sampled"):
        text = text.replace("        tick_s: 300\n", "")  # they have no ticks
    file.write_text(text, "utf-8")
    _, found = load_scenario(file)
    spec = found.sites[0].workloads[0]
    assert isinstance(spec, ServingSpec)
    fitted = traffic(spec.requests).arrivals
    assert isinstance(fitted, FittedArrivals)
    return found, fitted


def expected(arrivals: FittedArrivals) -> np.ndarray:
    """Requests of each hour of the day."""
    factors = arrivals.course.factor(np.arange(0.0, DAY_S, 60.0) + 30.0)
    return arrivals.rate_per_s * S_PER_H * factors.reshape(24, 60).mean(axis=1)


def apart(times_s: np.ndarray, arrivals: FittedArrivals, mean: np.ndarray) -> np.ndarray:
    """Counts of each hour against a mean, in standard deviations of this traffic."""
    counts = np.histogram(times_s, 24, (0.0, DAY_S))[0]
    width = np.sqrt(mean * arrivals.dispersion(S_PER_H))
    return np.abs(counts - mean) / width


def test_every_request_of_a_day_follows_the_fitted_course(place: Path, tmp_path: Path) -> None:
    found, fitted = scenario(place, "request")
    assert fitted.rate_per_s == pytest.approx(RATE_PER_S)
    assert np.abs(expected(fitted) / expected(TRUE) / RATE_PER_S - 1).max() < 0.05  # of the fit
    with requests_file(tmp_path) as file:
        outcome = simulate(found, 1, watch=file.follow)
        file.finish(outcome.simulation)
    times_s = pq.read_table(tmp_path / REQUESTS).column("arrival_s").to_numpy()
    off = apart(times_s, fitted, expected(fitted))
    assert off.max() < 4.5
    flat = np.full(24, RATE_PER_S * S_PER_H)
    assert apart(times_s, fitted, flat).max() > 20  # without the course it would be seen


def test_a_sampled_part_of_the_day_follows_it_too(place: Path) -> None:
    found, fitted = scenario(place, "sampled")
    fleet = build(found, 1).sites[0].fleets["serving"].fleet
    assert isinstance(fleet, ServingFleet)
    part = fitted.thinned(1 / fleet.scale)
    off = apart(fleet.requests.arrival_ps / 1e12, part, expected(part))
    assert off.max() < 4.5


def test_rates_in_place_of_requests_follow_it_exactly(place: Path) -> None:
    """The last six hours of the day, whose mean rate is not the day's."""
    found, fitted = scenario(place, "fluid", 18 * S_PER_H)
    fleet = simulate(found, 1).sites[0].run.fleets["serving"].fleet
    late = expected(fitted)[18:].sum()
    assert abs(late / (RATE_PER_S * 6 * S_PER_H) - 1) > 0.1
    assert fleet.result().requests.value == pytest.approx(late, rel=2e-3)
