"""A code is made and sent to whom a grant was offered."""

from dataclasses import dataclass, field
from datetime import datetime

from covey_chassis.outbox import emit
from covey_contracts.identity import AccessCodeIssued, CodeLetter
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import Author, Entry, audit
from covey_identity.domain.access_code import AccessCode
from covey_identity.domain.crockford import shown
from covey_identity.domain.grant import Grant
from covey_identity.domain.mail import Seal


@dataclass(frozen=True)
class Drawn:
    """A code that was drawn and hashed before anything was locked: hashing is slow on purpose."""

    code: str = field(repr=False)
    hash: str = field(repr=False)
    bucket: int


async def issue_code(
    session: AsyncSession,
    grant: Grant,
    drawn: Drawn,
    author: Author,
    *,
    act: str = "code.issued",
    seal: Seal,
    at: datetime,
) -> AccessCode:
    """Keep the hash, and let the code go out in an event that only its sender can read."""
    await session.flush()  # the grant, which may be new, and the code that this one replaces
    assert grant.email is not None and grant.first_name is not None and grant.last_name is not None  # noqa: PT018
    code = AccessCode(grant_id=grant.id, bucket=drawn.bucket, hash=drawn.hash, issued_at=at)
    session.add(code)
    letter = CodeLetter(
        first_name=grant.first_name,
        last_name=grant.last_name,
        address=grant.email,
        language=grant.language,
        code=shown(drawn.code),
    )
    emit(
        session,
        code,
        AccessCodeIssued(
            access_code_id=code.id,
            grant_id=grant.id,
            group_id=grant.group_id,
            role=grant.role,
            expires_at=code.expires_at,
            sealed=seal(letter),
        ),
    )
    await audit(session, Entry(act=act, author=author, groups=[grant.group_id], details={"grant": str(grant.id)}))
    return code
