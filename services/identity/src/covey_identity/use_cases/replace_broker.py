"""Another firm is a group's broker of record from now on, or none is: the former one is cut off like a removed user."""

from datetime import date, datetime
from uuid import UUID

from covey_chassis.access.facts import Fact
from covey_chassis.outbox import emit
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.firm import Appointment, Firm
from covey_identity.ledger import Ledger
from covey_identity.use_cases.cut_off import remove_grants


async def replace_broker(
    session: AsyncSession,
    ledger: Ledger,
    author: Author,
    group_id: UUID,
    former: Appointment | None,
    broker: Appointment | None,
    *,
    today: date,
    at: datetime,
) -> None:
    """End the appointment that lasts, take what its firm and the firm's people were given, and begin the new one.

    All of it in one range of revisions: nobody sees the group through both firms, and a reader never finds it between two.
    ``former`` is the appointment that lasts, read after the ledger's lock.
    """
    facts: list[Fact] = []
    if former is not None:
        emit(session, former, former.end(await session.get_one(Firm, former.firm_id), today))
        await session.flush()
        grants = await queries.grants_to_firm(session, group_id, former.firm_id)
        facts += [former.fact(), *await remove_grants(session, grants, at=at)]
    if broker is not None:
        session.add(broker)
        emit(session, broker, broker.begin(await session.get_one(Firm, broker.firm_id)))
        facts.append(broker.fact())
    await ledger.record("appointment.changed", author, facts)
