"""A group's broker of record, which its primary appoints and the carrier's book names (R-11)."""

import asyncio
import itertools
from datetime import date
from uuid import uuid4

import pytest
from covey_chassis.access import Right
from covey_contracts.identity import AppointmentChanged

from .accounts import command
from .story import ACQUIRED
from .test_races import LEDGER, in_turn

CAUGHT_UP = date(2025, 9, 1)


@pytest.fixture
async def served(story):
    """A group whose broker is F-1 by the book; F-2 and F-3 are firms of other groups. Each firm has one person."""
    group = await story.group(broker="F-1")
    for number in ("F-2", "F-3"):
        await story.group(broker=number)
    people = {}
    for number in ("F-1", "F-2", "F-3"):
        people[number] = await story.person("Broker")
        await story.joins(people[number], await story.firm(number))
    return group, await story.primary(group), people


async def appoint(story, primary, group, number, **headers):
    body = {"firm_id": str(await story.firm(number))}
    return await primary.api.post(f"/v1/groups/{group}/appointments", json=body, headers=command(**headers))


async def end(primary, group, appointment_id, **headers):
    return await primary.api.delete(f"/v1/groups/{group}/appointments/{appointment_id}", headers=command(**headers))


async def appointments(primary, group):
    return (await primary.api.get(f"/v1/groups/{group}/appointments")).json()["items"]


async def brokers(story, group, primary, people):
    """The firms whose people see the group; and those that the service says are its broker."""
    seeing = {number for number, person in people.items() if group in await story.sees(person)}
    lasting = {each["firm_number"] for each in await appointments(primary, group) if each["ends_on"] is None}
    return seeing, lasting


async def test_a_primary_appoints_a_firm_and_the_former_one_sees_nothing_more(story, served, at_work):
    group, primary, people = served
    async with story.covey.transaction() as session:
        today = await story.covey.context.clock.today(session)
    given = {"firm_id": str(await story.firm("F-1")), "rights": ["members.view"]}
    granted = await primary.api.post(f"/v1/groups/{group}/firm-grants", json=given, headers=command())
    assert granted.status_code == 201
    await story.secondary(primary, group, [Right.BILLING_VIEW], person=people["F-1"])

    answer = await appoint(story, primary, group, "F-2", Prefer="wait=10")

    assert (answer.status_code, answer.json()["status"]) == (200, "everywhere")
    assert await brokers(story, group, primary, people) == ({"F-2"}, {"F-2"})
    assert (await story.sees(people["F-2"]))[group] == ["renewals.view"]
    assert (await story.sees(primary))[group] == sorted(Right)
    now, before = await appointments(primary, group)
    assert (now["firm_name"], now["starts_on"], now["acquired_on"], now["in_book"]) == (
        "F-2 Benefits",
        str(today),
        str(today),
        False,
    )
    assert (before["firm_number"], before["ends_on"], before["acquired_on"]) == ("F-1", str(today), str(ACQUIRED))
    ended, begun = [each.event for each in await story.covey.published(AppointmentChanged)][-2:]
    assert (str(ended.appointment_id), ended.ends_on, ended.in_book) == (before["id"], today, True)
    assert (str(begun.appointment_id), begun.ends_on, begun.in_book) == (now["id"], None, False)


async def test_an_appointment_is_ended_and_the_group_has_no_broker(story, served, at_work):
    group, primary, people = served
    (lasting,) = await appointments(primary, group)

    answer = await end(primary, group, lasting["id"], Prefer="wait=10")

    assert (answer.status_code, answer.json()["status"]) == (200, "removed")
    assert await brokers(story, group, primary, people) == (set(), set())
    again = await end(primary, group, lasting["id"])
    assert (again.status_code, again.json()["code"]) == (404, "appointment-not-found")


async def test_a_book_that_still_names_the_former_firm_undoes_nothing(story, served):
    group, primary, people = served
    await appoint(story, primary, group, "F-2")

    await story.changes_broker(group, "F-1", units=("001", "002", "003"))
    await story.changes_broker(group, "F-1", acquired=CAUGHT_UP)

    assert await brokers(story, group, primary, people) == ({"F-2"}, {"F-2"})


async def test_a_book_that_still_names_a_firm_that_was_dismissed_undoes_nothing(story, served):
    group, primary, people = served
    (lasting,) = await appointments(primary, group)
    await end(primary, group, lasting["id"])

    await story.changes_broker(group, "F-1", acquired=CAUGHT_UP)

    assert await brokers(story, group, primary, people) == (set(), set())


async def test_a_book_that_catches_up_confirms_the_firm_and_says_when_it_acquired_the_group(story, served):
    group, primary, people = served
    await appoint(story, primary, group, "F-2")
    before = len(await story.covey.published())

    await story.changes_broker(group, "F-2", acquired=CAUGHT_UP)

    assert await brokers(story, group, primary, people) == ({"F-2"}, {"F-2"})
    (confirmed,) = (await story.covey.published())[before:]
    assert (confirmed.event.in_book, confirmed.event.acquired_on, confirmed.event.ends_on) == (True, CAUGHT_UP, None)
    assert len(await appointments(primary, group)) == 2


