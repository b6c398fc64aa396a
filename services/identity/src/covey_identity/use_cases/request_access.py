"""A group officer asks for online access for the group's primary administrator."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import NOBODY, Entry, audit
from covey_identity.domain.access_request import AccessRequest, new_reference


@dataclass(frozen=True)
class Asked:
    """What the officer's form says."""

    group_number: str
    company: str
    officer_first_name: str
    officer_last_name: str
    officer_email: str
    first_name: str
    last_name: str
    email: str
    language: str


async def request_access(session: AsyncSession, asked: Asked, *, at: datetime) -> AccessRequest:
    """Take the request down for staff. Whether there is such a group is for staff to find out, and nobody else to know."""
    request = AccessRequest(reference=new_reference(), submitted_at=at, **vars(asked))
    session.add(request)
    await audit(session, Entry(act="request.submitted", author=NOBODY, details={"request": str(request.id)}))
    return request
