"""`flopgrid sweep` and `flopgrid query` from the command line, with the real simulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sim.cli import sweep_progress
from sim.cli.main import main
from sim.cli.sweep import _stoppable

SCENARIOS = Path(__file__).parents[2] / "scenarios"
Capture = pytest.CaptureFixture[str]

STUDY = f"""\
name: places
question: Where?
base: {SCENARIOS}/base/campus-load.yaml
set: {{grid.samples: 8}}
axes: {{sites.campus.at.zone: [MA, VA]}}
policies: [none, "power-cap:gpu_w=500"]
show:
  - {{kind: heat-map, value: power_w.facility.mean, x: sites.campus.at.zone, y: policy}}
  - {{kind: response, value: power_w.facility.mean, x: sites.campus.at.zone, by: policy}}
  - {{kind: pareto, minimise: [power_w.facility.mean], maximise: [training.mfu]}}
  - {{kind: effects, value: power_w.facility.mean}}
  - {{kind: verdict, holds: 'count("grid.verdicts[*].binds") == 0', says: it holds, by: policy}}
  - {{kind: effects, value: no.such.column}}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of four runs on one worker."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "places.yaml").write_text(STUDY)
    args = ["sweep", str(folder / "places.yaml"), "--out", str(folder / "out"), "--workers", "1"]
    assert main(args) == 0
    return folder


def test_a_sweep_with_policies_and_a_page(done: Path) -> None:
    folder = done / "out" / "sweep-places"
    page = (folder / "report.html").read_text("utf-8")
    for text in ("Where?", "4 runs done", "it holds: probability 1.00", "unknown column", "<svg"):
        assert text in page
    for text in ('src="http', 'href="http', "url(http", "@import"):
        assert text not in page
    figures = sorted(path.name for path in (folder / "figures").glob("*.svg"))
    assert figures == [
        "01-heat-map.svg", "02-response.svg", "03-pareto.svg", "04-effects.svg", "05-verdict.svg",
    ]  # fmt: skip
    lines = (folder / "figures" / "02-response.csv").read_text().splitlines()
    assert lines[0] == "policy,sites.campus.at.zone,mean,low,high,runs"
    assert len(lines) == 5


def test_the_page_is_the_same_bytes_when_made_again(done: Path) -> None:
    folder = done / "out" / "sweep-places"
    before = (folder / "report.html").read_bytes()
    args = ["sweep", str(done / "places.yaml"), "--out", str(done / "out"), "--resume"]
    assert main([*args, "--workers", "0"]) == 0
    assert (folder / "report.html").read_bytes() == before


