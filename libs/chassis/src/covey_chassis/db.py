"""A service's database: engines by role, and one transaction for each request, message batch or piece of work.

Whoever opens the transaction commits it: the edges in the chassis do, service code never does.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import DateTime, Enum, MetaData
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.event import listen
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, declared_attr, mapped_column

from covey_chassis.clock import Clock
from covey_chassis.errors import NotFound
from covey_chassis.sealing import Keyring

EMITTED = "emitted"
"""Key in ``session.info``: this transaction has outbox rows, so its commit wakes the relay."""

CLOCK = "clock"
"""Key in ``session.info``: the service's Clock, for consumers' handlers, which have nothing but a session."""

KEYRING = "keyring"
"""Key in ``session.info``: the service's Keyring, likewise."""

MAY_ACT = "may_act"
"""Key in ``session.info``: whether something may be done for an account here (``access.checking``)."""

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


TYPES = {datetime: DateTime(timezone=True)}
"""A point in time always has its zone."""


_tables: dict[str, MetaData] = {}
"""The tables of each service's package: tests import several services, which may name their tables alike."""


class Base(MappedAsDataclass, DeclarativeBase):
    """What all mapped classes of a service derive from."""

    type_annotation_map = TYPES

    def __init_subclass__(cls, **options: Any) -> None:
        package = cls.__module__.partition(".")[0]
        cls.metadata = _tables.setdefault(package, MetaData(naming_convention=NAMES))
        super().__init_subclass__(**options)


class Aggregate(MappedAsDataclass):
    """Two counters of an aggregate's row.

    ``version`` goes up with every change: it is the ETag, and a write that saw an older one fails. ``sequence`` goes up
    by one with every *published* event, over all topics of the aggregate, without a gap (``outbox.emit`` moves it).
    """

    version: Mapped[int] = mapped_column(init=False, default=0)
    sequence: Mapped[int] = mapped_column(init=False, default=0)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, object]:  # noqa: N805
        return {"version_id_col": cls.version}


def by_value(kind: type[StrEnum]) -> Enum:
    """A column of text that holds the members' values; the table's own CHECK says which there are."""
    return Enum(kind, native_enum=False, length=None, values_callable=lambda members: [each.value for each in members])


def make_engine(url: str, **options: Any) -> AsyncEngine:
    """An engine whose driver reads the URL itself: ``?sslmode=verify-full`` and the like mean what they do to libpq."""
    return create_async_engine(
        "postgresql+asyncpg://",
        connect_args={"dsn": url},
        isolation_level="READ COMMITTED",  # lock, then read what others committed before: whatever the server's default
        **options,
    )


class Database:
    """One role's way into the service's database. Its sessions carry the service's clock and keys.

    ``may_act`` is for the request role alone: whose transactions are as short as a removal of access waits for.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        keyring: Keyring | None = None,
        may_act: bool = False,
        pool_size: int = 10,
        on_emitted: Callable[[], None] = lambda: None,
    ) -> None:
        self.url = url
        self.engine = make_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,  # they may be personal, and an error is kept and logged
        )
        listen(self.engine.sync_engine, "checkout", _check_open)
        self._sessions = async_sessionmaker(
            self.engine,
            expire_on_commit=False,
            close_resets_only=False,
            info={CLOCK: clock, KEYRING: keyring, MAY_ACT: may_act},
        )
        self._on_emitted = on_emitted

    def session(self) -> AsyncSession:
        """A session whose transaction the caller ends by ``commit``, or by closing it."""
        return self._sessions()

    async def commit(self, session: AsyncSession) -> None:
        """Commit, and wake the relay if the transaction has events to send."""
        await session.commit()
        if session.info.pop(EMITTED, False):
            self._on_emitted()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self.session() as session:
            yield session
            await self.commit(session)

    async def close(self) -> None:
        await self.engine.dispose()


def _check_open(connection: AsyncAdapt_asyncpg_connection, _record: object, _proxy: object) -> None:
    """Let the pool replace a connection that the server has closed meanwhile.

    The driver hears of that by itself. To ask the server (``pool_pre_ping``) takes three round trips a transaction.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


Row = TypeVar("Row", bound=Base)


async def load(session: AsyncSession, kind: type[Row], row_id: UUID, *, missing: type[NotFound]) -> Row:
    """The aggregate, locked until the transaction ends, or the refusal that names it.

    Locked because its outbox rows must take their IDs in the order of its commits.
    """
    row = await session.get(kind, row_id, with_for_update=True)
    if row is None:
        raise missing(id=row_id)
    return row
