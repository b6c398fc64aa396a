import re

import pytest
from covey_chassis.failpoints import Failpoint
from covey_chassis.testing import armed
from covey_contracts.transactions import ReviewReturned
from covey_notifications.domain.notification import REQUESTED, Kind
from sqlalchemy import text

SECRETS = ("ann@bakery.example", "Ann Signer", "bob@brokers.example", "Bob Broker")


async def everything_stored(covey):
    """Every row of every table, as it is, with the bytes of binary columns."""
    stored = {}
    async with covey.transaction() as session:
        tables = await session.scalars(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        )
        for table in tables.all():
            rows = await session.execute(text(f'SELECT * FROM "{table}"'))
            stored[table] = repr([tuple(row) for row in rows])
    return stored


def in_the_clear(rows):
    """Without what is sealed: three letters of a name stand in some ciphertext by chance."""
    return re.sub(r"\beyJ[\w-]+([.][\w-]*){4}", "(sealed)", rows)


async def test_names_and_addresses_are_in_no_table_and_no_log_line(covey, story, mail, bob, logged):
    first, second, late = story.group(broker=bob), story.group(broker=bob), story.group(broker=bob)
    for group in (first, second):
        await covey.deliver(group)
        await covey.deliver(story.renewal(group))
    await covey.deliver(story.renewal(late))
    mail.refuse[bob.email] = f"450 4.2.1 <{bob.email}>: {bob.name} is busy"
    await covey.work("mailer-1")
    mail.refuse[bob.email] = f"550 5.1.1 <{bob.email}>: no {bob.name} here"
    await story.pauses_pass()
    await covey.work("mailer-1")
    await mail.stop()
    for failed in await story.notifications(status="failed"):
        response = await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
        assert response.status_code == 202
    await covey.work("mailer-1")
    assert len(mail.inbox) == 2

    stored = await everything_stored(covey)
    said = logged()

    for secret in SECRETS:
        assert [table for table, rows in stored.items() if secret in in_the_clear(rows)] == []
        assert secret not in said
    assert first.sealed in stored["group_copy"]
    assert "mail.put_off" in said
    assert "mail.failed" in said


async def test_names_and_addresses_are_in_no_event_and_no_answer(covey, story, mail, ann, bob):
    group = story.group(broker=bob)
    await covey.deliver(group)
    await covey.deliver(story.renewal(group))
    mail.refuse[bob.email] = f"550 <{bob.email}> unknown"

    await covey.work("mailer-1")

    told = repr([each.event for each in await covey.published()]) + repr(await story.notifications())
    for secret in SECRETS:
        assert secret not in told


CODE = "7F3K-9QWD-2MXR-V0TA"
TOKEN = "wq3Zr0-kT9_n4mVYb2xJtoken"
ABOUT_ACCESS = (
    Kind.RENEWAL_AVAILABLE,
    Kind.ACCESS_CODE,
    *REQUESTED,
    Kind.USER_ADDED,
    Kind.RIGHTS_CHANGED,
    Kind.ACCESS_REMOVED,
)
OF_ACCESS = (
    CODE,
    CODE.replace("-", ""),
    TOKEN,
    "Sam",
    "Secondary",
    "Pat",
    "sam@bakery",
    "pat@bakery",
    "s00002",
    "p00001",
)


async def test_a_code_or_token_stands_nowhere_but_in_the_email(covey, story, mail, logged):
    said_over_http = []

    async def look():
        said_over_http.append(repr(await story.notifications()))
        return await everything_stored(covey)

    for kind in ABOUT_ACCESS:
        event, sequence = await story.everything_before(kind)
        await covey.deliver(event, sequence=sequence)
    parked = story.code(story.group())
    await covey.deliver(parked)  # its group is not known yet
    looks = [await look()]
    mail.refuse["sam@bakery.example"] = f"450 4.2.1 <sam@bakery.example> Sam Secondary {CODE} {TOKEN}"
    await covey.work("mailer-1")
    looks.append(await look())
    mail.refuse["sam@bakery.example"] = f"550 5.1.1 <sam@bakery.example> Sam Secondary {CODE} {TOKEN}"
    await story.pauses_pass()
    await covey.work("mailer-1")
    looks.append(await look())
    mail.refuse.clear()
    for failed in await story.notifications(status="failed"):
        answer = await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
        said_over_http.append(answer.text)
    with armed("mailer.after_taken:raise"), pytest.raises(Failpoint):
        await covey.work("mailer-1")
    await covey.work("mailer-1")
    looks.append(await look())
    published = repr([each.event for each in await covey.published()])

    said = logged()
    assert any(CODE in str(each.message.get_body()) for each in mail.inbox)
    assert any(TOKEN in str(each.message.get_body()) for each in mail.inbox)
    assert event.__class__.__name__ == "AccessChanged"
    assert parked.sealed in looks[-1]["parked"]
    for secret in OF_ACCESS:
        for stored in looks:
            assert [table for table, rows in stored.items() if secret in in_the_clear(rows)] == []
        for told in (published, said, *said_over_http):
            assert secret not in told
    assert "mail.put_off" in said
    assert "mail.failed" in said


OF_TRANSACTIONS = (
    "correct the contribution",
    "submit again",
    "The signed form",
    "moved away",
    "Rita",
    "rita@carrier",
    "010-0199",
    "Olga",
    "olga@bakery",
    "Sam",
    "sam@bakery",
    "Ann Signer",
    "ann@bakery",
)


async def test_what_a_reviewer_wrote_and_who_helps_stand_nowhere_but_in_the_email(covey, story, mail, logged):
    looks, said_over_http = [], []

    async def look():
        said_over_http.append(repr(await story.notifications()))
        looks.append(await everything_stored(covey))

    for kind in (Kind.SUBMISSION_RECEIVED, Kind.ACTION_REQUIRED, Kind.TRANSACTION_APPROVED):
        await story.happens(kind)
    declined, _ = await story.everything_before(Kind.TRANSACTION_DECLINED)
    await covey.deliver(declined)
    withdrawn, _ = await story.everything_before(Kind.TRANSACTION_WITHDRAWN)
    await covey.deliver(withdrawn)
    returned = story.transaction(ReviewReturned, story.group(), withdrawn.owner_id)
    await covey.deliver(returned)  # its group is not known yet
    await look()
    for reply in ("450 4.2.1", "550 5.1.1"):
        for address in ("rita@carrier.example", "olga@bakery.example"):
            mail.refuse[address] = f"{reply} <{address}> Rita Olga: correct the contribution; moved away"
        await story.pauses_pass()
        await covey.work("mailer-1")
        await look()
    mail.refuse.clear()
    for failed in await story.notifications(status="failed"):
        answer = await covey.api.post(f"/v1/notifications/{failed['id']}/resend", headers={"Idempotency-Key": "1"})
        said_over_http.append(answer.text)
    with armed("mailer.after_taken:raise"), pytest.raises(Failpoint):
        await covey.work("mailer-1")
    await covey.work("mailer-1")
    await look()
    published = repr([each.event for each in await covey.published()])

    said = logged()
    written = " ".join(part for each in mail.inbox for part in each.texts)
    assert "correct the contribution" in written
    assert "moved away" in written
    assert declined.sealed in looks[0]["notification"]
    assert declined.sealed not in looks[-1]["notification"]
    assert returned.sealed in looks[-1]["parked"]
    for secret in OF_TRANSACTIONS:
        for stored in looks:
            assert [table for table, rows in stored.items() if secret in in_the_clear(rows)] == []
        for told in (published, said, *said_over_http):
            assert secret not in told
    assert "mail.put_off" in said
    assert "mail.failed" in said
