"""A primary administrator appoints a firm as the group's broker of record, or ends its appointment."""

from datetime import date, datetime
from uuid import UUID

from covey_chassis.access import Actor
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.access_change import AccessChange, ChangeKind
from covey_identity.domain.firm import AlreadyBrokerOfRecord, Appointment, AppointmentNotFound, Firm, FirmNotFound
from covey_identity.ledger import lock_ledger
from covey_identity.progress import start_change
from covey_identity.use_cases.replace_broker import replace_broker


async def appoint_firm(
    session: AsyncSession, actor: Actor, group_id: UUID, firm_id: UUID, *, today: date, at: datetime
) -> AccessChange:
    """The firm is the group's broker of record from today on, in the place of whichever was.

    It acquired the group today, or on the day that the carrier's book says, where the book names it.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        FirmNotFound: the carrier knows no such firm.
        AlreadyBrokerOfRecord: the firm is it already.
    """
    ledger = await lock_ledger(session)
    await queries.giving_grant(session, group_id, actor.account_id)
    firm = await session.get(Firm, firm_id)
    if firm is None:
        raise FirmNotFound(id=firm_id)
    lasting = await queries.lasting_appointment(session, group_id)
    if lasting is not None and lasting.firm_id == firm_id:
        raise AlreadyBrokerOfRecord
    group = await queries.group_of(session, group_id)
    in_book = group.book_firm_number == firm.firm_number
    appointment = Appointment(
        group_id=group_id,
        firm_id=firm_id,
        starts_on=today,
        acquired_on=group.book_acquired_on if in_book and group.book_acquired_on else today,
        in_book=in_book,
    )
    author = Author.of(actor, "primary administrator")
    await replace_broker(session, ledger, author, group_id, lasting, appointment, today=today, at=at)
    return start_change(
        session,
        ledger,
        ChangeKind.GRANTED,
        group_id=group_id,
        firm_id=firm_id,
        requested_by=actor.account_id,
        at=at,
    )


async def end_appointment(
    session: AsyncSession, actor: Actor, group_id: UUID, appointment_id: UUID, *, today: date, at: datetime
) -> AccessChange:
    """The group has no broker of record any more.

    Raises:
        NotYours: the actor is not the group's primary administrator.
        AppointmentNotFound: the group's broker of record is there by another appointment, or there is none.
    """
    ledger = await lock_ledger(session)
    await queries.giving_grant(session, group_id, actor.account_id)
    lasting = await queries.lasting_appointment(session, group_id)
    if lasting is None or lasting.id != appointment_id:
        raise AppointmentNotFound(id=appointment_id)
    author = Author.of(actor, "primary administrator")
    await replace_broker(session, ledger, author, group_id, lasting, None, today=today, at=at)
    return start_change(
        session,
        ledger,
        ChangeKind.REMOVED,
        group_id=group_id,
        firm_id=lasting.firm_id,
        requested_by=actor.account_id,
        at=at,
    )
