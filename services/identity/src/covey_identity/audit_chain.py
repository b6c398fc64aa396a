"""The chain that audit entries stand in: whoever changes, deletes, inserts or swaps one breaks it.

Each link's hash is over the one before, its number, the entry, and what the entry changed. Entries are linked after they
are committed, so that nobody who writes one waits for another. Now and then the newest link is told to the world, signed
(``covey.audit.anchored.v1``): so the end of the chain cannot be cut off either, and nothing up to an anchor can be written
anew by whoever has all of the database.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from covey_contracts.identity import AuditAnchored
from joserfc import jws
from joserfc.jwk import OKPKey
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.settings import settings_of
from covey_identity.signing import signing_of

Row = Mapping[str, Any] | RowMapping

BEGINNING = bytes(32)
"""What the first link has before it."""
CHAIN_ID = UUID("689f833c-22de-573e-aa34-3e34b7a69a49")
"""Of identity's one chain."""
PAGE = 50
"""Entries that are linked at once. One may have changed a thousand facts."""
ANCHOR_S = 60
"""So long the newest link may stand without an anchor."""
ENTRY = (
    *("id", "at", "act", "outcome", "authority", "account_id", "session_id", "subjects", "groups"),
    *("first_rev", "last_rev", "details", "origin", "correlation_id", "trace_id"),
)
CHANGE = ("rev", "id", "at", "act", "authority", "account_id", "session_id", "correlation_id", "fact")
"""What is hashed of an entry, and of a row of ``access_log``: never another column, or no older link would hold."""
ALGORITHM = "Ed25519"
TYPE = "covey-audit+jws"
"""So that no anchor passes for anything else that is signed with the same key."""


def link_hash(before: bytes, number: int, entry: Row, changes: Sequence[Row]) -> bytes:
    """The hash of a link.

    Args:
        before: the hash of the link before.
        number: of this link.
        entry: its columns ``ENTRY``.
        changes: the columns ``CHANGE`` of the rows of ``access_log`` that it names, by revision.
    """
    written = json.dumps(
        {
            "entry": {name: entry[name] for name in ENTRY},
            "changes": [{name: each[name] for name in CHANGE} for each in changes],
        },
        sort_keys=True,
        separators=(",", ":"),
        default=_plain,
    )
    return hashlib.sha256(before + number.to_bytes(8) + written.encode()).digest()


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else str(value)


async def link_entries(context: Context) -> bool:
    """Link a page of entries, and anchor the newest link when it is time; whether more may wait."""
    key = signing_of(settings_of(context)).key
    async with context.workers.transaction() as session:
        if not await session.scalar(_ALONE):
            return False
        head = (await session.execute(_HEAD)).mappings().one_or_none()
        last, newest = (head["number"], head["hash"]) if head else (0, BEGINNING)
        entries = list((await session.execute(_WAITING, {"page": PAGE})).mappings())
        changes = await changes_of(session, entries)
        links = []
        for entry in entries:
            last += 1
            newest = link_hash(newest, last, entry, changes[entry["id"]])
            links.append({"number": last, "entry_id": entry["id"], "hash": newest})
        if links:
            await session.execute(_LINK, links)
            await session.execute(_LINKED, {"entries": [each["entry_id"] for each in links]})
        if last and await session.scalar(_IS_TIME, {"number": last, "seconds": ANCHOR_S}):
            await session.execute(_ANCHOR, {"number": last})
            await emit_rows(session, [(anchor(last, newest, key=key), None)])
        return len(entries) == PAGE


def anchor(number: int, newest: bytes, *, key: OKPKey) -> AuditAnchored:
    """The event that tells of a link."""
    said = json.dumps({"chain_id": str(CHAIN_ID), "number": number, "hash": newest.hex()}, sort_keys=True)
    signed = jws.serialize_compact({"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}, said, key, algorithms=[ALGORITHM])
    return AuditAnchored(chain_id=CHAIN_ID, number=number, hash=newest.hex(), signed=signed)


async def changes_of(session: AsyncSession, entries: Collection[Row]) -> dict[UUID, list[Row]]:
    """What each of the entries has changed, by the entry's ID."""
    found: dict[UUID, list[Row]] = {entry["id"]: [] for entry in entries}
    naming = [entry for entry in entries if entry["first_rev"] is not None]
    named = {
        "entries": [entry["id"] for entry in naming],
        "first": [entry["first_rev"] for entry in naming],
        "last": [entry["last_rev"] for entry in naming],
    }
    for row in (await session.execute(_CHANGES, named)).mappings():
        found[row["entry_id"]].append(row)
    return found


_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtextextended('audit chain', 0))")
_HEAD = text("SELECT number, hash FROM audit_link ORDER BY number DESC LIMIT 1")
_WAITING = text(
    """
    SELECT entry.* FROM audit_waiting AS waiting JOIN audit_entry AS entry ON entry.id = waiting.entry_id
     ORDER BY entry.id LIMIT :page
    """
)
_CHANGES = text(
    """
    SELECT entry.entry_id, log.*
      FROM unnest(CAST(:entries AS uuid[]), CAST(:first AS bigint[]), CAST(:last AS bigint[]))
           AS entry (entry_id, first_rev, last_rev)
      JOIN access_log AS log ON log.rev BETWEEN entry.first_rev AND entry.last_rev
     ORDER BY log.rev
    """
)
_LINK = text("INSERT INTO audit_link (number, entry_id, hash) VALUES (:number, :entry_id, :hash)")
_LINKED = text("DELETE FROM audit_waiting WHERE entry_id = ANY(CAST(:entries AS uuid[]))")
_IS_TIME = text(
    """
    SELECT :number > coalesce(max(number), 0)
           AND coalesce(max(anchored_at), '-infinity') < clock_timestamp() - make_interval(secs => :seconds)
      FROM audit_anchor
    """
)
_ANCHOR = text("INSERT INTO audit_anchor (number) VALUES (:number)")
