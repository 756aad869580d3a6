"""The server: who may ask, what is answered, and what a browser is told to allow."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest

from sim.cli.serve import hosts
from sim.report.page.app import build_app
from sim.report.page.guard import MAX_BODY_BYTES, Guard, Rules
from sim.report.page.jobs import Full, Jobs
from sim.report.page.question import Question
from sim.scenario.run import load_scenario, run_id

T = TypeVar("T")
HOST = "127.0.0.1:8765"
BASE = f"http://{HOST}"
ORIGIN = {"origin": BASE}
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 512,
    "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 8,
    "num_key_value_heads": 8, "vocab_size": 1000,
}  # fmt: skip
SMALL = {"place": "VA", "work": "serving", "gpus": 80, "arch": "llama-3.1-8b"}


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    made = Jobs(limit_s=180)  # the serving engine may be compiled first
    yield made
    made.close()


def in_a_loop(go: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run it in a thread of its own: a browser's driver may hold this thread's loop."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(go())).result()


def call(app, method: str, path: str, **options) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
            return await client.request(method, path, **options)

    return in_a_loop(go)


def ask(app, tree, **headers) -> httpx.Response:
    return call(app, "POST", "/api/runs", json=tree, headers=ORIGIN | headers)


def until(is_true: Callable[[], bool], limit_s: float = 180.0) -> None:
    """Wait until something is true, but not for ever."""
    deadline_s = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"not within {limit_s:g} s"
        time.sleep(0.01)


def answered(app, number: int) -> dict:
    found: dict = {}

    def is_over() -> bool:
        found.update(call(app, "GET", f"/api/runs/{number}").json())
        return found["state"] not in ("waiting", "running")

    until(is_over)
    return found


@pytest.fixture
def app(jobs):
    return build_app(jobs, Rules(frozenset({HOST}), per_minute=1000))


def test_waiting_has_an_end():
    with pytest.raises(AssertionError, match="not within"):
        until(lambda: False, limit_s=0.05)


def test_a_question_is_answered_and_its_files_can_be_taken_away(app):
    number = ask(app, SMALL).json()["run"]
    found = answered(app, number)
    assert found["state"] == "done"
    assert found["answer"]["figures"]["gpus"] == 80
    assert "grid.hosting" not in " ".join(found["answer"]["lines"])  # nothing a visitor can set
    for name in ("scenario.yaml", "figures.csv", "report.html", "power_time.svg", "power_time.csv"):
        reply = call(app, "GET", f"/api/runs/{number}/files/{name}")
        assert reply.status_code == 200
        assert reply.content
    report = call(app, "GET", f"/api/runs/{number}/files/report.html")
    assert "sandbox" in report.headers["content-security-policy"]


def test_the_answer_comes_before_its_figures(jobs):
    job = jobs.ask(Question(**SMALL | {"gpus": 104}))
    until(lambda: job.is_over)
    assert job.state == "done"
    first = sorted(job.found.files)
    assert first == ["figures.csv", "scenario.yaml"]
    assert not job.found.is_drawn
    assert not job.is_settled
    until(lambda: job.is_settled)
    assert job.found.trouble == ""
    assert {f"{name}.svg" for name in job.found.captions} <= set(job.found.files)
    assert "report.html" in job.found.files


class Dead:
    """A worker that dies at once."""

    def pipe(self):
        raise EOFError

    def kill(self):
        pass


def test_figures_that_cannot_be_drawn_say_why_and_are_drawn_when_asked_again(
    app, jobs, monkeypatch
):
    question = Question(**SMALL | {"gpus": 112})
    with monkeypatch.context() as patched:
        patched.setattr(jobs, "_artist", Dead())
        job = jobs.ask(question)
        until(lambda: job.is_settled)
    assert "died" in job.found.trouble
    reply = call(app, "GET", f"/api/runs/{job.number}/files/report.html")
    assert (reply.status_code, "died" in reply.text) == (404, True)
    again = jobs.ask(question)
    until(lambda: again.is_settled)
    assert again.found.trouble == ""
    assert "report.html" in again.found.files


def test_the_folder_of_a_run_is_gone_when_it_is_drawn(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = jobs.ask(Question(**SMALL | {"gpus": 120}))
    until(lambda: job.is_settled)
    until(lambda: not list(tmp_path.glob("flopgrid-page-*")))
    assert job.state == "done"
    assert list(tmp_path.iterdir()) == []


def test_a_question_that_was_asked_a_moment_ago_is_not_run_again(jobs):
    question = Question(**SMALL | {"gpus": 128})
    both = [jobs.ask(question), jobs.ask(question)]
    until(lambda: all(job.is_over for job in both))
    assert both[0].found is both[1].found
    assert both[1].progress == []


def test_a_job_goes_with_its_answer_and_an_answer_that_is_used_stays(jobs, monkeypatch):
    questions = [Question(**SMALL | {"gpus": gpus}) for gpus in (136, 144, 152)]
    monkeypatch.setattr(jobs, "_kept", 2)
    made = []
    for question in (*questions[:2], questions[0], questions[2]):  # the first is used again
        made.append(jobs.ask(question))
        until(lambda: made[-1].is_settled)
    jobs.ask(questions[2])
    assert [jobs.get(job.number) is not None for job in made] == [True, False, True, True]


def test_the_same_question_is_answered_from_memory(app):
    answered(app, ask(app, SMALL).json()["run"])
    again = ask(app, SMALL).json()["run"]
    assert call(app, "GET", f"/api/runs/{again}").json()["state"] == "done"


def test_progress_is_streamed_until_the_end(app):
    number = ask(app, SMALL | {"gpus": 88}).json()["run"]
    text = call(app, "GET", f"/api/runs/{number}/events").text
    assert text.count("data: ") >= 2
    assert '"state": "done"' in text.rstrip().rsplit("data: ", 1)[1]


def test_a_run_is_cancelled_and_the_next_one_is_answered(app):
    number = ask(app, SMALL | {"gpus": 400_000, "arch": "llama-3-70b", "work": "training"}).json()
    reply = call(app, "POST", f"/api/runs/{number['run']}/cancel", content=b"", headers=ORIGIN)
    assert reply.status_code == 200
    assert answered(app, number["run"])["state"] == "cancelled"
    assert answered(app, ask(app, SMALL | {"gpus": 96}).json()["run"])["state"] == "done"


def test_a_run_that_takes_too_long_is_stopped():
    short = Jobs(limit_s=0.01)
    try:
        job = short.ask(Question(gpus=1600, arch="llama-3.1-8b", place="VA"))
        until(lambda: job.is_over)
        assert job.state == "failed"
        assert "took longer" in job.result
    finally:
        short.close()


def test_a_wrong_field_is_told_at_the_field(app):
    reply = ask(app, SMALL | {"pue": 9})
    assert reply.status_code == 422
    assert reply.json()["wrong"]["field"] == "pue"
    for field, value in (("place", "Atlantis"), ("pue", 1.0)):
        found = answered(app, ask(app, SMALL | {field: value}).json()["run"])
        assert found["state"] == "wrong"
        assert found["result"]["field"] == field


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 10_000, b'"text"'])
def test_a_body_that_is_no_question_is_refused(app, body):
    reply = call(app, "POST", "/api/runs", content=body, headers=ORIGIN)
    assert reply.status_code == 422


def test_the_page_loads_only_from_itself_and_without_inline_script(app):
    reply = call(app, "GET", "/")
    policy = reply.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert "style=" not in reply.text
    assert "onclick" not in reply.text
    for name in ("page.css", "page.js"):
        assert call(app, "GET", f"/static/{name}").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static/app.py", "/static/..%2Fapp.py", "/api/runs/999", "/api/runs/1/files/..%2F..%2Fetc"],
)
def test_no_path_reaches_the_file_system(app, path):
    assert call(app, "GET", path).status_code == 404


def test_another_host_is_refused(app):
    reply = call(app, "GET", "/", headers={"host": "evil.example"})
    assert reply.status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", ""])
def test_another_page_cannot_ask(app, origin):
    reply = call(app, "POST", "/api/runs", json=SMALL, headers={"origin": origin})
    assert reply.status_code == 403


def test_a_large_body_is_refused_before_it_is_read(app):
    reply = call(app, "POST", "/api/runs", content=b"x" * (MAX_BODY_BYTES + 1), headers=ORIGIN)
    assert reply.status_code == 413


def test_a_body_without_a_length_is_refused(app):
    async def chunks():
        yield b"x"

    reply = call(app, "POST", "/api/runs", content=chunks(), headers=ORIGIN)
    assert reply.status_code == 413


def test_a_client_that_asks_too_often_waits(jobs):
    limited = build_app(jobs, Rules(frozenset({HOST}), per_minute=2))
    codes = [ask(limited, {"pue": 9}).status_code for _ in range(3)]
    assert codes == [422, 422, 429]


def test_after_a_minute_a_client_may_ask_again():
    now = [0.0]

    async def inner(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(inner, Rules(frozenset({HOST}), per_minute=1), clock=lambda: now[0])
    codes = []
    for moment in (0.0, 1.0, 61.0):
        now[0] = moment
        codes.append(ask(guard, {}).status_code)
    assert codes == [204, 429, 204]


def test_a_client_that_asked_too_often_may_still_cancel(jobs):
    limited = build_app(jobs, Rules(frozenset({HOST}), per_minute=1))
    number = ask(limited, SMALL).json()["run"]
    reply = call(limited, "POST", f"/api/runs/{number}/cancel", content=b"", headers=ORIGIN)
    assert (reply.status_code, ask(limited, SMALL).status_code) == (200, 429)


def test_a_token_is_asked_for_where_there_is_one(jobs):
    guarded = build_app(jobs, Rules(frozenset({HOST}), token="secret"))  # noqa: S106
    assert call(guarded, "GET", "/").status_code == 401
    assert call(guarded, "GET", "/?token=wrong").status_code == 401
    reply = call(guarded, "GET", "/?token=secret")
    assert reply.status_code == 200
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    theirs = {"cookie": "flopgrid_token=secret"}
    assert call(guarded, "GET", "/", headers=theirs).status_code == 200


def test_a_server_on_all_addresses_is_reached_by_any_name_but_only_with_its_token(jobs):
    everywhere = build_app(jobs, Rules(hosts("0.0.0.0", 8765), token="secret"))  # noqa: S104, S106
    theirs = {"cookie": "flopgrid_token=secret", "host": "rack-7:8765"}
    assert call(everywhere, "GET", "/", headers=theirs).status_code == 200
    for origin, code in (("http://rack-7:8765", 422), (BASE, 403)):
        more = theirs | {"origin": origin}
        reply = call(everywhere, "POST", "/api/runs", json={"pue": 9}, headers=more)
        assert reply.status_code == code
    assert call(everywhere, "GET", "/", headers={"host": "rack-7:8765"}).status_code == 401
    assert not Rules(frozenset()).is_ours(HOST)  # any host only where there is a token


def test_the_hosts_of_a_server_are_written_as_browsers_write_them():
    assert "[::1]:8765" in hosts("::1", 8765)
    assert {"localhost", "localhost:80", "[::1]"} <= hosts("127.0.0.1", 80)
    assert "localhost" not in hosts("127.0.0.1", 8765)


def test_a_full_queue_says_so(jobs):
    busy = Jobs(limit_s=60, waiting=1)
    try:
        with pytest.raises(Full):
            _ask_many(busy)
        assert busy.server != jobs.server  # or a page would take its numbers for another's
    finally:
        busy.close()


def _ask_many(jobs: Jobs) -> None:
    for gpus in range(80, 160, 8):
        jobs.ask(Question(gpus=gpus, arch="llama-3.1-8b", place="VA"))


def test_the_page_is_valid_html(app):
    from tinyhtml5.parser import HTMLParser

    parser = HTMLParser()
    parser.parse(call(app, "GET", "/").text)
    assert parser.errors == []
    parser.parse("<!DOCTYPE html><title>t</title><p><div></div></p>")
    assert parser.errors, "the check must be able to fail"


def test_the_buses_of_texas_are_told_with_their_places_and_lines(app):
    found = call(app, "GET", "/api/buses").json()
    assert len(found["buses"]) == 2000
    assert 7095 in {bus[0] for bus in found["buses"]}
    assert all(-107 < lon < -93 and 25 < lat < 37 for _, lon, lat, _ in found["buses"])
    assert all(a < b < 2000 for a, b in found["lines"])


def test_objectives_and_a_second_architecture_are_answered(app):
    more = {"ttft_s": 1.0, "tpot_s": 0.1, "beside": "mamba-2.8b", "gpus": 16}
    number = ask(app, SMALL | more).json()["run"]
    told = answered(app, number)["answer"]
    tables = {table["title"]: table for table in told["tables"]}
    (row,) = tables["Classes of requests"]["rows"]
    assert 0 <= float(row[-1]) <= 1
    assert tables["Architectures side by side"]["header"][1:] == ["llama-3.1-8b", "mamba-2.8b"]
    made_up = tables["How the MW is made up"]["rows"]
    shares = [float(row[-1].rstrip("%")) for row in made_up[:-1]]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    for name in ("architectures.svg", "attainment.csv"):
        assert call(app, "GET", f"/api/runs/{number}/files/{name}").status_code == 200


def test_an_uploaded_config_can_be_taken_away_under_the_name_that_the_scenario_gives_it(
    app, tmp_path
):
    number = ask(app, SMALL | {"config": json.dumps(CONFIG), "gpus": 16}).json()["run"]
    files = answered(app, number)["files"]
    (name,) = [name for name in files if name.startswith("config-")]
    get = f"/api/runs/{number}/files"
    again = ask(app, SMALL | {"config": json.dumps(CONFIG), "gpus": 16, "beside": "mamba-2.8b"})
    hashes = {answered(app, n)["answer"]["hash"] for n in (number, again.json()["run"])}
    assert len(hashes) == 1, "a run is not named after the folder in which its config lay"
    assert call(app, "GET", f"{get}/{name}").json() == CONFIG
    scenario = call(app, "GET", f"{get}/scenario.yaml").text
    assert f"arch: {name}\n" in scenario
    (tmp_path / name).write_text(call(app, "GET", f"{get}/{name}").text)
    (tmp_path / "scenario.yaml").write_text(scenario)
    assert {run_id(load_scenario(tmp_path / "scenario.yaml")[1], 1).hash8} == hashes
