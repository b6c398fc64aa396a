"""What is made again from a real topic is what was made before; and where it is not, that is noticed."""

import random
from contextlib import AsyncExitStack
from typing import ClassVar

import pytest
from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import Database
from covey_chassis.ids import new_id
from covey_chassis.settings import ServiceSettings
from covey_chassis.testing.broker import headers, new_topic, producing
from covey_contracts import Topic
from covey_contracts.membership import Address, GroupChanged, GroupPlan
from covey_local.databases import connected
from covey_transactions.consumers import on_groups

from .rebuild import compare, take_all

GROUPS, CHANGES = 40, 3
TABLES = ("group_copy", "group_plan", "known_plan")


def changed(topic: Topic, group_id: object, sequence: int) -> GroupChanged:
    return kind_on(topic)(
        group_id=group_id,
        group_number=f"G-{group_id}",
        legal_name=f"as of {sequence}",
        ein="12-3456789",
        market_region="California",
        principal_address=Address(street="1 Oak St", city="Fresno", county="Fresno", state="CA", zip="93650"),
        billing_units=(),
        effective_date="2020-01-01",
        renewal_date="2027-01-01",
        plans=(GroupPlan(plan_year=2026, plan_id=f"PLAN-{sequence}"),),
        sealed="e30.a.b.c.d",
    )


def kind_on(of: Topic) -> type[GroupChanged]:
    """The same kind of event on a topic of the test's own."""

    class OnTopic(GroupChanged):
        topic: ClassVar[Topic] = of

    return OnTopic


@pytest.fixture
async def topic(kafka):
    """A topic with changes of groups, some of them twice, which their copies don't mind."""
    topic = Topic(name=await new_topic(kafka), aggregate="group", key="group_id", owner="membership")
    group_ids = [new_id() for _ in range(GROUPS)]
    async with producing(kafka) as producer:
        for sequence in range(1, CHANGES + 1):
            for group_id in group_ids:
                event = changed(topic, group_id, sequence)
                said = headers(topic.name, str(group_id), sequence=sequence)
                for _ in range(random.choice((1, 1, 2))):
                    value = event.model_dump_json().encode()
                    await producer.send(topic.name, value, key=str(group_id).encode(), headers=said)
    return topic


@pytest.fixture
async def made(topic, kafka, new_database):
    """The copies in two databases, each made from the topic: their owners' connections."""
    consumer = Consumer("transactions.groups", since="beginning")
    consumer.on_many(kind_on(topic))(on_groups)
    async with AsyncExitStack() as stack:
        connections = []
        for _ in range(2):
            urls = await stack.enter_async_context(new_database("covey_transactions"))
            database = Database(urls.worker, Clock(ServiceSettings.model_fields["zone"].default))
            stack.push_async_callback(database.close)
            await take_all(consumer, database, kafka)
            connections.append(await stack.enter_async_context(connected(urls.owner)))
        yield connections


async def test_made_again_it_is_the_same(made):
    live, again = made

    found = [await compare(f"transactions.{table}", live, again) for table in TABLES]

    assert [(each.live, each.rebuilt, each.differing) for each in found] == [
        (GROUPS, GROUPS, ()),
        (GROUPS, GROUPS, ()),
        (CHANGES, CHANGES, ()),
    ]
    assert await live.fetchval("SELECT count(*) FROM group_copy WHERE sequence = $1", CHANGES) == GROUPS
    assert await live.fetchval("SELECT count(*) FROM parked") == 0


FIRST = "WHERE group_id = (SELECT min(group_id::text)::uuid FROM group_copy)"


@pytest.mark.parametrize(
    ("spoil", "rows", "differing"),
    [
        (f"UPDATE group_copy SET legal_name = 'as of 2' {FIRST}", GROUPS, 2),
        (f"DELETE FROM group_copy {FIRST}", GROUPS - 1, 1),
    ],
)
async def test_a_live_row_that_is_otherwise_is_noticed(made, spoil, rows, differing):
    live, again = made
    await live.execute("DELETE FROM group_plan")
    await live.execute(spoil)

    found = await compare("transactions.group_copy", live, again)

    assert (found.live, found.rebuilt, len(found.differing)) == (rows, GROUPS, differing)


async def test_columns_that_a_service_draws_itself_are_not_compared(made):
    live, again = made
    await live.execute("UPDATE group_copy SET legal_name = 'drawn'")

    assert (await compare("transactions.group_copy", live, again, ["legal_name"])).differing == ()
