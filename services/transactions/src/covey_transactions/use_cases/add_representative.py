"""The carrier has somebody more who helps."""

from sqlalchemy.ext.asyncio import AsyncSession

from covey_transactions.domain.representative import Contact, Representative


async def add_representative(session: AsyncSession, contact: Contact) -> Representative:
    """Put them on the list."""
    representative = Representative.join(contact)
    session.add(representative)
    return representative
