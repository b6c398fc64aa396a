"""Whatever happens to groups, firms and people, in whatever order: everybody holds what a few lines of Python say.

The model knows no SQL and none of identity's code. Hypothesis chooses what happens; after every step the model's word is
compared with what each person is told over HTTP, with the view that rights are checked by, and with what a service knows
that has only followed the feed.

It is a walk by drawn steps rather than a RuleBasedStateMachine: a machine's rules are plain functions, and the
connections belong to the loop that the test already runs in. Some hundred walks, each time others, are had by
``COVEY_WALKS=300``.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import pytest
from covey_chassis.testing.walks import WALKS, walking
from covey_identity import feed
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from .accounts import command, run
from .story import Person, Story

STEPS = 25

ALL = "all"
GIVEABLE = [
    "billing.pay",
    "billing.view",
    "documents.sign",
    "documents.view",
    "group.update",
    "members.enroll",
    "members.terminate",
    "members.update",
    "members.view",
    "renewals.change",
    "renewals.view",
]
MANAGE = "access.manage"
UNITS = ("001", "002", "003")

Held = dict[str, Any]
"""Right -> the billing units that it is held in, or ALL."""


# --- the model ---


@dataclass
class Grant:
    """Somebody's, or a firm's, rights in a group; not there any more once it is removed."""

    group: UUID
    role: str
    rights: set[str]
    units: Any
    email: str | None = None
    person: UUID | None = None
    firm: UUID | None = None
    active: bool = False
    giver: str | None = None

    def offered_to(self, email: str) -> bool:
        return not self.active and self.email == email


@dataclass
class Model:
    """Who holds what, as the rules say it in words."""

    addresses: dict[str, UUID]
    broker: dict[UUID, UUID | None]
    grants: dict[str, Grant] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    members: set[tuple[UUID, UUID]] = field(default_factory=set)
    excluded: set[tuple[UUID, UUID]] = field(default_factory=set)
    locked: set[UUID] = field(default_factory=set)
    by_group: set[UUID] = field(default_factory=set)
    """Groups whose broker they have appointed themselves, and the book does not name."""

    def __post_init__(self) -> None:
        self.book = dict(self.broker)

    # what is asked

    def held(self, person: UUID, group: UUID) -> Held:
        """What a person holds in a group: their own, and what their firms hold unless they are excluded from it."""
        found: Held = {}
        for grant in self.grants.values():
            through = (grant.firm, person) in self.members and (group, person) not in self.excluded
            if grant.group == group and grant.active and (grant.person == person or through):
                merge(found, grant.rights, grant.units)
        if (self.broker[group], person) in self.members and (group, person) not in self.excluded:
            merge(found, {"renewals.view"}, ALL)
        return found

    def primary(self, group: UUID) -> str | None:
        """The active primary's grant."""
        found = [key for key, grant in self.in_group(group) if grant.role == "primary" and grant.active]
        assert len(found) <= 1
        return found[0] if found else None

    def in_group(self, group: UUID) -> list[tuple[str, Grant]]:
        return [(key, grant) for key, grant in self.grants.items() if grant.group == group]

    def of_person(self, group: UUID, person: UUID | None, *emails: str | None) -> list[str]:
        """The grants that are a person's, or are offered to an address of theirs."""
        known = {email for email, owner in self.addresses.items() if owner == person and person} | {*emails}
        return [
            key
            for key, grant in self.in_group(group)
            if (person is not None and grant.person == person) or (not grant.active and grant.email in known)
        ]

    # what happens; each says why not, or None

    def add(self, group: UUID, email: str) -> str | None:
        owner = self.addresses.get(email)
        there = [each for _, each in self.in_group(group) if (owner and each.person == owner) or each.offered_to(email)]
        return "user-already-there" if there else None

    def redeem(self, key: str, person: UUID) -> str | None:
        grant = self.grants[key]
        owner = self.addresses.get(str(grant.email))
        if owner not in (None, person):
            return "code-not-good"
        primary = self.primary(grant.group)
        own = [other for other, each in self.in_group(grant.group) if each.person == person]
        if own and (grant.role == "secondary" or primary in own):
            return "already-has-access"
        self.addresses[str(grant.email)] = person
        if grant.role == "primary":
            for each in self.grants.values():
                if primary is not None and each.giver == primary:
                    each.giver = key
            self.drop([primary] if primary else [])
        grant.person, grant.active = person, True
        theirs = self.of_person(grant.group, person)
        self.drop(other for other in theirs if other != key and self.grants[other].role == "secondary")
        return None

    def remove(self, key: str, *, by_carrier: bool) -> str | None:
        grant = self.grants[key]
        if grant.role == "primary" and not by_carrier:
            return "primary-is-the-carriers"
        person = grant.person or self.addresses.get(str(grant.email))
        if person and not self.held(person, grant.group):
            person = None  # whoever holds nothing is the address alone
        primary = self.primary(grant.group)
        for_primary = grant.role == "primary" or (primary and self.grants[primary].person == person)
        if grant.firm or (for_primary and not grant.active):
            self.drop([key])
            return None
        if why_not := self.take_all(grant.group, person, grant.email, by_carrier=by_carrier):
            return why_not
        if person and self.held(person, grant.group):
            self.excluded.add((grant.group, person))
        return None

    def exclude(self, group: UUID, person: UUID) -> str | None:
        if not self.held(person, group):
            return "user-not-found"
        if why_not := self.take_all(group, person, by_carrier=False):
            return why_not
        self.excluded.add((group, person))
        return None

    def take_all(self, group: UUID, person: UUID | None, *emails: str | None, by_carrier: bool) -> str | None:
        """All that is a person's own; what the carrier has given, or offered, the carrier alone takes back."""
        theirs = self.of_person(group, person, *emails)
        if by_carrier:
            self.drop(theirs)
        elif self.primary(group) in theirs:
            return "primary-is-the-carriers"
        else:
            self.drop(key for key in theirs if self.grants[key].role == "secondary")
        return None

    def appoint(self, group: UUID, firm: UUID | None) -> None:
        former = self.broker[group]
        if former not in (None, firm):
            theirs = {key for of, person in self.members if of == former for key in self.of_person(group, person)}
            self.drop(
                key
                for key, grant in self.in_group(group)
                if grant.firm == former or (grant.role == "secondary" and key in theirs)
            )
        self.broker[group] = firm

    def book_says(self, group: UUID, firm: UUID | None) -> None:
        """Only another word than before counts, and nobody is ended by it whom it never knew of."""
        before, self.book[group] = self.book[group], firm
        if firm is None and group not in self.by_group:
            self.appoint(group, None)
        elif firm is not None and firm == self.broker[group]:
            self.by_group.discard(group)
        elif firm not in (None, before):
            self.by_group.discard(group)
            self.appoint(group, firm)

    def appoint_by_primary(self, group: UUID, firm: UUID | None) -> str | None:
        if firm == self.broker[group]:
            return "already-broker-of-record"
        self.appoint(group, firm)
        (self.by_group.discard if firm in (None, self.book[group]) else self.by_group.add)(group)
        return None

    def leave(self, firm: UUID, person: UUID) -> None:
        self.members.discard((firm, person))
        for group in (group for group, broker in self.broker.items() if broker == firm):
            self.drop(key for key in self.of_person(group, person) if self.grants[key].role == "secondary")

    def drop(self, keys: Any) -> None:
        """They go, and what was given by them."""
        left = set(keys)
        while left:
            for key in left:
                del self.grants[key]
            left = {key for key, grant in self.grants.items() if grant.giver and grant.giver not in self.grants}


