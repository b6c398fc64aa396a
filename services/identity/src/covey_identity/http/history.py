"""Who can see a group, and who could on a day; what was done, by whom (R-12)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from covey_chassis.access import By, Right, StaffRight, requires, staff
from covey_chassis.acts import shows_sensitive
from covey_chassis.errors import FieldError, Invalid
from covey_chassis.http import After, Ctx, Limit, Page, Session, page_of, service_router
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries_history as queries
from covey_identity.domain.account import Account
from covey_identity.queries_history import CONCERNED_MAX, AuditEntry, Concerned

groups = service_router(prefix="/v1/groups/{group_id}", tags=["history"])
entries = service_router(prefix="/v1/audit", tags=["history"])

Day = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2999, 12, 31))]

MANAGING = requires(Right.ACCESS_MANAGE, or_staff=(StaffRight.ACCESS_APPROVE,))


class SeenBy(BaseModel):
    """Somebody can see the group, or could, with these rights, for this time."""

    model_config = ConfigDict(from_attributes=True)

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    program_name: str | None
    firm_id: Annotated[UUID | None, Field(description="Through which firm; null for a grant of their own.")]
    firm_name: str | None
    rights: list[str]
    billing_units: Annotated[list[str] | None, Field(description="Null means all.")]
    since: datetime
    until: Annotated[datetime | None, Field(description="Null while it lasts.")]


class SeenByAnswer(BaseModel):
    """Who can see the group, or could, by name."""

    items: list[SeenBy]
    complete: Annotated[bool, Field(description="False when there are more: a thousand are shown at most.")]


class Subject(BaseModel):
    """Somebody whom an act was about."""

    account_id: UUID
    user_id: str | None


class GrantConcerned(BaseModel):
    """A grant that an act was about."""

    model_config = ConfigDict(from_attributes=True)

    grant_id: UUID
    name: Annotated[str, Field(description="Of the person who holds it, or was invited, or of the firm.")]
    email: Annotated[str | None, Field(description="To which the code went; null for a firm's.")]
    ended: Annotated[bool, Field(description="Whether somebody held it, and has lost it by this act.")]
    rights: Annotated[list[str], Field(description="What it gives or offers from then on, or gave until then.")]
    billing_units: Annotated[list[str] | None, Field(description="Null means all.")]


class ActView(BaseModel):
    """An act in a group: who, what, when, on whose authority, and what came of it."""

    entry_id: UUID
    at: datetime
    act: str
    outcome: Annotated[str, Field(description="`done` or `refused`.")]
    authority: str
    account_id: Annotated[UUID | None, Field(description="Who acted; null for the carrier's own systems.")]
    user_id: str | None
    subjects: Annotated[list[Subject], Field(description="Whose accounts it was about; the first 20 of them.")]
    grants: Annotated[list[GrantConcerned], Field(description="Whose rights it was about; the first 20 of them.")]


class EntryView(ActView):
    """The same, as staff see it: from where, too."""

    written_at: Annotated[datetime, Field(description="When it was written down: later than what other services did.")]
    session_id: UUID | None
    group_id: Annotated[UUID | None, Field(description="Null when it was about none, or about several.")]
    groups: Annotated[int, Field(description="About how many it was.")]
    details: dict[str, str | int]
    origin: Annotated[str | None, Field(description="The address that the request came from.")]
    correlation_id: str | None
    trace_id: str | None


@groups.get("/seen-by", dependencies=[MANAGING], summary="Who can see the group, or could on a day")
async def read_seen_by(
    group_id: UUID,
    session: Session,
    ctx: Ctx,
    on: Annotated[Day | None, Query(description="In the carrier's time zone; now, when it is left out.")] = None,
) -> SeenByAnswer:
    """Everybody who held a right in the group at any moment of that day, alone or through a firm.

    The carrier's staff see every group by their office; they are not among them.

    Raises:
        Invalid: the day has not come yet.
    """
    begins = ends = ctx.clock.now()
    if on is not None:
        if on > begins.astimezone(ctx.clock.zone).date():
            raise Invalid(FieldError("query:on", "has not come yet"))
        begins = datetime.combine(on, time.min, ctx.clock.zone).astimezone(UTC)
        ends = datetime.combine(on + timedelta(days=1), time.min, ctx.clock.zone).astimezone(UTC)
        ends -= timedelta(microseconds=1)
    found, complete = await queries.who_saw(session, group_id, begins, ends)
    return SeenByAnswer(items=[SeenBy.model_validate(each) for each in found], complete=complete)


@groups.get("/audit", dependencies=[MANAGING], summary="What was done in the group, the latest first")
async def list_acts(group_id: UUID, by: By, session: Session, limit: Limit, after: After) -> Page[ActView]:
    """Changes of access, codes, decisions, and what was done in other services.

    Not who tried something without any right, and not how reviewers share their work: staff read of those.
    """
    if by.has_staff_right((StaffRight.ACCESS_APPROVE,)):
        shows_sensitive(session)
    query = queries.acts_in(group_id)
    found, following = await page_of(session, query, by=[AuditEntry.id], limit=limit, after=after, descending=True)
    names, grants = await _user_ids(session, found), await queries.grants_concerned(session, found, group_id)
    return Page(items=[ActView(**_act(each, names, grants)) for each in found], next=following)


@entries.get("", dependencies=[staff(StaffRight.ACCESS_APPROVE)], summary="What was done, the latest first")
async def list_entries(
    session: Session,
    limit: Limit,
    after: After,
    group_id: Annotated[UUID | None, Query(description="Only in this group.")] = None,
    account_id: Annotated[UUID | None, Query(description="Only by this account, or about it.")] = None,
) -> Page[EntryView]:
    shows_sensitive(session)
    query = queries.entries(group_id=group_id, account_id=account_id)
    found, following = await page_of(session, query, by=[AuditEntry.id], limit=limit, after=after, descending=True)
    names, grants = await _user_ids(session, found), await queries.grants_concerned(session, found, group_id)
    items = [
        EntryView(
            **_act(each, names, grants),
            written_at=each.at,
            session_id=each.session_id,
            group_id=each.groups[0] if len(each.groups) == 1 else None,
            groups=len(each.groups),
            details=each.details,
            origin=each.origin,
            correlation_id=each.correlation_id,
            trace_id=each.trace_id,
        )
        for each in found
    ]
    return Page(items=items, next=following)


async def _user_ids(session: AsyncSession, found: list[AuditEntry]) -> dict[UUID | None, str]:
    accounts = {each.account_id for each in found if each.account_id}
    accounts |= {subject for each in found for subject in each.subjects[:CONCERNED_MAX]}
    rows = await session.execute(select(Account.id, Account.user_id).where(Account.id.in_(accounts)))
    return {row.id: row.user_id for row in rows}


def _act(entry: AuditEntry, names: dict[UUID | None, str], grants: Mapping[UUID, list[Concerned]]) -> dict[str, object]:
    return {
        "entry_id": entry.id,
        "at": entry.happened_at,
        "act": entry.act,
        "outcome": entry.outcome,
        "authority": entry.authority,
        "account_id": entry.account_id,
        "user_id": names.get(entry.account_id),
        "subjects": [Subject(account_id=each, user_id=names.get(each)) for each in entry.subjects[:CONCERNED_MAX]],
        "grants": [GrantConcerned.model_validate(each) for each in grants.get(entry.id, ())],
    }
