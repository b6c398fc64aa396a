"""Named reads of groups, grants, codes, firms and requests. Those that a decision rests on come after ``lock_ledger``."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from covey_chassis.access import NotYours, StaffRight
from covey_contracts.identity import GrantRole, GrantStatus
from covey_contracts.membership import BrokerOfRecord
from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.domain.access_code import AccessCode, CodeStatus
from covey_identity.domain.access_request import AccessRequest, AccessRequestNotFound, RequestStatus
from covey_identity.domain.account import Account, AccountAddress
from covey_identity.domain.firm import Appointment, Firm, FirmMember
from covey_identity.domain.grant import Grant, UserNotFound
from covey_identity.domain.group import GroupCopy, GroupNotFound
from covey_identity.domain.person_fields import address_key

LASTS = Grant.status != GrantStatus.REMOVED
INVITED = Grant.status == GrantStatus.INVITED


async def group_of(session: AsyncSession, group_id: UUID) -> GroupCopy:
    """The group.

    Raises:
        GroupNotFound: there is none.
    """
    group = await session.get(GroupCopy, group_id)
    if group is None:
        raise GroupNotFound(id=group_id)
    return group


# --- grants ---


async def primary_grant(session: AsyncSession, group_id: UUID, *, of: UUID | None = None) -> Grant | None:
    """The group's active primary's grant, locked; only if it is this account's, where one is named."""
    query = select(Grant).where(
        Grant.group_id == group_id, Grant.role == GrantRole.PRIMARY, Grant.status == GrantStatus.ACTIVE
    )
    if of is not None:
        query = query.where(Grant.account_id == of)
    return (await session.scalars(_fresh(query))).one_or_none()


async def giving_grant(session: AsyncSession, group_id: UUID, account_id: UUID) -> Grant:
    """By which somebody delegates in a group.

    Raises:
        NotYours: they are not its primary administrator, or no longer.
    """
    grant = await primary_grant(session, group_id, of=account_id)
    if grant is None:
        raise NotYours
    return grant


async def grant_in(session: AsyncSession, group_id: UUID, grant_id: UUID) -> Grant:
    """A grant of the group that lasts, locked.

    Raises:
        UserNotFound: there is none.
    """
    query = select(Grant).where(Grant.id == grant_id, Grant.group_id == group_id, LASTS)
    grant = (await session.scalars(_fresh(query))).one_or_none()
    if grant is None:
        raise UserNotFound(id=grant_id)
    return grant


async def grants_to(
    session: AsyncSession, group_id: UUID, *, accounts: Collection[UUID] = (), emails: Collection[str] = ()
) -> Sequence[Grant]:
    """The grants in a group that last and are these people's, by account or, while invited, by the address; locked.

    An active grant is its account's alone: the address that the code went to may be somebody else's by now.
    """
    invited_at = Grant.email_key.in_([address_key(email) for email in emails])
    query = select(Grant).where(
        Grant.group_id == group_id,
        LASTS,
        or_(Grant.account_id.in_(list(accounts)), INVITED & invited_at),
    )
    return (await session.scalars(_fresh(query))).all()


async def grants_to_firm(session: AsyncSession, group_id: UUID, firm_id: UUID) -> Sequence[Grant]:
    """The firm's own grants in the group, and those that its members were given or offered there; locked.

    A primary's is the carrier's, and not among them.
    """
    members = select(FirmMember.account_id).where(FirmMember.firm_id == firm_id, FirmMember.ended_at.is_(None))
    addresses = select(AccountAddress.email_key).where(AccountAddress.account_id.in_(members))
    query = select(Grant).where(
        Grant.group_id == group_id,
        LASTS,
        Grant.role == GrantRole.SECONDARY,
        or_(Grant.firm_id == firm_id, Grant.account_id.in_(members), INVITED & Grant.email_key.in_(addresses)),
    )
    return (await session.scalars(_fresh(query))).all()


async def grants_given_by(session: AsyncSession, grants: Iterable[UUID]) -> Sequence[Grant]:
    """What was delegated by these grants and lasts, locked."""
    query = select(Grant).where(Grant.giving_grant.in_(list(grants)), LASTS)
    return (await session.scalars(_fresh(query))).all()


def users_of(group_id: UUID) -> Select[Grant]:
    """The grants of a group that last."""
    return select(Grant).where(Grant.group_id == group_id, LASTS)


