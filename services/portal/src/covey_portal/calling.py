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

Json = dict[str, Any]


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

    def __init__(self, status: int, code: str, title: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.title = title
        self.fields = fields or {}
        """Bad fields by pointer, each with a sentence in English."""


class Away(Exception):
    """A service cannot be reached, or cannot answer at the moment."""


class Services:
    """The services, by HTTP clients that are open as long as the portal runs."""

    def __init__(self, settings: PortalSettings) -> None:
        self._clients = {
            To(name): httpx.AsyncClient(base_url=url, timeout=ANSWER_S, trust_env=False, follow_redirects=False)
            for name, url in (
                (To.IDENTITY, settings.identity_url),
                (To.MEMBERSHIP, settings.membership_url),
                (To.TRANSACTIONS, settings.transactions_url),
                (To.RENEWALS, settings.renewals_url),
            )
        }

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    async def ask(
        self,
        to: To,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        json: Json | None = None,
        params: Mapping[str, str | int | bool | None] | None = None,
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
        if answer.is_success:
            return Answer(answer.status_code, answer.json() if answer.content else None, answer.headers)
        raise _refusal(to, answer)

    @asynccontextmanager
    async def listen(self, to: To, path: str, *, bearer: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a stream of server-sent events, for as long as it lasts.

        Raises:
            Refused: the service says why.
            Away: it does not answer, or broke off.
        """
        unlimited = httpx.Timeout(ANSWER_S, read=None)
        try:
            async with self._clients[to].stream("GET", path, headers=_headers(bearer), timeout=unlimited) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise _refusal(to, answer)
                yield answer.aiter_lines()
        except httpx.HTTPError as error:
            raise Away from error


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
        refused = Refused(answer.status_code, problem["code"], problem["title"], fields)
    except (ValueError, KeyError, TypeError):
        log.error("portal.unreadable_answer", service=to, status=answer.status_code)
        return Away()
    if answer.status_code >= 500:
        log.warning("portal.service_failed", service=to, status=answer.status_code, code=refused.code)
        return Away()
    return refused
