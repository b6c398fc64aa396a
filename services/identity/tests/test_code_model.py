"""Whatever becomes of access codes, in whatever order: a few lines of Python say who gets in by which, and who has to wait.

The model knows neither the service's tables nor its code. Hypothesis chooses what happens: codes are sent, replaced and
voided; entered by whom they were meant for and by others, rightly, sloppily and wrongly, by two at once, and again; people
wait, or do not. Two processes of the service answer, on one database, and now and then one of them is started anew.

What happens takes a moment, and the model does not know when in it: where an instant decides, either answer is right. Time
passes by making all that is kept so much older.

The machine runs in a thread, since its rules are plain functions; what they do is done in the loop of the test, to which
the connections belong. Some hundred lives, each time others, are had by ``COVEY_WALKS=300``.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import httpx
import pytest
from covey_chassis.app import create_app
from covey_chassis.clock import Clock
from covey_chassis.running import Running
from covey_chassis.testing import Harness, no_lifespan
from covey_chassis.testing.broker import eventually
from covey_chassis.testing.walks import WALKS, walk
from covey_contracts.identity import AccessChanged, AccessCodeIssued, CodeLetter
from covey_identity.app import service
from covey_identity.domain.access_code import draw
from covey_identity.domain.crockford import shown
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import text

from .accounts import command, run
from .story import Person, Story

LIVES, STEPS = 12, 40

HOUR_S = 3600
GOOD_FOR_S = 168 * HOUR_S
FORGOTTEN_S = 24 * HOUR_S
PATH = "/v1/access-codes/redemption"

STATUS = {
    "code-not-good": 422,
    "code-expired": 422,
    "code-used": 422,
    "code-replaced": 422,
    "already-has-access": 409,
    "too-many-attempts": 429,
    "user-already-there": 409,
    "user-not-found": 404,
    "illegal-move": 409,
    "not-yours": 403,
}
"""Why somebody can be refused, and how HTTP says it."""

TYPED = {
    "as it was sent": lambda code: code,
    "without dashes": lambda code: code.replace("-", ""),
    "in small letters": lambda code: code.lower(),
    "with spaces": lambda code: f" {code.replace('-', ' ')} ",
    "with what looks alike": lambda code: code.replace("0", "o").replace("1", "l"),
}


# --- the model ---


class Moment(NamedTuple):
    """When something happened: not before and not after, in seconds."""

    earliest: float
    latest: float

    def is_over(self, seconds: float, at: "Moment") -> bool | None:
        """Whether so much time has passed since; None: it depends on the instant."""
        if at.earliest >= self.latest + seconds:
            return True
        return False if at.latest < self.earliest + seconds else None


LONG_AGO = Moment(0, 0)


@dataclass
class Attempts:
    """How often somebody has failed, and how long they wait after the last time."""

    failures: int = 0
    last: Moment = LONG_AGO

    @property
    def pause_s(self) -> int:
        return 0 if self.failures < 5 else min(2 ** (self.failures - 5), 300)

    def begin(self, at: Moment) -> None:
        self.failures = 1 if self.last.is_over(FORGOTTEN_S, at) else self.failures + 1
        self.last = at


@dataclass
class Offer:
    """What somebody was invited to; not there any more once it is removed."""

    id: str
    group: UUID
    email: str
    person: str | None = None
    told: list[str] = field(default_factory=lambda: ["invited"])

    @property
    def status(self) -> str:
        return self.told[-1]


@dataclass
class Code:
    """A code that was sent for an offer."""

    id: str
    text: str
    offer: Offer
    issued: Moment
    status: str = "issued"

    def has_expired(self, at: Moment) -> bool | None:
        return self.issued.is_over(GOOD_FOR_S, at)


@dataclass
class Model:
    """Who gets in by which code."""

    owners: dict[str, str]
    """Of addresses."""
    offers: list[Offer] = field(default_factory=list)
    codes: list[Code] = field(default_factory=list)

    def theirs(self, group: UUID, person: str | None, email: str | None = None) -> list[Offer]:
        """What is somebody's in the group, by whatever address."""
        emails = {each for each, owner in self.owners.items() if owner == person} | {email}
        return [
            offer
            for offer in self.offers
            if offer.group == group
            and offer.status != "removed"
            and ((person is not None and offer.person == person) or offer.email in emails)
        ]

    def invite(self, group: UUID, email: str) -> str | None:
        return "user-already-there" if self.theirs(group, self.owners.get(email), email) else None

    def redeem(self, code: Code, person: str, *, expired: bool) -> str | None:
        """What is wrong with a code is told only to whom it was meant for."""
        offer, owner = code.offer, self.owners.get(code.offer.email)
        if owner not in (None, person) or code.status == "voided":
            return "code-not-good"
        wrong = {"redeemed": "code-used", "replaced": "code-replaced", "issued": "code-expired"}[code.status]
        if code.status != "issued" or expired:
            return wrong if owner else "code-not-good"
        if any(each.person == person for each in self.theirs(offer.group, person)):
            return "already-has-access"
        code.status, offer.person = "redeemed", person
        offer.told.append("active")
        self.owners[offer.email] = person
        return None

    def replace(self, offer: Offer) -> str | None:
        if offer.status != "invited":
            return "illegal-move" if offer.status == "active" else "user-not-found"
        self._end(offer, "replaced")
        return None

    def remove(self, offer: Offer) -> str | None:
        if offer.status == "removed":
            return "user-not-found"
        for each in self.theirs(offer.group, offer.person or self.owners.get(offer.email), offer.email):
            each.told.append("removed")
            self._end(each, "voided")
        return None

    def holds(self, person: str, group: UUID) -> bool:
        return any(each.person == person for each in self.theirs(group, person))

    def _end(self, offer: Offer, status: str) -> None:
        for code in self.codes:
            if code.offer is offer and code.status == "issued":
                code.status = status


