"""Named reads: groups as they are searched for, groups that a file tells of, and the import that is next."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.domain.group import Group
from covey_membership.domain.group_import import GroupImport, ImportChunk, ImportFault, ImportStatus

IS_LEFT = GroupImport.status != ImportStatus.DONE
BY_NAME = (func.lower(Group.legal_name), Group.group_id)

_LOCK_NUMBERS = text(
    """
    SELECT pg_advisory_xact_lock(key)
      FROM (SELECT DISTINCT hashtextextended('group ' || number, 0) AS key
              FROM unnest(CAST(:numbers AS text[])) AS number ORDER BY key) AS keys
    """
)


def search(
    *, group_number: str | None, sought: str | None, market_region: str | None, firm_number: str | None
) -> Select[Group]:
    """Groups that fit all that is said. ``sought`` is any part of the legal name or of the number."""
    query = select(Group)
    if group_number is not None:
        query = query.where(Group.group_number == group_number)
    if sought is not None:
        query = query.where(
            or_(
                Group.legal_name.icontains(sought, autoescape=True),
                Group.group_number.icontains(sought, autoescape=True),
            )
        )
    if market_region is not None:
        query = query.where(Group.market_region == market_region)
    if firm_number is not None:
        query = query.where(Group.__table__.c.firm_number == firm_number)
    return query


async def hold_numbers(session: AsyncSession, numbers: Collection[str]) -> dict[str, Group]:
    """The groups that have these numbers, locked. Until the transaction ends nobody else can register one of the others.

    A number that no group has yet has no row to lock, so the numbers themselves are locked, in one order for all.
    """
    await session.execute(_LOCK_NUMBERS, {"numbers": list(numbers)})
    found = await session.scalars(
        select(Group).where(Group.group_number.in_(numbers)).order_by(Group.group_number).with_for_update(),
        execution_options={"populate_existing": True},
    )
    return {group.group_number: group for group in found}


async def next_import(session: AsyncSession) -> GroupImport | None:
    """The oldest import that is not done, locked; None when there is none, or somebody is working it right now.

    Never a later one: of two files that tell of the same group, the one that came last has the last word.
    """
    oldest = select(GroupImport.id).where(IS_LEFT).order_by(GroupImport.id).limit(1).scalar_subquery()
    return (
        await session.scalars(
            select(GroupImport).where(GroupImport.id == oldest, IS_LEFT).with_for_update(skip_locked=True)
        )
    ).one_or_none()


async def next_chunk(session: AsyncSession, import_id: UUID) -> ImportChunk | None:
    """The first rows of the file that were not worked yet."""
    query = select(ImportChunk).where(ImportChunk.import_id == import_id).order_by(ImportChunk.first_line).limit(1)
    return (await session.scalars(query)).one_or_none()


async def faults(session: AsyncSession, import_id: UUID, *, after: int, limit: int) -> list[ImportFault]:
    """A page of what is wrong in the file, in its order."""
    query = (
        select(ImportFault)
        .where(ImportFault.import_id == import_id, ImportFault.id > after)
        .order_by(ImportFault.id)
        .limit(limit)
    )
    return list(await session.scalars(query))
