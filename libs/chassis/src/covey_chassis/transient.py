"""Which errors pass by themselves: the database is away, busy, or chose this transaction as a deadlock's victim; or
whether somebody may act cannot be verified for now.

Whoever meets one tries the same work again later (a consumer), or says so (HTTP 503). Everything else would fail again.
"""

from collections.abc import Iterator

import asyncpg
import sqlalchemy.exc
from sqlalchemy.connectors.asyncio import AsyncAdapt_Error

from covey_chassis.errors import Refusal

_TRANSIENT_CLASSES = ("08", "53", "57", "58")
"""Connection lost; out of resources; operator intervention, with shutdown and cancelled statements; system error."""

_TIMEOUTS = frozenset({"25P03", "25P04", "55P03", "57014"})
"""Idle in transaction, transaction, lock and statement time-outs."""

_TRANSIENT_STATES = _TIMEOUTS | {"40001", "40003", "40P01", "25006"}
"""Besides: serialization failure, completion unknown, deadlock, and a server that has become a read-only standby."""

_DRIVER_ERRORS = (AsyncAdapt_Error, asyncpg.PostgresError, asyncpg.InterfaceError)

_CANNOT_RECONNECT = "8s2b"
"""SQLAlchemy's code for the use of a transaction whose connection is gone."""


def _layers(error: BaseException) -> Iterator[BaseException]:
    """The error, SQLAlchemy's DBAPI error in it, the driver's own error in that, and what the driver says was its cause.

    Of a session that the server ended, asyncpg says "connection closed", and the server's reason as the cause of that.
    """
    yield error
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        yield error.orig
        error = error.orig
    while isinstance(error, _DRIVER_ERRORS) and error.__cause__ is not None:
        error = error.__cause__
        yield error


def sqlstate(error: BaseException) -> str:
    """The five characters by which PostgreSQL names the error, or nothing if it is not one of its own."""
    found = ""
    for layer in _layers(error):
        if isinstance(state := getattr(layer, "sqlstate", None), str):
            found = state
    return found


def _from_driver(error: BaseException) -> bool:
    """Whether the error was raised inside asyncpg. Other clients' sockets (SMTP) say nothing about the database."""
    traceback = error.__traceback__
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__", "")).startswith("asyncpg."):
            return True
        traceback = traceback.tb_next
    return False


def is_timeout(error: BaseException) -> bool:
    """Whether the database gave up on a statement, lock or transaction that took too long: less at once may pass."""
    return sqlstate(error) in _TIMEOUTS


def is_transient(error: BaseException) -> bool:
    """Whether the same work may well pass when it is tried again in a new transaction."""
    state = sqlstate(error)
    if state in _TRANSIENT_STATES or state.startswith(_TRANSIENT_CLASSES):
        return True
    match error:
        case sqlalchemy.exc.DBAPIError(connection_invalidated=True) | sqlalchemy.exc.TimeoutError():
            return True
        case sqlalchemy.exc.PendingRollbackError(code=code):
            return code == _CANNOT_RECONNECT
        case OSError():
            return _from_driver(error)
        case Refusal():
            return error.passes_by_itself
    return any(
        isinstance(layer, asyncpg.InvalidCachedStatementError | asyncpg.InternalClientError)  # so a cut may look too
        or (isinstance(layer, asyncpg.InterfaceError) and "closed" in str(layer))
        for layer in _layers(error)
    )
