"""What an operator does about dead letters. Every act is written down in its own transaction, without any payload."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.deadletters import DeadLetterNotFound, LetterId, names
from covey_chassis.errors import Refusal


class UnreadableCannotBeRetried(Refusal):
    """A record that is no event stays unreadable: its producer must send it again, and this one be discarded."""


class AnotherRecordIsFirst(Refusal):
    """The first record of the queue is not the one that was named."""


class Act(BaseModel):
    """What an operator did, as it was written down."""

    act: str
    subject: str
    details: dict[str, Any]


async def retry_letter(session: AsyncSession, letter_id: LetterId, *, actor: str, reason: str) -> Act:
    """Try it again as if for the first time: the key's queue follows when it succeeds.

    Raises:
        DeadLetterNotFound: there is none by this ID.
        UnreadableCannotBeRetried: it is no event.
    """
    if letter_id.kind == "unreadable":
        raise UnreadableCannotBeRetried
    first = await _lock_first(session, letter_id)
    if letter_id.kind == "parked":
        await _try_now(session, letter_id)
    else:
        await _unblock(session, letter_id)
    return await write_act(
        session, actor=actor, act="dead-letter.retry", subject=str(letter_id), reason=reason, details=first
    )


async def discard_letter(
    session: AsyncSession, letter_id: LetterId, *, event_id: str | None, actor: str, reason: str
) -> Act:
    """Give up the first record; what waits behind it goes on.

    ``event_id``, if given, says which record that must be: so a second click discards nothing more.

    Raises:
        DeadLetterNotFound: there is none by this ID.
        AnotherRecordIsFirst: the first record is not ``event_id``.
    """
    first = await _lock_first(session, letter_id)
    if event_id is not None and first["event_id"] != event_id:
        raise AnotherRecordIsFirst(first=first["event_id"])
    number = {"id": first.pop("row")}
    match letter_id.kind:
        case "parked":
            await session.execute(text("DELETE FROM parked WHERE id = :id"), number)
            rest = text("SELECT 1 FROM parked WHERE consumer = :consumer AND key = :ref LIMIT 1")
            if (await session.execute(rest, names(letter_id))).first():
                await _try_now(session, letter_id)
            else:
                await session.execute(
                    text("DELETE FROM parked_key WHERE consumer = :consumer AND key = :ref"), names(letter_id)
                )
        case "outbox":
            await session.execute(text("DELETE FROM outbox WHERE id = :id"), number)
            await _unblock(session, letter_id)
        case "unreadable":
            await session.execute(text("DELETE FROM dead_letter WHERE id = :id"), number)
    return await write_act(
        session, actor=actor, act="dead-letter.discard", subject=str(letter_id), reason=reason, details=first
    )


async def write_act(
    session: AsyncSession, *, actor: str, act: str, subject: str, reason: str, details: Mapping[str, Any]
) -> Act:
    """Write down who did what, and why."""
    told = {name: value for name, value in details.items() if name != "row"}
    await session.execute(
        text(
            """
            INSERT INTO operator_act (actor, act, subject, reason, details)
            VALUES (:actor, :act, :subject, :reason, CAST(:details AS jsonb))
            """
        ),
        {"actor": actor, "act": act, "subject": subject, "reason": reason, "details": json.dumps(told)},
    )
    return Act(act=act, subject=subject, details=told)


_FIRST = {
    "parked": """
        SELECT p.id AS row, p.consumer, p.key, p.event_id, p.topic, p.partition, p."offset", k.attempts, k.state
          FROM parked_key k JOIN parked p ON p.consumer = k.consumer AND p.key = k.key
         WHERE k.consumer = :consumer AND k.key = :ref ORDER BY p.id LIMIT 1
    """,
    "unreadable": """
        SELECT id AS row, consumer, NULL AS key, NULL AS event_id, topic, partition, "offset"
          FROM dead_letter WHERE consumer = :consumer AND id::text = :ref
    """,
    "outbox": """
        SELECT b.outbox_id AS row, b.key, o.event_id::text AS event_id, b.topic, o.sequence
          FROM outbox_blocked b LEFT JOIN outbox o ON o.id = b.outbox_id WHERE b.key = :ref
    """,
}
_LOCK = {
    "parked": "SELECT 1 FROM parked_key WHERE consumer = :consumer AND key = :ref FOR UPDATE",
    "unreadable": "SELECT 1 FROM dead_letter WHERE consumer = :consumer AND id::text = :ref FOR UPDATE",
    "outbox": "SELECT 1 FROM outbox_blocked WHERE key = :ref FOR UPDATE",
}


async def _lock_first(session: AsyncSession, letter_id: LetterId) -> dict[str, Any]:
    """The first record, its key locked. Whoever replays it right now is waited for, but not for long (503)."""
    await session.execute(text("SET LOCAL lock_timeout = '2s'"))
    await session.execute(text(_LOCK[letter_id.kind]), names(letter_id))
    # Read only once locked: the replay that was waited for may have changed what is first.
    first = (await session.execute(text(_FIRST[letter_id.kind]), names(letter_id))).first()
    if first is None:
        raise DeadLetterNotFound(id=letter_id)
    return dict(first._mapping)


async def _try_now(session: AsyncSession, letter_id: LetterId) -> None:
    await session.execute(
        text(
            """
            UPDATE parked_key SET state = 'waiting', attempts = 0, next_at = now()
             WHERE consumer = :consumer AND key = :ref
            """
        ),
        names(letter_id),
    )


async def _unblock(session: AsyncSession, letter_id: LetterId) -> None:
    await session.execute(text("DELETE FROM outbox_blocked WHERE key = :ref"), names(letter_id))
