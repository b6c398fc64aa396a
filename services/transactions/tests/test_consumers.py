"""Copies of groups, what they offer, and renewals: as they were told of last, in whatever order."""

import asyncio
import random

import pytest
from covey_chassis.clock import Clock
from covey_chassis.envelope import Envelope, to_headers
from covey_chassis.testing import arrived
from covey_chassis.testing.broker import eventually
from covey_contracts.membership import GroupChanged
from covey_contracts.renewals import RenewalStatus
from covey_transactions.use_cases.keep_groups import keep_groups
from sqlalchemy import text


async def rows(covey, query):
    async with covey.transaction() as session:
        return [tuple(row) for row in await session.execute(text(query))]


async def group_plans(covey):
    return await rows(covey, "SELECT plan_year, plan_id FROM group_plan ORDER BY 1, 2")


async def known_plans(covey):
    return await rows(covey, "SELECT market_region, plan_year, plan_id FROM known_plan ORDER BY 1, 2, 3")


async def test_a_group_is_kept_with_what_it_offers(covey, group):
    acme = group("Acme", plans=[(2099, "GOLD-79"), (2100, "GOLD-80")])

    await covey.deliver_twice(acme, sequence=1)

    kept = await rows(covey, "SELECT group_id, sequence, group_number, legal_name, market_region FROM group_copy")
    assert kept == [(acme.group_id, 1, "G-Acme", "Acme", "California")]
    assert await group_plans(covey) == [(2099, "GOLD-79"), (2100, "GOLD-80")]
    assert await known_plans(covey) == [("California", 2099, "GOLD-79"), ("California", 2100, "GOLD-80")]
    assert await covey.published() == []


async def test_what_a_group_no_longer_offers_stays_known_there(covey, group):
    await covey.deliver(group("Acme", plans=[(2100, "GOLD-80"), (2100, "SILVER-70")]), sequence=1)
    await covey.deliver(group("Acme", kind=GroupChanged, region="Nevada", plans=[(2100, "GOLD-81")]), sequence=2)

    assert await group_plans(covey) == [(2100, "GOLD-81")]
    assert await known_plans(covey) == [
        ("California", 2100, "GOLD-80"),
        ("California", 2100, "SILVER-70"),
        ("Nevada", 2100, "GOLD-81"),
    ]


async def test_an_older_fact_changes_no_copy_but_its_plans_are_known_from_it(covey, group):
    await covey.deliver(group("Acme", kind=GroupChanged, number="G-2", plans=[(2100, "GOLD-80")]), sequence=2)
    await covey.deliver(group("Acme", number="G-1", plans=[(2099, "GOLD-79")]), sequence=1)

    assert await rows(covey, "SELECT group_number FROM group_copy") == [("G-2",)]
    assert await group_plans(covey) == [(2100, "GOLD-80")]
    assert await known_plans(covey) == [("California", 2099, "GOLD-79"), ("California", 2100, "GOLD-80")]


async def test_a_group_may_offer_nothing(covey, group):
    await covey.deliver(group("Acme", plans=[(2100, "GOLD-80"), (2100, "GOLD-80")]), sequence=1)
    await covey.deliver(group("Acme", kind=GroupChanged, plans=[]), sequence=2)

    assert await group_plans(covey) == []
    assert await covey.parked() == []


async def test_a_renewal_is_kept_before_its_group_is(covey, renewal):
    acme = renewal("Acme")

    await covey.deliver_twice(acme)

    kept = await rows(covey, "SELECT renewal_id, group_id, plan_year, effective_date, status FROM renewal_copy")
    assert kept == [(acme.renewal_id, acme.group_id, 2100, acme.effective_date, "available")]


async def test_a_renewal_stands_as_it_was_told_last(covey, renewal):
    await covey.deliver(renewal("Acme", status=RenewalStatus.IN_PROGRESS), sequence=3)
    await covey.deliver(renewal("Acme"), sequence=2)
    await covey.deliver(renewal("Acme", status=RenewalStatus.UPCOMING), sequence=1)

    assert await rows(covey, "SELECT sequence, status FROM renewal_copy") == [(3, "in progress")]


