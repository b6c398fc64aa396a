"""Groups are there, or something about them is different now: the copies follow, and their plans are known."""

from collections.abc import Collection, Sequence

from covey_chassis.consumer import Arrived
from covey_chassis.copies import keep_all_newer
from covey_chassis.db import Base
from covey_contracts.membership import GroupState
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.plan import GroupPlan, KnownPlan
from covey_transactions.domain.renewal import Group


async def keep_groups(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> None:
    """Keep the groups and what they offer as they are now, as far as this is news.

    Old or new, each tells that the carrier offers these plans there: what is known so stays known.
    """
    known = {(each.event.market_region, plan.plan_year, plan.plan_id) for each in arrived for plan in each.event.plans}
    await _insert(session, KnownPlan, ("market_region", "plan_year", "plan_id"), known)
    news = await _kept(session, arrived)
    await session.execute(delete(GroupPlan).where(GroupPlan.group_id.in_([each.event.group_id for each in news])))
    offered = {(each.event.group_id, plan.plan_year, plan.plan_id) for each in news for plan in each.event.plans}
    await _insert(session, GroupPlan, ("group_id", "plan_year", "plan_id"), offered)


async def _kept(session: AsyncSession, arrived: Sequence[Arrived[GroupState]]) -> list[Arrived[GroupState]]:
    """Keep the newest of each group; those of them that are the copy now.

    Asked afterwards, when the copies are held: another process may have had a newer event meanwhile.
    """
    newest = {each.event.group_id: each for each in sorted(arrived, key=lambda each: each.envelope.place)}
    await keep_all_newer(session, Group, [_copy(newest[group_id]) for group_id in sorted(newest)])
    copies = select(Group.group_id, Group.sequence).where(Group.group_id.in_(newest))
    stands = {row.group_id: row.sequence for row in await session.execute(copies)}
    return [each for group_id, each in newest.items() if stands[group_id] == each.envelope.place]


async def _insert(
    session: AsyncSession, kind: type[Base], columns: Sequence[str], rows: Collection[tuple[object, ...]]
) -> None:
    """Insert the rows that are not there, each by itself: a statement takes no more than 32,767 parameters."""
    if rows:
        values = [dict(zip(columns, row, strict=True)) for row in sorted(rows)]
        await session.execute(insert(kind).on_conflict_do_nothing(), values)


def _copy(each: Arrived[GroupState]) -> dict[str, object]:
    group = each.event
    return {
        "group_id": group.group_id,
        "sequence": each.envelope.place,
        "group_number": group.group_number,
        "legal_name": group.legal_name,
        "market_region": group.market_region,
    }
