"""Staff approve or decline a request for a primary administrator."""

from datetime import datetime
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.outbox import emit
from covey_contracts.identity import GrantRole, GrantStatus
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries, queries_accounts
from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.access_request import AccessRequest, GroupDoesNotMatch, OwnRequest
from covey_identity.domain.grant import Grant, UserAlreadyThere, primary_of
from covey_identity.domain.mail import Seal
from covey_identity.ledger import lock_ledger
from covey_identity.use_cases.cut_off import remove_grants
from covey_identity.use_cases.issue_code import Drawn, issue_code


async def approve_request(
    session: AsyncSession, actor: Actor, reference: str, group_id: UUID, drawn: Drawn, *, seal: Seal, at: datetime
) -> tuple[AccessRequest, Grant]:
    """Invite the designated person as the group's primary administrator. Whoever was invited before them is not any more.

    An active primary stays until the new one has redeemed the code.

    Raises:
        AccessRequestNotFound: there is none.
        GroupNotFound: staff named a group that is not there.
        GroupDoesNotMatch: staff named a group that the request is not about.
        OwnRequest: the actor is the designated person.
        UserAlreadyThere: the designated person is the group's primary already.
        IllegalMove: it was decided already.
    """
    ledger = await lock_ledger(session)
    await queries.still_approves(session, actor.account_id)
    request = await queries.request_by_reference(session, reference, lock=True)
    group = await queries.group_of(session, group_id)
    if (await queries.groups_by_number(session, [request.group_number])).get(request.group_number) is not group:
        raise GroupDoesNotMatch
    owner = await queries_accounts.owner_of_address(session, request.email)
    if owner == actor.account_id:
        raise OwnRequest
    request.approve(group_id, by=actor.account_id, at=at)
    current = await queries.primary_grant(session, group_id)
    if current is not None and owner is not None and current.account_id == owner:
        raise UserAlreadyThere
    author = Author.of(actor, "carrier")
    invited = [
        grant
        for grant in await session.scalars(queries.users_of(group_id).where(Grant.role == GrantRole.PRIMARY))
        if grant.status is GrantStatus.INVITED
    ]
    facts = await remove_grants(session, invited, at=at)
    await session.flush()
    grant = primary_of(
        group_id,
        first_name=request.first_name,
        last_name=request.last_name,
        email=request.email,
        language=request.language,
        at=at,
    )
    session.add(grant)
    emit(session, grant, grant.give())
    await issue_code(session, grant, drawn, author, seal=seal, at=at)
    details = {"request": str(request.id)}
    await ledger.record("request.approved", author, [*facts, grant.fact()], details=details)
    return request, grant


async def decline_request(
    session: AsyncSession, actor: Actor, reference: str, reason: str, *, at: datetime
) -> AccessRequest:
    """Refuse it, with a reason that the officer sees.

    Raises:
        AccessRequestNotFound: there is none.
        IllegalMove: it was decided already.
    """
    request = await queries.request_by_reference(session, reference, lock=True)
    request.decline(reason, by=actor.account_id, at=at)
    await audit(
        session,
        Entry(act="request.declined", author=Author.of(actor, "carrier"), details={"request": str(request.id)}),
    )
    return request
