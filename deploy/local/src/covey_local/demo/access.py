"""The access story: an officer asks, a primary administrator is appointed, gives access to others, and takes it back.

It uses what anybody can use: the services' HTTP, the text of emails, and what a stranger reads from Kafka. What it proves:
no request sent after identity said "removed" is answered with anything of the group, by any service. Whoever is removed
asks all the while, and is asked for everything once more at that moment.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import httpx

from covey_local.demo.people import NotAsItShould, Person, code_in, must, register
from covey_local.demo.platform import NOBODY, ms_since, wait_for
from covey_local.demo.story import Story
from covey_local.demo.watch import (
    Request,
    Watch,
    answered,
    closed,
    reads,
    submit_too_late,
    watched,
    watching,
    with_another_key,
    write,
)

ACCESS_CHANGED = "covey.access.changed.v1"
FURTHER = ("Orly", "Willy", "Tony", "Romy", "Lotti")
"""Who is added and removed before the broker is, for the times."""
BROKERS_RIGHTS = ("group.update", "renewals.change")
FURTHER_RIGHTS = ("group.update", "renewals.view")
AFTERWARDS_S = 0.5
"""So long they go on asking once they are removed."""

CODE = "request to code's email"
"""From the request, or from being added, until the code's email is there."""
READ = "code entered to first read"
REMOVAL = 'removal to "removed"'


@dataclass(kw_only=True)
class Access:
    """Who has access, and what was asked by those who had it."""

    story: Story
    primary: Person
    broker: Person
    grant_id: str
    """The broker's."""
    commands: list[Request] = field(default_factory=list)
    """What the broker did at transactions: all of it was answered."""
    removed: list[str] = field(default_factory=list)
    """The grants that were taken back."""
    answers: int = 0
    refusals: int = 0


# --- the story ---


async def access_is_given(story: Story) -> Access:
    """A primary administrator is appointed, and lets the broker work.

    Raises:
        NotAsItShould, NotInTime: it can't go on.
    """
    await _group_is_known(story)
    primary = await _appoint(story)
    broker = await _joins_firm(story)
    grant_id, _ = await _add(story, primary, broker, BROKERS_RIGHTS)  # they could read before
    story.say(f"{broker.first_name} of {story.group.firm_number} added: may change the group's renewal")
    return Access(story=story, primary=primary, broker=broker, grant_id=grant_id)


async def access_is_taken_back(access: Access) -> None:
    """Others come and go; at the end the broker is removed.

    Raises:
        NotAsItShould, NotInTime: it can't go on.
    """
    story = access.story
    for name in FURTHER:
        await _further(access, name)
    story.say(f"{len(FURTHER)} more added, read and wrote, and were removed; the last {story.last(REMOVAL)}")
    await _broker_is_removed(access)
    await _strangers_view(access)


async def _appoint(story: Story) -> Person:
    """An officer asks for a primary administrator, staff approve, and whoever it is registers and enters the code."""
    api, group = story.api, story.group
    email = "primary@people.example"
    form = {
        "group_number": group.number,
        "company": "Ostby & Company",
        "officer_first_name": "Olu",
        "officer_last_name": "Officer",
        "officer_email": "officer@people.example",
        "first_name": "Primo",
        "last_name": "Ostby",
        "email": email,
    }
    since = time.time()
    asked = must(await api.send("POST", "identity", "/v1/access-requests", by=NOBODY, json=form), 202, "the request")
    path = f"/v1/access-requests/{asked.json()['reference']}"
    approval = await api.send("POST", "identity", f"{path}/approval", json={"group_id": group.id})
    must(approval, 200, "approving the request")
    code = await _code(story, email, since)
    status = must(await api.send("GET", "identity", path, by=NOBODY), 200, "the request's status").json()["status"]
    story.check(status == "approved", f"the officer was told {status!r} of the approved request")
    primary = await register(story.inbox, "Primo", email)
    told = await answered(api, primary.sign_on, group, reads(group))
    story.check(not told, f"before entering the code the primary administrator was answered: {told}")
    story.took(READ, await _redeem(story, primary, code))
    story.say(
        f"{group.number}: an officer's request approved, its code by email {story.last(CODE)}; "
        f"the primary administrator entered it and read {story.last(READ)}"
    )
    return primary


async def _joins_firm(story: Story) -> Person:
    """Somebody of the broker's firm: by the appointment they see renewals, and change nothing of the group's."""
    api, group = story.api, story.group
    broker = await register(story.inbox, "Broko", "broker@people.example")
    book = Request("GET", "renewals", f"/v1/groups/{group.id}/renewals")
    story.check(not await story.is_answered(book, broker.sign_on), "a renewal was shown to a broker of no firm")
    firm = await _firm(story)
    joined = await api.send("POST", "identity", f"/v1/firms/{firm}/members", json={"account_id": broker.account_id})
    must(joined, 201, "joining the broker's firm")
    await story.until_answered(book, broker.sign_on, "a member of the broker's firm")
    story.check(
        (await _write(story, broker, "1 Broker's Way"))[0].status_code == 403,
        "the appointment let a broker change the group's data",
    )
    return broker


