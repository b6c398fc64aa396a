"""What befalls records: poison among them, a handler that refuses them, one that is too large, and that they come again."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Literal
from uuid import uuid4

from aiokafka import ConsumerRecord
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from covey_chassis.clock import Clock
from covey_chassis.testing.broker import admin, eventually, headers, producing, read_all
from covey_contracts import Topic
from covey_contracts.membership import GroupChanged
from covey_contracts.renewals import RenewalAvailable
from covey_contracts.transactions import ReviewApproved
from covey_local.attach import Operator
from covey_local.databases import connected
from covey_local.topics import settings

from tests.resilience.faults.evidence import Poison
from tests.resilience.faults.storm import FAR_DAYS
from tests.resilience.faults.world import World

EXAMPLES = Path("tests/contracts/examples")
CHANGED = GroupChanged.topic.name
APPROVED = ReviewApproved.topic.name
LIMIT_BYTES = 8_000
"""Of a topic, lowered: more than a usual event, less than that of a group with a hundred billing units."""


# --- poison ---


@dataclass(frozen=True, kw_only=True)
class _Potion:
    value: bytes | None
    ends: Literal["dead letter", "parked", "passed over", "handled"]
    topic: str = CHANGED
    extra: tuple[tuple[str, bytes | None], ...] = ()
    kind: str | None = None
    without: str | None = None
    """A header that is missing."""


def potions(group_id: str) -> list[_Potion]:
    """Each kind of poison, about a group that nobody else knows."""
    fact = json.loads((EXAMPLES / CHANGED / "2-minimal.json").read_text()) | {"group_id": group_id}
    fact["renewal_date"] = (
        Clock.now().date() + timedelta(days=FAR_DAYS)
    ).isoformat()  # nobody is told: nobody could unseal it
    approval = json.loads((EXAMPLES / APPROVED / "1-in-the-second-round.json").read_text())
    approval |= {"group_id": group_id, "transaction_id": group_id}
    right = json.dumps(fact).encode()
    return [
        _Potion(value=right, extra=(("x-null", None),), ends="handled"),
        _Potion(value=right, extra=(("x-not-text", b"\xff\xfe"),), ends="handled"),
        _Potion(value=json.dumps(fact | {"filler": "x" * 900_000}).encode(), ends="handled"),
        _Potion(value=b'{"group_id": ', ends="dead letter"),
        _Potion(value=b"", ends="dead letter"),
        _Potion(value=None, ends="dead letter"),
        _Potion(value=right, without="ce_id", ends="dead letter"),
        _Potion(value=right, kind="covey.nothing.v1", ends="passed over"),
        _Potion(value=right, kind="covey.group.changed.v2", ends="passed over"),
        _Potion(value=b'{"group_id": "none"}', ends="parked"),
        _Potion(topic=APPROVED, value=json.dumps(approval).encode(), ends="parked"),
    ]


async def poison(world: World, rng: Random) -> None:
    """Records that are no events, or none that could be handled, come among the others."""
    async with producing(world.stack.infrastructure.kafka_settings) as kafka:
        for number in range(len(potions(""))):
            group_id = str(uuid4())
            potion = potions(group_id)[number]
            event_id = str(uuid4())
            attributes = headers(potion.topic, group_id, sequence=1, event_id=event_id)
            if potion.kind is not None:
                attributes = [
                    (name, potion.kind.encode() if name == "ce_type" else value) for name, value in attributes
                ]
            attributes = [pair for pair in attributes if pair[0] != potion.without]
            at = time.time()
            sent = await kafka.send_and_wait(
                potion.topic, potion.value, key=group_id.encode(), headers=[*attributes, *potion.extra]
            )
            world.poisons.append(
                Poison(
                    topic=potion.topic,
                    partition=sent.partition,
                    offset=sent.offset,
                    key=group_id.encode(),
                    value=potion.value,
                    ends=potion.ends,
                    at=at,
                    event_id="" if potion.without == "ce_id" else event_id,
                )
            )
            await asyncio.sleep(rng.uniform(0.2, 1.5))
    await world.flows()


async def handler_refuses(world: World, _: Random) -> None:
    """A handler fails for one group, again and again, then does not: its records wait in order, all others flow."""
    group = world.platform.group()
    async with connected(world.database_url("renewals")) as renewals:
        await renewals.execute(
            f"""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN RAISE EXCEPTION 'a test refuses this group'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON book
                FOR EACH ROW WHEN (new.group_id = '{group.id}') EXECUTE FUNCTION refuse();
            """
        )

        async def allow() -> None:
            async with connected(world.database_url("renewals")) as healing:
                await healing.execute("DROP FUNCTION IF EXISTS refuse CASCADE")

        world.afterwards(allow)
        for _ in range(8):
            await world.change(group)
            await world.flows()
            await asyncio.sleep(1)
        parked = await renewals.fetchval("SELECT attempts FROM parked_key WHERE key = $1", group.id)
        assert parked, "the refused group's records wait"
        await allow()


# --- the topic's limit ---


async def limit_lowered(world: World, _: Random) -> None:
    """A topic refuses an event as too large: its key waits for an operator, all others flow."""
    group = world.platform.group()
    await _configure(world, GroupChanged.topic, {"max.message.bytes": str(LIMIT_BYTES)})
    world.afterwards(lambda: _configure(world, GroupChanged.topic, {}))
    units = [{"code": f"{number:03d}", "name": f"Billing unit {number} " + "x" * 80} for number in range(100)]
    await world.change(group, billing_units=units)
    async with connected(world.database_url("membership")) as membership:

        async def is_blocked() -> bool:
            return bool(await membership.fetchval("SELECT 1 FROM outbox_blocked WHERE key = $1", group.id))

        await eventually(is_blocked, within_s=60)
    await world.change(group)
    await world.flows(within_s=60)
    await _configure(world, GroupChanged.topic, {})
    operator = Operator.of(world.stack.run, "membership")
    for letter in await asyncio.to_thread(lambda: list(operator.dead_letters())):
        if letter.kind == "outbox":
            await asyncio.to_thread(operator.retry, letter.id, "the limit is what it was")


async def _configure(world: World, topic: Topic, more: dict[str, str]) -> None:
    configs = settings(topic, len(world.brokers)) | more
    async with admin(world.stack.infrastructure.kafka_settings) as kafka:
        await kafka.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, configs)])


# --- again ---


async def duplicates(world: World, _: Random) -> None:
    """The last records of many topics come again; then consumers begin again at the first ones."""
    for topic in (CHANGED, APPROVED, RenewalAvailable.topic.name):
        await _resend(world, (await _events(world, topic))[-10_000:])
    await asyncio.sleep(3)
    for service in ("renewals", "notifications"):
        async with world.stack.down(service), connected(world.database_url(service)) as database:
            await database.execute("UPDATE position SET next_offset = 0")
    await world.flows(within_s=60)


async def forgotten(world: World, _: Random) -> None:
    """Records come again when the inbox has forgotten that they came."""
    found: list[ConsumerRecord] = []
    for topic in (CHANGED, RenewalAvailable.topic.name):
        found += (await _events(world, topic))[-500:]
    events = [dict(record.headers)["ce_id"].decode() for record in found]
    for service in ("identity", "transactions", "renewals", "notifications"):
        async with connected(world.database_url(service)) as database:
            deleted = await database.execute("DELETE FROM inbox WHERE event_id = ANY($1::text[])", events)
            assert deleted != "DELETE 0", f"it did not strike: the inbox of {service} knew none of them"
    await _resend(world, found)
    await asyncio.sleep(5)
    await world.flows()


async def _events(world: World, topic: str) -> list[ConsumerRecord]:
    """A topic's records in the order of time, without the poison of earlier faults."""
    records = await read_all(world.stack.infrastructure.kafka_settings, topic)
    events = [record for record in records if record.key not in world.poisoned_keys]
    return sorted(events, key=lambda record: record.timestamp)


async def _resend(world: World, records: Sequence[ConsumerRecord]) -> None:
    async with producing(world.stack.infrastructure.kafka_settings) as kafka:
        sent = [
            await kafka.send(
                record.topic, record.value, key=record.key, headers=list(record.headers), partition=record.partition
            )
            for record in records
        ]
        await asyncio.gather(*sent)
