"""The audit (R-12): who did what, when, from where, on whose authority, and what came of it. One entry an act.

An entry is written in the transaction of what it tells of, and what was refused in one of its own, as the other is rolled
back. It holds IDs, and never a value that was typed. What facts of access the act changed stands in ``access_log``, by the
revisions that the entry names. Neither is ever changed: the roles that this service runs with cannot, and ``audit_chain``
shows whether somebody else has.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping
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

from covey_identity.attempts import TooManyAttempts
from covey_identity.passwords import TooBusy


class Outcome(StrEnum):
    """What came of an act."""

    DONE = "done"
    REFUSED = "refused"


HAPPENED_AT = "happened_at"
"""Among the details of what happened elsewhere: when. The entry's own time is when it was written down here."""


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
    subjects: Collection[UUID] = ()
    """Whose accounts it is about."""
    groups: Collection[UUID] = ()
    """Which groups it is about."""
    revs: tuple[int, int] | None = None
    """The first and the last revision that it made."""
    details: Mapping[str, str | int] = field(default_factory=dict)
    origin: str | None = None
    """From where it was done, where that was not this request."""


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
            "subjects": sorted(set(entry.subjects)),
            "groups": sorted(set(entry.groups)),
            "first_rev": entry.revs and entry.revs[0],
            "last_rev": entry.revs and entry.revs[1],
            "details": json.dumps(dict(entry.details)),
            "origin": entry.origin or (cause and cause.origin),
            "correlation_id": cause and cause.correlation_id,
            "trace_id": current_trace_id(),
        },
    )


@dataclass
class About:
    """What is known so far of whom an act is about: more in the course of it."""

    account_id: UUID | None = None


@asynccontextmanager
async def refusals_audited(
    context: Context, act: str, author: Author = NOBODY, *, session: AsyncSession | None = None
) -> AsyncIterator[About]:
    """Write down what the block refuses, with what is known then, and let the refusal go on.

    The entry takes a connection of its own, of the workers'. The request's transaction, of which nothing is left to be
    done, is rolled back before: what waits for a connection must hold no lock. That somebody has to wait is no entry:
    what it is that they have to wait for is.

    Args:
        context: the running service.
        act: what is tried.
        author: who tries it.
        session: the request's, where it has begun.
    """
    about = About(author.account_id)
    try:
        yield about
    except (TooManyAttempts, TooBusy):
        raise
    except Refusal as why:
        if session is not None:
            await session.rollback()
        entry = Entry(
            act=act,
            author=author,
            outcome=Outcome.REFUSED,
            subjects=[about.account_id] if about.account_id else [],
            details={"why": why.code()},
        )
        async with context.workers.transaction() as own:
            await audit(own, entry)
        raise


_WRITE = text(
    """
    WITH entry AS (
        INSERT INTO audit_entry (id, act, outcome, authority, account_id, session_id, subjects, groups,
                                 first_rev, last_rev, details, origin, correlation_id, trace_id)
        VALUES (:id, :act, :outcome, :authority, :account_id, :session_id, :subjects, :groups,
                :first_rev, :last_rev, CAST(:details AS jsonb), :origin, :correlation_id, :trace_id)
        RETURNING id
    )
    INSERT INTO audit_waiting (entry_id) SELECT id FROM entry
    """
)
