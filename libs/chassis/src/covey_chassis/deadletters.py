"""What waits for an operator.

Three kinds: keys *parked* behind a record that a consumer refused, *unreadable* records that are no event, and keys of
the *outbox* whose first event Kafka refuses for good.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import BaseModel
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.errors import NotFound

Kind = Literal["parked", "unreadable", "outbox"]
State = Literal["waiting", "dead"]

QUEUE_SHOWN = 100


class DeadLetterNotFound(NotFound):
    """No dead letter has this ID: it may have been retried or discarded."""


@dataclass(frozen=True)
class LetterId:
    """Which dead letter: a parked key by consumer and key, an unreadable record by number, an outbox key by itself."""

    kind: Kind
    consumer: str
    ref: str

    def __str__(self) -> str:
        return ".".join(
            [self.kind, *(base64.urlsafe_b64encode(p.encode()).decode().rstrip("=") for p in self._parts())]
        )

    def _parts(self) -> Sequence[str]:
        return (self.ref,) if self.kind == "outbox" else (self.consumer, self.ref)

    @classmethod
    def parse(cls, letter_id: str) -> "LetterId":
        """Read an ID that ``str()`` has made.

        Raises:
            DeadLetterNotFound: it is none.
        """
        kind, *coded = letter_id.split(".")
        try:
            parts = [base64.b64decode(p + "=" * (-len(p) % 4), altchars=b"-_", validate=True).decode() for p in coded]
            found = cls(kind, "" if kind == "outbox" else parts[0], parts[-1])  # type: ignore[arg-type]  # checked below
        except (ValueError, binascii.Error, IndexError) as error:
            raise DeadLetterNotFound(id=letter_id) from error
        if kind not in get_args(Kind) or str(found) != letter_id or "\0" in found.consumer + found.ref:
            raise DeadLetterNotFound(id=letter_id)
        return found


class DeadLetter(BaseModel):
    """One dead letter: of a parked or blocked key the first record, which holds up ``records`` in all."""

    id: str
    kind: Kind
    consumer: str | None
    key: str | None
    topic: str
    partition: int | None
    offset: int | None
    event_id: str | None
    state: State
    attempts: int
    next_at: datetime | None
    error: str
    records: int
    at: datetime


class Queued(BaseModel):
    """A record that waits behind the first."""

    event_id: str
    topic: str
    partition: int | None
    offset: int | None
    at: datetime


class InspectedLetter(DeadLetter):
    """A dead letter with what is in it, and the next of its queue."""

    headers: list[tuple[str, str]]
    payload: str | None
    payload_encoding: Literal["text", "base64"]
    queue: list[Queued]


_LETTERS = """
WITH letter AS (
    SELECT 'parked' AS kind, k.consumer, k.key AS ref, convert_to(k.key, 'UTF8') AS key, h.topic, h.partition,
           h."offset", h.event_id, k.state, k.attempts, k.next_at, k.error, h.at
      FROM parked_key k
     CROSS JOIN LATERAL (
           SELECT topic, partition, "offset", event_id, at FROM parked p
            WHERE p.consumer = k.consumer AND p.key = k.key ORDER BY id LIMIT 1) h
    UNION ALL
    SELECT 'unreadable', consumer, id::text, key, topic, partition, "offset", NULL, 'dead', 1, NULL, error, at
      FROM dead_letter
    UNION ALL
    SELECT 'outbox', '', b.key, convert_to(b.key, 'UTF8'), b.topic, NULL, NULL, o.event_id::text, 'dead', 1, NULL,
           b.error, b.at
      FROM outbox_blocked b LEFT JOIN outbox o ON o.id = b.outbox_id
), page AS (
    SELECT * FROM letter WHERE {where} ORDER BY at, kind, consumer, ref LIMIT :limit
)
SELECT page.*,
       CASE kind
           WHEN 'parked' THEN (SELECT count(*) FROM parked p WHERE p.consumer = page.consumer AND p.key = page.ref)
           WHEN 'outbox' THEN (SELECT count(*) FROM outbox o WHERE o.key = page.ref)
           ELSE 1
       END AS records
  FROM page ORDER BY at, kind, consumer, ref
