"""A removal is true everywhere, proven with real processes: what somebody was answered who had been removed.

Clients write down what they asked and got; ``breaches`` compares that, and what was committed, with the claim of
docs/access.md: no request that was sent after "removed" was answered is answered for that person in that group, and
nothing commits for them.
"""

import asyncio
import os
import signal
import socket
import time
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from uuid import uuid4

import httpx
import pytest
from covey_chassis.access.facts import LEASE_S, SILENT_S
from covey_chassis.testing.broker import eventually

from .platform import (
    CODE,
    Asked,
    Clients,
    Person,
    Removal,
    Team,
    breaches,
    reads_of,
    removal_of,
    running_platform,
    seen,
)

pytestmark = pytest.mark.timeout(180)

SLACK_S = 2.0
"""What a busy machine may take on top."""
START_S = 15.0
"""So long a service may take to start."""
STREAM_S = 2.0
"""Within which an open stream ends; it looks every half second."""


@pytest.fixture(scope="module")
async def platform(tmp_path_factory):
    async with running_platform(tmp_path_factory.mktemp("removal") / "stack", groups=20) as running:
        yield running


def told(name: str, removal: Removal) -> None:
    print(f"\n{name}: removed after {removal.took_s:.3f} s, by {removal.how}")


# --- the checker ---


def asked(sent_at: float, status: int | None, *, kind="read", shows=None, key=None, service="membership") -> Asked:
    shows = status == 200 if shows is None else shows
    return Asked(service=service, kind=kind, sent_at=sent_at, status=status, shows=shows, key=key)


RIGHT = [asked(9.0, 200), asked(9.9, 200, kind="write", key="early"), asked(10.1, 403), asked(10.2, None)]


def test_a_history_that_keeps_the_claim_has_no_breach():
    history = [*RIGHT, asked(9.99, 200), asked(10.3, 503), asked(10.4, 200, shows=False)]

    assert breaches(history, 10.0, before={"early"}, after={"early"}) == []


@pytest.mark.parametrize(
    ("more", "before", "after", "said"),
    [
        ([asked(10.001, 200)], [], [], "answered a read"),
        ([asked(10.5, 200, service="renewals")], [], [], "renewals answered"),
        ([asked(10.5, 200, kind="write", shows=False, key="late")], [], [], "answered a write"),
        ([asked(10.5, None, kind="write", key="late")], [], ["late"], "sent 0.500 s after"),
        ([asked(10.5, None, kind="write", key="late")], ["late"], ["late"], "sent 0.500 s after"),
        ([asked(9.5, None, kind="write", key="slow")], [], ["slow"], "after the removal, sent 0.500 s before"),
        ([asked(9.5, 200, kind="write", key="slow")], [], ["slow"], "after the removal, sent 0.500 s before"),
        ([], [], ["whose"], "nobody sent"),
    ],
)
def test_a_history_that_breaks_the_claim_is_noticed(more, before, after, said):
    (breach,) = breaches([*RIGHT, *more], 10.0, before={"early", *before}, after={"early", *after})

    assert said in breach


# --- the claim ---


async def keeps_claim(clients: Clients, removal: Removal, before: set[str]) -> None:
    """Nothing of the history breaks the claim, and none of the person's writes came after the removal."""
    assert breaches(clients.history, removal.at, before=before, after=await clients.committed()) == []


async def test_nobody_answers_who_was_removed_while_their_clients_read_and_write(platform):
    team = await platform.with_transaction(await platform.team())
    clients = await Clients.of(platform, team.user, team.group)
    everywhere = ("membership", "renewals", "transactions", "identity")
    async with clients.hammering(*everywhere):
        await clients.have_seen(*everywhere)
        removal = await platform.remove(team)
        before = await clients.committed()
        version = await platform.version(team.group)
        await clients.are_refused(*everywhere, after=removal.at, times=10)
    told("readers and writers", removal)

    await keeps_claim(clients, removal, before)
    assert before, "they did write before"
    assert await platform.version(team.group) == version
    assert removal.took_s < SILENT_S + SLACK_S
    assert removal.how == "acknowledged"
    too_early = seen(clients.history, "renewals")[2].sent_at - 0.001
    assert breaches(clients.history, too_early, before=before, after=before), "a check that cannot fail is no check"
    await platform.send("GET", "membership", f"/v1/groups/{team.group.id}", by=team.primary)