async def test_a_book_that_names_a_third_firm_has_the_last_word(story, served):
    group, primary, people = served
    await appoint(story, primary, group, "F-2")

    await story.changes_broker(group, "F-3")

    assert await brokers(story, group, primary, people) == ({"F-3"}, {"F-3"})


async def test_a_book_that_names_nobody_any_more_ends_only_what_it_knew_of(story, served):
    group, primary, people = served
    other = await story.group(broker="F-1")
    await appoint(story, primary, group, "F-2")

    await story.changes_broker(group, None)
    await story.changes_broker(other, None)

    assert await brokers(story, group, primary, people) == ({"F-2"}, {"F-2"})
    assert other not in await story.sees(people["F-1"])


async def test_the_firm_that_the_book_names_is_appointed_again_as_the_book_says(story, served):
    group, primary, people = served
    await appoint(story, primary, group, "F-2")

    await appoint(story, primary, group, "F-1")

    assert await brokers(story, group, primary, people) == ({"F-1"}, {"F-1"})
    now = (await appointments(primary, group))[0]
    assert (now["in_book"], now["acquired_on"]) == (True, str(ACQUIRED))


async def test_what_cannot_be_appointed_or_ended_is_refused_by_its_name(story, served):
    group, primary, _ = served
    elsewhere = await story.group(broker="F-1")
    (theirs,) = await appointments(await story.primary(elsewhere), elsewhere)
    unknown = {"firm_id": str(uuid4())}

    answers = [
        await appoint(story, primary, group, "F-1"),
        await primary.api.post(f"/v1/groups/{group}/appointments", json=unknown, headers=command()),
        await end(primary, group, theirs["id"]),
        await primary.api.post(
            f"/v1/groups/{elsewhere}/appointments", json={"firm_id": theirs["firm_id"]}, headers=command()
        ),
    ]

    assert [(each.status_code, each.json()["code"]) for each in answers] == [
        (409, "already-broker-of-record"),
        (404, "firm-not-found"),
        (404, "appointment-not-found"),
        (403, "not-yours"),
    ]


async def test_a_firm_is_looked_up_by_its_whole_number_and_no_other_is_shown(story, served):
    group, primary, _ = served

    async def found(number):
        answer = await primary.api.get(f"/v1/groups/{group}/firms", params={"firm_number": number})
        return [each["firm_name"] for each in answer.json()]

    assert await found("F-2") == ["F-2 Benefits"]
    assert [await found(each) for each in ("F-", "f-2", "F-2%", "nobody")] == [[], [], [], []]


async def test_who_appoints_is_in_the_groups_audit(story, served):
    group, primary, _ = served

    await appoint(story, primary, group, "F-2")

    entry = (await primary.api.get(f"/v1/groups/{group}/audit")).json()["items"][0]
    assert (entry["act"], entry["authority"], entry["user_id"]) == (
        "appointment.changed",
        "primary administrator",
        primary.user_id,
    )


async def test_the_primary_and_the_book_at_once_leave_one_broker(story, served):
    group, primary, people = served
    firms = ["F-2", "F-3", "F-1"]

    for number, named in itertools.product(firms, firms):
        answer, _ = await asyncio.gather(appoint(story, primary, group, number), story.changes_broker(group, named))
        assert answer.status_code in (202, 409), answer.text
        seeing, lasting = await brokers(story, group, primary, people)
        assert seeing == lasting
        assert len(lasting) == 1
    assert await story.covey.parked() == []


@pytest.mark.parametrize("act", ["appoint", "end"])
async def test_a_primary_who_goes_at_the_same_moment_appoints_nobody(story, served, act):
    """Both have come as far as the ledger: the removal first."""
    group, primary, people = served
    users = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]
    (lasting,) = await appointments(primary, group)
    remove = story.covey.api.delete(f"/v1/groups/{group}/users/{users[0]['grant_id']}", headers=command())
    other = {"firm_id": str(await story.firm("F-2"))}
    acting = (
        primary.api.post(f"/v1/groups/{group}/appointments", json=other, headers=command())
        if act == "appoint"
        else end(primary, group, lasting["id"])
    )

    assert await in_turn(story.covey, LEDGER, remove, acting) == ["won", "not-yours"]

    assert group in await story.sees(people["F-1"])


async def test_a_removal_of_a_firm_that_is_appointed_again_is_superseded(story, served, at_work):
    group, primary, people = served
    (lasting,) = await appointments(primary, group)
    removed = await end(primary, group, lasting["id"], Prefer="wait=10")
    assert removed.json()["status"] == "removed"

    await appoint(story, primary, group, "F-2")
    assert (await primary.api.get(f"/v1/access-changes/{removed.json()['id']}")).json()["status"] == "removed"
    await appoint(story, primary, group, "F-1")

    assert group in await story.sees(people["F-1"])
    assert (await primary.api.get(f"/v1/access-changes/{removed.json()['id']}")).json()["status"] == "superseded"
