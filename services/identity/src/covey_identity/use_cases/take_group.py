"""Membership tells of a group: identity keeps what it needs of it, and follows the book's word for its broker of record."""

from datetime import date, datetime
from typing import Any

from covey_chassis.copies import keep_newer
from covey_chassis.outbox import emit
from covey_contracts.membership import BrokerOfRecord, GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.firm import Appointment, Firm
from covey_identity.domain.group import GroupCopy
from covey_identity.ledger import lock_ledger
from covey_identity.use_cases.replace_broker import replace_broker

BOOK = Author("the carrier's book")


async def take_group(session: AsyncSession, event: GroupState, *, sequence: int, today: date, at: datetime) -> None:
    """Keep the group as it is now, if this is news. Another broker than before is appointed, the former one cut off."""
    if await keep_newer(session, GroupCopy, **copy_of(event, sequence)):
        await _follow_book(session, event, today=today, at=at)


def copy_of(event: GroupState, sequence: int) -> dict[str, Any]:
    """What identity keeps of a group, by column."""
    return {
        "group_id": event.group_id,
        "sequence": sequence,
        "group_number": event.group_number,
        "legal_name": event.legal_name,
        "market_region": event.market_region,
        "billing_units": [unit.code for unit in event.billing_units],
    }


async def _follow_book(session: AsyncSession, event: GroupState, *, today: date, at: datetime) -> None:
    """Let the broker of record be as the book says, if it says another than when it was last followed.

    A book that goes on to name the former broker does not undo what the group has decided meanwhile; one that names
    nobody any more ends no appointment that it never knew.

    Looked at without the ledger's lock first: most events change nothing here. The copy's row is held since it was kept.
    """
    brokers = await queries.brokers_in_book(session, {event.group_id})
    if brokers.get(event.group_id) == event.broker:
        return
    ledger = await lock_ledger(session)
    firm = await _firm(session, event.broker) if event.broker else None
    group = await queries.group_of(session, event.group_id)
    is_another_firm = group.follow_book(event.broker)
    lasting = await queries.lasting_appointment(session, event.group_id)
    if firm is None or event.broker is None:
        if lasting is not None and lasting.in_book:
            await replace_broker(session, ledger, BOOK, event.group_id, lasting, None, today=today, at=at)
    elif lasting is not None and lasting.firm_id == firm.id:
        if confirmed := lasting.confirm(firm, event.broker.acquired_date):
            emit(session, lasting, confirmed)
    elif is_another_firm:
        appointment = Appointment(
            group_id=event.group_id,
            firm_id=firm.id,
            starts_on=today,
            acquired_on=event.broker.acquired_date,
            in_book=True,
        )
        await replace_broker(session, ledger, BOOK, event.group_id, lasting, appointment, today=today, at=at)


async def _firm(session: AsyncSession, broker: BrokerOfRecord) -> Firm:
    firm = await queries.firm_by_number(session, broker.firm_number)
    if firm is None:
        firm, registered = Firm.register(broker.firm_number, broker.firm_name)
        session.add(firm)
        emit(session, firm, registered)
        await session.flush()
    elif renamed := firm.rename(broker.firm_name):
        emit(session, firm, renamed)
    return firm
