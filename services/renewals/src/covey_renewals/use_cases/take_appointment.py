"""A firm serves a group from now on, or no longer: the copy follows.

Which firm serves a group on a day is worked out when somebody asks (``queries.py``). So it does not matter which of
group, firm and appointment is heard of first, and a day on which a service begins or ends needs nobody to notice it.
"""

from covey_chassis.copies import keep_newer
from covey_contracts.identity import AppointmentChanged
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.book import Appointment


async def take_appointment(session: AsyncSession, appointment: AppointmentChanged, *, sequence: int) -> None:
    """Keep the appointment as it is now, if this is news."""
    await keep_newer(
        session,
        Appointment,
        sequence=sequence,
        appointment_id=appointment.appointment_id,
        group_id=appointment.group_id,
        firm_id=appointment.firm_id,
        starts_on=appointment.starts_on,
        ends_on=appointment.ends_on,
        acquired_on=appointment.acquired_on,
    )
