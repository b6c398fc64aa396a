"""The chain that audit entries stand in: whoever changes, deletes, inserts or swaps one breaks it.

Each link's hash is over the one before, its number, the entry, and what the entry changed. Entries are linked after they
are committed, so that nobody who writes one waits for another. Now and then the newest link is told to the world, signed
(``covey.audit.anchored.v1``): so the end of the chain cannot be cut off either, and nothing up to an anchor can be written
anew by whoever has all of the database.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from covey_chassis.outbox import emit_rows
from covey_chassis.service import Context
from covey_contracts.identity import AuditAnchored
from joserfc import jws
from joserfc.jwk import OKPKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.settings import Settings
from covey_identity.signing import signing_of

Row = Mapping[str, Any]

BEGINNING = bytes(32)
"""What the first link has before it."""
CHAIN = "identity"
PAGE = 200
ANCHOR_S = 60
"""So long the newest link may stand without an anchor."""
ALGORITHM = "Ed25519"
TYPE = "covey-audit+jws"
"""So that no anchor passes for anything else that is signed with the same key."""


def link_hash(before: bytes, number: int, entry: Row, changes: Sequence[Row]) -> bytes:
    """The hash of a link.

    Args:
        before: the hash of the link before.
        number: of this link.
        entry: a row of ``audit_entry``.
        changes: the rows of ``access_log`` that the entry names, by revision.
    """
    written = json.dumps(
        {"entry": dict(entry), "changes": [dict(each) for each in changes]},
        sort_keys=True,
        separators=(",", ":"),
        default=_plain,
    )
    return hashlib.sha256(before + number.to_bytes(8) + written.encode()).digest()


def _plain(value: object) -> str:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else str(value)


async def link_entries(context: Context) -> bool:
    """Link a page of entries, and anchor the newest link when it is time; whether more may wait."""
    assert isinstance(context.settings, Settings)
    key = signing_of(context.settings).key
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
    said = json.dumps({"chain": CHAIN, "number": number, "hash": newest.hex()}, sort_keys=True)
    signed = jws.serialize_compact({"alg": ALGORITHM, "kid": key.kid, "typ": TYPE}, said, key, algorithms=[ALGORITHM])
    return AuditAnchored(chain=CHAIN, number=number, hash=newest.hex(), signed=signed)


async def changes_of(session: AsyncSession, entries: Iterable[Row]) -> dict[Any, list[Row]]:
    """What each of the entries has changed."""
    found: dict[Any, list[Row]] = {}
    for entry in entries:
        revs = {"first": entry["first_rev"], "last": entry["last_rev"]}
        found[entry["id"]] = [] if revs["first"] is None else list((await session.execute(_CHANGES, revs)).mappings())
    return found


_ALONE = text("SELECT pg_try_advisory_xact_lock(hashtextextended('audit chain', 0))")
_HEAD = text("SELECT number, hash FROM audit_link ORDER BY number DESC LIMIT 1")
_WAITING = text(
    """
    SELECT entry.* FROM audit_waiting AS waiting JOIN audit_entry AS entry ON entry.id = waiting.entry_id
     ORDER BY entry.id LIMIT :page
    """
)
_CHANGES = text("SELECT * FROM access_log WHERE rev BETWEEN :first AND :last ORDER BY rev")
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
