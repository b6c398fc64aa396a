"""What a batch of groups' events does to copies, firms and appointments."""

import asyncio
import random
from datetime import date
from uuid import NAMESPACE_OID, uuid5

from covey_chassis.ids import new_id
from covey_chassis.testing import arrived
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import Address, BrokerOfRecord, GroupChanged, GroupRegistered
from covey_identity.use_cases.take_groups import take_groups
from sqlalchemy import text


async def test_many_groups_at_once_end_as_they_would_one_by_one(covey):
    """Names, brokers and firms' names that change, there and back; what is no news any more; and groups' own choices."""
    dice = random.Random(11)
    first = [(12, 1, "Owl", "C", DAYS[0]), *lives(dice, range(1, 9))]
    later = lives(dice, range(9, 17))

    for part in (first, later):
        for event, sequence in told("by itself", part):
            await covey.deliver(event, sequence=sequence)
        together = told("at once", part)
        for start in range(0, len(together), 20):
            await covey.deliver_at_once(together[start : start + 20])
        if part is first:
            for way in ("by itself", "at once"):
                await rows(covey, SOME_APPOINT_C_THEMSELVES, way)

    assert await covey.parked() == []
    found, firms = await became_of(covey, "at once")
    assert (found, firms) == await became_of(covey, "by itself")
    assert len(found) > 13, "brokers did change"
    assert any(lasts and not in_book for *_, lasts, _, _, _, in_book, _ in found), "some of their own have stayed"


DAYS = (date(2024, 6, 17), date(2025, 9, 1))
SOME_APPOINT_C_THEMSELVES = """
    UPDATE appointment SET in_book = false, firm_id = (SELECT id FROM firm WHERE firm_number LIKE :way || ' C')
      FROM group_copy WHERE group_copy.group_id = appointment.group_id AND ends_on IS NULL
       AND group_number LIKE :way || ' %' AND right(group_number, 1) IN ('0', '3', '5', '6', '9')
    RETURNING 1
"""
GROUPS = """
    SELECT right(group_number, 2), c.sequence, legal_name, right(f.firm_number, 1), a.ends_on IS NULL, a.sequence,
           right(book_firm_number, 1), book_acquired_on, in_book, acquired_on
      FROM group_copy c LEFT JOIN appointment a USING (group_id) LEFT JOIN firm f ON f.id = a.firm_id
     WHERE group_number LIKE :way || ' %' ORDER BY 1, a.id
"""
FIRMS = "SELECT right(firm_number, 1), firm_name, sequence FROM firm WHERE firm_number LIKE :way || ' %' ORDER BY 1"


def lives(dice, sequences):
    return [
        (number, sequence, dice.choice(["Wren", "Lark"]), dice.choice([None, "A", "B"]), dice.choice(DAYS))
        for number in range(12)
        for sequence in dice.sample(sequences, 6)
    ]


def told(way, lives):
    """The events of groups that are told in this way, with their sequences."""
    return [
        (
            GroupChanged(
                group_id=uuid5(NAMESPACE_OID, f"{way} {number}"),
                group_number=f"{way} {number:02}",
                legal_name=name,
                ein="12-3456789",
                market_region="California",
                principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
                billing_units=(),
                effective_date=date(2020, 7, 1),
                renewal_date=date(2027, 7, 1),
                plans=(),
                broker=firm
                and BrokerOfRecord(firm_number=f"{way} {firm}", firm_name=f"{firm} {day.year}", acquired_date=day),
                sealed="e30.a.b.c.d",
            ),
            sequence,
        )
        for number, sequence, name, firm, day in lives
    ]


async def rows(covey, query, way):
    async with covey.transaction() as session:
        return [tuple(row) for row in await session.execute(text(query), {"way": way})]


async def became_of(covey, way):
    return await rows(covey, GROUPS, way), await rows(covey, FIRMS, way)


async def test_an_older_event_that_another_process_takes_at_the_same_time_appoints_nobody(covey, story):
    """Registered and changed are two topics: after a rebalance, two processes may be at work on one group."""
    group_id = new_id()
    registered = story.state(GroupRegistered, group_id, "F-1")
    changed = story.state(GroupChanged, group_id, None)
    at = covey.context.clock.now()

    async with covey.transaction() as first:
        await take_groups(first, [arrived(registered, 1)], today=at.date(), at=at)

        async def take_the_newer():
            async with covey.transaction() as second:
                await take_groups(second, [arrived(changed, 2)], today=at.date(), at=at)

        newer = asyncio.create_task(take_the_newer())
        await eventually(covey.somebody_waits)
    await newer

    async with covey.transaction() as session:
        assert await session.scalar(text("SELECT count(*) FROM appointment WHERE ends_on IS NULL")) == 0
        assert await session.scalar(text("SELECT sequence FROM group_copy")) == 2
