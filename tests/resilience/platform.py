"""The platform as real processes, the people who use it over HTTP, what they ask for and get, and the claim about that."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self
from uuid import uuid4

import asyncpg
import httpx
from covey_chassis.testing.broker import eventually
from covey_local.attach import Operator, move_dates
from covey_local.demo.book import Row, as_csv, make_book
from covey_local.services import ServiceProcess
from covey_local.sign_on import as_staff
from covey_local.stack import Stack

COMMANDED = ("membership", "identity")
"""The services that have commands for people."""
BOOK_DAYS = 60
"""Over so many the renewals of the book become available, from today on, and a few within ten days after."""
ONE_REQUEST_EACH = httpx.Limits(max_keepalive_connections=0)
"""A connection that is kept may be closed by the service just when it is used again."""
PASSWORD = "quillfern-9-thistle"
CODE = r"\b([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})\b"
TOKEN = r"(?m)^([A-Za-z0-9_-]{30,})$"
_numbers = count(1)


# --- the claim ---


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request of a person about one group, by this process's monotonic clock, and what came of it."""

    service: str
    kind: Literal["read", "write"]
    sent_at: float
    answered_at: float | None = None
    status: int | None = None
    """None: there was no answer."""
    shows: bool = False
    """Whether the answer shows the group."""
    key: str | None = None
    """A write's Idempotency-Key."""

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


History = list[Asked]


def breaches(
    history: Iterable[Asked], removed_at: float, *, before: Collection[str], after: Collection[str]
) -> list[str]:
    """Where what happened is not what "removed" claims; nothing when all is well.

    Args:
        history: everything that the removed person asked for, about the group.
        removed_at: when the answer was there that said "removed".
        before: the keys of their writes that had been committed when "removed" was answered.
        after: the keys of their writes that had been committed when all was over.
    """
    found = []
    sent_at = {}
    for asked in history:
        late = asked.sent_at > removed_at
        if late and asked.succeeded and (asked.shows or asked.kind == "write"):
            found.append(
                f"{asked.service} answered a {asked.kind} with {asked.status}, sent {asked.sent_at - removed_at:.3f} s"
                " after the removal"
            )
        if asked.key is not None:
            sent_at[asked.key] = min(asked.sent_at, sent_at.get(asked.key, asked.sent_at))
    for key in after:
        if key not in sent_at:
            found.append(f"a write was committed that nobody sent: {key}")
        elif sent_at[key] > removed_at:
            found.append(f"a write was committed that was sent {sent_at[key] - removed_at:.3f} s after the removal")
        elif key not in before:
            found.append(f"a write was committed after the removal, sent {removed_at - sent_at[key]:.3f} s before it")
    return found


def seen(history: Iterable[Asked], service: str) -> Sequence[Asked]:
    """What a service answered with the group."""
    return [asked for asked in history if asked.service == service and asked.succeeded and asked.shows]


def refused(history: Iterable[Asked], service: str, *, after: float) -> Sequence[Asked]:
    """What a service was asked after that moment and answered otherwise."""
    return [
        asked
        for asked in history
        if asked.service == service and asked.sent_at > after and asked.status is not None and not asked.succeeded
    ]


# --- people and groups ---


@dataclass(frozen=True)
class Person:
    """Somebody who is signed on."""

    account_id: str
    email: str
    user_id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Group:
    """A group of the carrier's book."""

    id: str
    number: str
    firm_number: str | None = None
    transaction_id: str | None = None
    """One that a test has saved, if it has."""


@dataclass(frozen=True)
class Team:
    """A group with its primary administrator, and a user whom they added."""

    group: Group
    primary: Person
    user: Person
    grant_id: str

    @property
    def path(self) -> str:
        return f"/v1/groups/{self.group.id}/users/{self.grant_id}"


@dataclass(frozen=True)
class Removal:
    """A removal that was answered with "removed": when, after how long, and by what."""

    at: float
    took_s: float
    how: str


# --- the platform ---


