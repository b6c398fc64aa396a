"""Wakes whoever waits for news of access, in every process of the service: PostgreSQL tells them all."""

import asyncio
from enum import StrEnum

import asyncpg
import structlog
from covey_chassis.service import Context
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

log = structlog.get_logger(__name__)

CHANNEL = "access"
"""Notified within transactions that change something: changes of access are few, and are to be heard of at once."""
RETRY_S = 0.5


class Signal(StrEnum):
    """What has happened."""

    NEWS = "news"
    """Facts have changed: listeners are to hear of it."""
    ACKED = "acked"
    """A service has acknowledged facts: changes may be true everywhere."""
    DONE = "done"
    """A change is true everywhere, or superseded: whoever asked for it is to hear of it."""


class Signals:
    """What waits in one process. A signal that is lost costs the waiter's own patience, nothing else."""

    def __init__(self) -> None:
        self._next = {each: asyncio.Event() for each in Signal}

    def next(self, signal: Signal) -> asyncio.Event:
        """Set by the next one. Ask for it before looking, and wait for it after: then none slips through."""
        return self._next[signal]

    def wake(self, *signals: Signal) -> None:
        for each in signals:
            self._next[each].set()
            self._next[each] = asyncio.Event()

    def hear(self, said: object) -> None:
        """Wake whoever waits for what PostgreSQL has told; all of them, when another version of this service said it."""
        self.wake(*([each for each in Signal if each == said] or Signal))


_of: dict[str, Signals] = {}


def signals_of(context: Context) -> Signals:
    """The signals of this service's database."""
    return _of.setdefault(context.workers.url, Signals())


async def tell(session: AsyncSession, signal: Signal) -> None:
    """Wake the waiters of all processes, once this transaction is committed."""
    await session.execute(_NOTIFY, {"channel": CHANNEL, "signal": signal})


async def listen(context: Context) -> None:
    """Hear what PostgreSQL tells, and wake this process's waiters."""
    signals = signals_of(context)
    while True:
        try:
            connection = await asyncpg.connect(context.workers.url, timeout=10)
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, lambda *said: signals.hear(said[-1]))
                signals.wake(*Signal)  # what was told meanwhile nobody has heard
                await lost.wait()
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("signals.interrupted", error=type(error).__name__)
        await asyncio.sleep(RETRY_S)


_NOTIFY = text("SELECT pg_notify(:channel, :signal)")
