"""Whatever owners and reviewers do, in whatever order: transactions stand as a few lines of Python say.

The model knows neither the service's tables nor its code. Hypothesis chooses what happens to two groups, in two plan
years each, and who does it of four people, whose rights come and go. Each answer is what the model says. After every step
so is all that there is: how each transaction stands and at which version, what was told, and what one of the people, by
turns, finds in lists.

The machine runs in a thread, since its rules are plain functions; what they do is done in the loop of the test, to which
the connections belong. Some hundred lives, each time others, are had by ``COVEY_WALKS=300``.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count, cycle
from typing import Any, TypeVar
from uuid import UUID

import httpx
import pytest
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from covey_chassis.testing.walks import WALKS, walk
from covey_contracts.transactions import TransactionState
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import text

from .reviewing import Reviewing
from .story import TODAY, Json, Story, a_draft, command

LIVES, STEPS = 12, 50

ANN, BO, RAE, SOL = PEOPLE = ("Ann", "Bo", "Rae", "Sol")
"""Ann owns, Bo owns and reviews, Rae and Sol review. So it is at first."""
OWNERS_TURN = ("open", "action required")
OVER = ("completed", "rolled over", "ended")
"""Of a renewal that is not changed any more."""
FIRST_DAYS = {2100: date(2100, 4, 1), 2101: date(2101, 4, 1)}
"""On which the plan years begin. Changes are submitted for the first time until the day before."""
DAYS = (date(2100, 3, 31), date(2100, 4, 1), date(2101, 3, 31), date(2101, 4, 1))

HELD: dict[str, tuple[tuple[Right, ...], tuple[str, ...] | None]] = {
    "change": ((Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE), None),
    "change in one unit": ((Right.RENEWALS_VIEW, Right.RENEWALS_CHANGE), ("001",)),
    "view": ((Right.RENEWALS_VIEW,), None),
    "nothing": ((), None),
}
"""What somebody may hold in a group: rights, and in which billing units."""

STATUS = {
    "not-yours": 403,
    "own-transaction": 403,
    "transaction-not-found": 404,
    "stale-version": 412,
    "invalid": 422,
    "idempotency-key-reused": 422,
    "illegal-move": 409,
    "not-saved-yet": 409,
    "already-under-way": 409,
    "renewal-not-available": 409,
    "renewal-is-over": 409,
    "deadline-passed": 409,
    "claimed-by-somebody-else": 409,
    "not-claimed-by-you": 409,
    "round-is-over": 409,
}
"""Why somebody can be refused, and how HTTP says it."""


# --- the model ---


@dataclass
class Year:
    """A group's coming plan year, as renewals tells of it."""

    name: str
    number: int
    status: str
    group: UUID
    renewal: UUID | None = None

    def why_not_changed(self) -> str | None:
        return "renewal-not-available" if self.status == "upcoming" else self.why_not_corrected()

    def why_not_corrected(self) -> str | None:
        return "renewal-is-over" if self.status in OVER else None


