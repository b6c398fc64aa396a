"""A group is there, or something about it is different now: the copy follows, and its plans are known."""

from covey_chassis.copies import keep_newer
from covey_contracts.membership import GroupState
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.plan import GroupPlan, KnownPlan
from covey_transactions.domain.renewal import Group


async def keep_group(session: AsyncSession, group: GroupState, *, sequence: int) -> None:
    """Keep the group and what it offers as they are now, if this is news.

    Old or new, it tells that the carrier offers these plans there: what is known so stays known.
    """
    plans = sorted({(plan.plan_year, plan.plan_id) for plan in group.plans})
    if plans:
        known = [
            {"market_region": group.market_region, "plan_year": plan_year, "plan_id": plan_id}
            for plan_year, plan_id in plans
        ]
        await session.execute(insert(KnownPlan).values(known).on_conflict_do_nothing())
    is_news = await keep_newer(
        session,
        Group,
        sequence=sequence,
        group_id=group.group_id,
        group_number=group.group_number,
        legal_name=group.legal_name,
        market_region=group.market_region,
    )
    if not is_news:
        return
    await session.execute(delete(GroupPlan).where(GroupPlan.group_id == group.group_id))
    if plans:
        offered = [
            {"group_id": group.group_id, "plan_year": plan_year, "plan_id": plan_id} for plan_year, plan_id in plans
        ]
        await session.execute(insert(GroupPlan).values(offered))
