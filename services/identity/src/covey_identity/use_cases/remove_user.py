"""Somebody is removed from a group: from that moment they see nothing of it, anywhere."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor, StaffRight
from covey_contracts.identity import GrantRole, GrantStatus
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries, queries_accounts
from covey_identity.audit import Author
from covey_identity.domain.access_change import AccessChange, ChangeKind
from covey_identity.domain.grant import Grant, PrimaryIsTheCarriers
from covey_identity.ledger import lock_ledger
from covey_identity.progress import start_change
from covey_identity.use_cases.cut_off import cut_off_person, remove_grants


async def remove_user(
    session: AsyncSession, actor: Actor, group_id: UUID, grant_id: UUID, *, at: datetime
) -> AccessChange:
    """Remove a user, or a firm's grant; a primary administrator is removed by the carrier, with all that was delegated.

    The carrier can also take back that it invited somebody as the next primary: that removes nothing else of theirs.

    So can both with what was offered to somebody who is the primary by now.

    Raises:
        NotYours: the actor is neither the group's primary administrator nor staff.
        UserNotFound: there is no such user.
        PrimaryIsTheCarriers: the user is the primary, and the actor is not staff.
    """
    ledger = await lock_ledger(session)
    by_carrier = await queries.is_staff(session, actor.account_id, StaffRight.ACCESS_APPROVE)
    if not by_carrier:
        await queries.giving_grant(session, group_id, actor.account_id)
    author = Author.of(actor, "carrier" if by_carrier else "primary administrator")
    grant = await queries.grant_in(session, group_id, grant_id)
    if grant.role is GrantRole.PRIMARY and not by_carrier:
        raise PrimaryIsTheCarriers
    kind, account_id = ChangeKind.CHANGED, None
    if grant.firm_id is not None:  # as broker of record it still sees what that gives
        await ledger.record("firm-grant.removed", author, await remove_grants(session, [grant], at=at))
    elif grant.status is GrantStatus.INVITED and await _is_only_an_offer(session, grant):
        await ledger.record("invitation.withdrawn", author, await remove_grants(session, [grant], at=at))
    else:
        kind = ChangeKind.REMOVED
        account_id = await cut_off_person(session, ledger, author, grant, by_carrier=by_carrier, at=at)
    return start_change(
        session,
        ledger,
        kind,
        group_id=group_id,
        account_id=account_id,
        firm_id=grant.firm_id,
        requested_by=actor.account_id,
        at=at,
    )


async def _is_only_an_offer(session: AsyncSession, grant: Grant) -> bool:
    """Whether somebody invited keeps what they hold: the next primary, or the present one, who was invited before."""
    if grant.role is GrantRole.PRIMARY:
        return True
    assert grant.email is not None  # a firm is not invited
    primary = await queries.primary_grant(session, grant.group_id)
    return primary is not None and primary.account_id == await queries_accounts.owner_of_address(session, grant.email)