def merge(found: Held, rights: set[str], units: Any) -> None:
    for right in rights:
        before = found.get(right, frozenset())
        found[right] = ALL if ALL in (before, units) else before | units


def with_views(rights: set[str]) -> set[str]:
    """To act implies to view, where there is something to view."""
    views = {f"{right.partition('.')[0]}.view" for right in rights}
    return rights | (views & set(GIVEABLE))


# --- somebody who only listens ---


@dataclass
class Listener:
    """Applies the feed's pages to a dict of its own, each fact by its revision."""

    rev: int = 0
    facts: dict[tuple[str, UUID], Any] = field(default_factory=dict)

    async def hear(self, story: Story) -> None:
        head = False
        while not head:
            async with story.covey.transaction() as session:
                news = await feed.read_news(session, self.rev)
            revs = [fact.rev for fact in news.facts]
            assert revs == sorted(set(revs))
            assert not revs or (revs[0] > self.rev and revs[-1] <= news.rev)
            for fact in news.facts:
                known = self.facts.get((fact.kind, fact.id))
                assert known is None or known.rev < fact.rev
                self.facts[fact.kind, fact.id] = fact
            self.rev, head = news.rev, news.head

    def active(self, kind: str) -> Iterator[Any]:
        return (fact for (of, _), fact in self.facts.items() if of == kind and fact.active)

    def locked(self) -> set[UUID]:
        return {fact.account_id for (of, _), fact in self.facts.items() if of == "account" and not fact.active}

    def held(self, person: UUID, group: UUID) -> Held:
        found: Held = {}
        firms = {fact.firm_id for fact in self.active("membership") if fact.account_id == person}
        if any((fact.group_id, fact.account_id) == (group, person) for fact in self.active("exclusion")):
            firms = set()
        for fact in itertools.chain(self.active("grant"), self.active("appointment")):
            if fact.group_id == group and (fact.account_id == person or fact.firm_id in firms):
                merge(found, set(fact.rights), ALL if fact.billing_units is None else frozenset(fact.billing_units))
        return found


