"""Named reads of what was: who could see a group, and what was done."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
CONCERNED_MAX = 20
"""So many of whom an act concerns are named."""


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
class Concerned:
    """A grant that an act was about: whose, and what it gives or offers from then on, or, ``ended``, gave until then.

    A firm has no address. Of a code that was sent no rights are told: they stand where they were given.
    """

    grant_id: UUID
    name: str
    email: str | None
    ended: bool
    rights: list[str]
    billing_units: list[str] | None


async def grants_concerned(
    session: AsyncSession, acts: Sequence[AuditEntry], group_id: UUID | None = None
) -> Mapping[UUID, list[Concerned]]:
    """By entry, the grants that acts were about, 20 of each, whoever acted first; only in this group, where one is named.

    Whoever is invited has no account yet: an entry, which holds no names, knows them by what it made of their grant.
    """
    named = {"entries": [each.id for each in acts], "group_id": group_id, "max": CONCERNED_MAX}
    found: defaultdict[UUID, list[Concerned]] = defaultdict(list)
    for entry_id, *concerned in await session.execute(_CONCERNED, named):
        found[entry_id].append(Concerned(*concerned))
    return found


_CONCERNED = text(
    """
    WITH told AS (
        -- As it is after the act: what passed to a new primary and went is one grant.
        SELECT DISTINCT ON (entry.id, log.fact ->> 'id')
               entry.id AS entry_id, entry.account_id AS author, log.rev, (log.fact ->> 'id')::uuid AS grant_id, log.fact
          FROM audit_entry AS entry
          JOIN access_log AS log ON log.rev BETWEEN entry.first_rev AND entry.last_rev AND log.fact ->> 'kind' = 'grant'
         WHERE entry.id = ANY(CAST(:entries AS uuid[]))
         ORDER BY entry.id, log.fact ->> 'id', log.rev DESC
    ), or_sent AS (
        SELECT * FROM told
        UNION ALL
        SELECT id, account_id, 0, (details ->> 'grant')::uuid, NULL
          FROM audit_entry WHERE id = ANY(CAST(:entries AS uuid[])) AND details ? 'grant' AND first_rev IS NULL
    ), concerned AS (
        SELECT or_sent.*, given.first_name, given.last_name, given.email, given.firm_id,
               row_number() OVER (
                   PARTITION BY entry_id ORDER BY given.account_id IS NOT DISTINCT FROM author DESC, rev, given.id
               ) AS place
          FROM or_sent JOIN access_grant AS given ON given.id = or_sent.grant_id
         WHERE CAST(:group_id AS uuid) IS NULL OR given.group_id = :group_id
    )
    SELECT entry_id, grant_id, coalesce(firm.firm_name, first_name || ' ' || last_name) AS name, email,
           fact IS NOT NULL AND NOT (fact ->> 'active')::boolean
           AND (fact ->> 'account_id' IS NOT NULL OR fact ->> 'firm_id' IS NOT NULL) AS ended,
           ARRAY(SELECT jsonb_array_elements_text(fact -> 'rights')) AS rights,
           CASE WHEN jsonb_typeof(fact -> 'billing_units') = 'array'
                THEN ARRAY(SELECT jsonb_array_elements_text(fact -> 'billing_units')) END AS billing_units
      FROM concerned LEFT JOIN firm ON firm.id = concerned.firm_id
     WHERE place <= :max
     ORDER BY entry_id, place
    """
)


async def origins_of(session: AsyncSession, account_id: UUID, sessions: Sequence[UUID]) -> dict[UUID, str | None]:
    """From where a person's sessions were begun, as their sign-ons were written down."""
    if not sessions:
        return {}
    query = select(AuditEntry.session_id, AuditEntry.origin).where(
        AuditEntry.account_id == account_id,
        AuditEntry.id > min(sessions),  # IDs are in the order of time: nothing of before the first of them is read
        AuditEntry.session_id.in_(sessions),
        AuditEntry.act.startswith("sign-on"),
    )
    return {row.session_id: row.origin for row in await session.execute(query)}


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
    has excluded. While an account is locked its holder sees nothing. The carrier's staff, who see every group by their
    office, are not among them.
    """
    named = {"group_id": group_id, "begins": begins, "ends": ends, "max": SEEN_MAX + 1}
    found = [Seen(**row) for row in (await session.execute(_WHO_SAW, named)).mappings()]
    return found[:SEEN_MAX], len(found) <= SEEN_MAX


_WHO_SAW = text(
    """
    WITH facts AS NOT MATERIALIZED (
        SELECT rev, at, fact ->> 'kind' AS kind, (fact ->> 'id')::uuid AS id, (fact ->> 'active')::boolean AS active,
               (fact ->> 'group_id')::uuid AS group_id, (fact ->> 'account_id')::uuid AS account_id,
               (fact ->> 'firm_id')::uuid AS firm_id, fact
          FROM access_log
    ), told AS (
        SELECT * FROM facts WHERE group_id = :group_id
    ), members AS (
        SELECT * FROM facts
         WHERE firm_id IN (SELECT firm_id FROM told WHERE firm_id IS NOT NULL) AND kind = 'membership'
    ), locks AS (
        SELECT * FROM facts
         WHERE account_id IN (SELECT account_id FROM told UNION SELECT account_id FROM members) AND kind = 'account'
    ), spans AS (
        SELECT each.*, tstzrange(at, CASE WHEN later IS NOT NULL THEN greatest(at, later) END) AS during
          FROM (
              SELECT *, lead(at) OVER (PARTITION BY kind, id ORDER BY rev) AS later
                FROM (SELECT * FROM told UNION ALL SELECT * FROM members UNION ALL SELECT * FROM locks) AS all_kinds
          ) AS each
    ), excluded AS (
        SELECT account_id, range_agg(during) AS during FROM spans WHERE kind = 'exclusion' AND active GROUP BY account_id
    ), locked AS (
        SELECT account_id, range_agg(during) AS during FROM spans WHERE kind = 'account' AND NOT active GROUP BY account_id
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
      LEFT JOIN locked ON locked.account_id = held.account_id
     CROSS JOIN LATERAL unnest(held.during - coalesce(locked.during, '{}')) AS span (during)
      JOIN account ON account.id = held.account_id
      LEFT JOIN firm ON firm.id = held.firm_id
     WHERE span.during && tstzrange(:begins, :ends, '[]') AND NOT isempty(span.during)
     ORDER BY account.last_name, account.first_name, account.id, since
     LIMIT :max
    """
)