@dataclass
class Platform:
    """A running stack, seen from outside: over HTTP, by its mail, its processes and its databases."""

    stack: Stack
    http: httpx.AsyncClient
    staff: httpx.AsyncClient
    databases: "dict[str, asyncpg.Pool]"
    groups: list[Group] = field(default_factory=list)
    _mails_read: dict[tuple[str, str], int] = field(default_factory=dict)

    def url(self, service: str) -> str:
        return self.stack.url(service)

    # --- what staff and operators do ---

    async def send(
        self, method: str, service: str, path: str, *, by: Person | None = None, **options: Any
    ) -> httpx.Response:
        """A request by a person, or by the carrier's staff, that has to succeed."""
        answer = await self.settled(method, service, path, by=by, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    async def settled(
        self, method: str, service: str, path: str, *, by: Person | None = None, **options: Any
    ) -> httpx.Response:
        """The answer to a request, which is repeated while it is 503: a busy machine may let a lease run out."""
        headers = {"Idempotency-Key": uuid4().hex} | options.pop("headers", {})

        async def answered() -> httpx.Response | None:
            with suppress(httpx.TransportError):  # the service may be starting again
                answer = await self.ask(method, service, path, by=by, headers=headers, **options)
                return None if answer.status_code == 503 else answer
            return None

        answer = await eventually(answered)
        assert answer is not None
        return answer

    async def ask(
        self, method: str, service: str, path: str, *, by: Person | None = None, **options: Any
    ) -> httpx.Response:
        headers = {"Idempotency-Key": uuid4().hex} | (by.headers if by else {}) | options.pop("headers", {})
        client = self.http if by else self.staff
        return await client.request(method, f"{self.url(service)}{path}", headers=headers, **options)

    async def import_book(self, rows: Sequence[Row]) -> str:
        """Import groups at membership; the import's address, once it is done."""
        csv = {"Content-Type": "text/csv"}
        path = (await self.send("POST", "membership", "/v1/imports", content=as_csv(rows), headers=csv)).headers[
            "Location"
        ]

        async def is_done() -> bool:
            answer = await self.ask("GET", "membership", path)
            return answer.is_success and answer.json()["status"] == "done"

        await eventually(is_done, within_s=60)
        return str(path)

    async def take_groups(self, wanted: int) -> None:
        """Groups to be worked with, some with a broker's firm, known to every service."""
        today = (await asyncio.to_thread(Operator.of(self.stack.run, "renewals").today)).today
        await self.import_book(make_book(wanted, days=BOOK_DAYS, today=today, seed=3))
        listed = (await self.send("GET", "membership", "/v1/groups", params={"limit": wanted})).json()["items"]
        self.groups += [
            Group(each["group_id"], each["group_number"], (each["broker"] or {}).get("firm_number")) for each in listed
        ]

        async def all_in_book() -> bool:
            book = await self.send("GET", "renewals", "/v1/book", params={"limit": wanted})
            return len(book.json()["items"]) == wanted

        await eventually(all_in_book, within_s=60)

    def group(self, *, with_firm: bool = False) -> Group:
        """A group that no test has had yet."""
        chosen = next(group for group in self.groups if group.firm_number is not None or not with_firm)
        self.groups.remove(chosen)
        return chosen

    async def until_everywhere(self) -> None:
        """Wait until every service has acknowledged what identity has committed so far."""
        await asyncio.to_thread(Operator.of(self.stack.run, "identity").wait_until_everywhere)

    async def staff_member(self, *rights: str) -> Person:
        """Another member of the carrier's staff."""
        email = f"staff{next(_numbers)}@covey.example"
        operator = Operator.of(self.stack.run, "identity")
        made = await asyncio.to_thread(
            operator.make_staff, first_name="Kit", last_name="Loss", email=email, rights=rights
        )
        assert made.password is not None
        person = await self._signed_on(email, made.user_id, made.password)
        await self.until_everywhere()
        return person

    # --- what people do ---

    async def team(self, *rights: str, group: Group | None = None) -> Team:
        """A group whose primary administrator has added a user, with these rights or to see and change the group."""
        group = group or self.group()
        primary, user = await asyncio.gather(self.primary(group), self.person())
        grant_id = await self.add_user(group, primary, user, *(rights or ("group.update", "renewals.view")))
        await self.redeem(user)
        return Team(group, primary, user, grant_id)

    async def with_transaction(self, team: Team) -> Team:
        """The same with a transaction that the primary has saved, on the renewal that it has once time has passed."""
        base = f"/v1/groups/{team.group.id}"
        await asyncio.to_thread(move_dates, self.stack.run, BOOK_DAYS + 10)
        new = {"renewal_id": await self.available_renewal(team.group.id)}

        async def opened() -> httpx.Response | None:
            answer = await self.settled("POST", "transactions", f"{base}/transactions", by=team.primary, json=new)
            return answer if answer.is_success else None  # transactions may not have heard of the renewal yet

        answer = await eventually(opened)
        assert answer is not None
        path, version = answer.headers["Location"], {"If-Match": answer.headers["ETag"]}
        await self.send("PUT", "transactions", f"{path}/draft", by=team.primary, json={}, headers=version)
        return replace(team, group=replace(team.group, transaction_id=path.rpartition("/")[2]))

    async def available_renewal(self, group_id: str) -> str:
        """The group's renewal that changes can be made to, once there is one."""

        async def available() -> str | None:
            answer = await self.settled("GET", "renewals", f"/v1/groups/{group_id}/renewals")
            if answer.status_code == 404:  # renewals has not heard of the group yet
                return None
            return next((each["renewal_id"] for each in answer.json()["items"] if each["status"] == "available"), None)

        renewal_id = await eventually(available, within_s=60)
        assert renewal_id is not None
        return renewal_id

    async def primary(self, group: Group) -> Person:
        """Somebody who is new becomes the group's primary administrator."""
        email = f"primary{next(_numbers)}@people.example"
        await self.appoint(group, email)
        person = await self.person(email)
        await self.redeem(person)
        return person

    async def appoint(self, group: Group, email: str) -> None:
        """A group's officer asks for a primary administrator, and staff approve: the code goes to this address."""
        form = {"group_number": group.number, "company": "A company", "language": "en"}
        form |= {"officer_first_name": "Oona", "officer_last_name": "Fisk", "officer_email": "oona@people.example"}
        form |= {"first_name": "Pim", "last_name": "Brandt", "email": email}
        request = await self.send("POST", "identity", "/v1/access-requests", json=form)
        path = f"/v1/access-requests/{request.json()['reference']}/approval"

        async def approved() -> bool:  # identity may not have heard of the group yet
            answer = await self.settled("POST", "identity", path, json={"group_id": group.id})
            assert answer.status_code in (200, 404), answer.text
            return answer.is_success

        await eventually(approved)

    async def person(self, email: str | None = None) -> Person:
        """Somebody registers, proves their address, and signs on."""
        email = email or f"person{next(_numbers)}@people.example"
        form = {"market_region": "California", "first_name": "Pim", "last_name": "Brandt", "company": "A company"}
        form |= {"email": email, "terms_version": "2026-01", "terms_accepted": True}
        await self.send("POST", "identity", "/v1/registrations", json=form)
        proof = {"token": await self.mailed(email, TOKEN), "password": PASSWORD}
        made = (await self.send("POST", "identity", "/v1/registrations/verification", json=proof)).json()
        return await self._signed_on(email, made["user_id"], PASSWORD)

    async def _signed_on(self, email: str, user_id: str, password: str) -> Person:
        account = {"user_id": user_id, "password": password}
        session = (await self.http.post(f"{self.url('identity')}/v1/sessions", json=account)).raise_for_status().json()
        bearer = {"Authorization": f"Bearer {session['session_token']}"}
        token = (await self.http.post(f"{self.url('identity')}/v1/tokens", headers=bearer)).raise_for_status().json()
        return Person(session["account_id"], email, user_id, token["access_token"])

    async def in_another_session(self, person: Person) -> Person:
        """Whoever has registered signs on once more; the sessions that they have go on."""
        return await self._signed_on(person.email, person.user_id, PASSWORD)

    async def add_user(self, group: Group, primary: Person, user: Person, *rights: str) -> str:
        """The primary gives somebody rights; the grant. They have yet to enter the code."""
        new = {"first_name": "Uma", "last_name": "Serl", "email": user.email, "rights": rights}
        added = await self.send("POST", "identity", f"/v1/groups/{group.id}/users", by=primary, json=new)
        return str(added.json()["grant_id"])

    async def redeem(self, person: Person) -> None:
        """Enter the code of the next email, and wait until every service knows."""
        redeemed = await self.enter(person, await self.mailed(person.email, CODE), headers={"Prefer": "wait=10"})
        assert redeemed.json()["everywhere"], redeemed.text

    async def enter(self, person: Person, code: str, *, headers: dict[str, str] | None = None) -> httpx.Response:
        """Enter a code."""
        path = "/v1/access-codes/redemption"
        return await self.send("POST", "identity", path, by=person, json={"code": code}, headers=headers or {})

    async def mailed(self, address: str, pattern: str) -> str:
        """What the next email to the address says, of those that say such a thing."""
        url = f"{self.stack.run['mail']}/messages"

        async def found() -> str | None:
            after = self._mails_read.get((address, pattern), -1)
            with suppress(httpx.TransportError):  # as in ``settled``
                for mail in (await self.http.get(url, params={"to": address, "after": after})).json():
                    if said := re.search(pattern, mail["text"]):
                        self._mails_read[address, pattern] = mail["index"]
                        return said[1]
            return None

        said = await eventually(found)
        assert said is not None
        return said

    async def remove(self, team: Team) -> Removal:
        """The primary removes the user; returns when "removed" was answered."""
        started = time.monotonic()
        answer = await self.send("DELETE", "identity", team.path, by=team.primary, headers={"Prefer": "wait=10"})
        return removal_of(answer, started)

    # --- what is looked at ---

    async def version(self, group: Group) -> int:
        """The group's version, as membership has it."""
        query = "SELECT version FROM covered_group WHERE group_id = $1"
        return int(await self.databases["membership"].fetchval(query, group.id))

    async def committed(self, person: Person) -> set[str]:
        """The keys of the person's commands that were committed, in any service: each is in its command's own commit."""
        query = "SELECT idempotency_key FROM stored_answer WHERE account = $1"
        found = [await self.databases[service].fetch(query, person.account_id) for service in COMMANDED]
        return {row["idempotency_key"] for rows in found for row in rows}

    # --- processes ---

    def pid(self, service: str) -> int:
        return self.stack.run["pids"][service]

    @asynccontextmanager
    async def stopped(self, service: str) -> AsyncIterator[None]:
        """The service's process stands still for the block."""
        pid = self.pid(service)
        os.kill(pid, signal.SIGSTOP)
        try:
            await eventually(lambda: _is_stopped(pid))
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def another_process(self, service: str, failpoints: str, *, name: str) -> AsyncIterator[ServiceProcess]:
        """One more process of a service, which only answers requests, and does as the failpoints say."""
        environment = {"COVEY_FAILPOINTS": failpoints}
        another = await self.stack.add(service, name=name, roles="http", environment=environment)
        try:
            yield another
        finally:
            await self.stack.take_away(name)

    async def until_stopped(self, name: str) -> None:
        """Wait until that other process has stopped itself."""
        pid = self.pid(name)
        await eventually(lambda: _is_stopped(pid))

    def go_on(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGCONT)


async def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def removal_of(answer: httpx.Response, started: float) -> Removal:
    """What the answer to a removal, or its status, says once it is "removed"."""
    at = time.monotonic()
    change = answer.json()
    assert (answer.status_code, change["status"]) == (200, "removed"), answer.text
    return Removal(at, at - started, change["how"])


# --- the clients of a person ---


def reads_of(service: str, group: Group) -> Sequence[tuple[str, bool]]:
    """Addresses at which a service shows a group, and whether an answer by itself says that it may be seen."""
    return {
        "membership": ((f"/v1/groups/{group.id}", True), (f"/v1/groups?group_number={group.number}", False)),
        "renewals": ((f"/v1/groups/{group.id}/renewals", True), (f"/v1/book?q={group.number}", False)),
        "transactions": (
            (f"/v1/groups/{group.id}/transactions/{group.transaction_id}", True),
            (f"/v1/transactions?group_number={group.number}", False),
        ),
        "identity": ((f"/v1/groups/{group.id}/appointments", True), ("/v1/access/groups", False)),
    }[service]


@dataclass
class Clients:
    """Connections of one person, each of which asks again and again about one group, and notes what it gets."""

    platform: Platform
    person: Person
    group: Group
    commands_before: set[str]
    """The keys of what the person had commanded before."""
    history: History = field(default_factory=list)

    @classmethod
    async def of(cls, platform: Platform, person: Person, group: Group) -> Self:
        return cls(platform, person, group, await platform.committed(person))

    async def committed(self) -> set[str]:
        """The keys of what these clients wrote and what was committed, up to now."""
        return await self.platform.committed(self.person) - self.commands_before

    async def read(
        self, http: httpx.AsyncClient, service: str, path: str, *, names_group: bool, **options: Any
    ) -> Asked:
        return await self._ask(http, "GET", service, path, names_group=names_group, **options)

    async def write(self, http: httpx.AsyncClient, *, url: str | None = None) -> Asked:
        """Change the group's EIN, with its true version at hand: nothing but the right may be missing."""
        key = uuid4().hex
        version = await self.platform.version(self.group)
        return await self._ask(
            http,
            "PATCH",
            "membership",
            f"/v1/groups/{self.group.id}",
            names_group=True,
            url=url,
            json={"ein": f"98-{next(_numbers):07d}"},
            headers={"If-Match": f'"{version}"', "Idempotency-Key": key},
        )

    async def _ask(
        self,
        http: httpx.AsyncClient,
        method: str,
        service: str,
        path: str,
        *,
        names_group: bool,
        url: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Asked:
        headers = self.person.headers | (headers or {})
        asked = Asked(
            service=service,
            kind="read" if method == "GET" else "write",
            sent_at=time.monotonic(),
            key=headers.get("Idempotency-Key"),
        )
        try:
            answer = await http.request(
                method, f"{url or self.platform.url(service)}{path}", headers=headers, **options
            )
        except httpx.HTTPError:
            pass
        else:
            asked = replace(
                asked,
                answered_at=time.monotonic(),
                status=answer.status_code,
                shows=answer.is_success and (names_group or self.group.id in answer.text),
            )
        self.history.append(asked)
        return asked

    @asynccontextmanager
    async def hammering(self, *services: str, writers: int = 2) -> AsyncIterator[None]:
        """Read at these services, each address by a connection of its own, and write at membership, for the block."""
        stop = asyncio.Event()

        async def read_on(service: str, path: str, *, names_group: bool) -> None:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                while not stop.is_set():
                    await self.read(http, service, path, names_group=names_group)
                    await asyncio.sleep(PAUSE_S)

        async def write_on() -> None:
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                while not stop.is_set():
                    await self.write(http)
                    await asyncio.sleep(PAUSE_S)

        async with asyncio.TaskGroup() as tasks:
            for service in services:
                for path, names_group in reads_of(service, self.group):
                    tasks.create_task(read_on(service, path, names_group=names_group))
            for _ in range(writers):
                tasks.create_task(write_on())
            try:
                yield
            finally:
                stop.set()

    @asynccontextmanager
    async def on_their_way(self, service: str, *, times: int = 3) -> AsyncIterator[None]:
        """Requests that have been sent before the block begins, and are answered after it."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http, asyncio.TaskGroup() as tasks:
            for path, names_group in reads_of(service, self.group) * times:
                sent = asyncio.Event()

                async def trace(event: str, _: object, sent: asyncio.Event = sent) -> None:
                    if event == "http11.send_request_headers.complete":
                        sent.set()

                extensions = {"trace": trace}
                tasks.create_task(self.read(http, service, path, names_group=names_group, extensions=extensions))
                await sent.wait()
            yield

    async def have_seen(self, *services: str, times: int = 5, since: int = 0) -> None:
        """Wait until each of the services has shown the group so often: else nothing would be proven by its silence.

        ``since`` passes over so many requests at the history's beginning.
        """

        async def all_have() -> bool:
            return all(len(seen(self.history[since:], service)) >= times for service in services)

        await eventually(all_have)

    async def are_refused(self, *services: str, after: float, times: int = 5) -> None:
        """Wait until each of the services has refused so often what was sent after that moment."""

        async def all_have() -> bool:
            return all(len(refused(self.history, service, after=after)) >= times for service in services)

        await eventually(all_have)


PAUSE_S = 0.03
"""Between two requests of one connection: the machine has others to serve, too."""


@asynccontextmanager
async def running_platform(folder: Path, *, groups: int, **options: Any) -> AsyncIterator[Platform]:
    """A throw-away stack with a book of groups; the options are those of ``Stack``."""
    stack = Stack(folder, **{"durable": False, "cache": Path(".covey/cache")} | options)
    try:
        async with AsyncExitStack() as open_:
            await open_.enter_async_context(stack)
            clients = [
                await open_.enter_async_context(
                    httpx.AsyncClient(timeout=30, trust_env=False, auth=auth, limits=ONE_REQUEST_EACH)
                )
                for auth in (None, as_staff(stack.run))
            ]
            databases = {
                service: await open_.enter_async_context(asyncpg.create_pool(url, min_size=1, max_size=4))
                for service, url in stack.run["databases"].items()
                if service in COMMANDED
            }
            platform = Platform(stack, *clients, databases)
            await platform.take_groups(groups)
            yield platform
    finally:
        stack.home.delete()