# --- both at once ---


@dataclass(repr=False)
class Walk:
    """What happens to the service and to the model."""

    story: Story
    draw: Callable[..., Any]
    groups: list[UUID]
    firms: dict[str, UUID]
    people: dict[UUID, Person]
    model: Model
    listener: Listener
    sessions: list[tuple[UUID, httpx.AsyncClient, bool]] = field(default_factory=list)
    new_addresses: Iterator[int] = field(default_factory=itertools.count)

    def some(self, of: Any) -> Any:
        return self.draw(st.sampled_from(list(of)))

    def scope(self) -> tuple[list[str], list[str] | None]:
        rights = self.draw(st.lists(st.sampled_from(GIVEABLE), min_size=1, max_size=4, unique=True))
        units = self.draw(st.none() | st.lists(st.sampled_from(UNITS), min_size=1, max_size=2, unique=True))
        return rights, units

    def who(self) -> str:
        """An address: of somebody who has an account, or of nobody yet."""
        person = self.some([*self.people, None])
        return (
            self.people[person].email
            if person
            else f"new-{next(self.new_addresses)}@{self.groups[0].hex[-12:]}.example"
        )

    def may_act(self) -> list[UUID]:
        """Groups that have a primary who can act."""
        primaries = {group: self.model.primary(group) for group in self.groups}
        return [
            group for group, key in primaries.items() if key and self.model.grants[key].person not in self.model.locked
        ]

    def primary_of(self, group: UUID) -> Person:
        key = self.model.primary(group)
        assert key
        return self.people[self.model.grants[key].person]  # type: ignore[index]  # an active one has a person

    def invited(self) -> list[str]:
        return [key for key, grant in self.model.grants.items() if not grant.active]

    def secondaries(self) -> list[str]:
        acting = self.may_act()
        return [key for key, grant in self.model.grants.items() if grant.role == "secondary" and grant.group in acting]

    # the steps

    async def make_primary(self) -> None:
        group, email = self.some(self.groups), self.who()
        answer = await self.story.approve(group, await self.story.request(group, email))
        current = self.model.primary(group)
        if current and self.model.addresses.get(email) == self.model.grants[current].person:
            said(answer, "user-already-there")
            return
        said(answer, None)
        self.model.drop([key for key, each in self.model.in_group(group) if each.role == "primary" and not each.active])
        users = await self.story.covey.api.get(f"/v1/groups/{group}/users", params={"limit": 200})
        (key,) = [
            user["grant_id"]
            for user in users.json()["items"]
            if (user["role"], user["status"]) == ("primary", "invited")
        ]
        self.model.grants[key] = Grant(group, "primary", {*GIVEABLE, MANAGE}, ALL, email)
        self.model.codes[key] = await self.story.code()

    async def add(self) -> None:
        group, email, (rights, units) = self.some(self.may_act()), self.who(), self.scope()
        answer = await self.story.add(self.primary_of(group), group, email, rights, units)
        why_not = self.model.add(group, email)
        said(answer, why_not)
        if why_not is None:
            key = answer.json()["grant_id"]
            self.model.grants[key] = Grant(
                group, "secondary", with_views(set(rights)), as_units(units), email, giver=self.model.primary(group)
            )
            self.model.codes[key] = await self.story.code()

    async def redeem(self) -> None:
        key, person = self.some(self.invited()), self.some(self.people)
        if owner := self.model.addresses.get(str(self.model.grants[key].email)):
            person = self.some([owner, owner, owner, person])
        await run(self.story.covey, "DELETE FROM attempt")
        answer = await self.story.redeem(self.people[person], self.model.codes[key])
        said(answer, "account-locked" if person in self.model.locked else self.model.redeem(key, person))

    async def send_code_again(self) -> None:
        key = self.some([key for key in self.invited() if key in self.secondaries()])
        group = self.model.grants[key].group
        answer = await self.primary_of(group).api.post(f"/v1/groups/{group}/users/{key}/code", headers=command())
        said(answer, None)
        self.model.codes[key] = await self.story.code()

    async def change_rights(self) -> None:
        key, (rights, units) = self.some(self.secondaries()), self.scope()
        grant = self.model.grants[key]
        primary, user = self.primary_of(grant.group), f"/v1/groups/{grant.group}/users/{key}"
        etag = (await primary.api.get(user)).headers["ETag"]
        body = {"rights": rights, "billing_units": units}
        said(await primary.api.put(f"{user}/rights", json=body, headers=command(If_Match=etag)), None)
        grant.rights, grant.units = with_views(set(rights)), as_units(units)

    async def remove(self) -> None:
        key = self.some([key for key, grant in self.model.grants.items() if grant.group in self.may_act()])
        group = self.model.grants[key].group
        answer = await self.story.remove(self.primary_of(group), group, key)
        said(answer, self.model.remove(key, by_carrier=False))

    async def remove_by_staff(self) -> None:
        key = self.some(self.model.grants)
        path = f"/v1/groups/{self.model.grants[key].group}/users/{key}"
        answer = await self.story.covey.api.delete(path, headers=command())
        said(answer, self.model.remove(key, by_carrier=True))

    async def appoint(self) -> None:
        group, number = self.some(self.groups), self.some([*self.firms, None])
        await self.story.changes_broker(group, number, UNITS)
        self.model.book_says(group, self.firms[number] if number else None)

    async def appoint_by_primary(self) -> None:
        group, firm = self.some(self.may_act()), self.some(self.firms.values())
        path = f"/v1/groups/{group}/appointments"
        answer = await self.primary_of(group).api.post(path, json={"firm_id": str(firm)}, headers=command())
        said(answer, self.model.appoint_by_primary(group, firm))

    async def end_appointment(self) -> None:
        group = self.some(self.served())
        client, path = self.primary_of(group).api, f"/v1/groups/{group}/appointments"
        lasting = (await client.get(path)).json()["items"][0]
        said(await client.delete(f"{path}/{lasting['id']}", headers=command()), None)
        self.model.appoint_by_primary(group, None)

    def served(self) -> list[UUID]:
        """Groups that have a broker of record, and a primary who can act."""
        return [group for group in self.may_act() if self.model.broker[group]]

    async def join(self) -> None:
        firm, person = self.some(self.firms.values()), self.some(self.people)
        answer = await self.story.covey.api.post(
            f"/v1/firms/{firm}/members", json={"account_id": str(person)}, headers=command()
        )
        said(answer, "already-firm-member" if (firm, person) in self.model.members else None)
        self.model.members.add((firm, person))

    async def leave(self) -> None:
        firm, person = self.some(sorted(self.model.members))
        said(await self.story.covey.api.delete(f"/v1/firms/{firm}/members/{person}", headers=command()), None)
        self.model.leave(firm, person)

    async def grant_firm(self) -> None:
        group, firm, (rights, units) = self.some(self.may_act()), self.some(self.firms.values()), self.scope()
        answer = await self.primary_of(group).api.post(
            f"/v1/groups/{group}/firm-grants",
            json={"firm_id": str(firm), "rights": rights, "billing_units": units},
            headers=command(),
        )
        if self.model.broker[group] != firm:
            said(answer, "not-broker-of-record")
        elif any(grant.firm == firm for _, grant in self.model.in_group(group)):
            said(answer, "user-already-there")
        else:
            said(answer, None)
            self.model.grants[answer.json()["grant_id"]] = Grant(
                group,
                "secondary",
                with_views(set(rights)),
                as_units(units),
                firm=firm,
                active=True,
                giver=self.model.primary(group),
            )

    async def exclude(self) -> None:
        group, person = self.some(self.may_act()), self.some(self.people)
        answer = await self.primary_of(group).api.post(f"/v1/groups/{group}/exclusions/{person}", headers=command())
        said(answer, self.model.exclude(group, person))

    async def readmit(self) -> None:
        group, person = self.some(self.may_act()), self.some(self.people)
        if there := [each for each in sorted(self.model.excluded) if each[0] in self.may_act()]:
            group, person = self.some([*there, (group, person)])
        answer = await self.primary_of(group).api.delete(f"/v1/groups/{group}/exclusions/{person}", headers=command())
        said(answer, None if (group, person) in self.model.excluded else "user-not-found")
        self.model.excluded.discard((group, person))

    async def lock(self) -> None:
        person = self.some(self.people)
        said(await self.story.covey.api.post(f"/v1/accounts/{person}/lock", headers=command()), None)
        self.model.locked.add(person)
        self.sessions = [(of, client, ended or of == person) for of, client, ended in self.sessions]

    async def unlock(self) -> None:
        person = self.some(sorted(self.model.locked))
        said(await self.story.covey.api.post(f"/v1/accounts/{person}/unlock", headers=command()), None)
        self.model.locked.discard(person)

    async def sign_on(self) -> None:
        person = self.some(self.people)
        client = self.story.covey.client(None)
        who = {"user_id": self.people[person].user_id, "password": "quillfern-9-thistle"}
        answer = await client.post("/v1/sessions", json=who)
        said(answer, "account-locked" if person in self.model.locked else None)
        if person not in self.model.locked:
            bearer = {"Authorization": f"Bearer {answer.json()['session_token']}"}
            token = (await client.post("/v1/tokens", headers=bearer)).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            self.sessions.append((person, client, False))

    async def end_session(self) -> None:
        number = self.some([n for n, (_, _, ended) in enumerate(self.sessions) if not ended])
        person, client, _ = self.sessions[number]
        assert (await client.delete("/v1/sessions/current")).status_code == 204
        self.sessions[number] = (person, client, True)

    # which of them there are now

    def possible(self) -> list[Callable[[], Any]]:
        steps: list[tuple[Callable[[], Any], Any]] = [
            (self.redeem, self.invited()),
            (self.add, self.may_act()),
            (self.make_primary, True),
            (self.change_rights, self.secondaries()),
            (self.remove, self.may_act() and self.model.grants),
            (self.grant_firm, self.may_act()),
            (self.join, True),
            (self.appoint, True),
            (self.appoint_by_primary, self.may_act()),
            (self.end_appointment, self.served()),
            (self.exclude, self.may_act()),
            (self.readmit, self.may_act() and self.model.excluded),
            (self.leave, self.model.members),
            (self.send_code_again, [key for key in self.invited() if key in self.secondaries()]),
            (self.remove_by_staff, self.model.grants),
            (self.lock, True),
            (self.unlock, self.model.locked),
            (self.sign_on, True),
            (self.end_session, any(not ended for _, _, ended in self.sessions)),
        ]
        # Most of what happens is that people are let in: else there is nobody to take anything away from.
        return [step for step, there_is in steps if there_is] + [self.redeem, self.redeem] * bool(self.invited())

    # what must be true after each

    async def compare(self) -> None:
        expected = {
            (person, group): held
            for person in self.people
            for group in self.groups
            if (held := self.model.held(person, group))
        }
        assert await self.by_the_view() == expected
        await self.listener.hear(self.story)
        heard = {
            (person, group): held
            for person in self.people
            for group in self.groups
            if (held := self.listener.held(person, group))
        }
        assert heard == expected
        assert self.listener.locked() & set(self.people) == self.model.locked
        for person in self.people:
            await self.ask(person, expected)
        for person, client, ended in self.sessions:
            status = 401 if ended else 403 if person in self.model.locked else 200
            assert (await client.get("/v1/access/groups")).status_code == status
        await self.nobody_manages_but_one_primary(expected)

    async def ask(self, person: UUID, expected: dict[tuple[UUID, UUID], Held]) -> None:
        answer = await self.people[person].api.get("/v1/access/groups", params={"limit": 200})
        if person in self.model.locked:
            said(answer, "account-locked")
            return
        told: dict[UUID, Held] = {}
        for each in answer.json()["items"]:
            for held in each["held"]:
                found = told.setdefault(UUID(each["group_id"]), {})
                merge(found, set(held["rights"]), as_units(held["billing_units"]))
            assert each["rights"] == sorted(told[UUID(each["group_id"])])
        assert told == {group: held for (who, group), held in expected.items() if who == person}

    async def by_the_view(self) -> dict[tuple[UUID, UUID], Held]:
        rows = await run(
            self.story.covey,
            "SELECT account_id, group_id, rights, billing_units FROM access_held WHERE group_id = ANY(:groups)",
            groups=self.groups,
        )
        found: dict[tuple[UUID, UUID], Held] = {}
        for person, group, rights, units in rows:
            merge(found.setdefault((person, group), {}), set(rights), as_units(units))
        return found

    async def nobody_manages_but_one_primary(self, expected: dict[tuple[UUID, UUID], Held]) -> None:
        rows = await run(
            self.story.covey,
            "SELECT group_id, account_id, role, rights FROM access_grant"
            " WHERE status = 'active' AND group_id = ANY(:groups)",
            groups=self.groups,
        )
        primaries = [(person, group) for group, person, role, _ in rows if role == "primary"]
        assert len({group for _, group in primaries}) == len(primaries)
        assert sorted(primaries) == sorted(who for who, held in expected.items() if MANAGE in held)
        assert all(set(rights) <= set(GIVEABLE) for _, _, role, rights in rows if role == "secondary")


