"""Asking the services over HTTP: with the person's own token, so that the portal can do no more than they can."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx
import structlog
from covey_chassis.edge import CORRELATION_HEADER
from covey_chassis.envelope import current_cause
from opentelemetry import propagate

from covey_portal.settings import PortalSettings

log = structlog.get_logger(__name__)

ANSWER_S = 15.0
"""A removal may make its answer wait for ten."""
CONNECTIONS_S = 3.0
"""So long a question waits for a connection: with all in use, the services are slower than people ask."""
QUESTIONS_MAX, WATCHERS_MAX = 200, 5_000
"""Connections of one process: for questions, and for those who watch a page. Watchers take none away from questions."""
BUSY = "too-busy"
"""A service's own word for it: whoever asked may ask again with what they typed."""

Json = dict[str, Any]
Param = str | int | bool | list[str] | None
"""A value of a query; each of a list is said by itself."""


class To(StrEnum):
    """The services that the portal asks."""

    IDENTITY = "identity"
    MEMBERSHIP = "membership"
    TRANSACTIONS = "transactions"
    RENEWALS = "renewals"


@dataclass(frozen=True)
class Answer:
    """What a service answered."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A service refused what it was asked for (a problem document, RFC 9457)."""

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        fields: Mapping[str, str] | None = None,
        *,
        detail: str = "",
        wait_s: int = 0,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title
        self.fields = fields or {}
        """Bad fields by pointer, each with a sentence in English."""
        self.detail = detail
        """The service's own sentence, with facts."""
        self.wait_s = wait_s
        """After how long one may try again, where it says so."""


class Away(Exception):
    """A service cannot be reached, or cannot answer at the moment."""


class Services:
    """The services, by HTTP clients that are open as long as the portal runs."""

    def __init__(self, settings: PortalSettings) -> None:
        self._clients = {
            to: _client(getattr(settings, f"{to}_url"), QUESTIONS_MAX, httpx.Timeout(ANSWER_S, pool=CONNECTIONS_S))
            for to in To
        }
        endless = httpx.Timeout(ANSWER_S, read=None, pool=CONNECTIONS_S)
        self._watching = {to: _client(getattr(settings, f"{to}_url"), WATCHERS_MAX, endless) for to in To}

    async def close(self) -> None:
        for client in (*self._clients.values(), *self._watching.values()):
            await client.aclose()

    async def ask(
        self,
        to: To,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        json: Json | None = None,
        params: Mapping[str, Param] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask a service.

        Args:
            to: which one.
            method: HTTP's.
            path: as the service's own documentation has it.
            bearer: a token, in the person's name.
            json: the body.
            params: the query; what is None is left out.
            headers: others, such as ``Idempotency-Key``.

        Raises:
            Refused: the service says why.
            Away: it does not answer, or cannot right now.
        """
        query = {name: value for name, value in (params or {}).items() if value is not None}
        try:
            answer = await self._clients[to].request(
                method, path, json=json, params=query, headers=_headers(bearer) | dict(headers or {})
            )
        except httpx.HTTPError as error:
            log.warning("portal.service_away", service=to, error=type(error).__name__)
            raise Away from error
        except (
            ValueError,
            httpx.InvalidURL,
        ) as error:  # a browser sent what no request can hold: half a character, a number that is none
            raise Refused(422, "unacceptable-value", "A value cannot be sent.") from error
        if answer.is_success:
            return Answer(answer.status_code, answer.json() if answer.content else None, answer.headers)
        raise _refusal(to, answer)

    @asynccontextmanager
    async def listen(
        self, to: To, path: str, *, bearer: str, last_event_id: str | None = None
    ) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a stream of server-sent events, for as long as it lasts: those after the event that is named.

        Raises:
            Refused: the service says why.
            Away: it does not answer, or broke off.
        """
        headers = _headers(bearer)
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        try:
            async with self._watching[to].stream("GET", path, headers=headers) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _refusal(to, answer)
                yield answer.aiter_lines()
        except httpx.HTTPError as error:
            raise Away from error


def _client(url: str, connections: int, timeout: httpx.Timeout) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=20)
    return httpx.AsyncClient(base_url=url, timeout=timeout, limits=limits, trust_env=False, follow_redirects=False)


def _headers(bearer: str | None) -> dict[str, str]:
    """Who asks, from where, and by which request it was caused."""
    headers = {"Accept": "application/json, text/event-stream;q=0.9"}
    cause = current_cause()
    if cause and cause.correlation_id:
        headers[CORRELATION_HEADER] = cause.correlation_id
    if cause and cause.origin:
        headers["X-Forwarded-For"] = cause.origin
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    propagate.inject(headers)
    return headers


def _refusal(to: To, answer: httpx.Response) -> Exception:
    try:
        problem = answer.json()
        fields = {each["pointer"]: each["detail"] for each in problem["errors"]}
        refused = Refused(
            answer.status_code,
            problem["code"],
            problem["title"],
            fields,
            detail=problem["detail"],
            wait_s=int(problem.get("wait_s", 0)),
        )
    except (ValueError, KeyError, TypeError):
        log.error("portal.unreadable_answer", service=to, status=answer.status_code)
        return Away()
    if answer.status_code >= 500 and refused.code != BUSY:
        log.warning("portal.service_failed", service=to, status=answer.status_code, code=refused.code)
        return Away()
    return refused
