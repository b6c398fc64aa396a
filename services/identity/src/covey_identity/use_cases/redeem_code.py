"""Somebody enters their access code: the rights that were offered are theirs, on the account they are signed on with."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor, see_all_groups, see_group
from covey_chassis.access.facts import Fact
from covey_chassis.errors import Refusal
from covey_chassis.outbox import emit
from covey_contracts.identity import GrantRole
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries, queries_accounts
from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.access_change import AccessChange, ChangeKind
from covey_identity.domain.access_code import CodeExpired, CodeNotGood, CodeReplaced, CodeUsed
from covey_identity.domain.access_request import OwnApproval
from covey_identity.domain.account import Account, AccountKind
from covey_identity.domain.grant import AlreadyHasAccess, Grant
from covey_identity.domain.mail import Purpose, Seal
from covey_identity.ledger import lock_ledger
from covey_identity.mailing import tell_holder
from covey_identity.progress import start_change
from covey_identity.use_cases.cut_off import remove_grants

ASK = {GrantRole.PRIMARY: "the carrier", GrantRole.SECONDARY: "the group's primary administrator"}
"""Whom to ask for another code."""


async def redeem_code(
    session: AsyncSession, actor: Actor, code_id: UUID, *, seal: Seal, at: datetime
) -> tuple[Grant, AccessChange]:
    """Activate the grant. A code that went to another address than a person's proves that address, too.

    What is wrong with a code is said only to whom it was meant for; anybody else is told that it is not good. What else
    they had been offered in the group comes to nothing: a person has one grant there.

    Raises:
        CodeNotGood: it is somebody else's, or gives nothing any more.
        CodeExpired, CodeUsed, CodeReplaced: to whom it was meant for.
        AlreadyHasAccess: the account has a grant in the group. Only a primary's takes the place of another one.
        OwnApproval: the actor has approved that the person of this code becomes the primary.
    """
    ledger = await lock_ledger(session)
    await see_all_groups(session)  # the code says in which group it is, and whoever enters it holds nothing there yet
    code = await queries.code_to_redeem(session, code_id)
    grant = await session.get_one(Grant, code.grant_id, with_for_update=True, populate_existing=True)
    await see_group(session, grant.group_id)
    assert grant.email is not None  # only people are sent codes
    owner = await queries_accounts.hold_address(session, grant.email)
    if owner not in (None, actor.account_id):
        raise CodeNotGood
    try:
        code.redeem(now=at)
    except (CodeExpired, CodeUsed, CodeReplaced) as why:
        raise (_with_help(why, grant) if owner else CodeNotGood()) from why
    account = await queries_accounts.load_account(session, actor.account_id)
    if grant.role is GrantRole.PRIMARY:
        if account.kind is AccountKind.PROGRAM:
            raise CodeNotGood
        if await queries.approver_of(session, grant) == actor.account_id:
            raise OwnApproval
    held = await queries.grants_to(session, grant.group_id, accounts=[actor.account_id])
    if any(GrantRole.PRIMARY is each.role or grant.role is GrantRole.SECONDARY for each in held):
        raise AlreadyHasAccess
    if owner is None and account.kind is AccountKind.PERSON:
        await _add_address(session, actor, account, grant.email, at=at, seal=seal)
    facts: list[Fact] = []
    if grant.role is GrantRole.PRIMARY:
        facts += await _take_over(session, grant, actor, at=at)
    else:
        emit(session, grant, grant.activate(actor.account_id, at=at))
    await session.flush()
    addresses = [address.email for address in account.addresses]
    own = await queries.grants_to(session, grant.group_id, accounts=[account.id], emails=addresses)
    others = [each for each in own if each is not grant and each.role is GrantRole.SECONDARY]
    facts += await remove_grants(session, others, at=at)
    await ledger.record("code.redeemed", Author.of(actor, "access code"), [*facts, grant.fact()])
    change = start_change(
        session,
        ledger,
        ChangeKind.GRANTED,
        group_id=grant.group_id,
        account_id=actor.account_id,
        requested_by=actor.account_id,
        at=at,
    )
    return grant, change


async def _add_address(
    session: AsyncSession, actor: Actor, account: Account, email: str, *, at: datetime, seal: Seal
) -> None:
    """The address is theirs, and their holder is told at the main one: whoever gave the code may read its mail."""
    emit(session, account, account.add_address(email, at=at, seal=seal))
    await audit(session, Entry(act="address.proven", author=Author.of(actor, "access code"), subjects=[account.id]))
    await tell_holder(session, account, Purpose.ADDRESS_ADDED, seal=seal)


async def _take_over(session: AsyncSession, grant: Grant, actor: Actor, *, at: datetime) -> list[Fact]:
    """Become the group's one primary: the former one goes, what they had delegated passes on."""
    former = await queries.primary_grant(session, grant.group_id)
    facts: list[Fact] = []
    if former is not None:
        emit(session, former, former.remove(at=at))
        facts.append(former.fact())
        await session.flush()
    emit(session, grant, grant.activate(actor.account_id, at=at))
    await session.flush()
    if former is not None:
        for delegated in await queries.grants_given_by(session, [former.id]):
            emit(session, delegated, delegated.pass_on(grant, at=at))
            facts.append(delegated.fact())
    return facts


def _with_help(why: Refusal, grant: Grant) -> Refusal:
    return type(why)(ask=ASK[grant.role])