def as_units(units: Any) -> Any:
    return ALL if units is None else frozenset(units)


def said(answer: httpx.Response, why_not: str | None) -> None:
    assert (answer.is_success, answer.json().get("code") if answer.content else None) == (why_not is None, why_not)


@pytest.fixture
async def listener(story: Story, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """It is told by small pages, of what happens from now on: the harness's own fact has no place in the ledger."""
    monkeypatch.setattr(feed, "PAGE", 3)
    ((rev,),) = await run(story.covey, "SELECT rev FROM access_ledger")
    return Listener(rev)


@pytest.mark.timeout(300 + 10 * WALKS)
@settings(
    walking(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
async def test_everybody_holds_what_the_model_says_after_every_step(
    story: Story, listener: Listener, data: st.DataObject
) -> None:
    walk = await begin(story, listener, data.draw)
    await walk.compare()

    for _ in range(STEPS):
        step = walk.some(walk.possible())
        note(step.__name__)
        await step()
        await walk.compare()


async def begin(story: Story, listener: Listener, draw: Callable[..., Any]) -> Walk:
    """Two groups, two firms, four people; nobody holds anything. They are new ones, in the same database."""
    me = UUID((await story.covey.api.get("/v1/account")).json()["account_id"])
    story.covey.api = story.covey.client(me)  # a walk is shorter than a token is good, many are not
    await run(story.covey, "DELETE FROM outbox")
    numbers = [f"F-{next(_walks)}" for _ in range(2)]
    groups = [await story.group(broker=number, units=UNITS) for number in numbers]
    firms = {number: await story.firm(number) for number in numbers}
    people = {person.account_id: person for person in [await story.person(name) for name in ("Ann", "Bo", "Cy", "Di")]}
    model = Model(
        {person.email: person.account_id for person in people.values()}, dict(zip(groups, firms.values(), strict=True))
    )
    return Walk(story, draw, groups, firms, people, model, listener)


_walks = itertools.count(1)
