"""What stands before the page: who may ask, how much, and what a browser may do with it."""

from __future__ import annotations

import hmac
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 256 * 1024
COOKIE = "flopgrid_token"
HEADERS = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self'; "
    b"img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    b"frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
}
REPORT_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report is one file with its own styles, and never runs a script."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may ask.

    Args:
        hosts: values of the Host header that are ours; none: any, if there is a token (another
            site that is led here by its name has no cookie of ours).
        token: must be given with every request; "" for none (on the loopback address only).
        per_minute: questions of one client.
    """

    hosts: frozenset[str]
    token: str = ""
    per_minute: int = 60

    def is_ours(self, host: str) -> bool:
        """Whether a request for this host is for us."""
        return host in self.hosts or (not self.hosts and self.token != "")


class Guard:
    """ASGI middleware that lets through what the rules allow."""

    def __init__(self, app: App, rules: Rules, clock: Callable[[], float] = time.monotonic):
        self.app = app
        self.rules = rules
        self._clock = clock
        self._asked: OrderedDict[str, list[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with a bounded body and safe headers."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _refuse(send, *refusal)
            return
        await self.app(scope, _bounded(receive), _with_headers(send, scope, self.rules.token))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self.rules.is_ours(host):
            return 421, "this is not the host you asked for"
        if not self._has_token(scope, headers):
            return 401, "a token is needed: open the address that the server printed"
        if scope["method"] in ("GET", "HEAD"):
            return None
        if headers.get("origin", "").partition("://")[2] != host:
            return 403, "the request comes from another page"
        length = headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return 413, f"more than {MAX_BODY_BYTES} bytes"
        # A cancel asks for nothing, and whoever asked too much must be able to stop it.
        if not scope["path"].endswith("/cancel") and not self._may_ask(scope):
            return 429, "too many questions: wait a minute"
        return None

    def _has_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        if not self.rules.token:
            return True
        query = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        cookies = dict(
            part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";")
        )
        given = (query, cookies.get(COOKIE, ""))
        return any(hmac.compare_digest(g.encode(), self.rules.token.encode()) for g in given)

    def _may_ask(self, scope: Scope) -> bool:
        client = (scope.get("client") or ("",))[0]
        now = self._clock()
        recent = [t for t in self._asked.get(client, []) if now - t < 60.0]
        allowed = len(recent) < self.rules.per_minute
        self._asked[client] = [*recent, now] if allowed else recent
        self._asked.move_to_end(client)
        while len(self._asked) > 1024:
            self._asked.popitem(last=False)
        return allowed


def _bounded(receive: Receive) -> Receive:
    """The body, cut off where it is longer than it may be."""
    seen = 0

    async def bounded() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return bounded


def _with_headers(send: Send, scope: Scope, token: str) -> Send:
    """Answers with the headers that bind a browser."""

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            wanted = dict(HEADERS)
            if scope["path"].endswith("/report.html"):
                wanted[b"content-security-policy"] = REPORT_POLICY
            if token:
                cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/"
                wanted[b"set-cookie"] = cookie.encode()
            message["headers"] = [*message.get("headers", []), *wanted.items()]
        await send(message)

    return sending


async def _refuse(send: Send, status: int, why: str) -> None:
    body = (why + "\n").encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
