"""A person joins a firm, or leaves it: with what the firm holds, and without."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor, FirmRight
from covey_chassis.access.facts import Fact
from covey_contracts.identity import GrantRole
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries, queries_accounts
from covey_identity.audit import Author
from covey_identity.domain.firm import AlreadyFirmMember, Firm, FirmMember, FirmMemberNotFound, FirmNotFound
from covey_identity.ledger import lock_ledger
from covey_identity.use_cases.cut_off import remove_grants


async def join_firm(
    session: AsyncSession, actor: Actor, firm_id: UUID, account_id: UUID, rights: Collection[FirmRight], *, at: datetime
) -> FirmMember:
    """Let somebody be a member: what the firm holds in its groups is theirs, too.

    Raises:
        FirmNotFound, AccountNotFound: there is none.
        AlreadyFirmMember: they are one.
    """
    ledger = await lock_ledger(session)
    await queries.still_approves(session, actor.account_id)
    if await session.get(Firm, firm_id) is None:
        raise FirmNotFound(id=firm_id)
    await queries_accounts.load_account(session, account_id)
    if await queries.present_member(session, firm_id, account_id):
        raise AlreadyFirmMember
    member = FirmMember(firm_id=firm_id, account_id=account_id, rights=sorted(rights), since=at)
    session.add(member)
    await ledger.record("firm.joined", Author.of(actor, "carrier"), [member.fact()])
    return member


async def leave_firm(
    session: AsyncSession, actor: Actor, firm_id: UUID, account_id: UUID, *, at: datetime
) -> FirmMember:
    """Let somebody be a member no longer. What they were given in the firm's groups goes too, other than as a primary.

    Raises:
        FirmMemberNotFound: they are none.
    """
    ledger = await lock_ledger(session)
    await queries.still_approves(session, actor.account_id)
    member = await queries.present_member(session, firm_id, account_id)
    if member is None:
        raise FirmMemberNotFound(id=account_id)
    member.ended_at = at
    facts: list[Fact] = [member.fact()]
    emails = await queries_accounts.addresses_of(session, account_id)
    for group_id in await queries.groups_served_by(session, firm_id):
        held = await queries.grants_to(session, group_id, accounts=[account_id], emails=emails)
        facts += await remove_grants(session, [each for each in held if each.role is GrantRole.SECONDARY], at=at)
    await ledger.record("firm.left", Author.of(actor, "carrier"), facts)
    return member
