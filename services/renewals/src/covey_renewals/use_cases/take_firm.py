"""A firm is there, or goes by another name now: the copy follows."""

from covey_chassis.copies import keep_newer
from covey_contracts.identity import FirmState
from sqlalchemy.ext.asyncio import AsyncSession

from covey_renewals.domain.book import Firm


async def take_firm(session: AsyncSession, firm: FirmState, *, sequence: int) -> None:
    """Keep the firm as it is now, if this is news."""
    await keep_newer(
        session,
        Firm,
        sequence=sequence,
        firm_id=firm.firm_id,
        firm_number=firm.firm_number,
        firm_name=firm.firm_name,
    )
