"""What a service's routes are made with: ``router = service_router(prefix="/v1/groups", tags=["groups"])``.

Each request is one transaction. The answer is built, the answer of a command is stored, all is committed, and only then
does the answer leave: a commit that fails is a 5xx, never a success that did not happen. (FastAPI by itself answers
before a dependency with ``yield`` commits.) An error, or an answer of 400 and above, rolls back.

Every route says who may use it (``covey_chassis.access``), or belongs to a guarded router; an access token is verified
before anything else of the request is looked at.

A route may take a larger body than the service's default: ``@router.post("/imports", max_body_size=50 * MIB)``.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from enum import Enum
from typing import Any, ClassVar, Literal

import structlog
from fastapi import APIRouter, Request, Response, params
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute

from covey_chassis.access.requiring import Requirement, authenticate, requirement_of
from covey_chassis.describing import says
from covey_chassis.errors import Refusal
from covey_chassis.failpoints import failpoint
from covey_chassis.idempotency import ABOUT, CLAIM, Claim, IdempotencyKey, Replay, answers_about, store
from covey_chassis.paging import After, Limit, Page, page_of
from covey_chassis.problems import refuses
from covey_chassis.reading import ReadRequest, check_accept, check_address, check_content_type
from covey_chassis.recording import is_denial, record_done, record_refused
from covey_chassis.transaction import WORK, Ctx, Session, Work, context_of
from covey_chassis.versions import StaleVersion, Version, check_version, set_etag

__all__ = [
    "MIB",
    "After",
    "Ctx",
    "IdempotencyKey",
    "Limit",
    "Page",
    "Session",
    "StaleVersion",
    "Version",
    "answers_about",
    "check_version",
    "page_of",
    "refuses",
    "says",
    "service_router",
    "set_etag",
]

log = structlog.get_logger(__name__)

MIB = 1 << 20

Guard = Callable[[Request], Awaitable[None]]
"""Lets a request pass, or raises the refusal."""


class TransactionRoute(APIRoute):
    """A route whose every request is one transaction."""

    role: ClassVar[Literal["requests", "workers"]] = "requests"
    guard: ClassVar[Guard | None] = None

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def in_one_transaction(request: Request) -> Response:
            request = await self._let_in(request)
            try:
                return await self._answer(handle, request)
            except Refusal as refusal:
                if is_denial(refusal):
                    await record_refused(request, refusal)
                raise

        return in_one_transaction

    async def _answer(self, handle: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        """The route's answer, once its transaction is committed."""
        async with AsyncExitStack() as stack:
            work = Work(getattr(context_of(request), self.role), stack)
            request.scope[WORK] = work
            try:
                response = await handle(request)
            except Replay as replay:
                return replay.response
            if response.status_code < 400:
                await _finish(request, work, response)
        if work.afterwards is not None and response.status_code < 400:
            response = await _do_rest(work.afterwards) or response
        return response

    async def _let_in(self, request: Request) -> Request:
        """The request, readable and of a media type that the route takes; whoever may not come in is refused first."""
        if (guard := type(self).guard) is not None:
            await guard(request)
        if (requirement := requirement_of(self)) is not None:
            await authenticate(request, requirement)
        check_address(request)
        chosen = self.response_class
        media_type = (chosen.value if isinstance(chosen, DefaultPlaceholder) else chosen).media_type
        if media_type:
            check_accept(request, media_type)
        request = ReadRequest(request.scope, request.receive)
        if self.body_field is not None:
            is_form = isinstance(self.body_field.field_info, params.Form)
            check_content_type(request, form=is_form)
            if not is_form and await request.body():
                await request.json()
        if isinstance(requirement, Requirement) and requirement.before is not None:
            await requirement.before(request)
        return request


async def _finish(request: Request, work: Work, response: Response) -> None:
    await record_done(request, work)
    claim = request.scope.get(CLAIM)
    if not isinstance(claim, Claim) or response.status_code >= 300:
        await work.commit()
        return
    await store(await work.session(), claim, response, request.scope.get(ABOUT))
    await failpoint("command.before_commit")
    await work.commit()
    await failpoint("command.after_commit")


async def _do_rest(afterwards: Callable[[], Awaitable[Response | None]]) -> Response | None:
    try:
        return await afterwards()
    except Exception as error:  # whatever it is, the route's own answer is true: what it tells of is committed
        log.warning("http.rest_not_done", exc_info=error)
        return None


def service_router(
    *,
    prefix: str = "",
    tags: Sequence[str | Enum] = (),
    role: Literal["requests", "workers"] = "requests",
    guard: Guard | None = None,
    dependencies: Sequence[params.Depends] = (),
    responses: dict[int | str, dict[str, Any]] | None = None,
) -> APIRouter:
    """A router whose every request is one transaction.

    Args:
        prefix: the beginning of all its paths.
        tags: how the documentation groups its routes.
        role: whose connections it uses; ``workers`` may take longer, and is for the operator's routes.
        guard: lets a request pass, or raises; it is asked before the body is read.
        dependencies: dependencies of all its routes.
        responses: what all its routes may answer besides; see ``refuses``.
    """

    class Route(TransactionRoute):
        pass

    Route.role = role
    Route.guard = staticmethod(guard) if guard else None
    return APIRouter(
        prefix=prefix, tags=list(tags), route_class=Route, dependencies=list(dependencies), responses=responses
    )