async def test_groups_and_renewals_in_any_order_end_as_they_are(covey, group, renewal):
    history = [(renewal("Acme", status=status), number) for number, status in enumerate(RenewalStatus, 1)]
    history += [(group("Acme", number=f"G-{number}", plans=[(2100, f"P-{number}")]), number) for number in range(1, 6)]

    await covey.deliver_shuffled(history, seed=11)

    assert await rows(covey, "SELECT status FROM renewal_copy") == [("ended",)]
    assert await rows(covey, "SELECT group_number FROM group_copy") == [("G-5",)]
    assert await group_plans(covey) == [(2100, "P-5")]
    assert len(await known_plans(covey)) == 5
    assert await covey.parked() == []


@pytest.mark.parametrize("which", ["group", "renewal"])
async def test_a_fact_without_a_number_waits_for_an_operator_and_changes_nothing(covey, group, renewal, which):
    told = {"group": group, "renewal": renewal}[which]("Acme")
    envelope = Envelope(
        id="1",
        source=f"/{told.topic.owner}",
        type=told.topic.name,
        time=Clock.now(),
        subject=told.key,
        sequence=None,
        correlation_id="1",
        causation_id=None,
        traceparent=None,
    )

    await covey.deliver_record(told.topic.name, told.model_dump_json().encode(), to_headers(envelope), told.key)

    assert [parked.key for parked in await covey.parked()] == [told.key]
    assert await rows(covey, "SELECT 1 FROM group_copy") == await rows(covey, "SELECT 1 FROM renewal_copy") == []


async def test_many_groups_at_once_end_as_they_would_one_by_one(covey, group):
    dice = random.Random(11)
    plans = [(2099, "GOLD-79"), (2100, "GOLD-80"), (2100, "SILVER-70")]
    lives = [
        (number, sequence, dice.choice(["Nevada", "Oregon"]), dice.choices(plans, k=dice.randrange(3)))
        for number in range(12)
        for sequence in dice.sample(range(1, 9), 6)
    ]

    def told(way):
        return [
            (
                group(f"{way} {number:02}", kind=GroupChanged, number=f"{sequence}", region=region, plans=offered),
                sequence,
            )
            for number, sequence, region, offered in lives
        ]

    async def became_of(way):
        return await rows(
            covey,
            "SELECT right(legal_name, 2), sequence, group_number, market_region, plan_year, plan_id"
            " FROM group_copy LEFT JOIN group_plan USING (group_id)"
            f" WHERE legal_name LIKE '{way}%' ORDER BY 1, 5, 6",
        )

    for event, sequence in told("by itself"):
        await covey.deliver(event, sequence=sequence)
    known = await known_plans(covey)
    together = told("at once")
    for start in range(0, len(together), 25):
        await covey.deliver_at_once(together[start : start + 25])

    assert await became_of("at once") == await became_of("by itself")
    assert len(await became_of("at once")) >= 12
    assert await known_plans(covey) == known


async def test_an_older_event_that_another_process_takes_at_the_same_time_leaves_the_newer_plans(covey, group):
    """Registered and changed are two topics: after a rebalance, two processes may be at work on one group."""
    older = group("Acme", plans=[(2100, "GOLD-80")])
    newer = group("Acme", kind=GroupChanged, plans=[(2100, "SILVER-70")])

    async with covey.transaction() as first:
        await keep_groups(first, [arrived(newer, 2)])

        async def take_the_older():
            async with covey.transaction() as second:
                await keep_groups(second, [arrived(older, 1)])

        late = asyncio.create_task(take_the_older())
        await eventually(covey.somebody_waits)
    await late

    assert await rows(covey, "SELECT sequence FROM group_copy") == [(2,)]
    assert await group_plans(covey) == [(2100, "SILVER-70")]
