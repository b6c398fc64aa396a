"""What somebody has access to themselves (R-06)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from covey_chassis.access import Actor, By, Right, StaffRight, requires, see_all_groups, signed_on
from covey_chassis.access.checking import Held
from covey_chassis.http import After, Ctx, Limit, Page, Session, page_of, refuses, service_router
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.domain.account import Account, AccountNotFound
from covey_identity.domain.group import GroupCopy

router = service_router(prefix="/v1/access", tags=["user access"])


class HeldView(BaseModel):
    """Rights that are held together, in some of the billing units; null means all, later ones too."""

    rights: list[Right]
    billing_units: list[str] | None


class GivenView(BaseModel):
    """By whom somebody's own grant was given."""

    by: Annotated[str | None, Field(description="Their name; null when the carrier gave it.")]
    since: datetime


class GroupAccess(BaseModel):
    """A group that somebody sees, and what they may do there."""

    group_id: UUID
    group_number: str
    legal_name: str
    market_region: str
    rights: Annotated[list[Right], Field(description="All that is held in any of its billing units.")]
    held: Annotated[list[HeldView], Field(description="Which of them where: by a grant of one's own, or a firm's.")]
    given: Annotated[list[GivenView], Field(description="Own grants; what is held through firms is none.")]
    through_firms: list[str]
    primary: Annotated[str | None, Field(description="The name of the group's primary administrator.")]


class OwnFirm(BaseModel):
    """A brokerage firm that somebody is a member of."""

    model_config = ConfigDict(from_attributes=True)

    firm_id: UUID
    firm_number: str
    firm_name: str


class OwnAccess(BaseModel):
    """Who somebody is to the carrier: staff, a broker, an employer, or nobody yet."""

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    market_region: str
    language: str
    staff: Annotated[list[StaffRight], Field(description="Rights as the carrier's staff, in all groups.")]
    firms: Annotated[list[OwnFirm], Field(description="By number.")]
    has_groups: Annotated[bool, Field(description="Whether there is any group that they see.")]
    codes_waiting: Annotated[int, Field(description="Access codes sent to an address of theirs, good and not entered.")]
    codes_expired: Annotated[
        int, Field(description="The same, good no longer: whoever gave them can have another sent.")
    ]


@router.get("", dependencies=[signed_on()], responses=refuses(AccountNotFound), summary="Who you are to the carrier")
async def read_own_access(by: By, session: Session, ctx: Ctx) -> OwnAccess:
    """To choose what to show somebody; what they may do is checked by each route."""
    account = await session.get(Account, by.account_id)
    if account is None:
        raise AccountNotFound(id=by.account_id)
    named = {"account_id": by.account_id, "at": ctx.clock.now()}
    firms = (await session.execute(_FIRMS, named)).all()
    await see_all_groups(session)  # codes wait in groups in which nothing is held yet
    waiting = (await session.execute(_WAITING, named)).one()
    return OwnAccess(
        account_id=account.id,
        user_id=account.user_id,
        first_name=account.first_name,
        last_name=account.last_name,
        market_region=account.market_region,
        language=account.language,
        staff=sorted(map(StaffRight, by.staff)),
        firms=[OwnFirm.model_validate(firm) for firm in firms],
        has_groups=waiting.has_groups,
        codes_waiting=waiting.codes,
        codes_expired=waiting.expired,
    )


@router.get("/groups", dependencies=[signed_on()], summary="The groups that you have access to")
async def list_own_groups(by: By, session: Session, limit: Limit, after: After) -> Page[GroupAccess]:
    """With what you may do there, and who the primary administrator is; exact at this moment."""
    held = text("group_copy.group_id IN (SELECT group_id FROM access_held WHERE account_id = :account_id)")
    query = select(GroupCopy).where(held.bindparams(account_id=by.account_id))
    groups, following = await page_of(session, query, by=[GroupCopy.group_id], limit=limit, after=after)
    return Page(items=await _access(session, by, groups), next=following)


@router.get("/groups/{group_id}", dependencies=[requires()], summary="What you have access to in one group")
async def read_own_group(group_id: UUID, by: By, session: Session) -> GroupAccess:
    (found,) = await _access(session, by, [await queries.group_of(session, group_id)])
    return found


