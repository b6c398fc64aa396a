"""One transaction for each request: opened when the route first asks for its session, ended by the route class."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.db import Database
from covey_chassis.service import Context

WORK = "covey.work"
"""Key in the ASGI scope."""


@dataclass
class Work:
    """What one request does to the database."""

    database: Database
    stack: AsyncExitStack
    afterwards: Callable[[], Awaitable[Response | None]] | None = None
    """What is left to do once all is committed, with no connection held; its answer, if any, replaces the route's, which
    stands where this fails."""
    _session: AsyncSession | None = None

    async def session(self) -> AsyncSession:
        """The request's one session. Leaving the stack rolls back whatever was not committed."""
        if self._session is None:
            self._session = await self.stack.enter_async_context(self.database.session())
        return self._session

    @property
    def begun(self) -> AsyncSession | None:
        """The session, if the request has asked for it."""
        return self._session

    async def commit(self) -> None:
        if self._session is not None:
            await self.database.commit(self._session)


def context_of(request: Request) -> Context:
    """The running service that answers this request."""
    return cast("Context", request.app.state.context)


def work_of(request: Request) -> Work:
    """The request's transaction."""
    work = request.scope.get(WORK)
    if not isinstance(work, Work):
        raise TypeError(f"{request.scope['path']} wants a Session: make its router with service_router()")
    return work


# Dependencies are async, always: FastAPI calls any other function in a thread, which costs more than most of them do.


async def _context(request: Request) -> Context:
    return context_of(request)


async def _session(request: Request) -> AsyncSession:
    return await work_of(request).session()


Ctx = Annotated[Context, Depends(_context)]
"""What the running service has at hand."""

Session = Annotated[AsyncSession, Depends(_session)]
"""The request's transaction. The chassis commits it before the answer leaves, and rolls it back after a refusal.

It is over when a streamed answer's body starts: a stream opens its own short ``context.requests.transaction()``.
"""