async def test_the_streams_of_each_session_end_at_every_service_and_none_begins_anew(platform):
    """Of somebody who is signed on twice. A stream says what they may do in a group: nothing of it after the removal."""
    team = await platform.team()
    services = ("identity", "membership", "transactions", "renewals", "notifications")
    sessions = [team.user, await platform.in_another_session(team.user)]
    everywhere = [(service, session) for service in services for session in sessions]
    opened = set()

    def stream(service: str, session: Person) -> AbstractAsyncContextManager[httpx.Response]:
        url = f"{platform.url(service)}/v1/groups/{team.group.id}/access/events"
        return platform.http.stream("GET", url, headers=session.headers)

    async def listen(service: str, session: Person) -> tuple[str, float, float]:
        """The stream's last event, when it came, and when the last one came that named rights."""
        name, came_at, rights_at = "", 0.0, 0.0
        async with stream(service, session) as answer:
            assert answer.status_code == 200, service
            async for line in answer.aiter_lines():
                if line.startswith("event: "):
                    opened.add((service, session))
                    name, came_at = line.removeprefix("event: "), time.monotonic()
                    rights_at = came_at if name == "access" else rights_at
        return name, came_at, rights_at

    async def all_open() -> bool:
        return len(opened) == len(everywhere)

    async def is_refused(service: str, session: Person) -> bool:
        async with stream(service, session) as again:
            assert again.status_code in (403, 503), service  # 503 where a busy machine lets a lease run out
        return again.status_code == 403

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        listening = [group.create_task(listen(*each)) for each in everywhere]
        await eventually(all_open)
        removal = await platform.remove(team)
        for each in everywhere:
            await eventually(partial(is_refused, *each))
    told("open streams", removal)

    for (service, _), ended in zip(everywhere, listening, strict=True):
        last, ended_at, rights_at = ended.result()
        assert last == "ended", service
        assert rights_at < removal.at, service
        assert ended_at < removal.at + STREAM_S, service


async def test_a_long_download_breaks_off_when_the_right_to_it_is_taken_away(platform):
    bad = [dict.fromkeys(("group_number", "legal_name", "ein"), "") | {"zip": "x"}] * 4000
    path = await platform.import_book(bad)
    faults = await platform.databases["membership"].fetchval("SELECT count(*) FROM import_fault")
    reader = await platform.staff_member("operations")
    transport = httpx.AsyncHTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)])
    url = f"{platform.url('membership')}{path}/errors.csv"

    lines = 0
    async with (
        httpx.AsyncClient(transport=transport, timeout=30) as http,
        http.stream("GET", url, headers=reader.headers) as answer,
    ):
        pieces = answer.aiter_bytes(4096)
        lines += (await anext(pieces)).count(b"\n")
        started = time.monotonic()
        operator = {"Authorization": f"Bearer {platform.stack.run['operator_token']}"}
        taken = await platform.http.delete(
            f"{platform.url('identity')}/internal/staff/{reader.account_id}", headers=operator
        )
        assert taken.status_code == 204
        await platform.until_everywhere()
        took_s = time.monotonic() - started
        broke_off = False
        try:
            async for piece in pieces:
                lines += piece.count(b"\n")
        except httpx.RemoteProtocolError:  # the answer has no end
            broke_off = True

    print(f"\nlong download: everywhere after {took_s:.3f} s; {lines} of {faults} lines were on their way")
    assert broke_off
    assert lines < faults
    assert took_s < SILENT_S + SLACK_S
    again = await platform.http.get(url, headers=reader.headers)
    assert again.status_code == 403


async def test_repeated_commands_of_who_was_removed_are_refused_everywhere(platform):
    """The primary administrator, whom the carrier removes, has commands at membership and at identity."""
    group = platform.group()
    primary = await platform.primary(group)
    ada = {"first_name": "Ada", "last_name": "Quist", "email": "ada@people.example", "rights": ["billing.view"]}
    change, add_user = {"Idempotency-Key": uuid4().hex, "If-Match": '"1"'}, {"Idempotency-Key": uuid4().hex}
    commands = [
        ("PATCH", "membership", f"/v1/groups/{group.id}", {"ein": "98-7000001"}, change),
        ("POST", "identity", f"/v1/groups/{group.id}/users", ada, add_user),
    ]

    async def repeat(command):
        method, service, path, body, headers = command
        return await platform.settled(method, service, path, by=primary, json=body, headers=headers)

    for command in commands:
        assert (await repeat(command)).is_success
        assert (await repeat(command)).headers["Idempotency-Replayed"] == "true"
    removal = await remove_primary(platform, group, primary)
    told("a primary, by the carrier", removal)

    for command in commands:
        answer = await repeat(command)
        assert (answer.status_code, answer.json()["code"]) == (403, "not-yours"), command


async def remove_primary(platform, group, primary) -> Removal:
    users = (await platform.send("GET", "identity", f"/v1/groups/{group.id}/users")).json()["items"]
    (grant_id,) = [each["grant_id"] for each in users if each["account_id"] == primary.account_id]
    started = time.monotonic()
    path = f"/v1/groups/{group.id}/users/{grant_id}"
    return removal_of(await platform.send("DELETE", "identity", path, headers={"Prefer": "wait=10"}), started)


