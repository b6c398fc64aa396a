"""A primary administrator gives rights to the group's broker of record, for all of the firm's members."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.outbox import emit
from covey_contracts.identity import GrantRole, GrantStatus
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.access_change import AccessChange, ChangeKind
from covey_identity.domain.firm import NotBrokerOfRecord
from covey_identity.domain.grant import Grant, Scope, UserAlreadyThere
from covey_identity.ledger import lock_ledger
from covey_identity.progress import start_change
from covey_identity.use_cases.add_user import check_delegable, check_units


async def grant_firm(
    session: AsyncSession, actor: Actor, group_id: UUID, firm_id: UUID, scope: Scope, *, at: datetime
) -> tuple[Grant, AccessChange]:
    """Give the firm the same rights or fewer; active at once, until the appointment ends at the latest.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        MoreThanYouHold: that is more than the actor holds.
        NotBrokerOfRecord: the firm is not the group's broker of record.
        UserAlreadyThere: the firm has a grant already: change that one.
        Invalid: the group has no such billing unit.
    """
    ledger = await lock_ledger(session)
    giver = await queries.giving_grant(session, group_id, actor.account_id)
    check_delegable(scope, giver)
    await check_units(session, group_id, scope.billing_units)
    appointment = await queries.lasting_appointment(session, group_id)
    if appointment is None or appointment.firm_id != firm_id:
        raise NotBrokerOfRecord
    if any(each.firm_id == firm_id for each in await queries.grants_to_firm(session, group_id, firm_id)):
        raise UserAlreadyThere
    grant = Grant(
        group_id=group_id,
        role=GrantRole.SECONDARY,
        firm_id=firm_id,
        rights=sorted(scope.rights),
        billing_units=None if scope.billing_units is None else sorted(scope.billing_units),
        status=GrantStatus.ACTIVE,
        given_by=actor.account_id,
        giving_grant=giver.id,
        since=at,
    )
    session.add(grant)
    emit(session, grant, grant.give())
    await ledger.record("firm-grant.given", Author.of(actor, "primary administrator"), [grant.fact()])
    change = start_change(
        session,
        ledger,
        ChangeKind.GRANTED,
        group_id=group_id,
        firm_id=firm_id,
        requested_by=actor.account_id,
        at=at,
    )
    return grant, change