"""


async def list_letters(
    session: AsyncSession, *, consumer: str | None, state: State | None, after: tuple[Any, ...] | None, limit: int
) -> list[DeadLetter]:
    """Dead letters, the oldest first, behind the sort values ``after`` (see ``sort_values``)."""
    given: dict[str, object] = {"consumer": consumer, "state": state, "limit": limit}
    where = [f"{name} = :{name}" for name in ("consumer", "state") if given[name] is not None]
    if after is not None:
        where.append("(at, kind, consumer, ref) > (:at, :kind, :after_consumer, :ref)")
        given |= dict(zip(("at", "kind", "after_consumer", "ref"), after, strict=True))
    found = await session.execute(text(_LETTERS.format(where=" AND ".join(where) or "true")), given)
    return [DeadLetter.model_validate(_shown(row)) for row in found]


def sort_values(letter: DeadLetter) -> tuple[object, ...]:
    """What the list is sorted by."""
    letter_id = LetterId.parse(letter.id)
    return (letter.at, letter_id.kind, letter_id.consumer, letter_id.ref)


async def inspect_letter(session: AsyncSession, letter_id: LetterId) -> InspectedLetter:
    """All there is to know about one dead letter.

    Raises:
        DeadLetterNotFound: there is none by this ID.
    """
    which = "kind = :kind AND consumer = :consumer AND ref = :ref"
    named = {"kind": letter_id.kind, "consumer": letter_id.consumer, "ref": letter_id.ref}
    row = (await session.execute(text(_LETTERS.format(where=which)), named | {"limit": 1})).first()
    if row is None:
        raise DeadLetterNotFound(id=letter_id)
    first, queue = await _CONTENTS[letter_id.kind](session, letter_id)
    payload = first.payload if first else None
    try:
        shown, encoding = payload.decode() if payload is not None else None, "text"
    except UnicodeDecodeError:
        shown, encoding = base64.b64encode(payload or b"").decode(), "base64"
    return InspectedLetter.model_validate(
        _shown(row)
        | {
            "headers": first.headers if first else [],
            "payload": shown,
            "payload_encoding": encoding,
            "queue": queue,
        }
    )


# --- what is in a dead letter ---


def names(letter_id: LetterId) -> dict[str, object]:
    """An ID as the parameters of a statement about its kind."""
    found: dict[str, object] = {"ref": letter_id.ref}
    return found if letter_id.kind == "outbox" else found | {"consumer": letter_id.consumer}


@dataclass(frozen=True)
class _First:
    headers: list[tuple[str, str]]
    payload: bytes | None


async def _parked_contents(session: AsyncSession, letter_id: LetterId) -> tuple[_First | None, list[Queued]]:
    rows = (
        await session.execute(
            text(
                """
                SELECT id, event_id, topic, partition, "offset", headers, payload, at FROM parked
                 WHERE consumer = :consumer AND key = :ref ORDER BY id LIMIT :limit
                """
            ),
            names(letter_id) | {"limit": QUEUE_SHOWN + 1},
        )
    ).all()
    first = _First(rows[0].headers, rows[0].payload) if rows else None
    return first, [_queued(row) for row in rows[1:]]


async def _unreadable_contents(session: AsyncSession, letter_id: LetterId) -> tuple[_First | None, list[Queued]]:
    row = (
        await session.execute(
            text("SELECT headers, payload FROM dead_letter WHERE consumer = :consumer AND id::text = :ref"),
            names(letter_id),
        )
    ).first()
    if row is None:
        return None, []
    headers = [(name, base64.b64decode(value or "").decode(errors="replace")) for name, value in row.headers]
    return _First(headers, row.payload), []


async def _outbox_contents(session: AsyncSession, letter_id: LetterId) -> tuple[_First | None, list[Queued]]:
    rows = (
        await session.execute(
            text(
                """
                SELECT event_id::text AS event_id, topic, NULL AS partition, NULL AS "offset", occurred_at AS at,
                       payload, sequence, correlation_id, causation_id, traceparent
                  FROM outbox WHERE key = :ref ORDER BY id LIMIT :limit
                """
            ),
            names(letter_id) | {"limit": QUEUE_SHOWN + 1},
        )
    ).all()
    if not rows:
        return None, []
    attributes = ("event_id", "sequence", "correlation_id", "causation_id", "traceparent")
    told = [(name, str(value)) for name in attributes if (value := getattr(rows[0], name)) is not None]
    return _First(told, rows[0].payload), [_queued(row) for row in rows[1:]]


_CONTENTS = {"parked": _parked_contents, "unreadable": _unreadable_contents, "outbox": _outbox_contents}


def _queued(row: Row[Any]) -> Queued:
    return Queued(event_id=row.event_id, topic=row.topic, partition=row.partition, offset=row.offset, at=row.at)


def _shown(row: Row[Any]) -> dict[str, Any]:
    shown = dict(row._mapping)
    letter_id = LetterId(row.kind, row.consumer, row.ref)
    key = None if row.key is None else row.key.decode(errors="replace")
    return shown | {"id": str(letter_id), "consumer": row.consumer or None, "key": key}
