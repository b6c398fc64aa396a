"""Named reads of what was: who could see a group, and what was done."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from covey_chassis.db import Base
from covey_contracts.acts import ActAuthority
from sqlalchemy import BigInteger, Select, Uuid, select, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from covey_identity.audit import HAPPENED_AT

SEEN_MAX = 1000


class AuditEntry(Base, kw_only=True):
    """One act, as it is read. ``audit.audit`` writes it, and nothing changes it."""

    __tablename__ = "audit_entry"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    act: Mapped[str]
    outcome: Mapped[str]
    authority: Mapped[str]
    account_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    subjects: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    groups: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    first_rev: Mapped[int | None] = mapped_column(BigInteger)
    last_rev: Mapped[int | None] = mapped_column(BigInteger)
    details: Mapped[dict[str, str | int]] = mapped_column(JSONB)
    origin: Mapped[str | None]
    correlation_id: Mapped[str | None]
    trace_id: Mapped[str | None]

    @property
    def happened_at(self) -> datetime:
        """When it was done, as the service says that it was done in; that it was written down here is later."""
        said = self.details.get(HAPPENED_AT)
        return datetime.fromisoformat(said) if isinstance(said, str) else self.at


AMONG_STAFF = ("transactions.claim", "transactions.release")
"""How reviewers share their work: nothing of it is the group's."""


def acts_in(group_id: UUID) -> Select[AuditEntry]:
    """What was done in a group, for those who manage access to it. Whoever has no right there does not write in it."""
    by_right = (AuditEntry.authority != ActAuthority.NONE.value, AuditEntry.act.not_in(AMONG_STAFF))
    return entries(group_id=group_id).where(*by_right)


def entries(*, group_id: UUID | None = None, account_id: UUID | None = None) -> Select[AuditEntry]:
    """Acts in a group, and acts of or about an account; all of them, when neither is named."""
    query = select(AuditEntry)
    if group_id is not None:
        query = query.where(AuditEntry.groups.contains([group_id]))
    if account_id is not None:
        query = query.where((AuditEntry.account_id == account_id) | AuditEntry.subjects.contains([account_id]))
    return query


@dataclass(frozen=True)
class Seen:
    """Somebody could see a group, with these rights, for this time."""

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    program_name: str | None
    firm_id: UUID | None
    firm_name: str | None
    rights: list[str]
    billing_units: list[str] | None
    since: datetime
    until: datetime | None


async def who_saw(session: AsyncSession, group_id: UUID, begins: datetime, ends: datetime) -> tuple[list[Seen], bool]:
    """Whoever held a right in the group at any moment from ``begins`` to ``ends``, by a grant of their own or a firm's.

    By name, a thousand spans at most; and whether these are all.

    As ``access_held`` says of the present: a firm's grants and appointments are its members', but for whom the primary
    has excluded. The carrier's staff, who see every group by their office, are not among them.
    """
    named = {"group_id": group_id, "begins": begins, "ends": ends, "max": SEEN_MAX + 1}
    found = [Seen(**row) for row in (await session.execute(_WHO_SAW, named)).mappings()]
    return found[:SEEN_MAX], len(found) <= SEEN_MAX


_WHO_SAW = text(
    """
    WITH told AS (
        SELECT rev, at, fact ->> 'kind' AS kind, (fact ->> 'id')::uuid AS id, (fact ->> 'active')::boolean AS active,
               (fact ->> 'account_id')::uuid AS account_id, (fact ->> 'firm_id')::uuid AS firm_id, fact
          FROM access_log WHERE (fact ->> 'group_id')::uuid = :group_id
    ), members AS (
        SELECT rev, at, fact ->> 'kind' AS kind, (fact ->> 'id')::uuid AS id, (fact ->> 'active')::boolean AS active,
               (fact ->> 'account_id')::uuid AS account_id, (fact ->> 'firm_id')::uuid AS firm_id, fact
          FROM access_log
         WHERE (fact ->> 'firm_id')::uuid IN (SELECT firm_id FROM told WHERE firm_id IS NOT NULL)
           AND fact ->> 'kind' = 'membership'
    ), spans AS (
        SELECT each.*, tstzrange(at, CASE WHEN later IS NOT NULL THEN greatest(at, later) END) AS during
          FROM (
              SELECT *, lead(at) OVER (PARTITION BY kind, id ORDER BY rev) AS later
                FROM (SELECT * FROM told UNION ALL SELECT * FROM members) AS both_kinds
          ) AS each
    ), excluded AS (
        SELECT account_id, range_agg(during) AS during FROM spans WHERE kind = 'exclusion' AND active GROUP BY account_id
    ), held AS (
        SELECT account_id, firm_id, fact, tstzmultirange(during) AS during
          FROM spans WHERE kind = 'grant' AND active AND account_id IS NOT NULL
        UNION ALL
        SELECT member.account_id, member.firm_id, firm.fact,
               tstzmultirange(firm.during * member.during) - coalesce(excluded.during, '{}')
          FROM spans AS member
          JOIN spans AS firm ON firm.firm_id = member.firm_id AND firm.kind IN ('grant', 'appointment') AND firm.active
          LEFT JOIN excluded ON excluded.account_id = member.account_id
         WHERE member.kind = 'membership' AND member.active
    )
    SELECT account.id AS account_id, account.user_id, account.first_name, account.last_name, account.program_name,
           firm.id AS firm_id, firm.firm_name,
           ARRAY(SELECT jsonb_array_elements_text(fact -> 'rights')) AS rights,
           CASE WHEN jsonb_typeof(fact -> 'billing_units') = 'array'
                THEN ARRAY(SELECT jsonb_array_elements_text(fact -> 'billing_units')) END AS billing_units,
           lower(span.during) AS since, upper(span.during) AS until
      FROM held
     CROSS JOIN LATERAL unnest(held.during) AS span (during)
      JOIN account ON account.id = held.account_id
      LEFT JOIN firm ON firm.id = held.firm_id
     WHERE span.during && tstzrange(:begins, :ends, '[]') AND NOT isempty(span.during)
     ORDER BY account.last_name, account.first_name, account.id, since
     LIMIT :max
    """
)
