"""Somebody who helps is reached otherwise, or does not help any more."""

from uuid import UUID

from covey_chassis.db import load
from covey_chassis.versions import check_version
from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.representative import Contact, Representative, RepresentativeNotFound


async def change_representative(
    session: AsyncSession, representative_id: UUID, version: int, contact: Contact, *, active: bool
) -> Representative:
    """Change the representative as they were at that version.

    Raises:
        RepresentativeNotFound: there is none.
        StaleVersion: something has changed since.
    """
    representative = await load(session, Representative, representative_id, missing=RepresentativeNotFound)
    check_version(representative, version)
    representative.change(contact, active=active)
    return representative
