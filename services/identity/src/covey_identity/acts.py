"""Acts of ``covey_chassis.acts`` become entries of the audit: other services' and identity's own."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

import structlog
from covey_chassis.acts import Act
from covey_chassis.clock import Clock
from covey_chassis.sealing import Keyring, NoKey
from covey_contracts.acts import ActOutcome, ActRecorded, Origin
from joserfc.errors import JoseError
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import HAPPENED_AT, Author, Entry, Outcome, audit

log = structlog.get_logger(__name__)

OLDEST, AHEAD = datetime(2020, 1, 1, tzinfo=UTC), timedelta(minutes=10)
"""Between these, counted from now, another service's clock is believed."""


async def keep_act(session: AsyncSession, act: Act) -> None:
    """Write down a look at what is sensitive, or what was refused. A change has its entry from whatever makes it."""
    if act.changes and act.outcome is ActOutcome.DONE:
        return
    entry = Entry(
        act=f"identity.{act.act}",
        author=Author(act.authority.value, act.account_id, act.session_id),
        outcome=Outcome(act.outcome.value),
        groups=[act.group_id] if act.group_id else [],
        details=_details(act.about, act.why),
    )
    await audit(session, entry)


async def take_act(session: AsyncSession, told: ActRecorded, keyring: Keyring, *, at: datetime) -> None:
    """Write down what another service tells of. From where is left out where it can't be opened any more."""
    details = _details(told.about, told.why)
    if OLDEST <= at <= Clock.now() + AHEAD:  # or it is the word of a clock that is out of order, and for good
        details[HAPPENED_AT] = at.isoformat()
    entry = Entry(
        act=f"{told.topic.owner}.{told.act}",  # by its topic, which nobody else may write
        author=Author(told.authority.value, told.account_id, told.session_id),
        outcome=Outcome(told.outcome.value),
        groups=[told.group_id] if told.group_id else [],
        details=details,
        origin=_opened(keyring, told.sealed),
    )
    await audit(session, entry)


def _details(about: dict[str, UUID], why: str | None) -> dict[str, str]:
    return {name: str(value) for name, value in about.items()} | ({"why": why} if why else {})


@lru_cache(maxsize=4096)
def _opened(keyring: Keyring, sealed: str) -> str | None:
    """Opening takes a millisecond, and an address is sealed once an hour."""
    try:
        return keyring.open(sealed, Origin).address
    except (NoKey, JoseError, ValueError) as error:
        log.error("act.origin_not_opened", exc_info=error)
        return None
