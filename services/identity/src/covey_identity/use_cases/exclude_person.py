"""A primary administrator takes the sight that a firm gives away from one of its people, or gives it back."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.access_change import AccessChange, ChangeKind
from covey_identity.domain.exclusion import Exclusion
from covey_identity.domain.grant import UserNotFound
from covey_identity.ledger import lock_ledger
from covey_identity.progress import start_change
from covey_identity.use_cases.cut_off import exclude, remove_person


async def exclude_person(
    session: AsyncSession, actor: Actor, group_id: UUID, account_id: UUID, *, at: datetime
) -> AccessChange:
    """Remove a person of the broker's firm from the group: what the firm holds, and what is theirs, codes too.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        UserNotFound: the person sees nothing of the group.
        PrimaryIsTheCarriers: the person is the primary, or invited as such.
    """
    ledger = await lock_ledger(session)
    await queries.giving_grant(session, group_id, actor.account_id)
    if not await queries.sees_group(session, account_id, group_id):
        raise UserNotFound(id=account_id)
    author = Author.of(actor, "primary administrator")
    await remove_person(session, ledger, author, group_id, account_id, by_carrier=False, at=at)
    await exclude(session, ledger, author, group_id, account_id)
    return start_change(
        session,
        ledger,
        ChangeKind.REMOVED,
        group_id=group_id,
        account_id=account_id,
        requested_by=actor.account_id,
        at=at,
    )


async def readmit_person(
    session: AsyncSession, actor: Actor, group_id: UUID, account_id: UUID, *, at: datetime
) -> AccessChange:
    """Let what the person's firm holds in the group be theirs again.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        UserNotFound: the person is not excluded.
    """
    ledger = await lock_ledger(session)
    await queries.giving_grant(session, group_id, actor.account_id)
    query = select(Exclusion).where(
        Exclusion.group_id == group_id, Exclusion.account_id == account_id, Exclusion.active.is_(True)
    )
    exclusion = (await session.scalars(query)).one_or_none()
    if exclusion is None:
        raise UserNotFound(id=account_id)
    exclusion.active = False
    await ledger.record("person.readmitted", Author.of(actor, "primary administrator"), [exclusion.fact()])
    return start_change(
        session,
        ledger,
        ChangeKind.GRANTED,
        group_id=group_id,
        account_id=account_id,
        requested_by=actor.account_id,
        at=at,
    )
