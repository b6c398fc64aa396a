"""Somebody has no access to a group any more: whatever gave it to them goes, in one range of revisions."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from covey_chassis.access.facts import Fact
from covey_chassis.outbox import emit
from covey_contracts.identity import GrantRole, GrantStatus
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries, queries_accounts
from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.exclusion import Exclusion
from covey_identity.domain.grant import Grant, PrimaryIsTheCarriers
from covey_identity.ledger import Ledger


async def cut_off_person(
    session: AsyncSession, ledger: Ledger, author: Author, grant: Grant, *, by_carrier: bool, at: datetime
) -> UUID | None:
    """Remove whose grant this is from its group, and exclude them from it if a firm of theirs still gives them sight.

    Somebody who was only invited is known by the address; as an account only if that sees the group already: whoever
    invites an address and takes that back is not told whether it has an account, or what else that has. The account, if it
    is known.

    Raises:
        PrimaryIsTheCarriers: the person is the group's primary, and it is not the carrier who removes them.
    """
    assert grant.email is not None  # a firm's grant is nobody's
    account_id = grant.account_id
    if account_id is None:
        owner = await queries_accounts.owner_of_address(session, grant.email)
        if owner is not None and await queries.sees_group(session, owner, grant.group_id):
            account_id = owner
    emails = [grant.email]
    await remove_person(session, ledger, author, grant.group_id, account_id, emails, by_carrier=by_carrier, at=at)
    if account_id is not None and await queries.sees_group(session, account_id, grant.group_id):
        await exclude(session, ledger, author, grant.group_id, account_id)
    return account_id


async def remove_person(
    session: AsyncSession,
    ledger: Ledger,
    author: Author,
    group_id: UUID,
    account_id: UUID | None,
    emails: Collection[str] = (),
    *,
    by_carrier: bool,
    at: datetime,
) -> None:
    """Take all that is a person's own in a group: grants, codes, waiting requests, and what they delegated.

    It is theirs by their account, by its addresses, or by these. That the carrier has invited them as the next primary is
    the carrier's to take back.

    Raises:
        PrimaryIsTheCarriers: they are the group's primary, and it is not the carrier who does it.
    """
    addresses = list(emails)
    if account_id is not None:
        addresses += await queries_accounts.addresses_of(session, account_id)
    accounts = [] if account_id is None else [account_id]
    grants = await queries.grants_to(session, group_id, accounts=accounts, emails=addresses)
    if not by_carrier:
        if any(each.role is GrantRole.PRIMARY and each.status is GrantStatus.ACTIVE for each in grants):
            raise PrimaryIsTheCarriers
        grants = [each for each in grants if each.role is GrantRole.SECONDARY]
    if facts := await remove_grants(session, grants, at=at):
        await ledger.record("user.removed", author, facts, about=account_id)
    await _void_requests(session, author, group_id, addresses, at=at)


async def remove_grants(session: AsyncSession, grants: Sequence[Grant], *, at: datetime) -> list[Fact]:
    """Remove grants and all that was delegated by them, void their codes, and tell the world; the facts to record."""
    removed: dict[UUID, Grant] = {}
    left = list(grants)
    while left:
        for grant in left:
            removed[grant.id] = grant
            emit(session, grant, grant.remove(at=at))
        await session.flush()
        left = list(await queries.grants_given_by(session, [grant.id for grant in left]))
    for code in await queries.issued_codes(session, list(removed)):
        code.void()
    return [grant.fact() for grant in removed.values()]


async def exclude(session: AsyncSession, ledger: Ledger, author: Author, group_id: UUID, account_id: UUID) -> Exclusion:
    """Take from a person what their firms hold in the group."""
    exclusion = (
        await session.scalars(
            select(Exclusion).where(Exclusion.group_id == group_id, Exclusion.account_id == account_id)
        )
    ).one_or_none()
    if exclusion is None:
        exclusion = Exclusion(group_id=group_id, account_id=account_id, active=True)
        session.add(exclusion)
    exclusion.active = True
    await ledger.record("person.excluded", author, [exclusion.fact()])
    return exclusion


async def _void_requests(
    session: AsyncSession, author: Author, group_id: UUID, emails: Collection[str], *, at: datetime
) -> None:
    group = await queries.group_of(session, group_id)
    for request in await queries.waiting_requests(session, group.group_number, emails):
        request.void(at=at)
        # Of no group: its primary is not to read what an officer has asked the carrier for.
        await audit(session, Entry(act="request.voided", author=author, details={"request": str(request.id)}))
