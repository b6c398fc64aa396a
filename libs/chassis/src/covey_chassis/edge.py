"""What happens to every request and every answer, whatever route they belong to.

A request gets its correlation ID, which logs, events and problems carry. An answer gets its headers, one line in the
log and its place in the metrics. An error that nobody turned into an answer becomes a problem document here.
"""

import re
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from covey_chassis import problems
from covey_chassis.envelope import Cause, caused_by
from covey_chassis.ids import new_id
from covey_chassis.telemetry import PROBES, REQUEST_SECONDS, caller_trace

log = structlog.get_logger(__name__)

CORRELATION_HEADER = "X-Correlation-ID"
PATH_BYTES_MAX = 2000
"""A path is part of a stored answer's key, and PostgreSQL indexes at most 2704 bytes."""
QUERY_BYTES_MAX = 8192

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Unless the route itself says otherwise."""


Document = Callable[[Scope, problems.Fault], Response]
"""What goes wrong, as whoever asked has it shown."""


class Edge:
    """The outermost ASGI middleware: of a service, whose errors are problem documents; of pages, if it is told so.

    Args:
        app: what answers.
        headers: what every answer has, unless the route itself says otherwise.
        document: what an error becomes.
        media_types: of errors that are left as they are; one of another type is the framework's, and is made a document.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        headers: Mapping[str, str] = _HEADERS,
        document: Document = problems.document,
        media_types: Collection[str] = (problems.MEDIA_TYPE,),
    ) -> None:
        self.app = app
        self.headers = headers
        self.document = document
        self.media_types = media_types

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(CORRELATION_HEADER, "")
        correlation_id = given if _CORRELATION_ID.fullmatch(given) else str(new_id())
        scope[problems.CORRELATION_ID] = correlation_id
        answer = _Answer(self, scope, send)
        started = time.perf_counter()
        with ExitStack() as during:
            during.enter_context(structlog.contextvars.bound_contextvars(correlation_id=correlation_id))
            during.enter_context(caused_by(Cause(correlation_id, origin=(scope.get("client") or (None,))[0])))
            during.enter_context(caller_trace(headers))
            try:
                await self._answer(scope, receive, answer.send, headers)
            except Exception as error:
                if answer.status:
                    log.error("http.broken_off", exc_info=error)
                    raise
                await self.document(scope, problems.noted(scope, error))(scope, receive, answer.send)
            finally:
                _account(scope, answer.status, time.perf_counter() - started)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        if len(scope["path"].encode(errors="replace")) > PATH_BYTES_MAX or len(scope["query_string"]) > QUERY_BYTES_MAX:
            await self.document(scope, problems.http_fault(414))(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class _Answer:
    """Sends an answer with the headers that every answer has; where it is an error, as a document of the edge's."""

    def __init__(self, edge: Edge, scope: Scope, send: Send) -> None:
        self.status = 0
        self._edge = edge
        self._scope = scope
        self._send = send
        self._replaced = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            media_type = Headers(raw=message["headers"]).get("content-type", "").partition(";")[0]
            if message["status"] >= 400 and media_type not in self._edge.media_types:
                # The framework's own words, such as the plain text of its limit on bodies.
                self._replaced = True
                document = self._edge.document(self._scope, problems.http_fault(message["status"]))
                await document(self._scope, _nothing, self._start)
            else:
                await self._start(message)
        elif not self._replaced:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            for name, value in self._edge.headers.items():
                headers.setdefault(name, value)
            headers[CORRELATION_HEADER] = self._scope[problems.CORRELATION_ID]
            message["headers"] = headers.raw
        await self._send(message)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}


def _account(scope: Scope, status: int, duration_s: float) -> None:
    """One line, and one observation. A route counts by its template: paths hold IDs, queries what was searched for."""
    route = getattr(scope.get("route"), "path", "unmatched")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUEST_SECONDS.labels(method, route, f"{status // 100}xx" if status else "none").observe(duration_s)
    quiet = route in PROBES and status < 400
    write = log.debug if quiet else log.info
    facts = {"problem": scope[problems.CODE]} if problems.CODE in scope else {}
    write("http.request", method=method, route=route, status=status, duration_ms=round(duration_s * 1000, 1), **facts)
