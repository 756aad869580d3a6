"""The page's server: routes over the jobs. Starlette, behind the guard."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from sim import arch
from sim.grid.us_states import us_states
from sim.policy import policy_kinds
from sim.report.page.buses import buses_json
from sim.report.page.guard import App, Guard, Rules
from sim.report.page.jobs import Full, Job, Jobs
from sim.report.page.question import Question, WrongField, read_question
from sim.report.page.tiles import TILES
from sim.report.pages import template

STATIC = {"page.css": "text/css", "page.js": "text/javascript"}
TYPES = {
    "yaml": "application/yaml",
    "csv": "text/csv",
    "html": "text/html",
    "svg": "image/svg+xml",
    "json": "application/json",
}
FILE = re.compile(r"[a-z0-9_-]+\.(yaml|csv|html|svg|json)")
TICK_S = 0.1


def build_app(jobs: Jobs, rules: Rules, first: Question | None = None) -> App:
    """The whole application.

    Args:
        first: what the form says when it is opened; None for the defaults.
    """
    page = _Page(jobs, first or Question())
    routes = [
        Route("/", page.index),
        Route("/static/{name}", page.static),
        Route("/api/buses", page.buses),
        Route("/api/runs", page.ask, methods=["POST"]),
        Route("/api/runs/{number:int}", page.state),
        Route("/api/runs/{number:int}/events", page.events),
        Route("/api/runs/{number:int}/cancel", page.cancel, methods=["POST"]),
        Route("/api/runs/{number:int}/files/{name}", page.file),
    ]
    return Guard(Starlette(routes=routes), rules)


class _Page:
    """The handlers."""

    def __init__(self, jobs: Jobs, first: Question):
        self.jobs = jobs
        self.first = first

    async def index(self, _request: Request) -> Response:
        """The form, with all choices in it."""
        form = {
            "server": self.jobs.server,
            "first": self.first.model_dump(mode="json"),
            "tiles": TILES,
            "policies": {
                kind.kind: {
                    "says": kind.says,
                    "knobs": {
                        name: {
                            "says": p.describe(),
                            "default": p.default,
                            "choices": list(p.choices),
                        }
                        for name, p in kind.parameters.items()
                    },
                }
                for kind in sorted(policy_kinds().values(), key=lambda k: k.kind)
            },
        }
        zones = [(z.name, z.title) for z in us_states().zones]
        text = template("page.html.j2").render(
            form=json.dumps(form).replace("<", "\\u003c"), zones=zones, archs=arch.names()
        )
        return HTMLResponse(text)

    async def static(self, request: Request) -> Response:
        """One of the two files that the page loads."""
        name = request.path_params["name"]
        if name not in STATIC:
            return Response("no such file\n", 404)
        body = files("sim.report.page").joinpath("static", name).read_text("utf-8")
        return Response(body, media_type=STATIC[name])

    async def buses(self, _request: Request) -> Response:
        """The buses of the synthetic Texas and its lines, for the map of places."""
        return Response(await run_in_threadpool(buses_json), media_type="application/json")

    async def ask(self, request: Request) -> Response:
        """A new run; 422 with the field that is wrong."""
        try:
            question = read_question(json.loads(await request.body()))
            job = self.jobs.ask(question)
        except WrongField as error:
            wrong = {"field": error.field, "what": error.what, "todo": error.todo}
            return JSONResponse({"wrong": wrong}, 422)
        except (ValueError, RecursionError):
            wrong = {"field": "place", "what": "the request is no JSON", "todo": ""}
            return JSONResponse({"wrong": wrong}, 422)
        except Full:
            return Response("too many runs are waiting\n", 503)
        return JSONResponse({"run": job.number}, 202)

    def _job(self, request: Request) -> Job | None:
        return self.jobs.get(request.path_params["number"])

    async def state(self, request: Request) -> Response:
        """Where a run is, and its answer when it is done."""
        job = self._job(request)
        return JSONResponse(told(job)) if job else Response("no such run\n", 404)

    async def events(self, request: Request) -> Response:
        """The same, as a stream of server-sent events until the run is over and drawn."""
        job = self._job(request)
        if job is None:
            return Response("no such run\n", 404)
        return StreamingResponse(_stream(job), media_type="text/event-stream")

    async def cancel(self, request: Request) -> Response:
        """Stop a run."""
        job = self._job(request)
        if job is None:
            return Response("no such run\n", 404)
        self.jobs.cancel(job)
        return JSONResponse(told(job))

    async def file(self, request: Request) -> Response:
        """A file of the answer, by its name: it lives in memory, not on a disk.

        A figure that is not drawn yet is waited for.
        """
        job = self._job(request)
        name = request.path_params["name"]
        if job is None or job.found is None or not FILE.fullmatch(name):
            return Response("no such file\n", 404)
        while name not in job.found.files and not job.found.is_drawn:
            await asyncio.sleep(TICK_S)
        if name not in job.found.files:
            return Response(f"no such file{job.found.trouble and ': '}{job.found.trouble}\n", 404)
        media = TYPES[name.rpartition(".")[2]]
        return Response(job.found.files[name], media_type=f"{media}; charset=utf-8")


def told(job: Job) -> dict[str, Any]:
    """What the page hears of a job."""
    heard: dict[str, Any] = {"run": job.number, "state": job.state, "progress": job.progress[-1:]}
    if job.found is not None:
        found = job.found
        drawn = found.is_drawn  # before the files: what comes after is told next time
        heard["answer"] = found.answer | {"captions": found.captions}
        heard |= {"files": sorted(found.files), "drawn": drawn, "trouble": found.trouble}
    elif job.state in ("wrong", "failed"):
        heard["result"] = job.result
    return heard


async def _stream(job: Job) -> AsyncIterator[str]:
    last = None
    while True:
        settled = job.is_settled  # before it is told: what comes after is told next time
        now = told(job)
        if now != last:
            yield f"data: {json.dumps(now)}\n\n"
            last = now
        if settled:
            return
        await asyncio.sleep(TICK_S)