async def _further(access: Access, name: str) -> None:
    """Another person is added and removed, who was of no firm: they may write until the end."""
    story = access.story
    person = await register(story.inbox, name, f"{name.lower()}@people.example")
    grant_id, read_ms = await _add(story, access.primary, person, FURTHER_RIGHTS)
    story.took(READ, read_ms)
    async with watching(story.api, person.sign_on, story.group) as watch:
        earlier = await _reads_and_writes(story, person, f"{len(name)} {name} Lane")
        removed_at = await _remove(access, person, grant_id, watch, [earlier])
    _judge(access, person, watch, removed_at)


async def _broker_is_removed(access: Access) -> None:
    """Who worked on the renewal may at first only look on, and then is removed."""
    story, broker = access.story, access.broker
    async with watching(story.api, broker.sign_on, story.group) as watch:
        earlier = await _reads_and_writes(story, broker, "1 Broker's Way")
        changed_ms = await _take_writing_back(access)
        removed_at = await _remove(access, broker, access.grant_id, watch, [earlier, *access.commands])
    _judge(access, broker, watch, removed_at)
    story.say(
        f"{broker.first_name} may not write {changed_ms:.0f} ms after that was taken back; removed {story.last(REMOVAL)}"
    )


# --- its steps ---


async def _add(story: Story, primary: Person, person: Person, rights: Sequence[str]) -> tuple[str, float]:
    """The primary administrator adds somebody, who enters the code. The grant's ID, and how long until they could read."""
    user = {"first_name": person.first_name, "last_name": "Ostby", "email": person.email}
    body = user | {"rights": list(rights)}
    since = time.time()
    added = await story.api.send("POST", "identity", _users(story), by=primary.sign_on, json=body)
    grant_id = str(must(added, 201, "adding a user").json()["grant_id"])
    read_ms = await _redeem(story, person, await _code(story, person.email, since))
    await story.inbox.letter(primary.email, "User added", having=person.user_id)
    return grant_id, read_ms


async def _code(story: Story, email: str, since: float) -> str:
    mail = await story.inbox.letter(email, "Your access code")
    story.took(CODE, ms_since(mail["received_at"], since))
    return code_in(mail)


async def _redeem(story: Story, person: Person, code: str) -> float:
    """Enter a code, and read the group; after how many milliseconds it was there."""
    read = reads(story.group)[0]
    since = time.monotonic()
    redeemed = await story.api.send(
        "POST", "identity", "/v1/access-codes/redemption", by=person.sign_on, json={"code": code}
    )
    must(redeemed, 200, "entering a code")
    await story.until_answered(read, person.sign_on, "whoever entered a code")
    return (time.monotonic() - since) * 1000


async def _reads_and_writes(story: Story, person: Person, street: str) -> Request:
    """All that a user can see and do. The write, to be sent again."""
    api, group = story.api, story.group

    async def all_answered() -> bool | None:
        return len(await answered(api, person.sign_on, group, reads(group))) == len(reads(group)) or None

    await wait_for(all_answered, "a user is not answered all that they may see", api.patience_s)
    told = await answered(api, person.sign_on, group, closed(group))
    story.check(not told, f"a user of the group was answered what is not theirs: {told}")
    answer, command = await _write(story, person, street)
    must(answer, 200, "changing the group's own data")
    story.changed |= {"street": street}
    again = await api.send(command.method, command.service, command.path, by=person.sign_on, **command.options)
    story.check("Idempotency-Replayed" in again.headers, "the same command again was not given the same answer")
    return command


async def _write(story: Story, person: Person, street: str) -> tuple[httpx.Response, Request]:
    """Change the group's street, however often somebody else changes it meanwhile; the answer, and the command."""
    api, group = story.api, story.group
    while True:
        read = must(await api.send("GET", "membership", f"/v1/groups/{group.id}"), 200, "reading the group")
        address = read.json()["principal_address"] | {"street": street}
        command = write(group, address, read.headers["ETag"])
        answer = await api.send(command.method, command.service, command.path, by=person.sign_on, **command.options)
        if answer.status_code != 412:
            return answer, command


async def _take_writing_back(access: Access) -> float:
    """The primary administrator lets the broker read only; after how many milliseconds they could not write any more."""
    story, primary, person = access.story, access.primary, access.broker
    api, group, path = story.api, story.group, _users(story, access.grant_id)
    user = must(await api.send("GET", "identity", path, by=primary.sign_on), 200, "reading a user")
    submitting = [submit_too_late(group)] if group.transaction_id else []
    told = await answered(api, person.sign_on, group, submitting)
    story.check(len(told) == len(submitting), "who may change renewals was not answered as such")
    since = time.monotonic()
    changed = await api.send(
        "PUT",
        "identity",
        f"{path}/rights",
        by=primary.sign_on,
        json={"rights": ["renewals.view"]},
        headers={"If-Match": user.headers["ETag"]},
    )
    must(changed, 200, "changing a user's rights")

    async def refused() -> bool | None:
        answer, _ = await _write(story, person, story.changed["street"])
        told = await answered(api, person.sign_on, group, map(with_another_key, submitting))
        return True if answer.status_code == 403 and not told else None

    await wait_for(refused, "who may only read can still write", api.patience_s)
    took = (time.monotonic() - since) * 1000
    told = await answered(api, person.sign_on, group, reads(group))
    story.check(len(told) == len(reads(group)), f"who may still read was answered only: {told}")
    await story.inbox.letter(person.email, "Your access has changed")
    return took