# --- both at once ---

Result = TypeVar("Result")


@dataclass(frozen=True)
class Done:
    """A code that was redeemed, by which command, and its answer."""

    by: str
    group: UUID
    request: httpx.Request
    answer: httpx.Response


ANN, BO, CY = PEOPLE = ("Ann", "Bo", "Cy")
WHO = st.sampled_from(PEOPLE)
PROCESS = st.integers(0, 1)
WHICH = st.integers(0, 31)


class Life(RuleBasedStateMachine):
    """What happens to the service and to the model."""

    def __init__(self, story: Story, processes: "Processes", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.story, self.covey, self.processes, self.loop = story, story.covey, processes, loop
        self.passed_s = 0.0
        self.done: list[Done] = []
        self.attempts = {who: Attempts() for who in PEOPLE}
        self.wait(self.begin())

    def wait(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result()

    async def begin(self) -> None:
        """Two new groups with a primary each, and three people who have no access to them."""
        self.covey.api = self.covey.client(self.processes.staff)  # a life is shorter than a token is good, many are not
        await run(self.covey, "DELETE FROM outbox")
        await run(self.covey, "DELETE FROM attempt")
        self.groups = [await self.story.group() for _ in range(2)]
        self.primaries: list[Person] = [await self.story.primary(group) for group in self.groups]
        self.people = {who: await self.story.person(who) for who in PEOPLE}
        self.names = {person.account_id: who for who, person in self.people.items()}
        self.model = Model({person.email: who for who, person in self.people.items()})
        self.turns = count()

    # --- codes are sent. No rule has a precondition: hypothesis ends a life in which nothing is left to do ---

    @initialize(group=PROCESS, to=WHO)
    def somebody_is_the_first(self, group: int, to: str) -> None:
        self.somebody_is_invited(group, to)

    @rule(group=PROCESS, to=st.sampled_from([*PEOPLE, "nobody"]))
    def somebody_is_invited(self, group: int, to: str) -> None:
        of = self.groups[group]
        email = self.people[to].email if to in self.people else f"nobody-{next(_strangers)}@another.example"
        at, answer = self.timed(self.story.add(self.primaries[group], of, email))
        why_not = self.model.invite(of, email)
        self.said(answer, why_not, status=201)
        if why_not is None:
            offer = Offer(answer.json()["grant_id"], of, email)
            self.model.offers.append(offer)
            self.was_sent(offer, at)

    @rule(which=WHICH, act=st.sampled_from(["send again", "send again", "remove"]))
    def a_primary_acts(self, which: int, act: str) -> None:
        offer = one(which, self.model.offers, lambda each: each.status == "invited" or act == "remove")
        user = f"/v1/groups/{offer.group}/users/{offer.id}"
        api = self.primaries[self.groups.index(offer.group)].api
        if act == "remove":
            at, answer = self.timed(api.delete(user, headers=command()))
            self.said(answer, self.model.remove(offer), status=202)
            return
        at, answer = self.timed(api.post(f"{user}/code", headers=command()))
        why_not = self.model.replace(offer)
        self.said(answer, why_not)
        if why_not is None:
            self.was_sent(offer, at)

    def was_sent(self, offer: Offer, at: Moment) -> None:
        told = self.wait(self.covey.published(AccessCodeIssued))[-1].event
        assert isinstance(told, AccessCodeIssued)
        letter = self.covey.context.keyring.open(told.sealed, CodeLetter)
        assert (str(told.grant_id), letter.address) == (offer.id, offer.email)
        self.model.codes.append(Code(str(told.access_code_id), letter.code, offer, at))

    # --- codes are entered ---

    @rule(
        which=WHICH,
        rightly=st.sampled_from([True, True, True, False]),
        who=WHO,
        how=st.sampled_from([*TYPED]),
        process=PROCESS,
    )
    def a_code_is_entered(self, which: int, rightly: bool, who: str, how: str, process: int) -> None:
        """By whom it was meant for, or by somebody."""
        code = one(which, self.model.codes, lambda each: each.status == "issued")
        if rightly:
            who = self.model.owners.get(code.offer.email, who)
        at, answer = self.timed(self.enter(who, TYPED[how](code.text), process))
        if self.may_try(who, at, answer):
            expired = code.has_expired(at)
            if expired is None:
                expired = problem(answer) not in (None, "already-has-access")
            self.said(answer, self.model.redeem(code, who, expired=expired))
        if answer.is_success:
            self.was_let_in(who, code, answer)

    @rule(who=WHO, wrong=st.sampled_from(["7F3K", "?", None, None]), times=st.integers(1, 4), process=PROCESS)
    def somebody_guesses(self, who: str, wrong: str | None, times: int, process: int) -> None:
        for _ in range(times):
            at, answer = self.timed(self.enter(who, shown(draw()) if wrong is None else wrong, process))
            if self.may_try(who, at, answer):
                self.said(answer, "code-not-good")

    @rule(which=WHICH, first=WHO, second=WHO)
    def two_enter_a_code_at_once(self, which: int, first: str, second: str) -> None:
        """Both have come as far as the ledger before either goes on. One is the first of them, whichever."""
        code = one(which, self.model.codes, lambda each: each.status == "issued")
        self.forget_attempts()
        at, answers = self.timed(self.at_once(self.enter(first, code.text, 0), self.enter(second, code.text, 1)))
        expired = code.has_expired(at)
        if expired is None:
            expired = not any(answer.is_success for answer in answers)
        entered = list(zip((first, second), answers, strict=True))
        for who, answer in sorted(entered, key=lambda each: not each[1].is_success):
            self.said(answer, self.model.redeem(code, who, expired=expired))
            if answer.is_success:
                self.was_let_in(who, code, answer)
        self.forget_attempts()  # who counted when is not known

    @rule(back=st.integers(1, 3), process=PROCESS)
    def a_command_is_sent_again(self, back: int, process: int) -> None:
        """It is an attempt like any other. Whoever has lost the access meanwhile is not told again."""
        if not self.done:
            return
        before = self.done[-min(back, len(self.done))]
        headers = {"Idempotency-Key": before.request.headers["Idempotency-Key"], "Content-Type": "application/json"}
        api = self.api(before.by, process)
        at, answer = self.timed(api.post(PATH, content=before.request.content, headers=headers | {"Prefer": "wait=0"}))
        if not self.may_try(before.by, at, answer):
            return
        why_not = None if self.model.holds(before.by, before.group) else "not-yours"
        self.said(answer, why_not)
        if why_not is None:
            assert (answer.content, answer.headers["Idempotency-Replayed"]) == (before.answer.content, "true")

    async def enter(self, who: str, code: str, process: int) -> httpx.Response:
        return await self.story.redeem(replace(self.people[who], api=self.api(who, process)), code)

    def may_try(self, who: str, at: Moment, answer: httpx.Response) -> bool:
        """Whether the attempt is one; else the answer says how long to wait."""
        attempts = self.attempts[who]
        waited = attempts.last.is_over(attempts.pause_s, at)
        if waited is None:
            waited = answer.status_code != STATUS["too-many-attempts"]
        if waited:
            attempts.begin(at)
            return True
        self.said(answer, "too-many-attempts")
        left = [
            attempts.last.earliest + attempts.pause_s - at.latest,
            attempts.last.latest + attempts.pause_s - at.earliest,
        ]
        assert max(1, math.floor(left[0])) <= int(answer.headers["Retry-After"]) <= math.ceil(left[1])
        return False

    def was_let_in(self, who: str, code: Code, answer: httpx.Response) -> None:
        body = answer.json()
        assert (body["grant_id"], body["group_id"]) == (code.offer.id, str(code.offer.group))
        assert (body["role"], body["rights"], body["billing_units"]) == ("secondary", ["renewals.view"], None)
        self.attempts[who] = Attempts()
        self.done.append(Done(who, code.offer.group, answer.request, answer))

    # --- what goes on around them ---

    @rule(seconds=st.sampled_from([1, 4, 32, 299, 300, HOUR_S, FORGOTTEN_S]))
    def time_passes(self, seconds: int) -> None:
        self.wait(self.grow_older(seconds))

    @rule(which=WHICH, left_s=st.sampled_from([60, 1, 0]))
    def a_code_grows_old(self, which: int, left_s: int) -> None:
        """So that it is good for so long yet."""
        code = one(which, self.model.codes, lambda each: each.status == "issued")
        seconds = code.issued.latest + GOOD_FOR_S - left_s - self.now()
        if seconds > 0:
            self.wait(self.grow_older(seconds))

    @rule(process=PROCESS)
    def a_process_starts_anew(self, process: int) -> None:
        self.wait(self.processes.start(process))

    async def grow_older(self, seconds: float) -> None:
        self.passed_s += seconds
        for table, columns in (("access_code", ("issued_at", "expires_at")), ("attempt", ("next_at", "last_at"))):
            older = ", ".join(f"{column} = {column} - make_interval(secs => :seconds)" for column in columns)
            await run(self.covey, f"UPDATE {table} SET {older}", seconds=seconds)

    def forget_attempts(self) -> None:
        self.wait(run(self.covey, "DELETE FROM attempt"))
        self.attempts = {who: Attempts() for who in PEOPLE}

    # --- what must be true after each ---

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        self.wait(self.compare())

    async def compare(self) -> None:
        await self.compare_rows()
        await self.compare_events()
        turn = next(self.turns)
        await self.compare_sight(PEOPLE[turn % 3], process=turn % 2)
        await self.compare_users(turn % 2)

    async def compare_rows(self) -> None:
        groups = {"groups": self.groups}
        rows = await run(
            self.covey,
            "SELECT access_code.id::text, access_code.status"
            " FROM access_code JOIN access_grant ON grant_id = access_grant.id"
            " WHERE group_id = ANY(:groups) AND role = 'secondary'",
            **groups,
        )
        assert {tuple(row) for row in rows} == {(code.id, code.status) for code in self.model.codes}
        rows = await run(
            self.covey,
            "SELECT id::text, status, account_id FROM access_grant WHERE group_id = ANY(:groups) AND role = 'secondary'",
            **groups,
        )
        found = {(key, status, account_id and self.names[account_id]) for key, status, account_id in rows}
        assert found == {(offer.id, offer.status, offer.person) for offer in self.model.offers}
        rows = await run(self.covey, "SELECT failures FROM attempt WHERE purpose = 'access-code' ORDER BY failures")
        failures = sorted(each.failures for each in self.attempts.values() if each.failures)
        assert [number for (number,) in rows] == failures

    async def compare_events(self) -> None:
        told: dict[str, list[str]] = {offer.id: [] for offer in self.model.offers}
        sent: list[str] = []
        for each in await self.covey.published():
            match each.event:
                case AccessChanged(grant_id=grant_id, status=status) if str(grant_id) in told:
                    told[str(grant_id)].append(status.value)
                    assert each.sequence == len(told[str(grant_id)])
                case AccessCodeIssued(access_code_id=code_id, grant_id=grant_id) if str(grant_id) in told:
                    sent.append(str(code_id))
        assert told == {offer.id: offer.told for offer in self.model.offers}
        assert sent == [code.id for code in self.model.codes]

    async def compare_sight(self, who: str, process: int) -> None:
        answer = await self.api(who, process).get("/v1/access/groups", params={"limit": 200})
        assert answer.is_success, answer.text
        found = {UUID(each["group_id"]): each["rights"] for each in answer.json()["items"]}
        assert found == {group: ["renewals.view"] for group in self.groups if self.model.holds(who, group)}

    async def compare_users(self, group: int) -> None:
        before = self.now()
        answer = await self.primaries[group].api.get(f"/v1/groups/{self.groups[group]}/users", params={"limit": 200})
        at = Moment(before, self.now())
        assert answer.is_success, answer.text
        found = {each["grant_id"]: each["status"] for each in answer.json()["items"] if each["role"] == "secondary"}
        newest = {code.offer.id: code for code in self.model.codes}
        there = {each.id: each for each in self.model.offers if each.group == self.groups[group]}
        assert found.keys() == {key for key, offer in there.items() if offer.status != "removed"}
        for key, status in found.items():
            expired = newest[key].has_expired(at) if there[key].status == "invited" else False
            assert (
                status
                in {
                    True: ["code expired"],
                    False: [there[key].status],
                    None: ["code expired", there[key].status],
                }[expired]
            )

    # --- how it is told, and when ---

    def api(self, who: str, process: int) -> httpx.AsyncClient:
        return self.processes.of[process].client(self.people[who].account_id)

    def now(self) -> float:
        return Clock.now().timestamp() + self.passed_s

    def timed(self, doing: Awaitable[Result]) -> tuple[Moment, Result]:
        async def done() -> Result:
            return await doing

        before = self.now()
        result = self.wait(done())
        return Moment(before, self.now()), result

    async def at_once(self, *entering: Coroutine[Any, Any, httpx.Response]) -> list[httpx.Response]:
        """The answers to requests that have all come as far as the ledger before any goes on."""
        async with asyncio.TaskGroup() as tasks, self.covey.transaction() as session:
            await session.execute(text("SELECT FROM access_ledger FOR UPDATE"))
            sent = [tasks.create_task(each) for each in entering]

            async def waiting() -> bool:
                rows = await run(self.covey, "SELECT count(*) FROM pg_locks WHERE NOT granted")
                return rows == [(len(sent),)]

            await eventually(waiting)
        return [each.result() for each in sent]

    def said(self, answer: httpx.Response, why_not: str | None, *, status: int = 200) -> None:
        expected = (status, None) if why_not is None else (STATUS[why_not], why_not)
        assert (answer.status_code, problem(answer)) == expected


def problem(answer: httpx.Response) -> str | None:
    if answer.is_success:
        return None
    kind: str = answer.json()["type"]
    return kind.removeprefix("urn:covey:problem:")


def one(which: int, of: list[Any], apt: Any) -> Any:
    """One that is apt, mostly, and rather a late one; one of all by every fourth number, and where none is."""
    found = [each for each in of if which % 4 and apt(each)] or of
    return found[-1 - which // 4 % len(found)]


# --- processes of the service ---


@dataclass
class Processes:
    """Two of them, on the database of the harness."""

    covey: Harness
    staff: UUID
    of: dict[int, Harness] = field(default_factory=dict)
    _running: dict[int, AsyncExitStack] = field(default_factory=dict)

    async def start(self, number: int) -> None:
        """Put a new one in place of the one that is there."""
        await self.stop(number)
        self._running[number] = AsyncExitStack()
        self.of[number] = await self._running[number].enter_async_context(process(self.covey))

    async def stop(self, number: int) -> None:
        if number in self._running:
            await self._running.pop(number).aclose()


@asynccontextmanager
async def process(covey: Harness) -> AsyncIterator[Harness]:
    running = Running(service, covey.context.settings)
    app = create_app(service, running.context, ready=running.ready, live=running.live, lifespan=no_lifespan)
    try:
        yield replace(covey, context=running.context, app=app)
    finally:
        await running.context.requests.close()
        await running.context.workers.close()


@pytest.fixture
async def processes(covey: Harness) -> AsyncIterator[Processes]:
    staff = UUID((await covey.api.get("/v1/account")).json()["account_id"])
    both = Processes(covey, staff)
    for number in (0, 1):
        await both.start(number)
    yield both
    for number in (0, 1):
        await both.stop(number)


_strangers: Iterator[int] = count(1)


@pytest.mark.timeout(120 + 20 * WALKS)
async def test_a_code_lets_in_whom_the_model_says_after_every_step(story: Story, processes: Processes) -> None:
    loop = asyncio.get_running_loop()

    await walk(lambda: Life(story, processes, loop), lives=LIVES, steps=STEPS)
