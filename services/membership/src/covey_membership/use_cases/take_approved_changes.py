"""The carrier has approved what a group offers in its coming plan year."""

from covey_chassis.outbox import emit
from covey_contracts.transactions import ReviewApproved
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_membership.domain.group import Group, GroupNotKnownYet, Seal


async def take_approved_changes(session: AsyncSession, approved: ReviewApproved, *, seal: Seal) -> None:
    """Let the group offer the plans that its classes have by an approved renewal; tell the world if that is any different.

    Once for each transaction, ever: that it was taken is remembered, so that nothing that comes again undoes what the
    carrier has changed since.

    Raises:
        GroupNotKnownYet: there is no such group, or not yet.
        PlansNotAcceptable: no group can have such plans.
    """
    changes = approved.renewal_changes
    if changes is None:
        return
    group = await session.get(Group, approved.group_id, with_for_update=True)
    if group is None:
        raise GroupNotKnownYet(id=approved.group_id)
    remembered = await session.execute(_REMEMBER, {"id": approved.transaction_id, "group_id": group.group_id})
    if remembered.first() is None:
        return
    plan_ids = {plan_id for each in changes.classes for plan_id in each.plan_ids}
    changed = group.change(group.profile.offering(changes.plan_year, plan_ids), seal=seal)
    if changed is not None:
        emit(session, group, changed)


_REMEMBER = text(
    """
    INSERT INTO taken_approval (transaction_id, group_id) VALUES (:id, :group_id)
    ON CONFLICT DO NOTHING
    RETURNING 1
    """
)