@dataclass
class Changes:
    """A transaction. What somebody does to it is said in verbs, each of which says why not, or None."""

    id: str
    year: Year
    owner: str
    worked_on_by: set[str]
    is_whole: bool = False
    is_saved: bool = False
    status: str = "open"
    version: int = 1
    outcomes: list[str | None] = field(default_factory=list)
    claimed_by: str | None = None
    has_lapsed: bool = False
    submitted: int = 0
    told: list[tuple[str, str, int]] = field(default_factory=list)

    @property
    def is_under_way(self) -> bool:
        return self.is_saved and self.status not in ("declined", "withdrawn")

    @property
    def claim(self) -> str | None:
        """Who keeps others from deciding."""
        return None if self.has_lapsed else self.claimed_by

    def can_be_copied_in(self, group: UUID) -> bool:
        return self.year.group == group and self.is_saved and self.status != "withdrawn"

    # its owner's turn

    def save(self, by: str, *, whole: bool, others: Iterable["Changes"]) -> str | None:
        if self.status not in OWNERS_TURN:
            return "illegal-move"
        if not self.is_saved and any(each.is_under_way and each.year is self.year for each in others):
            return "already-under-way"
        if why_not := self.year.why_not_changed():
            return why_not
        self.worked_on_by.add(by)
        self.is_whole = whole
        self._moves(self.status, None if self.is_saved else "TransactionOpened")
        self.is_saved = True
        return None

    def submit(self, by: str, *, today: date, number: int) -> str | None:
        if self.status not in OWNERS_TURN:
            return "illegal-move"
        if not self.is_saved:
            return "not-saved-yet"
        if why_not := self.year.why_not_corrected() if self.outcomes else self.year.why_not_changed():
            return why_not
        if not self.outcomes and today >= FIRST_DAYS[self.year.number]:
            return "deadline-passed"
        if not self.is_whole:
            return "invalid"
        self.worked_on_by.add(by)
        self.outcomes.append(None)
        self.submitted = number
        self._moves("pending review", "TransactionSubmitted")
        return None

    def withdraw(self) -> str | None:
        if self.status not in (*OWNERS_TURN, "pending review"):
            return "illegal-move"
        if self.status == "pending review":
            self.outcomes[-1] = "withdrawn"
        self.claimed_by = None
        self._moves("withdrawn", "TransactionWithdrawn" if self.is_saved else None)
        return None

    # the carrier's turn

    def let_claim(self, by: str) -> str | None:
        if why_not := self._why_not_reviewed(by):
            return why_not
        self.claimed_by, self.has_lapsed = by, False
        self._moves("pending review", "ReviewClaimed")
        return None

    def release(self, by: str) -> str | None:
        if self.status != "pending review":
            return "illegal-move"
        if self.claimed_by != by:
            return "not-claimed-by-you"
        self.claimed_by = None
        self._moves("pending review", "ReviewReleased")
        return None

    def decide(self, by: str, decision: str, number: int) -> str | None:
        if why_not := self._why_not_reviewed(by):
            return why_not
        if number != len(self.outcomes):
            return "round-is-over"
        status, self.outcomes[-1], kind = {
            "approval": ("completed", "approved", "ReviewApproved"),
            "decline": ("declined", "declined", "ReviewDeclined"),
            "return": ("action required", "returned", "ReviewReturned"),
        }[decision]
        self.claimed_by = None
        self._moves(status, kind)
        return None

    def _why_not_reviewed(self, by: str) -> str | None:
        if self.status != "pending review":
            return "illegal-move"
        if by in self.worked_on_by:
            return "own-transaction"
        return "claimed-by-somebody-else" if self.claim not in (None, by) else None

    def _moves(self, status: str, kind: str | None) -> None:
        self.status = status
        self.version += 1
        if kind is not None:
            self.told.append((kind, status, len(self.outcomes)))


# --- both at once ---

Result = TypeVar("Result")


@dataclass(frozen=True)
class Done:
    """A command that was done, and its answer."""

    by: str
    group: UUID | None
    """In which its owner needs the right; None for a reviewer's."""
    request: httpx.Request
    answer: httpx.Response


def mostly(usual: Any, *others: Any) -> Any:
    return st.sampled_from([usual] * 6 + [*others])


OWNERS = st.sampled_from([ANN, ANN, ANN, BO, BO, BO, RAE])
REVIEWERS = st.sampled_from([RAE, RAE, SOL, SOL, BO, BO, ANN])
GROUP, YEAR = st.integers(0, 1), st.integers(0, 3)
DRAFT = mostly("whole", "empty")
COPYING = st.sampled_from([False, False, True])
WHICH = st.integers(0, 31)
OFF = mostly(0, -1, 1)
"""By how much somebody misses the version or the round that it is."""