def _fresh(query: Select[Grant]) -> Select[Grant]:
    """Locked, in one order for all, and as it is now: not as an earlier statement of the transaction saw it."""
    return query.order_by(Grant.id).with_for_update().execution_options(populate_existing=True)


# --- codes ---


async def codes_in(session: AsyncSession, bucket: int) -> list[tuple[UUID, str]]:
    """The codes that may be meant, with their hashes, whatever became of them."""
    rows = await session.execute(select(AccessCode.id, AccessCode.hash).where(AccessCode.bucket == bucket))
    return [(row.id, row.hash) for row in rows]


async def code_to_redeem(session: AsyncSession, code_id: UUID) -> AccessCode:
    """The code, locked and as it is now."""
    return await session.get_one(AccessCode, code_id, with_for_update=True, populate_existing=True)


async def issued_codes(session: AsyncSession, grants: Collection[UUID]) -> Sequence[AccessCode]:
    """The codes of these grants that are out, locked."""
    query = (
        select(AccessCode)
        .where(AccessCode.grant_id.in_(list(grants)), AccessCode.status == CodeStatus.ISSUED)
        .order_by(AccessCode.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return (await session.scalars(query)).all()


async def latest_codes(session: AsyncSession, grants: Collection[UUID]) -> dict[UUID, AccessCode]:
    """The newest code of each grant that ever had one."""
    query = select(AccessCode).where(AccessCode.grant_id.in_(list(grants))).order_by(AccessCode.id)
    return {code.grant_id: code for code in await session.scalars(query)}


# --- firms ---


async def firm_by_number(session: AsyncSession, firm_number: str) -> Firm | None:
    """The firm, locked."""
    return (await session.scalars(select(Firm).where(Firm.firm_number == firm_number).with_for_update())).one_or_none()


async def lasting_appointment(session: AsyncSession, group_id: UUID) -> Appointment | None:
    """The group's broker of record, locked."""
    query = select(Appointment).where(Appointment.group_id == group_id, Appointment.ends_on.is_(None))
    return (await session.scalars(query.with_for_update().execution_options(populate_existing=True))).one_or_none()


async def hold_groups(session: AsyncSession, group_ids: Collection[UUID]) -> set[UUID]:
    """Which of the groups are known. Their copies are held; grants may come to be in them meanwhile."""
    query = select(GroupCopy.group_id).where(GroupCopy.group_id.in_(group_ids)).order_by(GroupCopy.group_id)
    return set(await session.scalars(query.with_for_update(key_share=True)))


async def brokers_in_book(session: AsyncSession, group_ids: Collection[UUID]) -> dict[UUID, BrokerOfRecord]:
    """Whom the carrier's book named when it was last followed, by the firms' names of today; no entry for nobody."""
    query = (
        select(GroupCopy.group_id, Firm.firm_number, Firm.firm_name, GroupCopy.book_acquired_on)
        .join(Firm, Firm.firm_number == GroupCopy.book_firm_number)
        .where(GroupCopy.group_id.in_(group_ids))
    )
    return {
        row.group_id: BrokerOfRecord(
            firm_number=row.firm_number, firm_name=row.firm_name, acquired_date=row.book_acquired_on
        )
        for row in await session.execute(query)
    }


async def firms_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Firm]:
    """The firms, by their IDs."""
    return {firm.id: firm for firm in await session.scalars(select(Firm).where(Firm.id.in_(set(ids))))}


async def groups_served_by(session: AsyncSession, firm_id: UUID) -> list[UUID]:
    """The groups whose broker of record the firm is."""
    query = select(Appointment.group_id).where(Appointment.firm_id == firm_id, Appointment.ends_on.is_(None))
    return list(await session.scalars(query.order_by(Appointment.group_id)))


async def present_member(session: AsyncSession, firm_id: UUID, account_id: UUID) -> FirmMember | None:
    """The person's membership that lasts, locked."""
    query = select(FirmMember).where(
        FirmMember.firm_id == firm_id, FirmMember.account_id == account_id, FirmMember.ended_at.is_(None)
    )
    return (await session.scalars(query.with_for_update())).one_or_none()


# --- requests ---


async def request_by_reference(session: AsyncSession, reference: str, *, lock: bool = False) -> AccessRequest:
    """The request.

    Raises:
        AccessRequestNotFound: there is none.
    """
    query = select(AccessRequest).where(AccessRequest.reference == reference)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = (await session.scalars(query)).one_or_none()
    if found is None:
        raise AccessRequestNotFound
    return found


async def approver_of(session: AsyncSession, grant: Grant) -> UUID | None:
    """Who approved the request by which the carrier offers to make somebody the primary."""
    query = select(AccessRequest.decided_by).where(
        AccessRequest.group_id == grant.group_id,
        AccessRequest.email_key == grant.email_key,
        AccessRequest.status == RequestStatus.APPROVED,
    )
    return await session.scalar(query.order_by(AccessRequest.decided_at.desc()).limit(1))


async def waiting_requests(
    session: AsyncSession, group_number: str, emails: Collection[str]
) -> Sequence[AccessRequest]:
    """Requests for these people in a group that nobody has decided yet, locked."""
    query = select(AccessRequest).where(
        func.lower(AccessRequest.group_number) == group_number.lower(),
        AccessRequest.status == RequestStatus.SUBMITTED,
        AccessRequest.email_key.in_([address_key(email) for email in emails]),
    )
    return (await session.scalars(query.order_by(AccessRequest.id).with_for_update())).all()


def requests(status: RequestStatus | None) -> Select[AccessRequest]:
    """The requests, of one status where that is said."""
    query = select(AccessRequest)
    return query if status is None else query.where(AccessRequest.status == status)


async def waiting_too(session: AsyncSession, requests: Collection[AccessRequest]) -> dict[str, list[str]]:
    """References of the requests that wait for the same groups, the oldest first; a thousand at most.

    By group number, in lower case: officers write it as they find it.
    """
    numbers = {each.group_number.lower() for each in requests}
    number = func.lower(AccessRequest.group_number)
    found = await session.execute(
        select(number, AccessRequest.reference)
        .where(number.in_(numbers), AccessRequest.status == RequestStatus.SUBMITTED)
        .order_by(AccessRequest.id)
        .limit(1000)
    )
    references: dict[str, list[str]] = {number: [] for number in numbers}
    for number, reference in found:
        references[number].append(reference)
    return references


async def groups_by_number(session: AsyncSession, numbers: Collection[str]) -> dict[str, GroupCopy]:
    """The groups that have these numbers; in another case, too, where that is no other group's."""
    number = func.lower(GroupCopy.group_number)
    alike: defaultdict[str, list[GroupCopy]] = defaultdict(list)
    for group in await session.scalars(select(GroupCopy).where(number.in_({each.lower() for each in numbers}))):
        alike[group.group_number.lower()].append(group)
    found = {}
    for wanted in numbers:
        groups = alike[wanted.lower()]
        meant = [group for group in groups if group.group_number == wanted] or groups
        if len(meant) == 1:
            found[wanted] = meant[0]
    return found


async def primaries_of(session: AsyncSession, group_ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of the groups' active primary administrators."""
    found = await session.execute(
        select(Grant.group_id, Account.first_name, Account.last_name)
        .join(Account, Account.id == Grant.account_id)
        .where(
            Grant.group_id.in_(set(group_ids)),
            Grant.role == GrantRole.PRIMARY,
            Grant.status == GrantStatus.ACTIVE,
        )
    )
    return {row.group_id: f"{row.first_name} {row.last_name}" for row in found}


# --- who sees what ---


async def is_staff(session: AsyncSession, account_id: UUID, right: StaffRight) -> bool:
    """Whether somebody has a staff right: asked again after the ledger's lock, since it may be gone since the request."""
    query = text("SELECT 1 FROM access_fact WHERE kind = 'staff' AND active AND id = :id AND :right = ANY(rights)")
    return await session.scalar(query, {"id": account_id, "right": right.value}) is not None


async def still_approves(session: AsyncSession, account_id: UUID) -> None:
    """Let only staff pass who approve access, by what is true after the ledger's lock.

    Raises:
        NotYours: the right is gone since the request came.
    """
    if not await is_staff(session, account_id, StaffRight.ACCESS_APPROVE):
        raise NotYours


async def still_operates(session: AsyncSession, account_id: UUID) -> None:
    """Let only staff for operations pass, by what is true after the ledger's lock.

    Raises:
        NotYours: the right is gone since the request came.
    """
    if not await is_staff(session, account_id, StaffRight.OPERATIONS):
        raise NotYours


async def sees_group(session: AsyncSession, account_id: UUID, group_id: UUID) -> bool:
    """Whether a person holds any right in the group, by themselves or through a firm."""
    found = await session.scalar(
        text("SELECT 1 FROM access_held WHERE account_id = :account_id AND group_id = :group_id LIMIT 1"),
        {"account_id": account_id, "group_id": group_id},
    )
    return found is not None
