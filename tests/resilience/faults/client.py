"""Somebody who asks, one operation at a time, and writes down what came of it.

A command that was not answered is repeated with its key, most times, until it is known how it went.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
from covey_local.home import UserAccount
from covey_local.refused import Refused
from covey_local.sign_on import SignOn

from .history import History, Op
from .plan import Plan

ANSWER_S = 8.0
"""So long a client waits for an answer, but for those that it asks to take longer."""
INSIST_S = 60.0
"""So long a client repeats a command whose outcome is not known."""
LEAVE_S = 20.0
"""The same once the process is to end."""
INSISTENCE = 0.85
"""How many of a hundred commands are repeated."""
PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 2.0

Asks = dict[str, Any]
"""More of a request: ``json``, ``params``, ``headers``."""
Tells = Callable[[httpx.Response], bool]
Conclude = Callable[[Op, httpx.Response], Awaitable[Op]]


@dataclass
class Office:
    """What all clients of the process share."""

    plan: Plan
    history: History
    http: httpx.AsyncClient
    databases: Mapping[str, asyncpg.Pool]
    """Of services, by name: what a client cannot know, and must not be wrong about."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    _signed_on: dict[str, SignOn] = field(default_factory=dict)

    def sign_on(self, account: UserAccount) -> SignOn:
        """One session for each account, whoever uses it; the one that is there from before, if it still lives."""
        session = self.plan["cast"]["sessions"].get(account["user_id"])
        new = SignedOn(self.plan["services"]["identity"], account, session)
        return self._signed_on.setdefault(account["user_id"], new)

    async def mails(self, address: str, *, after: int = -1) -> list[dict[str, Any]]:
        """What the mail catcher has for an address, beyond an index; nothing when it does not answer."""
        with suppress(httpx.HTTPError):
            url, params = f"{self.plan['mail']}/messages", {"to": address, "after": str(after)}
            found: list[dict[str, Any]] = (await self.http.get(url, params=params)).json()
            return found
        return []

    async def version(self, group_id: str) -> int | None:
        """The group's true version; None when the database does not answer."""
        query = "SELECT version FROM covered_group WHERE group_id = $1::text::uuid"
        found: int | None = await self._asked("membership", lambda database: database.fetchval(query, group_id))
        return found

    async def committed(self, account_id: str) -> frozenset[str] | None:
        """The keys of the person's commands that are committed anywhere; None when one of the databases does not answer."""
        query = "SELECT idempotency_key FROM stored_answer WHERE account = $1"
        found: frozenset[str] = frozenset()
        for service in self.databases:
            rows = await self._asked(service, lambda database: database.fetch(query, account_id))
            if rows is None:
                return None
            found |= {row["idempotency_key"] for row in rows}
        return found

    async def _asked(self, service: str, ask: Callable[[asyncpg.Connection], Awaitable[Any]]) -> Any:
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with asyncio.timeout(ANSWER_S), self.databases[service].acquire() as connection:
                return await ask(connection)
        return None


class SignedOn(SignOn):
    """Goes on with a session: if many signed on at once, hashing their passwords would take the machine from all others."""

    def __init__(self, identity_url: str, account: UserAccount, session: str | None) -> None:
        super().__init__(identity_url, account)
        self._session = session


