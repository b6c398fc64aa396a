"""Who may look at messages, and send them again: every route, and everybody who might try."""

import pytest
from covey_chassis.access import Right, StaffRight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.ids import new_id
from sqlalchemy import text

# Drawn by hand: this is the page to read and to review.
GRID = """
                                                 nobody person holder colleague messages operations ended locked
  GET  /v1/notifications                         401    403    403    403       200      200        401   403
  GET  /v1/notifications/{notification_id}        401    403    403    403       200      200        401   403
  POST /v1/notifications/{notification_id}/resend 401    403    403    403       202      202        401   403
"""
LOOKS_AFTER_MESSAGES = {StaffRight.MESSAGES_MANAGE, StaffRight.OPERATIONS}


def rows():
    who, *lines = [line.split() for line in GRID.strip().splitlines()]
    return {(method, path): dict(zip(who, map(int, answers), strict=True)) for method, path, *answers in lines}


async def nobody(covey, group_id):
    return covey.client(None)


async def person(covey, group_id):
    """Signed on, and nothing else."""
    return await covey.person()


async def holder(covey, group_id):
    """Somebody who holds every right in the group that the message is about."""
    return await covey.person({group_id: list(Right)})


async def colleague(covey, group_id):
    """Carrier staff with every right but those that it takes."""
    return await covey.staff_member(*(set(StaffRight) - LOOKS_AFTER_MESSAGES))


async def messages(covey, group_id):
    return await covey.staff_member(StaffRight.MESSAGES_MANAGE)


async def operations(covey, group_id):
    return await covey.staff_member(StaffRight.OPERATIONS)


def staff_fact(account_id, *, active=True):
    return Fact(
        kind=FactKind.STAFF, id=account_id, account_id=account_id, rights=tuple(LOOKS_AFTER_MESSAGES), active=active
    )


async def ended(covey, group_id):
    """With the right, but their session has ended."""
    account_id, session_id = new_id(), new_id()
    over = Fact(kind=FactKind.SESSION, id=session_id, account_id=account_id, active=False)
    await covey.know(staff_fact(account_id), over)
    return covey.client(account_id, session_id)


async def locked(covey, group_id):
    """With the right, but their account is locked."""
    account_id = new_id()
    lock = Fact(kind=FactKind.ACCOUNT, id=account_id, account_id=account_id, active=False)
    await covey.know(staff_fact(account_id), lock)
    return covey.client(account_id)


CALLERS = {each.__name__: each for each in (nobody, person, holder, colleague, messages, operations, ended, locked)}


async def failed_message(covey, story, mail):
    """A message about a group that could not be delivered."""
    await story.renewals_become_available("ann@bakery.example")
    mail.refuse["ann@bakery.example"] = "550 no"
    await covey.work("mailer-1")
    (failed,) = await story.notifications(status="failed")
    return failed


async def ask(client, method, path, notification_id, key="1"):
    url = path.replace("{notification_id}", notification_id)
    return await client.request(method, url, headers={"Idempotency-Key": key} if method == "POST" else {})


@pytest.mark.parametrize(("route", "expected"), rows().items(), ids=[" ".join(route) for route in rows()])
async def test_every_route_answers_those_who_may_and_nobody_else(covey, story, mail, route, expected):
    failed = await failed_message(covey, story, mail)

    for name, status in expected.items():
        async with await CALLERS[name](covey, failed["group_id"]) as client:
            answer = await ask(client, *route, failed["id"], key=name)
        assert answer.status_code == status, f"{name}: {answer.text}"
        if status >= 400:
            assert failed["legal_name"] not in answer.text
            assert len(await story.notifications(status="failed")) == 1
        elif route[0] == "POST":
            await covey.work("mailer-1")  # it fails again, for the next one


async def test_every_route_of_the_service_is_in_the_grid(covey):
    assert {" ".join(route) for route in rows()} == covey.routes()
    assert all(set(expected) == set(CALLERS) for expected in rows().values())


@pytest.mark.parametrize("route", rows(), ids=[" ".join(route) for route in rows()])
async def test_without_a_lease_nobody_is_answered(covey, story, mail, route):
    failed = await failed_message(covey, story, mail)
    async with covey.transaction() as session:
        await session.execute(text("UPDATE access_applier SET authority = false"))

    answer = await ask(covey.api, *route, failed["id"])

    assert (answer.status_code, answer.json()["code"]) == (503, "access-unverified")
    assert answer.headers["retry-after"]
    async with covey.transaction() as session:
        assert await session.scalar(text("SELECT status FROM notification")) == "failed"


async def test_a_stored_answer_is_given_again_only_to_somebody_who_still_has_the_right(covey, story, mail):
    failed = await failed_message(covey, story, mail)
    account_id = new_id()
    await covey.know(staff_fact(account_id))
    resend = ("POST", "/v1/notifications/{notification_id}/resend", failed["id"])
    async with covey.client(account_id) as client:
        first = await ask(client, *resend)
        again = await ask(client, *resend)
        await covey.know(staff_fact(account_id, active=False))

        refused = await ask(client, *resend)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["idempotency-replayed"] == "true"
    assert (refused.status_code, refused.json()["code"]) == (403, "not-yours")
    assert failed["id"] not in refused.text.replace(refused.json().get("instance", ""), "")
