"""Wakes whoever waits for news of access, in every process of the service: PostgreSQL tells them all."""

import asyncio

import asyncpg
import structlog
from covey_chassis.db import Database
from covey_chassis.service import Context
from sqlalchemy import text

from covey_identity.ledger import CHANNEL

log = structlog.get_logger(__name__)

RETRY_S = 0.5


class Signals:
    """What waits in one process. A signal that is lost costs the waiter's own patience, nothing else."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def next(self) -> asyncio.Event:
        """Set by the next signal. Ask for it before looking, and wait for it after: then none slips through."""
        return self._next

    def wake(self) -> None:
        """Something about access is different."""
        self._next.set()
        self._next = asyncio.Event()


_of: dict[str, Signals] = {}


def signals_of(context: Context) -> Signals:
    """The signals of this service's database."""
    return _of.setdefault(context.workers.url, Signals())


async def tell(database: Database) -> None:
    """Wake the waiters of all processes."""
    async with database.transaction() as session:
        await session.execute(text(f"SELECT pg_notify('{CHANNEL}', '')"))


async def listen(context: Context) -> None:
    """Hear what PostgreSQL tells, and wake this process's waiters."""
    signals = signals_of(context)
    while True:
        try:
            connection = await asyncpg.connect(context.workers.url, timeout=10)
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, lambda *_: signals.wake())
                signals.wake()
                await lost.wait()
            finally:
                connection.terminate()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("signals.interrupted", error=type(error).__name__)
        await asyncio.sleep(RETRY_S)
