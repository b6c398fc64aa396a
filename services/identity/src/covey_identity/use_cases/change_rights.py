"""A primary administrator changes what somebody may do."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.outbox import emit
from covey_chassis.versions import check_version
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.access_change import AccessChange, ChangeKind
from covey_identity.domain.grant import Grant, Scope
from covey_identity.ledger import lock_ledger
from covey_identity.progress import start_change
from covey_identity.use_cases.add_user import check_delegable, check_units


async def change_rights(
    session: AsyncSession, actor: Actor, group_id: UUID, grant_id: UUID, version: int, scope: Scope, *, at: datetime
) -> tuple[Grant, AccessChange | None]:
    """Let the holder have these rights from now on. None when nothing changes.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        UserNotFound: there is no such user.
        StaleVersion: it has changed since it was read.
        MoreThanYouHold: that is more than the actor holds.
        PrimaryHoldsEverything: the holder is the primary.
        Invalid: the group has no such billing unit.
    """
    ledger = await lock_ledger(session)
    giver = await queries.giving_grant(session, group_id, actor.account_id)
    grant = await queries.grant_in(session, group_id, grant_id)
    check_version(grant, version)
    check_delegable(scope, giver)
    await check_units(session, group_id, scope.billing_units)
    changed = grant.change_rights(scope, at=at)
    if changed is None:
        return grant, None
    emit(session, grant, changed)
    await ledger.record("rights.changed", Author.of(actor, "primary administrator"), [grant.fact()])
    return grant, start_change(
        session,
        ledger,
        ChangeKind.CHANGED,
        group_id=group_id,
        account_id=grant.account_id,
        firm_id=grant.firm_id,
        requested_by=actor.account_id,
        at=at,
    )
