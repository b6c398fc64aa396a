"""The facts of access, as the service that owns them tells them and as every service keeps them.

A fact is a grant, exclusion, firm membership, appointment, staff right, ended session, locked account or program's key.
Each has the revision of its last change; a fact that no longer holds stays, with ``active`` false. The table is in every
service's database (``migrations/versions/0002_access.py``); the view ``access_held`` beside it says who holds what in which
group.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

LEASE_S = 2.0
"""How long a service may answer by the facts that it has, from just before it asked whether there are newer ones (L)."""
TRANSACTION_S = 5.0
"""How long a transaction of the request role may last: ``transaction_timeout``, set where its role is made."""
SILENT_S = 1.1 * (LEASE_S + TRANSACTION_S)
"""After so long a service that said nothing can have neither a lease nor a transaction from before left."""


class FactKind(StrEnum):
    """What a fact tells of."""

    GRANT = "grant"
    EXCLUSION = "exclusion"
    MEMBERSHIP = "membership"
    APPOINTMENT = "appointment"
    STAFF = "staff"
    SESSION = "session"
    """Of a session that has ended: never active."""
    ACCOUNT = "account"
    """Of an account that is locked, or was: active when it is not."""
    KEY = "key"
    """A program's registered public key, with which it signs commands; its ID is ``signing.key_id``."""


class Fact(BaseModel):
    """One fact of access as it is after its change."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: FactKind
    id: UUID
    rev: int = 0
    group_id: UUID | None = None
    account_id: UUID | None = None
    firm_id: UUID | None = None
    rights: tuple[str, ...] = ()
    billing_units: Annotated[tuple[str, ...] | None, Field(description="Null means all, later ones too.")] = None
    active: bool


class Poll(BaseModel):
    """What a service tells when it asks for news: how far it is, as it stands in its database."""

    model_config = ConfigDict(extra="forbid")

    seen_rev: int = Field(ge=0)
    seen_id: UUID | None = None
    acked_rev: int = Field(ge=0)
    server: str = Field(max_length=100, description="Which database server it has: a marker that changes with it.")
    wait: bool = Field(default=True, description="Wait for news for a moment when there are none.")


class News(BaseModel):
    """The facts that changed after what was seen, a page of them, by revision."""

    facts: tuple[Fact, ...] = ()
    rev: int
    id: UUID | None = Field(description="Names the revision: it is another one after a restore.")
    head: bool = Field(description="Nothing newer was there: only then may the service lease itself more time.")
    reload: bool = Field(default=False, description="What was seen is not known here: drop all, and begin again.")


_KEEP = text(
    """
    INSERT INTO access_fact (kind, id, rev, group_id, account_id, firm_id, rights, billing_units, active)
    VALUES (:kind, :id, :rev, :group_id, :account_id, :firm_id, CAST(:rights AS text[]),
            CAST(:billing_units AS text[]), :active)
    ON CONFLICT (kind, id) DO UPDATE
       SET rev = excluded.rev, group_id = excluded.group_id, account_id = excluded.account_id,
           firm_id = excluded.firm_id, rights = excluded.rights, billing_units = excluded.billing_units,
           active = excluded.active
     WHERE access_fact.rev < excluded.rev
    """
)


async def keep_facts(session: AsyncSession, facts: Sequence[Fact]) -> None:
    """Write the facts down; each is overwritten only by a higher revision of itself."""
    if facts:
        await session.execute(_KEEP, [_row(fact) for fact in facts])


def _row(fact: Fact) -> dict[str, object]:
    units = None if fact.billing_units is None else list(fact.billing_units)
    return fact.model_dump() | {"kind": fact.kind.value, "rights": list(fact.rights), "billing_units": units}