def test_query_prints_tables_json_and_csv(done: Path, capsys: Capture) -> None:
    query = 'select policy, count(*) as n, max("power_w.chip.mean") > 1e6 as big from runs group by policy order by n, policy'  # noqa: E501
    args = ["query", "places", query, "--out", str(done / "out")]
    capsys.readouterr()
    assert main(args) == 0
    assert capsys.readouterr().out.splitlines()[2].split() == ["none", "2", "true"]
    assert main([*args, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0] == {"policy": "none", "n": 2, "big": True}
    assert main([*args, "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "policy,n,big"
    assert main(["query", "places", "select nothing from runs", "--out", str(done / "out")]) == 2
    assert "names with dots stand in double quotes" in capsys.readouterr().err


def test_the_plan_says_counts_reasons_cost_and_differences(done: Path, capsys: Capture) -> None:
    capsys.readouterr()
    args = ["sweep", str(done / "places.yaml"), "-n", "--workers", "2"]
    assert main([*args, "--out", str(done / "out")]) == 0
    told = capsys.readouterr().out
    assert "     4  runs\n     4  done: finished\nnothing to do" in told
    changed = done / "changed.yaml"
    changed.write_text(STUDY.replace("grid.samples: 8", "grid.samples: 9"))
    assert main(["sweep", str(changed), "-n", "--out", str(done / "out"), "--workers", "2"]) == 0
    told = capsys.readouterr().out
    assert "     4  to do: never run" in told
    assert "estimated" in told
    assert "MB of disk (median of 4 runs" in told
    assert "    grid.samples: 32 -> 9\n" in told
    assert "    control.power_cap.kind: none -> static\n" in told


def test_a_trial_run_gives_the_estimate_of_a_new_sweep(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "places.yaml").write_text(STUDY)
    assert main(["sweep", str(tmp_path / "places.yaml"), "-n", "--out", str(tmp_path)]) == 0
    assert "(one trial run: " in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["places.yaml"]


def test_a_search_is_planned_and_run(tmp_path: Path, capsys: Capture) -> None:
    text = STUDY.partition("axes:")[0] + (
        "axes: {sites.campus.at.zone: [TX-ERCOT]}\n"
        "refine: {path: sites.campus.cluster.gpus, low: 19200, high: 1843200, step: 192,\n"
        "  tolerance_frac: 0.5, holds: 'count(\"grid.verdicts[*].binds\") == 0'}\n"
        "show: [{kind: boundary, by: sites.campus.at.zone}]\n"
    )
    (tmp_path / "search.yaml").write_text(text)
    args = ["sweep", str(tmp_path / "search.yaml"), "--out", str(tmp_path), "--workers", "0"]
    assert main([*args, "-n", "--no-probe"]) == 0
    assert "     1  searches of at most 7 runs each" in capsys.readouterr().out
    assert main([*args, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["start", *["run"] * (len(events) - 2), "end"]
    assert events[1]["status"] == "done"
    assert events[1]["wall_s"] > 0
    assert events[-1]["exit_code"] == 0
    assert 3 <= events[-1]["done"] <= 6
    lines = (tmp_path / "sweep-places" / "boundaries.csv").read_text().splitlines()
    assert lines[0].endswith("seed,holds_at,fails_at,error")
    holds_at, fails_at = (float(x) for x in lines[1].split(",")[-3:-1])
    assert 19200 <= holds_at < fails_at <= 1843200
    assert main([*args, "-n", "--resume"]) == 0
    assert "nothing to do" in capsys.readouterr().out


def test_some_runs_failed_is_exit_code_3(tmp_path: Path, capsys: Capture) -> None:
    text = STUDY.replace("[MA, VA]", "[MA, XX]").partition("policies:")[0]
    (tmp_path / "places.yaml").write_text(text)
    args = ["sweep", str(tmp_path / "places.yaml"), "--out", str(tmp_path), "--workers", "0"]
    assert main(args) == 3
    told = capsys.readouterr()
    assert "unknown zone 'XX'" in told.err
    assert "1 done, 0 finished before, 1 failed" in told.out


def test_a_place_that_cannot_be_written_is_exit_code_2(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "places.yaml").write_text(STUDY)
    (tmp_path / "file").write_text("")
    args = ["sweep", str(tmp_path / "places.yaml"), "--out", str(tmp_path / "file")]
    assert main(args) == 2
    assert "cannot be written: Not a directory" in capsys.readouterr().err


def _hear_interrupts() -> None:
    """A shell's background job ignores interrupts, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_stops_cleanly_and_keeps_what_is_finished(tmp_path: Path) -> None:
    text = STUDY.partition("show:")[0] + f"seeds: {list(range(200))}\n"
    (tmp_path / "places.yaml").write_text(text)
    command = [sys.executable, "-m", "sim", "sweep", str(tmp_path / "places.yaml"), "--json",
               "--out", str(tmp_path), "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=SCENARIOS.parent,
        preexec_fn=_hear_interrupts,  # noqa: PLW1509 - no thread runs at this point
    )
    assert process.stdout is not None
    for line in process.stdout:
        if '"event": "run"' in line:
            break
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "interrupted; finished runs are kept" in told
    folder = tmp_path / "sweep-places"
    rows = (folder / "results.csv").read_text().splitlines()
    finished = len(list(folder.glob("runs/*/seed-*/manifest.json")))
    told_done = sum(",done," in row for row in rows)
    # One that ends in that very moment is finished, and found by --resume.
    assert 1 <= told_done <= finished <= told_done + 1 < 800
    assert not list(folder.rglob(".*"))


def test_a_request_to_end_is_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys: Capture) -> None:
    from sim.sweep.child import Result
    from sim.sweep.plan import Planned
    from sim.sweep.point import Point

    with sweep_progress.Progress(1000, as_json=False) as progress:
        for n in range(1000):
            point = Point(n, (("size", n),), 1)
            status = "failed" if n == 7 else "done"
            progress.tell(Planned(point, "to do", "", None), status, Result(point.key, status))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[0].startswith("8/1000 failed: size=7 seed=1 (")
    assert lines[-1].startswith("1000/1000 done: size=999 seed=1 (")


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    from sim.sweep.child import Result
    from sim.sweep.plan import Planned
    from sim.sweep.point import Point

    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with sweep_progress.Progress(3, as_json=False) as progress:
        point = Point(0, (), 1)
        progress.tell(Planned(point, "to do", "", None), "failed", Result(point.key, "failed"))
        task = progress._bar.tasks[0]
        assert (task.completed, task.total, task.fields["failed"]) == (1, 3, 1)
