"""Whether somebody is answered with anything of a group: asked once, or all the while.

A refusal, or an answer in which the group does not stand, is none; neither is a service that can't answer.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import uuid4

import httpx

from covey_local.demo.platform import Api, Json

REFUSALS = (401, 403, 404)
PAUSE_S = 0.1
"""Between two requests of one of those who ask all the while."""


@dataclass(frozen=True)
class WatchedGroup:
    """The group that the story is about."""

    id: str
    number: str
    firm_number: str
    renewal_id: str = ""
    transaction_id: str = ""
    """Empty until there is one."""


@dataclass(frozen=True)
class Request:
    """What somebody asks a service for."""

    method: str
    service: str
    path: str
    options: Json = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]} at {self.service}"


def reads(group: WatchedGroup) -> list[Request]:
    """All that tells something about the group to whoever has a right in it."""
    return [
        Request("GET", "membership", f"/v1/groups/{group.id}"),
        Request("GET", "membership", f"/v1/groups?group_number={group.number}"),
        Request("GET", "renewals", f"/v1/groups/{group.id}/renewals"),
        Request("GET", "renewals", f"/v1/renewals/{group.renewal_id}"),
        Request("GET", "renewals", f"/v1/book?q={group.number}"),
        Request("GET", "identity", "/v1/access/groups?limit=200"),
        Request("GET", "identity", f"/v1/groups/{group.id}/appointments"),
        *(_reads_of_transaction(group) if group.transaction_id else ()),
    ]


def watched(group: WatchedGroup) -> set[str]:
    """The services that somebody who is watched asks all the while."""
    return {request.service for request in reads(group)} - {"identity"}


def _reads_of_transaction(group: WatchedGroup) -> list[Request]:
    return [
        Request("GET", "transactions", _transaction(group)),
        Request("GET", "transactions", f"/v1/groups/{group.id}/renewals/{group.renewal_id}/plans"),
        Request("GET", "transactions", f"/v1/transactions/{group.transaction_id}"),
        Request("GET", "transactions", f"/v1/transactions?group_number={group.number}"),
    ]


def closed(group: WatchedGroup) -> list[Request]:
    """What is not for a user of a group at all."""
    found = [
        Request("GET", "identity", f"/v1/groups/{group.id}/users"),
        Request("GET", "notifications", f"/v1/notifications?group_id={group.id}"),
    ]
    if group.transaction_id:
        found.append(Request("GET", "transactions", f"/v1/reviews/{group.transaction_id}"))
    return found


def write(group: WatchedGroup, address: Json, etag: str) -> Request:
    """A change of the group's own data."""
    options = _command(etag) | {"json": {"principal_address": address}}
    return Request("PATCH", "membership", f"/v1/groups/{group.id}", options)


def begin(group: WatchedGroup) -> Request:
    """Begin to change the group's renewal."""
    options = {"json": {"renewal_id": group.renewal_id}, "headers": {"Idempotency-Key": str(uuid4())}}
    return Request("POST", "transactions", f"/v1/groups/{group.id}/transactions", options)


def save(group: WatchedGroup, draft: Json, etag: str) -> Request:
    """What is to be changed for the group's coming plan year, as far as it is known."""
    return Request("PUT", "transactions", f"{_transaction(group)}/draft", _command(etag) | {"json": draft})


def submit(group: WatchedGroup, etag: str) -> Request:
    """Ask the carrier to decide on what was saved."""
    return Request("POST", "transactions", f"{_transaction(group)}/submission", _command(etag))


def submit_too_late(group: WatchedGroup) -> Request:
    """Submit what it once was: that is refused to whoever may submit, too, but with another answer."""
    return submit(group, '"1"')


def _transaction(group: WatchedGroup) -> str:
    return f"/v1/groups/{group.id}/transactions/{group.transaction_id}"


def _command(etag: str) -> Json:
    return {"headers": {"If-Match": etag, "Idempotency-Key": str(uuid4())}}


def with_another_key(command: Request) -> Request:
    """The same, as a command of its own."""
    return replace(
        command, options=command.options | {"headers": command.options["headers"] | {"Idempotency-Key": str(uuid4())}}
    )


def tells(answer: httpx.Response | None, group: WatchedGroup) -> bool:
    """Whether the answer is about the group, or comes from behind the check of rights."""
    if answer is None or answer.status_code >= 500 or answer.status_code in REFUSALS:
        return False
    return not answer.is_success or group.id in f"{answer.url} {answer.text}"


async def answered(api: Api, by: httpx.Auth, group: WatchedGroup, requests: Iterable[Request]) -> list[str]:
    """Those of the requests, all sent now, that are answered with the group."""

    async def ask(request: Request) -> str | None:
        answer = await api.send(request.method, request.service, request.path, by=by, **request.options)
        return f"{request} ({answer.status_code})" if tells(answer, group) else None

    return [found for found in await asyncio.gather(*map(ask, requests)) if found]


@dataclass(frozen=True)
class Asked:
    """A request, when it was sent (monotonic, not later than it really was), and whether the answer had the group."""

    request: Request
    sent: float
    answered: bool


@dataclass
class Watch:
    """Somebody asks the services, reading and writing, several times a second."""

    api: Api
    by: httpx.Auth
    group: WatchedGroup
    asked: list[Asked] = field(default_factory=list)

    def answered_until(self, moment: float) -> Sequence[Asked]:
        return [each for each in self.asked if each.answered and each.sent <= moment]

    def sent_after(self, moment: float) -> Sequence[Asked]:
        return [each for each in self.asked if each.sent > moment]

    async def membership(self) -> None:
        """Reads, and writes what was read; once reading is refused, they go on with what they read last."""
        known: tuple[Json, str] | None = None
        while True:
            read = await self._ask(reads(self.group)[0])
            if read is not None and read.is_success:
                known = cast("Json", read.json()["principal_address"]), read.headers["ETag"]
            if known:
                await self._ask(write(self.group, *known))
            await asyncio.sleep(PAUSE_S)

    async def renewals(self) -> None:
        while True:
            await self._read("renewals")

    async def transactions(self) -> None:
        while True:
            await self._read("transactions")
            await self._ask(submit_too_late(self.group))

    async def _read(self, service: str) -> None:
        for request in reads(self.group):
            if request.service == service:
                await self._ask(request)
                await asyncio.sleep(PAUSE_S / 2)

    async def _ask(self, request: Request) -> httpx.Response | None:
        sent = time.monotonic()
        options: dict[str, Any] = dict(request.options)
        answer = await self.api.send_once(request.method, request.service, request.path, by=self.by, **options)
        self.asked.append(Asked(request, sent, tells(answer, self.group)))
        return answer


@asynccontextmanager
async def watching(api: Api, by: httpx.Auth, group: WatchedGroup) -> AsyncIterator[Watch]:
    """Let somebody ask for the block."""
    watch = Watch(api, by, group)
    tasks = [asyncio.create_task(getattr(watch, service)()) for service in watched(group)]
    try:
        yield watch
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
