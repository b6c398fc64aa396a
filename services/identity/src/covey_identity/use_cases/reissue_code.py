"""Another access code for somebody who was invited: the old one stops working."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor, StaffRight
from covey_contracts.identity import GrantRole
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.grant import Grant, PrimaryIsTheCarriers
from covey_identity.domain.mail import Seal
from covey_identity.ledger import lock_ledger
from covey_identity.use_cases.issue_code import Drawn, issue_code


async def reissue_code(
    session: AsyncSession, actor: Actor, group_id: UUID, grant_id: UUID, drawn: Drawn, *, seal: Seal, at: datetime
) -> Grant:
    """Issue a new code: a primary administrator's by the carrier, anybody else's by the primary.

    Raises:
        NotYours: the actor is neither the group's primary administrator nor staff.
        UserNotFound: there is no such user.
        PrimaryIsTheCarriers: the user is to be the primary, and the actor is not staff.
        IllegalMove: the user needs no code any more.
    """
    await lock_ledger(session)
    grant = await queries.grant_in(session, group_id, grant_id)
    if grant.role is GrantRole.PRIMARY:
        if not await queries.is_staff(session, actor.account_id, StaffRight.ACCESS_APPROVE):
            raise PrimaryIsTheCarriers
        author = Author.of(actor, "carrier")
    else:
        await queries.giving_grant(session, group_id, actor.account_id)
        author = Author.of(actor, "primary administrator")
    grant.invite_again()
    for code in await queries.issued_codes(session, [grant.id]):
        code.replace()
    await issue_code(session, grant, drawn, author, act="code.reissued", seal=seal, at=at)
    return grant
