"""Membership tells of a group: identity keeps what it needs of it, and lets the broker of record be as the book says."""

from datetime import date, datetime
from typing import Any

from covey_chassis.access.facts import Fact
from covey_chassis.copies import keep_newer
from covey_chassis.outbox import emit
from covey_contracts.membership import BrokerOfRecord, GroupState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.firm import Appointment, Firm
from covey_identity.domain.group import GroupCopy
from covey_identity.ledger import lock_ledger
from covey_identity.use_cases.cut_off import remove_grants

BOOK = Author("the carrier's book")


async def take_group(session: AsyncSession, event: GroupState, *, sequence: int, today: date, at: datetime) -> None:
    """Keep the group as it is now, if this is news. Another broker than before is appointed, the former one cut off."""
    if await keep_newer(session, GroupCopy, **copy_of(event, sequence)):
        await _appoint(session, event, today=today, at=at)


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


async def _appoint(session: AsyncSession, event: GroupState, *, today: date, at: datetime) -> None:
    """Let the broker of record be as the book says.

    Looked at without any lock first: most events change nothing here. Then the ledger comes before all other locks, as
    everywhere else.
    """
    brokers = await queries.brokers_of(session, {event.group_id})
    if brokers.get(event.group_id) == event.broker:
        return
    ledger = await lock_ledger(session)
    firm = await _firm(session, event.broker) if event.broker else None
    appointment = await queries.lasting_appointment(session, event.group_id)
    facts: list[Fact] = []
    if appointment is not None and firm is not None and event.broker and appointment.firm_id == firm.id:
        if appointment.acquired_on != event.broker.acquired_date:
            emit(session, appointment, appointment.correct(event.broker.acquired_date))
        return
    if appointment is not None:
        emit(session, appointment, appointment.end(today))
        await session.flush()
        facts.append(appointment.fact())
        former = await queries.grants_to_firm(session, event.group_id, appointment.firm_id)
        facts += await remove_grants(session, former, at=at)
    if firm is not None and event.broker:
        begun = Appointment(
            group_id=event.group_id, firm_id=firm.id, starts_on=today, acquired_on=event.broker.acquired_date
        )
        session.add(begun)
        emit(session, begun, begun.begin())
        facts.append(begun.fact())
    await ledger.record("appointment.changed", BOOK, facts)


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
