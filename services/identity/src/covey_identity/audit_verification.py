"""Whether the audit is as it was written: ``python -m covey_identity.audit_verification``, or ``covey audit verify``.

The chain is computed anew from the tables, and compared with its links and with the anchors that Kafka has kept. The first
link that does not hold is named: nothing after it proves anything.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from covey_chassis.db import make_engine
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings
from covey_contracts.identity import AuditAnchored
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import FilePath, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit_chain import ALGORITHM, BEGINNING, CHAIN_ID, TYPE, changes_of, link_hash

PAGE = 500
LATE = timedelta(minutes=10)
"""So long an entry may wait for its link, or a link for an anchor. Usually it is a second, and a minute."""


class NoAnchors(Exception):
    """Kafka shows no such topic: without anchors the chain proves little."""


@dataclass(frozen=True)
class Verdict:
    """What was found."""

    links: int
    """So many hold, from the first one on."""
    waiting: int
    """So many entries are not in the chain yet."""
    anchored: int
    """The newest link that the world was told of; 0 when it was told of none."""
    broken: str | None
    """What does not hold; None when all does."""


class _Broken(Exception):
    """What does not hold."""


@dataclass
class _Walk:
    """How far the chain holds."""

    links: int = 0
    hash: bytes = BEGINNING
    at: datetime | None = None
    """When the newest entry was written."""


async def verify(session: AsyncSession, anchors: Sequence[AuditAnchored]) -> Verdict:
    """Compute the chain anew.

    Args:
        session: one transaction that sees all of it at one moment (repeatable read).
        anchors: those whose signatures are good.
    """
    own = [each for each in anchors if each.chain_id == CHAIN_ID]
    newest = max((each.number for each in own), default=0)
    waiting, oldest, now = (await session.execute(_WAITING)).one()
    walk, broken = _Walk(), None
    try:
        await _follow(session, walk, _by_number(own))
        if newest > walk.links:
            raise _Broken(f"the chain ends at link {walk.links}, but link {newest} was anchored")
        if walk.links > newest and walk.at is not None and now - walk.at > LATE:
            raise _Broken(f"link {walk.links} is of {walk.at:%Y-%m-%d %H:%M} UTC, and was never anchored")
        if oldest is not None and now - oldest > LATE:
            raise _Broken(f"entries wait for their links since {oldest:%Y-%m-%d %H:%M} UTC")
        for query, what in _BESIDE:
            if found := await session.scalar(text(query)):
                raise _Broken(f"{what}: {found}")
    except _Broken as why:
        broken = str(why)
    return Verdict(walk.links, waiting, newest, broken)


def _by_number(anchors: Sequence[AuditAnchored]) -> dict[int, bytes]:
    told: dict[int, bytes] = {}
    for each in anchors:
        if told.setdefault(each.number, bytes.fromhex(each.hash)) != bytes.fromhex(each.hash):
            raise _Broken(f"link {each.number} was anchored twice, as two different ones")
    return told


async def _follow(session: AsyncSession, walk: _Walk, told: Mapping[int, bytes]) -> None:
    while rows := list((await session.execute(_LINKS, {"after": walk.links, "page": PAGE})).mappings()):
        changes = await changes_of(session, rows)
        for row in rows:
            number = row["number"]
            if number != walk.links + 1:
                raise _Broken(f"link {walk.links + 1} is missing")
            computed = link_hash(walk.hash, number, row, changes[row["id"]])
            if computed != row["hash"]:
                raise _Broken(f"link {number} is not of what stands in entry {row['id']}")
            if told.get(number, computed) != computed:
                raise _Broken(f"link {number} is another one than was anchored")
            walk.links, walk.hash, walk.at = number, computed, row["at"]


_WAITING = text(
    """
    SELECT count(*) AS waiting, min(entry.at) AS oldest, clock_timestamp() AS now
      FROM audit_waiting AS waiting JOIN audit_entry AS entry ON entry.id = waiting.entry_id
    """
)
_LINKS = text(
    """
    SELECT link.number, link.hash, entry.*
      FROM audit_link AS link JOIN audit_entry AS entry ON entry.id = link.entry_id
     WHERE link.number > :after ORDER BY link.number LIMIT :page
    """
)
_BESIDE = (
    (
        """
        SELECT id FROM audit_entry AS entry
         WHERE NOT EXISTS (SELECT FROM audit_link WHERE entry_id = entry.id)
           AND NOT EXISTS (SELECT FROM audit_waiting WHERE entry_id = entry.id)
         LIMIT 1
        """,
        "an entry is in no chain",
    ),
    (
        """
        SELECT log.rev FROM access_log AS log
          LEFT JOIN LATERAL (
              SELECT last_rev FROM audit_entry WHERE first_rev <= log.rev ORDER BY first_rev DESC LIMIT 1
          ) AS named ON true
         WHERE coalesce(named.last_rev, 0) < log.rev LIMIT 1
        """,
        "no entry names a change of access, revision",
    ),
)


# --- anchors, as Kafka has kept them ---


def read_anchor(record: bytes | None, keys: KeySet) -> AuditAnchored | None:
    """The anchor, if its signature is good and says the same."""
    try:
        told = AuditAnchored.model_validate_json(record or b"")
        said = jws.deserialize_compact(told.signed, keys, algorithms=[ALGORITHM])
        signed = json.loads(said.payload)
    except (ValidationError, JoseError, ValueError):
        return None
    good = said.headers().get("typ") == TYPE and signed == {
        "chain_id": str(told.chain_id),
        "number": told.number,
        "hash": told.hash,
    }
    return told if good else None


async def read_anchors(kafka: KafkaSettings, keys: KeySet) -> tuple[list[AuditAnchored], int]:
    """All anchors that Kafka has, and how many records were none.

    Raises:
        NoAnchors: there is no such topic, or whoever signs on may not read it.
    """
    topic = AuditAnchored.topic.name
    consumer = AIOKafkaConsumer(topic, **connection(kafka), auto_offset_reset="earliest", enable_auto_commit=False)
    found: list[AuditAnchored] = []
    bad = 0
    try:
        await consumer.start()
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                read = [read_anchor(each.value, keys) for each in records]
                found += [each for each in read if each is not None]
                bad += read.count(None)
    except (UnknownTopicOrPartitionError, TopicAuthorizationFailedError) as error:
        raise NoAnchors from error
    finally:
        await consumer.stop()
    return found, bad


async def _verify(database_url: str, keys: KeySet, kafka: KafkaSettings) -> tuple[Verdict, int]:
    anchors, bad = await read_anchors(kafka, keys)
    async with AsyncExitStack() as stack:
        engine = make_engine(database_url)
        stack.push_async_callback(engine.dispose)
        reading = await stack.enter_async_context(engine.connect())
        await reading.execution_options(isolation_level="REPEATABLE READ")
        session = await stack.enter_async_context(AsyncSession(reading))
        return await verify(session, anchors), bad


class Needed(BaseSettings):
    """What it takes of identity's settings, and how to reach Kafka."""

    model_config = SettingsConfigDict(env_prefix="COVEY_", secrets_dir=os.environ.get("COVEY_SECRETS_DIR"))

    owner_database_url: SecretStr
    """Of the role that has all the time that it takes."""
    token_keys: FilePath


def main() -> int:
    """Say what was found; 1 when the audit does not hold."""
    needed = Needed()
    database = needed.owner_database_url.get_secret_value()
    keys = KeySet.import_key_set(json.loads(needed.token_keys.read_text()))
    try:
        verdict, bad = asyncio.run(_verify(database, keys, KafkaSettings()))
    except NoAnchors:
        print(f"Kafka shows no topic {AuditAnchored.topic.name}: without anchors the chain proves little.")
        return 1
    print(f"{verdict.links:,} links hold, {verdict.waiting:,} entries wait for theirs.")
    print(f"The newest anchor is of link {verdict.anchored:,}." if verdict.anchored else "Nothing was anchored yet.")
    if bad:
        print(f"{bad:,} records of {AuditAnchored.topic.name} are no anchors, or not signed with a key that is known.")
    if verdict.broken:
        print(f"BROKEN: {verdict.broken}.")
    return 1 if verdict.broken or bad else 0


if __name__ == "__main__":
    sys.exit(main())
