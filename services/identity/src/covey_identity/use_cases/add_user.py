"""A primary administrator delegates rights to somebody, by an access code sent to their address."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.errors import FieldError, Invalid
from covey_chassis.outbox import emit
from covey_contracts.identity import GrantRole
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries, queries_accounts
from covey_identity.audit import Author
from covey_identity.domain.grant import Grant, MoreThanYouHold, Scope, UserAlreadyThere
from covey_identity.domain.mail import Seal
from covey_identity.ledger import lock_ledger
from covey_identity.use_cases.issue_code import Drawn, issue_code


@dataclass(frozen=True)
class Invited:
    """Whom a primary administrator adds."""

    first_name: str
    last_name: str
    email: str
    language: str


async def add_user(
    session: AsyncSession,
    actor: Actor,
    group_id: UUID,
    invited: Invited,
    scope: Scope,
    drawn: Drawn,
    *,
    seal: Seal,
    at: datetime,
) -> Grant:
    """Offer the same rights or fewer. They become active when the person redeems the code.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        MoreThanYouHold: that is more than the actor holds.
        UserAlreadyThere: the address has been added already, or the person has access, by whatever address.
        Invalid: the group has no such billing unit.
    """
    ledger = await lock_ledger(session)
    giver = await queries.giving_grant(session, group_id, actor.account_id)
    check_delegable(scope, giver)
    await check_units(session, group_id, scope.billing_units)
    owner = await queries_accounts.owner_of_address(session, invited.email)
    # Not by the owner's other addresses: that two are one person's is nobody's to learn. Of two offers one is redeemed.
    if await queries.grants_to(session, group_id, accounts=[owner] if owner else [], emails=[invited.email]):
        raise UserAlreadyThere
    grant = Grant(
        group_id=group_id,
        role=GrantRole.SECONDARY,
        first_name=invited.first_name,
        last_name=invited.last_name,
        email=invited.email,
        language=invited.language,
        rights=sorted(scope.rights),
        billing_units=None if scope.billing_units is None else sorted(scope.billing_units),
        given_by=actor.account_id,
        giving_grant=giver.id,
        since=at,
    )
    session.add(grant)
    emit(session, grant, grant.give())
    author = Author.of(actor, "primary administrator")
    await issue_code(session, grant, drawn, author, seal=seal, at=at)
    await ledger.record("user.added", author, [grant.fact()])
    return grant


def check_delegable(scope: Scope, giver: Grant) -> None:
    """Nobody gives more than they hold.

    Raises:
        MoreThanYouHold: this is more.
    """
    if not scope.within(giver.scope):
        raise MoreThanYouHold


async def check_units(session: AsyncSession, group_id: UUID, billing_units: Collection[str] | None) -> None:
    """Refuse billing units that the group does not have.

    Raises:
        Invalid: it names one.
    """
    known = set((await queries.group_of(session, group_id)).billing_units)
    if set(billing_units or ()) - known:
        raise Invalid(FieldError("/billing_units", "names a billing unit that the group does not have"))
