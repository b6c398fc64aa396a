"""Keep the copy of an appointment."""

from covey_chassis.copies import keep_newer
from covey_contracts.identity import AppointmentChanged
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.appointment import AppointmentCopy


async def keep_appointment(session: AsyncSession, event: AppointmentChanged, *, sequence: int) -> None:
    """Keep the appointment as it is now, if this is news."""
    await keep_newer(
        session,
        AppointmentCopy,
        sequence=sequence,
        appointment_id=event.appointment_id,
        group_id=event.group_id,
        ends_on=event.ends_on,
        in_book=event.in_book,
        firm_number=event.firm_number,
    )
