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
    """Names, brokers and firms' names that change, there and back, and what is no news any more."""
    dice = random.Random(11)
    lives = [
        (number, sequence, dice.choice(["Wren", "Lark"]), dice.choice([None, "A", "B"]), dice.choice(["Ltd", "Inc"]))
        for number in range(12)
        for sequence in dice.sample(range(1, 9), 6)
    ]

    def told(way):
        return [
            (
                GroupChanged(
                    group_id=uuid5(NAMESPACE_OID, f"{way} {number}"),
                    group_number=f"{way} {number:02}",
                    legal_name=name,
                    ein="12-3456789",
                    market_region="California",
                    principal_address=Address(
                        street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"
                    ),
                    billing_units=(),
                    effective_date=date(2020, 7, 1),
                    renewal_date=date(2027, 7, 1),
                    plans=(),
                    broker=firm
                    and BrokerOfRecord(
                        firm_number=f"{way} {firm}", firm_name=f"{firm} {form}", acquired_date=date(2024, 6, 17)
                    ),
                    sealed="e30.a.b.c.d",
                ),
                sequence,
            )
            for number, sequence, name, firm, form in lives
        ]

    async def rows(query, way):
        async with covey.transaction() as session:
            return [tuple(row) for row in await session.execute(text(query), {"way": f"{way}%"})]

    async def became_of(way):
        groups = await rows(
            "SELECT right(group_number, 2), c.sequence, legal_name, right(f.firm_number, 1), a.ends_on IS NULL, a.sequence"
            " FROM group_copy c LEFT JOIN appointment a USING (group_id) LEFT JOIN firm f ON f.id = a.firm_id"
            " WHERE group_number LIKE :way ORDER BY 1, a.id",
            way,
        )
        firms = await rows(
            "SELECT right(firm_number, 1), firm_name, sequence FROM firm WHERE firm_number LIKE :way ORDER BY 1", way
        )
        return groups, firms

    for event, sequence in told("by itself"):
        await covey.deliver(event, sequence=sequence)
    together = told("at once")
    for start in range(0, len(together), 20):
        await covey.deliver_at_once(together[start : start + 20])

    assert await covey.parked() == []
    assert await became_of("at once") == await became_of("by itself")
    assert len((await became_of("at once"))[0]) > 12, "brokers did change"


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