async def _access(session: AsyncSession, by: Actor, groups: Sequence[GroupCopy]) -> list[GroupAccess]:
    """What somebody may do in these groups, by a few statements however many they are."""
    group_ids = [group.group_id for group in groups]
    named = {"account_id": by.account_id, "group_ids": group_ids}
    held: dict[UUID, list[Held]] = {group_id: [] for group_id in group_ids}
    for row in await session.execute(_HELD, named):
        units = None if row.billing_units is None else frozenset(row.billing_units)
        held[row.group_id].append(Held(frozenset(row.rights), units))
    firms: dict[UUID, set[str]] = {group_id: set() for group_id in group_ids}
    for row in await session.execute(_THROUGH_FIRMS, named):
        firms[row.group_id].add(row.firm_name)
    primaries = await queries.primaries_of(session, group_ids)
    given: dict[UUID, list[GivenView]] = {group_id: [] for group_id in group_ids}
    for row in await session.execute(_GIVEN, named):
        given[row.group_id].append(GivenView(by=row.name, since=row.since))
    found = []
    for group in groups:
        actor = Actor(by.account_id, by.session_id, frozenset(), group.group_id, tuple(held[group.group_id]))
        found.append(
            GroupAccess(
                group_id=group.group_id,
                group_number=group.group_number,
                legal_name=group.legal_name,
                market_region=group.market_region,
                rights=sorted({Right(right) for each in actor.held for right in each.rights}),
                held=[
                    HeldView(
                        rights=sorted(map(Right, each.rights)),
                        billing_units=None if each.billing_units is None else sorted(each.billing_units),
                    )
                    for each in actor.held
                ],
                given=given[group.group_id],
                through_firms=sorted(firms[group.group_id]),
                primary=primaries.get(group.group_id),
            )
        )
    return found


_FIRMS = text(
    """
    SELECT firm.id AS firm_id, firm.firm_number, firm.firm_name
      FROM firm_member AS member JOIN firm ON firm.id = member.firm_id
     WHERE member.account_id = :account_id AND member.ended_at IS NULL
     ORDER BY firm.firm_number
    """
)
_WAITING = text(
    """
    SELECT EXISTS (SELECT FROM access_held WHERE account_id = :account_id) AS has_groups,
           sent.codes, sent.expired
      FROM (
          SELECT count(*) FILTER (WHERE code.expires_at > :at) AS codes,
                 count(*) FILTER (WHERE code.expires_at <= :at) AS expired
            FROM account_address AS address
            JOIN access_grant AS given ON given.email_key = address.email_key AND given.status = 'invited'
            JOIN access_code AS code ON code.grant_id = given.id AND code.status = 'issued'
           WHERE address.account_id = :account_id
      ) AS sent
    """
)
_HELD = text(
    """
    SELECT group_id, rights, billing_units FROM access_held
     WHERE account_id = :account_id AND group_id = ANY(CAST(:group_ids AS uuid[]))
    """
)
_GIVEN = text(
    """
    SELECT own.group_id, own.since, giver.first_name || ' ' || giver.last_name AS name
      FROM access_grant AS own LEFT JOIN account AS giver ON giver.id = own.given_by
     WHERE own.account_id = :account_id AND own.status = 'active' AND own.group_id = ANY(CAST(:group_ids AS uuid[]))
     ORDER BY own.since
    """
)
_THROUGH_FIRMS = text(
    """
    SELECT fact.group_id, firm.firm_name
      FROM firm_member AS member
      JOIN firm ON firm.id = member.firm_id
      JOIN access_fact AS fact ON fact.firm_id = firm.id AND fact.active AND fact.kind IN ('grant', 'appointment')
     WHERE member.account_id = :account_id AND member.ended_at IS NULL AND fact.group_id = ANY(CAST(:group_ids AS uuid[]))
       AND NOT EXISTS (
           SELECT FROM access_fact AS excluded
            WHERE excluded.kind = 'exclusion' AND excluded.active
              AND excluded.account_id = member.account_id AND excluded.group_id = fact.group_id
       )
    """
)