async def test_an_access_code_that_is_entered_again_shows_nothing_to_who_was_removed(platform):
    """Its stored answer names the group, and what may be done there."""
    group = platform.group()
    primary, user = await asyncio.gather(platform.primary(group), platform.person())
    await platform.add_user(group, primary, user, "group.update")
    code, once = await platform.mailed(user.email, CODE), {"Idempotency-Key": uuid4().hex}
    entered = (await platform.enter(user, code, headers=once)).json()
    assert (await platform.enter(user, code, headers=once)).headers["Idempotency-Replayed"] == "true"
    removal = await platform.remove(Team(group, primary, user, entered["grant_id"]))
    told("whoever entered a code", removal)

    path, again = "/v1/access-codes/redemption", {"json": {"code": code}, "headers": once}
    again = await platform.settled("POST", "identity", path, by=user, **again)

    assert not again.is_success, again.text
    assert group.id not in again.text


# --- through a firm ---


async def test_a_person_of_the_firm_is_removed_and_the_others_still_see_the_group_until_another_firm_has_it(platform):
    group = platform.group(with_firm=True)
    firms = await platform.send("GET", "identity", "/v1/firms", params={"firm_number": group.firm_number})
    firm_id = firms.json()["items"][0]["id"]
    primary, removed, stays = await asyncio.gather(platform.primary(group), platform.person(), platform.person())
    for member in (removed, stays):
        await platform.send("POST", "identity", f"/v1/firms/{firm_id}/members", json={"account_id": member.account_id})
    await platform.until_everywhere()
    everywhere = ("membership", "renewals", "identity")
    one, other = await Clients.of(platform, removed, group), await Clients.of(platform, stays, group)

    async with other.hammering(*everywhere, writers=0):
        async with one.hammering(*everywhere, writers=0):
            await one.have_seen(*everywhere)
            started = time.monotonic()
            exclusion = await platform.send(
                "POST",
                "identity",
                f"/v1/groups/{group.id}/exclusions/{removed.account_id}",
                by=primary,
                headers={"Prefer": "wait=10"},
            )
            removal = removal_of(exclusion, started)
            await one.are_refused("membership", "renewals", "identity", after=removal.at)
        told("a person of the firm", removal)
        await keeps_claim(one, removal, set())
        assert removal.took_s < SILENT_S + SLACK_S

        still = len(other.history)
        await other.have_seen(*everywhere, since=still)
        assert {each.status for each in other.history} <= {200, 503}

        started = time.monotonic()
        await change_broker(platform, group)
        changed = Removal(time.monotonic(), time.monotonic() - started, "acknowledged")
        await other.are_refused("membership", "renewals", "identity", after=changed.at)
    told("the former firm, from the change at membership", changed)
    await keeps_claim(other, changed, set())


async def change_broker(platform, group) -> None:
    """Returns once every service goes by it that another firm is the group's broker of record."""
    found = await platform.send("GET", "membership", f"/v1/groups/{group.id}")
    data = {name: found.json()[name] for name in CARRIER_DATA}
    data["broker"] = data["broker"] | {"firm_number": "F900", "firm_name": "Marram Benefits"}
    path = f"/v1/groups/{group.id}/carrier-data"
    await platform.send("PUT", "membership", path, json=data, headers={"If-Match": found.headers["ETag"]})

    async def ended() -> bool:
        appointments = await platform.send("GET", "identity", f"/v1/groups/{group.id}/appointments")
        return len(appointments.json()["items"]) == 2

    await eventually(ended)
    await platform.until_everywhere()


CARRIER_DATA = ("legal_name", "market_region", "effective_date", "renewal_date", "plans", "broker")


# --- processes that stand still, or die ---


async def test_a_service_that_is_silent_is_waited_out_and_answers_nothing_when_it_goes_on(platform):
    team = await platform.team()
    clients = await Clients.of(platform, team.user, team.group)
    async with clients.hammering("renewals", writers=0):
        await clients.have_seen("renewals")
        async with AsyncExitStack() as answered, platform.stopped("renewals"):
            removal = await platform.remove(team)
            await answered.enter_async_context(clients.on_their_way("renewals"))
        await clients.are_refused("renewals", after=removal.at, times=20)
    told("with a silent service", removal)

    await keeps_claim(clients, removal, set())
    assert removal.how == "silence"
    assert SILENT_S <= removal.took_s < SILENT_S + SLACK_S

    async def primary_sees() -> bool:
        return (
            await platform.ask("GET", "renewals", reads_of("renewals", team.group)[0][0], by=team.primary)
        ).is_success

    await eventually(primary_sees)