class Life(RuleBasedStateMachine):
    """What happens to the service and to the model."""

    def __init__(self, story: Story, loop: asyncio.AbstractEventLoop, representative: UUID) -> None:
        super().__init__()
        self.story, self.covey, self.loop, self.representative = story, story.covey, loop, representative
        self.accounts = {name: new_id() for name in PEOPLE}
        self.names = {str(account_id): name for name, account_id in self.accounts.items()}
        self.api = {name: self.covey.client(account_id) for name, account_id in self.accounts.items()}
        self.facts: dict[Any, UUID] = {}
        self.held: dict[tuple[str, UUID], str] = {}
        self.reviewers: set[str] = set()
        self.today = TODAY
        self.years: list[Year] = []
        self.all: list[Changes] = []
        self.done: list[Done] = []
        self.numbers, self.readers = count(1), cycle(PEOPLE)
        self.wait(self.begin())

    def wait(self, doing: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(doing, self.loop).result()

    async def begin(self) -> None:
        """Two new groups, each with two plan years; nothing else is there, and it is the first day again."""
        async with self.covey.transaction() as session:
            for nothing_of in ("round", "transaction", "outbox"):
                await session.execute(text(f"DELETE FROM {nothing_of}"))
            await session.execute(text("UPDATE clock SET offset_days = 0"))
        await self.covey.move_date(TODAY)
        for _ in range(2):
            name = f"Group {next(_groups)}"
            group = await self.story.group(name)
            for number, status in ((2100, "available"), (2101, "upcoming" if self.years else "available")):
                self.years.append(Year(name, number, status, group))
                await self.tell(self.years[-1])
            for who in (ANN, BO):
                await self.know(who, group, "change")
        for who in (BO, RAE, SOL):
            await self.know_staff(who, reviews=True)

    # --- owners. Rules are few, and have no preconditions: hypothesis leaves half of them out of a life, and ends it when
    # nothing is left to do ---

    @initialize(year=st.integers(0, 2), by=st.sampled_from([ANN, BO]))
    def somebody_is_the_first(self, year: int, by: str) -> None:
        self.somebody_opens(year, by, 0, copying=False, draft="whole")

    @rule(year=YEAR, by=OWNERS, which=WHICH, copying=COPYING, draft=st.sampled_from(["none", *["whole"] * 4, "empty"]))
    def somebody_opens(self, year: int, by: str, which: int, copying: bool, draft: str) -> None:
        """And saves and submits, if there is a draft: else few transactions were ever reviewed."""
        copied = self.one(which, "declined", "completed") if copying else None
        opened = self.open(self.years[year], by, copied)
        if opened is not None and draft != "none":
            self.save(opened, by, draft, off=0)
            self.submit(opened, by, off=0)

    @rule(
        act=st.sampled_from(["save", "save", "submit", "submit", "withdraw"]),
        which=WHICH,
        by=OWNERS,
        draft=DRAFT,
        off=OFF,
    )
    def an_owner_acts(self, act: str, which: int, by: str, draft: str, off: int) -> None:
        if act == "save":
            self.save(self.one(which, *OWNERS_TURN), by, draft, off)
        elif act == "submit":
            self.submit(self.one(which, *OWNERS_TURN), by, off)
        else:
            self.withdraw(self.one(which, *OWNERS_TURN, "pending review"), by)

    def open(self, year: Year, by: str, copied: Changes | None) -> Changes | None:
        body = {"renewal_id": str(year.renewal)} | ({"copy_of": copied.id} if copied else {})
        answer = self.command(by, year.group, "POST", f"/v1/groups/{year.group}/transactions", body)
        why_not = self.why_not_changed_by(by, year.group)
        if copied is not None and not copied.can_be_copied_in(year.group):
            why_not = why_not or "transaction-not-found"
        why_not = why_not or year.why_not_changed()
        self.said(answer, why_not, status=201)
        if why_not is not None:
            return None
        opened = Changes(answer.json()["transaction_id"], year, by, {by})
        if copied is not None:
            opened.worked_on_by |= copied.worked_on_by
            opened.is_whole = copied.is_whole
        self.all.append(opened)
        self.stands(answer, opened)
        return opened

    def save(self, of: Changes, by: str, draft: str, off: int) -> None:
        body = a_draft() if draft == "whole" else {}
        answer = self.owners_act(of, by, "PUT", "draft", body, If_Match=f'"{of.version + off}"')
        self.said(
            answer,
            self.why_not_changed_by(by, of.year.group)
            or ("stale-version" if off else None)
            or of.save(by, whole=draft == "whole", others=self.all),
            of,
        )

    def submit(self, of: Changes, by: str, off: int) -> None:
        answer = self.owners_act(of, by, "POST", "submission", If_Match=f'"{of.version + off}"')
        self.said(
            answer,
            self.why_not_changed_by(by, of.year.group)
            or ("stale-version" if off else None)
            or of.submit(by, today=self.today, number=next(self.numbers)),
            of,
        )

    def withdraw(self, of: Changes, by: str) -> None:
        answer = self.owners_act(of, by, "POST", "withdrawal")
        self.said(answer, self.why_not_changed_by(by, of.year.group) or of.withdraw(), of)

    # --- reviewers ---

    @rule(
        act=st.sampled_from(["claim", "claim", "release", "return", "return", "approval", "decline"]),
        which=WHICH,
        by=REVIEWERS,
        off=OFF,
    )
    def a_reviewer_acts(self, act: str, which: int, by: str, off: int) -> None:
        of = self.one(which, "pending review")
        if act == "claim":
            answer = self.command(by, None, "POST", f"/v1/reviews/{of.id}/claim")
            self.said(answer, self.why_not_reviewed_by(by) or of.let_claim(by), of)
        elif act == "release":
            answer = self.command(by, None, "DELETE", f"/v1/reviews/{of.id}/claim")
            self.said(answer, self.why_not_reviewed_by(by) or of.release(by), of)
        else:
            self.decide(of, by, act, number=max(1, len(of.outcomes) + off))

    def decide(self, of: Changes, by: str, decision: str, number: int) -> None:
        body: Json = {"round": number} | {
            "approval": {},
            "decline": {"reason": "Too small."},
            "return": {"instructions": "Add what is missing.", "representative_id": str(self.representative)},
        }[decision]
        answer = self.command(by, None, "POST", f"/v1/reviews/{of.id}/{decision}", body)
        self.said(answer, self.why_not_reviewed_by(by) or of.decide(by, decision, number), of)

    # --- commands that are sent again ---

    @rule(back=st.integers(1, 6), same=st.sampled_from([True, True, False]))
    def send_again(self, back: int, same: bool) -> None:
        """One of the last commands that were done, or another one with its key."""
        before = self.done[-min(back, len(self.done))]
        sent = before.request
        content = sent.content if same else b'{"of": "another command"}'
        headers = {name: sent.headers[name] for name in ("Idempotency-Key", "If-Match") if name in sent.headers}
        headers["Content-Type"] = "application/json"
        answer = self.wait(self.api[before.by].request(sent.method, sent.url, content=content, headers=headers))
        why_not = (
            self.why_not_reviewed_by(before.by)
            if before.group is None
            else self.why_not_changed_by(before.by, before.group)
        ) or (None if same else "idempotency-key-reused")
        self.said(answer, why_not, status=before.answer.status_code)
        if why_not is None:
            assert answer.content == before.answer.content
            assert answer.headers["ETag"] == before.answer.headers["ETag"]
            assert answer.headers["Idempotency-Replayed"] == "true"

    # --- what goes on around them ---

    @rule(who=st.sampled_from(PEOPLE), group=GROUP, held=mostly("change", *HELD))
    def somebody_holds(self, who: str, group: int, held: str) -> None:
        self.wait(self.know(who, self.years[2 * group].group, held))

    @rule(who=st.sampled_from(PEOPLE), reviews=st.sampled_from([True, True, False]))
    def somebody_reviews(self, who: str, reviews: bool) -> None:
        self.wait(self.know_staff(who, reviews=reviews))

    @rule(
        year=YEAR, status=st.sampled_from(["available"] * 6 + ["upcoming", "pending review", "action required", *OVER])
    )
    def renewals_tells(self, year: int, status: str) -> None:
        self.years[year].status = status
        self.wait(self.tell(self.years[year]))

    @rule(many=st.booleans())
    def days_pass(self, many: bool) -> None:
        """A day, or all until the last one to submit, or until a plan year begins."""
        self.today = next((day for day in DAYS if many and day > self.today), self.today + timedelta(days=1))
        self.wait(self.covey.move_date(self.today))

    @rule()
    def half_an_hour_passes(self) -> None:
        for each in self.all:
            if each.claim:
                each.has_lapsed = True
                self.wait(Reviewing(self.covey).let_claim_lapse(UUID(each.id)))

    # --- what must be true after each ---

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        self.wait(self.compare())

    async def compare(self) -> None:
        await self.compare_rows()
        await self.compare_events()
        await self.compare_lists(next(self.readers))

    async def compare_rows(self) -> None:
        async with self.covey.transaction() as session:
            rows = await session.execute(text("SELECT id::text, status, version FROM transaction"))
            outcomes = await session.execute(
                text("SELECT transaction_id::text, outcome FROM round ORDER BY transaction_id, number")
            )
        assert {(each.id, each.status, each.version) for each in self.all} == {tuple(row) for row in rows}
        found: dict[str, list[str | None]] = {each.id: [] for each in self.all}
        for transaction_id, outcome in outcomes:
            found[transaction_id].append(outcome)
        assert found == {each.id: each.outcomes for each in self.all}

    async def compare_events(self) -> None:
        told: dict[str, list[tuple[str, str, int]]] = {each.id: [] for each in self.all}
        for each in await self.covey.published():
            assert isinstance(each.event, TransactionState)
            told[each.key].append((type(each.event).__name__, each.event.status.value, each.event.round))
            assert each.sequence == len(told[each.key])
        assert told == {each.id: each.told for each in self.all}

    async def compare_lists(self, who: str) -> None:
        answer = await self.api[who].get("/v1/transactions", params={"limit": 200})
        found = [(each["transaction_id"], each["status"], each["round"]) for each in answer.json()["items"]]
        assert found == [
            (each.id, each.status, len(each.outcomes))
            for each in reversed(self.all)
            if each.is_saved and self.finds(who, each)
        ]
        answer = await self.api[who].get("/v1/reviews", params={"limit": 200})
        if who not in self.reviewers:
            assert problem(answer) == (403, "not-yours")
            return
        assert [self.as_queued(each) for each in answer.json()["items"]] == [
            (each.id, each.claim, who in each.worked_on_by)
            for each in sorted(self.all, key=lambda each: each.submitted)
            if each.status == "pending review"
        ]

    def as_queued(self, item: Json) -> tuple[str, str | None, bool]:
        claim = item["claim"] and self.names[item["claim"]["claimed_by"]]
        return item["transaction_id"], claim, item["yours"]

    def stands(self, answer: httpx.Response, of: Changes) -> None:
        """The answer shows it as it is, and so does whoever reads it in its group."""
        body = answer.json()
        assert (body["transaction_id"], answer.headers["ETag"]) == (of.id, f'"{of.version}"')
        assert (body["status"], body["round"]) == (of.status, len(of.outcomes))
        assert self.names[body["owner_id"]] == of.owner

    async def read_by_all(self, of: Changes) -> None:
        path = f"/v1/groups/{of.year.group}/transactions/{of.id}"
        for who, read in zip(PEOPLE, await asyncio.gather(*(self.api[who].get(path) for who in PEOPLE)), strict=True):
            if not (who in self.reviewers or self.sees(who, of.year.group)):
                assert problem(read) == (403, "not-yours")
            elif not self.finds(who, of):
                assert problem(read) == (404, "transaction-not-found")
            else:
                self.stands(read, of)

    # --- what the model says ---

    def one(self, which: int, *statuses: str) -> Changes:
        """A transaction that stands so, mostly; one of all by every fourth number, and where none does."""
        apt = [each for each in self.all if each.status in statuses and which % 4]
        return (apt or self.all)[which // 4 % len(apt or self.all)]

    def why_not_changed_by(self, who: str, group: UUID) -> str | None:
        return None if self.held.get((who, group)) == "change" else "not-yours"

    def why_not_reviewed_by(self, who: str) -> str | None:
        return None if who in self.reviewers else "not-yours"

    def finds(self, who: str, of: Changes) -> bool:
        """Staff find everything, others what is in sight, unless it was withdrawn."""
        return who in self.reviewers or (self.sees(who, of.year.group) and of.status != "withdrawn")

    def sees(self, who: str, group: UUID) -> bool:
        return self.held.get((who, group), "nothing") != "nothing"

    # --- what the service is told ---

    def owners_act(
        self, of: Changes, by: str, method: str, act: str, body: Json | None = None, **headers: str
    ) -> httpx.Response:
        path = f"/v1/groups/{of.year.group}/transactions/{of.id}/{act}"
        return self.command(by, of.year.group, method, path, body, **headers)

    def command(
        self, by: str, group: UUID | None, method: str, path: str, body: Json | None = None, **headers: str
    ) -> httpx.Response:
        answer = self.wait(self.api[by].request(method, path, json=body, headers=command(**headers)))
        if answer.is_success:
            self.done.append(Done(by, group, answer.request, answer))
        return answer

    def said(
        self, answer: httpx.Response, why_not: str | None, of: Changes | None = None, *, status: int = 200
    ) -> None:
        if why_not is not None:
            assert problem(answer) == (STATUS[why_not], why_not)
            return
        assert answer.status_code == status, answer.text
        if of is not None:
            self.stands(answer, of)
            self.wait(self.read_by_all(of))

    async def tell(self, year: Year) -> None:
        """Renewals tells how it stands."""
        first_day = FIRST_DAYS[year.number]
        year.renewal = await self.story.renewal(year.name, year.status, plan_year=year.number, effective_date=first_day)

    async def know(self, who: str, group: UUID, held: str) -> None:
        self.held[who, group] = held
        rights, units = HELD[held]
        fact = Fact(
            kind=FactKind.GRANT,
            id=self.facts.setdefault((who, group), new_id()),
            group_id=group,
            account_id=self.accounts[who],
            rights=rights,
            billing_units=units,
            active=bool(rights),
        )
        await self.covey.know(fact)

    async def know_staff(self, who: str, *, reviews: bool) -> None:
        (self.reviewers.add if reviews else self.reviewers.discard)(who)
        account_id = self.accounts[who]
        rights = (StaffRight.REVIEW_DECIDE,)
        await self.covey.know(
            Fact(kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=rights, active=reviews)
        )


def problem(answer: httpx.Response) -> tuple[int, str]:
    kind: str = answer.json().get("type", "none")
    return answer.status_code, kind.removeprefix("urn:covey:problem:")


_groups: Iterator[int] = count(1)


@pytest.mark.timeout(120 + 20 * WALKS)
async def test_transactions_stand_as_the_model_says_after_every_step(story: Story) -> None:
    loop = asyncio.get_running_loop()
    representative = await Reviewing(story.covey).representative()

    await walk(lambda: Life(story, loop, representative), lives=LIVES, steps=STEPS)
