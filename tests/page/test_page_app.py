"""The server: who may ask, what is answered, and what a browser is told to allow."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx
import pytest

from sim.report.page.app import build_app
from sim.report.page.guard import MAX_BODY_BYTES, Guard, Rules
from sim.report.page.jobs import Full, Jobs
from sim.report.page.question import Question

T = TypeVar("T")
HOST = "127.0.0.1:8765"
BASE = f"http://{HOST}"
ORIGIN = {"origin": BASE}
SMALL = {"place": "VA", "work": "serving", "gpus": 80, "arch": "llama-3.1-8b"}


@pytest.fixture(scope="module")
def jobs() -> Iterator[Jobs]:
    made = Jobs(limit_s=60)
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


def answered(app, number: int) -> dict:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        found = call(app, "GET", f"/api/runs/{number}").json()
        if found["state"] not in ("waiting", "running"):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


@pytest.fixture
def app(jobs):
    return build_app(jobs, Rules(frozenset({HOST}), per_minute=1000))


def test_a_question_is_answered_and_its_files_can_be_taken_away(app):
    number = ask(app, SMALL).json()["run"]
    found = answered(app, number)
    assert found["state"] == "done"
    assert found["answer"]["figures"]["gpus"] == 80
    for name in ("scenario.yaml", "figures.csv", "report.html", "power_time.svg", "power_time.csv"):
        reply = call(app, "GET", f"/api/runs/{number}/files/{name}")
        assert reply.status_code == 200
        assert reply.content
    report = call(app, "GET", f"/api/runs/{number}/files/report.html")
    assert "sandbox" in report.headers["content-security-policy"]


def test_the_answer_comes_before_its_figures(jobs):
    job = jobs.ask(Question(**SMALL | {"gpus": 104}))
    while not job.is_over:
        time.sleep(0.01)
    assert job.state == "done"
    first = sorted(job.found.files)
    assert first == ["figures.csv", "scenario.yaml"]
    assert not job.found.is_drawn
    assert not job.is_settled
    while not job.is_settled:
        time.sleep(0.02)
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
        while not job.is_settled:
            time.sleep(0.01)
    assert "died" in job.found.trouble
    reply = call(app, "GET", f"/api/runs/{job.number}/files/report.html")
    assert (reply.status_code, "died" in reply.text) == (404, True)
    again = jobs.ask(question)
    while not again.is_settled:
        time.sleep(0.02)
    assert again.found.trouble == ""
    assert "report.html" in again.found.files


def test_the_folder_of_a_run_is_gone_when_it_is_drawn(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    job = jobs.ask(Question(**SMALL | {"gpus": 120}))
    while not job.is_settled:
        time.sleep(0.02)
    deadline_s = time.monotonic() + 10
    while list(tmp_path.glob("flopgrid-page-*")) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert job.state == "done"
    assert list(tmp_path.iterdir()) == []


def test_a_question_that_was_asked_a_moment_ago_is_not_run_again(jobs):
    question = Question(**SMALL | {"gpus": 128})
    both = [jobs.ask(question), jobs.ask(question)]
    while not all(job.is_over for job in both):
        time.sleep(0.01)
    assert both[0].found is both[1].found
    assert both[1].progress == []


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
        while not job.is_over:
            time.sleep(0.02)
        assert job.state == "failed"
        assert "took longer" in job.result
    finally:
        short.close()


def test_a_wrong_field_is_told_at_the_field(app):
    reply = ask(app, SMALL | {"pue": 9})
    assert reply.status_code == 422
    assert reply.json()["wrong"]["field"] == "pue"
    found = answered(app, ask(app, SMALL | {"place": "Atlantis"}).json()["run"])
    assert found["state"] == "wrong"
    assert found["result"]["field"] == "place"


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


def test_a_token_is_asked_for_where_there_is_one(jobs):
    guarded = build_app(jobs, Rules(frozenset({HOST}), token="secret"))  # noqa: S106
    assert call(guarded, "GET", "/").status_code == 401
    assert call(guarded, "GET", "/?token=wrong").status_code == 401
    reply = call(guarded, "GET", "/?token=secret")
    assert reply.status_code == 200
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert call(guarded, "GET", "/", headers={"cookie": "flopgrid_token=secret"}).status_code == 200


def test_a_full_queue_says_so():
    busy = Jobs(limit_s=60, waiting=1)
    try:
        with pytest.raises(Full):
            _ask_many(busy)
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
