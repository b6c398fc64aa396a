"""Acts of ``covey_chassis.acts`` become entries of the audit: other services' and identity's own."""

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from covey_chassis.acts import Act
from covey_chassis.sealing import Keyring
from covey_contracts.acts import ActOutcome, ActRecorded, Origin
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity.audit import HAPPENED_AT, Author, Entry, Outcome, audit


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
    """Write down what another service tells of.

    Raises:
        NoKey: from where it was done is sealed with a key that is not here any more.
    """
    entry = Entry(
        id=told.act_id,
        act=told.act,
        author=Author(told.authority.value, told.account_id, told.session_id),
        outcome=Outcome(told.outcome.value),
        groups=[told.group_id] if told.group_id else [],
        details=_details(told.about, told.why) | {HAPPENED_AT: at.isoformat()},
        origin=_opened(keyring, told.sealed),
    )
    await audit(session, entry)


def _details(about: dict[str, UUID], why: str | None) -> dict[str, str]:
    return {name: str(value) for name, value in about.items()} | ({"why": why} if why else {})


@lru_cache(maxsize=4096)
def _opened(keyring: Keyring, sealed: str) -> str | None:
    """Opening takes a millisecond, and an address is sealed once an hour."""
    return keyring.open(sealed, Origin).address