async def _remove(access: Access, person: Person, grant_id: str, watch: Watch, earlier: Sequence[Request]) -> float:
    """The primary administrator removes somebody. When "removed" was heard; from then on nothing is answered to them.

    ``earlier`` are commands that were answered to them before: they are sent again, with their keys and with others.
    """
    story, primary = access.story, access.primary
    api, group = story.api, story.group
    since = time.monotonic()
    asked = await api.send(
        "DELETE", "identity", _users(story, grant_id), by=primary.sign_on, headers={"Prefer": "wait=10"}, timeout=15
    )
    await _heard_removed(story, primary, asked)
    removed_at = time.monotonic()
    story.took(REMOVAL, (removed_at - since) * 1000)
    access.removed.append(grant_id)

    everything = [*reads(group), *closed(group), *earlier, *map(with_another_key, earlier)]
    told = await answered(api, person.sign_on, group, everything)
    story.check(not told, f"{person.first_name} was removed, and then answered: {told}")
    story.check(await story.is_answered(reads(group)[0], primary.sign_on), "the primary administrator lost the group")
    await story.inbox.letter(person.email, "Your access has ended")

    async def asked_on() -> bool | None:
        enough = {each.request.service for each in watch.sent_after(removed_at)} == watched(group)
        return True if enough and time.monotonic() > removed_at + AFTERWARDS_S else None

    await wait_for(asked_on, f"{person.first_name} did not ask on", api.patience_s)
    return removed_at


async def _heard_removed(story: Story, primary: Person, answer: httpx.Response) -> None:
    """Wait until the removal's status says "removed": at once, or where the answer says that it can be watched."""
    if answer.status_code not in (200, 202):
        raise NotAsItShould(f"removing a user: {answer.status_code}")
    status = answer.json()["status"]
    if answer.status_code == 200:
        story.check(status == "removed", f"a removal was answered with 200 and {status!r}")
        return

    async def look() -> str | None:
        seen = must(
            await story.api.send("GET", "identity", answer.headers["Location"], by=primary.sign_on),
            200,
            "watching a removal",
        )
        found = str(seen.json()["status"])
        return None if found == "pending" else found

    status = await wait_for(look, "a removal is still pending", max(story.api.patience_s, 10))
    story.check(status == "removed", f"a removal became {status!r}")


def _judge(access: Access, person: Person, watch: Watch, removed_at: float) -> None:
    """What they asked for while they were removed, and after."""
    story = access.story
    before, after = watch.answered_until(removed_at), watch.sent_after(removed_at)
    access.answers += len(before)
    access.refusals += len(after)
    for service in sorted(watched(story.group) - {each.request.service for each in before}):
        story.note(f"{person.first_name} was never answered at {service}")
    for each in after:
        story.check(
            not each.answered,
            f"{person.first_name} asked {(each.sent - removed_at) * 1000:.0f} ms after they were removed, and was "
            f"answered: {each.request}",
        )


# --- waiting for what is known ---


async def _group_is_known(story: Story) -> None:
    """Identity has heard of the group and its broker, and renewals of the group."""

    async def look() -> bool | None:
        answer = await story.api.send("GET", "identity", f"/v1/groups/{story.group.id}/appointments")
        return True if answer.is_success and answer.json()["items"] else None

    async def renewal() -> str | None:
        answer = await story.api.send("GET", "renewals", f"/v1/groups/{story.group.id}/renewals")
        found = answer.json()["items"] if answer.is_success else []
        return str(found[0]["renewal_id"]) if found else None

    await wait_for(look, f"identity does not know the broker of {story.group.number}", story.api.patience_s)
    renewal_id = await wait_for(renewal, f"renewals does not know {story.group.number}", story.api.patience_s)
    story.group = replace(story.group, renewal_id=renewal_id)


async def _firm(story: Story) -> str:
    found = await story.api.get("identity", "/v1/firms", params={"firm_number": story.group.firm_number})
    return str(found["items"][0]["id"])


async def _strangers_view(access: Access) -> None:
    """On Kafka, too, all of them are removed."""

    async def look() -> bool | None:
        changes = [event for event in access.story.stranger.look() if event["type"] == ACCESS_CHANGED]
        last = {
            event["subject"]: event["data"]["status"] for event in sorted(changes, key=lambda each: each["sequence"])
        }
        return True if all(last.get(grant) == "removed" for grant in access.removed) else None

    await wait_for(look, "a stranger was not told of every removal", access.story.api.patience_s)


def _users(story: Story, grant_id: str = "") -> str:
    return f"/v1/groups/{story.group.id}/users" + (f"/{grant_id}" if grant_id else "")