async def test_identity_dies_between_the_removal_and_removed(platform):
    team = await platform.team()
    clients = await Clients.of(platform, team.user, team.group)
    others = await Clients.of(platform, team.primary, team.group)
    services = ("membership", "renewals")
    async with others.hammering(*services, writers=0), clients.hammering(*services):
        await clients.have_seen(*services)
        async with platform.stopped("renewals"):  # so that it is not over at once
            started = time.monotonic()
            answer = await platform.send("DELETE", "identity", team.path, by=team.primary)
            assert (answer.status_code, answer.json()["status"]) == (202, "pending")
            former = platform.pid("identity")
            os.kill(former, signal.SIGKILL)
        killed = time.monotonic()

        async def is_back() -> bool:
            return platform.pid("identity") != former

        await eventually(is_back)
        async with platform.stopped("identity"):
            await others.are_refused(*services, after=killed + LEASE_S)
            resumed = time.monotonic()
        removal = await until_removed(platform, team, answer.headers["Location"], started)
        before = await clients.committed()
        await clients.are_refused(*services, after=removal.at, times=10)
        await others.have_seen(*services, since=len(others.history))
    told("with identity killed", removal)

    await keeps_claim(clients, removal, before)
    without_lease = [
        each for each in others.history if each.sent_at > killed + LEASE_S and (each.answered_at or resumed) < resumed
    ]
    assert {each.status for each in without_lease} == {503}
    assert removal.at - resumed < START_S + SILENT_S


async def until_removed(platform, team, path, started) -> Removal:
    async def is_removed() -> httpx.Response | None:
        try:
            answer = await platform.ask("GET", "identity", path, by=team.primary)
        except httpx.HTTPError:
            return None  # it is not back yet
        assert answer.status_code == 200, answer.text
        return answer if answer.json()["status"] == "removed" else None

    found = await eventually(is_removed)
    assert found is not None
    return removal_of(found, started)


STEPS = [
    ("access.before_locks", "write"),
    ("access.after_locks", "write"),
    ("access.after_check", "write"),
    ("access.before_locks", "read"),
    ("access.after_check", "read"),
]


async def test_a_process_stops_between_each_pair_of_steps_of_a_request(platform):
    """A process for each place, with a removal of its own, all at the same time."""
    teams = await asyncio.gather(*(platform.team() for _ in STEPS))
    clients = [await Clients.of(platform, team.user, team.group) for team in teams]
    versions = [await platform.version(team.group) for team in teams]
    async with AsyncExitStack() as stack, httpx.AsyncClient(timeout=60, trust_env=False) as http:
        names = [f"membership-{number}" for number in range(len(STEPS))]
        another = await asyncio.gather(
            *(
                stack.enter_async_context(platform.another_process("membership", f"{place}:stop", name=name))
                for name, (place, _) in zip(names, STEPS, strict=True)
            )
        )
        requests = [
            asyncio.create_task(
                each.write(http, url=process.url)
                if kind == "write"
                else each.read(http, "membership", f"/v1/groups/{each.group.id}", names_group=True, url=process.url)
            )
            for each, process, (_, kind) in zip(clients, another, STEPS, strict=True)
        ]
        await asyncio.gather(*map(platform.until_stopped, names))

        removals = await asyncio.gather(*map(platform.remove, teams))
        before = [await each.committed() for each in clients]
        for name in names:
            platform.go_on(name)
        answers = await asyncio.gather(*requests)

    for (place, kind), removal, answer in zip(STEPS, removals, answers, strict=True):
        told(f"{kind} stopped at {place}, then answered {answer.status}", removal)
    for each, removal, committed in zip(clients, removals, before, strict=True):
        await keeps_claim(each, removal, committed)
        assert removal.took_s < SILENT_S + SLACK_S
        assert committed == set()
    assert [await platform.version(team.group) for team in teams] == versions
    assert not [answer for answer in answers if answer.kind == "write" and answer.succeeded]
    assert not [
        answer
        for answer, (place, _) in zip(answers, STEPS, strict=True)
        if place == "access.before_locks" and answer.shows
    ]


# --- and the other way round ---


async def test_right_after_a_code_was_entered_every_service_answers(platform):
    group = platform.group()
    primary, user = await asyncio.gather(platform.primary(group), platform.person())
    for _ in range(10):
        grant_id = await platform.add_user(group, primary, user, "group.update", "renewals.view")
        redeemed = (await platform.enter(user, await platform.mailed(user.email, CODE))).json()
        assert (redeemed["everywhere"], redeemed["grant_id"]) == (True, grant_id)

        answers = await asyncio.gather(
            platform.settled("GET", "membership", f"/v1/groups/{group.id}", by=user),
            platform.settled("GET", "renewals", f"/v1/groups/{group.id}/renewals", by=user),
        )
        assert [answer.status_code for answer in answers] == [200, 200]

        await platform.remove(Team(group, primary, user, grant_id))
