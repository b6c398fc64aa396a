"""Who did what: each act is written down in the transaction of what it tells of (security checklist, 20).

An act is a command that was done, a look at what is sensitive, or a refusal for want of a right. It holds IDs, and never a
value that was typed. A service says in ``Service.acts`` where its acts go: ``published_as`` is one place, and identity,
which keeps the audit, has its own.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from uuid import UUID

from covey_contracts.acts import ActAuthority, ActOutcome, ActRecorded, Origin
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.clock import Clock
from covey_chassis.db import KEYRING
from covey_chassis.envelope import current_cause
from covey_chassis.ids import new_id
from covey_chassis.outbox import emit_unnumbered
from covey_chassis.sealing import Keyring

ABOUT, SENSITIVE = "covey.act.about", "covey.act.sensitive"
"""Keys in ``session.info``."""
ALIKE_A_MINUTE, REFUSALS_A_MINUTE = 3, 60
"""Refusals of one account in one process, of one operation in one group and of all: more are in the log alone, or whoever
wants to could fill the audit with them."""


@dataclass(frozen=True, kw_only=True)
class Act:
    """One act of somebody who is signed on, or has signed a command."""

    act: str
    """The operation, as the service's OpenAPI document names it."""
    changes: bool
    outcome: ActOutcome
    authority: ActAuthority
    account_id: UUID
    session_id: UUID | None
    group_id: UUID | None
    about: dict[str, UUID] = field(default_factory=dict)
    why: str | None = None


Keep = Callable[[AsyncSession, Act], Awaitable[None]]
"""Writes an act down, if the transaction commits."""


def published_as(kind: type[ActRecorded]) -> Keep:
    """Acts go out as events of this kind."""

    async def keep(session: AsyncSession, act: Act) -> None:
        cause = current_cause()
        event = kind(
            act_id=new_id(),
            act=act.act,
            outcome=act.outcome,
            authority=act.authority,
            account_id=act.account_id,
            session_id=act.session_id,
            group_id=act.group_id,
            about=act.about,
            why=act.why,
            sealed=_sealed(session.info[KEYRING], cause and cause.origin, Clock.now().strftime("%Y-%m-%dT%H")),
        )
        emit_unnumbered(session, event)

    return keep


@lru_cache(maxsize=4096)
def _sealed(keyring: Keyring, address: str | None, _hour: str) -> str:
    """Sealing takes a millisecond, so an address is sealed once an hour: others can tell when it is the same."""
    return keyring.seal(Origin(address=address))


def tells_of(session: AsyncSession, **about: UUID) -> None:
    """What is done in this transaction is about these, though its route does not name them: ``group_id`` among them."""
    session.info[ABOUT] = session.info.get(ABOUT, {}) | about


def shows_sensitive(session: AsyncSession, **about: UUID) -> None:
    """What is read in this transaction is shown, and sensitive: that somebody looks at it is an act."""
    tells_of(session, **about)
    session.info[SENSITIVE] = True


class Refusals:
    """How many refusals were written down in this minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._written: Counter[object] = Counter()

    def may_be_written(self, act: Act) -> bool:
        """Whether this one is to be written down; it counts as written then."""
        minute = int(Clock.now().timestamp() // 60)
        if minute != self._minute:
            self._minute, self._written = minute, Counter()
        alike = (act.account_id, act.act, act.group_id)
        if self._written[alike] >= ALIKE_A_MINUTE or self._written[act.account_id] >= REFUSALS_A_MINUTE:
            return False
        self._written.update((alike, act.account_id))
        return True