class Client:
    """One who asks, by one account, at the pace that is given."""

    def __init__(self, office: Office, name: str, account: UserAccount, *, rng: random.Random, pace_s: float) -> None:
        self.office = office
        self.name = name
        self.rng = rng
        self._auth = office.sign_on(account)
        self._pace_s = pace_s
        self._began_at = 0.0
        """When the last operation began."""

    @property
    def ending(self) -> bool:
        return self.office.ending.is_set()

    async def pause(self) -> None:
        """Until the next operation is due."""
        await self.rest(self._began_at + self._pace_s * self.rng.uniform(0.5, 1.5) - time.monotonic())

    async def rest(self, seconds: float) -> None:
        """Until so much time has passed, or the process is to end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.office.ending.wait(), max(seconds, 0.01))

    async def read(self, service: str, path: str, *, names: str | None = None, **about: Any) -> httpx.Response | None:
        """Read. An answer shows something of the subject when it holds ``names``; None: when it succeeds."""

        def tells(answer: httpx.Response) -> bool:
            return answer.is_success and (names is None or names in answer.text)

        return await self.ask("read", "GET", service, path, tells=tells, **about)

    async def ask(
        self,
        kind: str,
        method: str,
        service: str,
        path: str,
        *,
        subject: str | None = None,
        person: str | None = None,
        tells: Tells = lambda answer: answer.is_success,
        committed: frozenset[str] | None = None,
        conclude: Conclude | None = None,
        answer_s: float = ANSWER_S,
        **asks: Any,
    ) -> httpx.Response | None:
        """Do one operation; the answer when it succeeded.

        Args:
            kind: what it is called in the history.
            method, service, path, asks: the request.
            subject, person, committed: as in ``Op``.
            tells: whether an answer shows something of the subject.
            conclude: what is left to find out after a success.
            answer_s: how long an answer may take.
        """
        op = Op(
            id=uuid4().hex,
            client=self.name,
            kind=kind,
            service=service,
            subject=subject,
            person=person,
            committed=committed,
            invoked_at=time.monotonic(),
        )
        self._began_at = op.invoked_at
        await self.office.history.note(op)
        url = f"{self.office.plan['services'][service]}{path}"
        op, answer = await self._insist(op, method, url, tells, answer_s, asks)
        if answer is not None and conclude is not None:
            op = await conclude(op, answer)
        await self.office.history.note(op)
        await self.pause()
        return answer

    async def watch(self, service: str, path: str, *, seconds: float, **about: Any) -> None:
        """Keep a stream open for so long, if it may be opened, and note each piece of it when it comes; not its end."""
        self._began_at = time.monotonic()
        with suppress(httpx.HTTPError, TimeoutError, Refused):
            async with asyncio.timeout(seconds):
                url = f"{self.office.plan['services'][service]}{path}"
                async with self.office.http.stream("GET", url, auth=self._auth) as answer:
                    if answer.is_success:
                        await self._note_pieces(service, answer, about)
        await self.pause()

    async def _note_pieces(self, service: str, answer: httpx.Response, about: dict[str, Any]) -> None:
        async for line in answer.aiter_lines():
            if line.startswith("event: ended"):
                return
            if line.startswith(("event:", ":")):  # a comment, too, comes after a check
                now = time.monotonic()
                at = {"invoked_at": now, "sent_at": now, "finished_at": now}
                await self.office.history.note(
                    Op(
                        id=uuid4().hex,
                        client=self.name,
                        kind="watch",
                        service=service,
                        outcome="ok",
                        status=answer.status_code,
                        attempts=1,
                        shows=True,
                        **at,
                        **about,
                    )
                )

    async def _insist(
        self, op: Op, method: str, url: str, tells: Tells, answer_s: float, asks: Asks
    ) -> tuple[Op, httpx.Response | None]:
        """Attempt until it is known how it went, or this client has had enough."""
        insists = op.is_command and self.rng.random() < INSISTENCE
        pause_s = PAUSE_MIN_S
        doubtful = False
        while True:
            op = replace(op, sent_at=time.monotonic(), attempts=op.attempts + 1)
            answer = await self._attempt(op, method, url, answer_s, asks)
            now = time.monotonic()
            op = replace(op, finished_at=now, status=None if answer is None else answer.status_code)
            if answer is not None and not _is_doubtful(answer):
                if answer.is_success:
                    return replace(op, outcome="ok", shows=tells(answer)), answer
                said = str(_problem(answer))
                return replace(op, outcome="unknown" if doubtful else "fail", shows=tells(answer), said=said), None
            doubtful = True
            if not insists or now - op.invoked_at > (LEAVE_S if self.ending else INSIST_S):
                return op, None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)

    async def _attempt(self, op: Op, method: str, url: str, answer_s: float, asks: Asks) -> httpx.Response | None:
        """The answer; None when there is none."""
        headers = {"X-Correlation-ID": op.id} | ({"Idempotency-Key": op.id} if op.is_command else {})
        headers |= asks.get("headers", {})
        more = {name: value for name, value in asks.items() if name != "headers"}
        try:
            async with asyncio.timeout(answer_s):
                return await self.office.http.request(method, url, headers=headers, auth=self._auth, **more)
        except (httpx.HTTPError, TimeoutError, Refused):
            return None


def _is_doubtful(answer: httpx.Response) -> bool:
    """Whether the answer leaves open what became of the command."""
    return answer.status_code >= 500 or _problem(answer) == "command-in-progress"


def _problem(answer: httpx.Response) -> object:
    """The code of a refusal."""
    try:
        said = answer.json()
    except ValueError:
        return None
    return said.get("code") if isinstance(said, dict) else None
