"""The audit (R-12): who did what, when, from where, on whose authority, and what came of it. One entry an act.

An entry is written in the transaction of what it tells of, and what was refused in one of its own, as the other is rolled
back. It holds IDs, and never a value that was typed. What facts of access the act changed stands in ``access_log``, by the
revisions that the entry names. Neither is ever changed: the roles that this service runs with cannot, and ``audit_chain``
shows whether somebody else has.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.envelope import current_cause
from covey_chassis.errors import Refusal
from covey_chassis.ids import new_id
from covey_chassis.service import Context
from covey_chassis.telemetry import current_trace_id
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


class Outcome(StrEnum):
    """What came of an act."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class Author:
    """Who acts, and on whose authority: a primary administrator, staff, an operator, the carrier's book, oneself."""

    authority: str
    account_id: UUID | None = None
    session_id: UUID | None = None

    @classmethod
    def of(cls, actor: Actor, authority: str) -> Self:
        return cls(authority, actor.account_id, actor.session_id)


NOBODY = Author("nobody")
"""Whoever has not shown yet who they are."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One act."""

    act: str
    author: Author
    outcome: Outcome = Outcome.DONE
    subject_id: UUID | None = None
    """Whose account it is about."""
    group_id: UUID | None = None
    revs: tuple[int, int] | None = None
    """The first and the last revision that it made."""
    details: Mapping[str, str | int] = field(default_factory=dict)


async def audit(session: AsyncSession, entry: Entry) -> None:
    """Write an entry down, if the transaction commits."""
    cause = current_cause()
    await session.execute(
        _WRITE,
        {
            "id": new_id(),
            "act": entry.act,
            "outcome": entry.outcome.value,
            "authority": entry.author.authority,
            "account_id": entry.author.account_id,
            "session_id": entry.author.session_id,
            "subject_id": entry.subject_id,
            "group_id": entry.group_id,
            "first_rev": entry.revs and entry.revs[0],
            "last_rev": entry.revs and entry.revs[1],
            "details": json.dumps(dict(entry.details)),
            "origin": cause and cause.origin,
            "correlation_id": cause and cause.correlation_id,
            "trace_id": current_trace_id(),
        },
    )


async def audit_refusal(
    context: Context,
    act: str,
    author: Author,
    why: str,
    *,
    subject_id: UUID | None = None,
    group_id: UUID | None = None,
) -> None:
    """Write down that something was refused, whatever becomes of the request.

    It takes a connection of its own, of the workers': requests that each hold one of theirs must not wait for another.
    """
    entry = Entry(
        act=act,
        author=author,
        outcome=Outcome.REFUSED,
        subject_id=subject_id,
        group_id=group_id,
        details={"why": why},
    )
    async with context.workers.transaction() as session:
        await audit(session, entry)


@dataclass
class About:
    """What is known so far of who acts and on whom: more of it in the course of an act."""

    author: Author = NOBODY
    subject_id: UUID | None = None
    group_id: UUID | None = None


@asynccontextmanager
async def refusals_audited(context: Context, act: str, author: Author = NOBODY) -> AsyncIterator[About]:
    """Write down what the block refuses, with what is known then, and let it go on."""
    about = About(author, author.account_id)
    try:
        yield about
    except Refusal as why:
        await audit_refusal(
            context, act, about.author, why.code(), subject_id=about.subject_id, group_id=about.group_id
        )
        raise


_WRITE = text(
    """
    WITH entry AS (
        INSERT INTO audit_entry (id, act, outcome, authority, account_id, session_id, subject_id, group_id,
                                 first_rev, last_rev, details, origin, correlation_id, trace_id)
        VALUES (:id, :act, :outcome, :authority, :account_id, :session_id, :subject_id, :group_id,
                :first_rev, :last_rev, CAST(:details AS jsonb), :origin, :correlation_id, :trace_id)
        RETURNING id
    )
    INSERT INTO audit_waiting (entry_id) SELECT id FROM entry
    """
)
