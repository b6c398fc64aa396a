"""A service's HTTP application: its own routes, the operator's, the probes, and the documentation."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import metadata
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException

from covey_chassis import operations, problems, telemetry
from covey_chassis.access import watching
from covey_chassis.access.requiring import Requirement, check_declared, requirement_of
from covey_chassis.describing import describe_access, describe_shared_headers
from covey_chassis.edge import Edge
from covey_chassis.http import MIB, TransactionRoute
from covey_chassis.manual import manual_routes
from covey_chassis.probes import Checks, probe_routes
from covey_chassis.service import Context, Service

BODY_BYTES_MAX = MIB
"""A route may ask for more, see ``covey_chassis.http``."""


def create_app(
    service: Service,
    context: Context,
    *,
    ready: Checks = tuple,
    live: Checks = tuple,
    lifespan: Callable[[], AbstractAsyncContextManager[None]] | None = None,
) -> FastAPI:
    """The application of one process.

    Args:
        service: what it is.
        context: what its routes get at.
        ready: the checks of ``/readyz``.
        live: the checks of ``/livez``.
        lifespan: what runs while it serves.

    Raises:
        ValueError: two routes have the same operation ID, which is their function's name.
    """

    @asynccontextmanager
    async def serving(_app: FastAPI) -> AsyncIterator[None]:
        if lifespan is None:
            yield
        else:
            async with lifespan():
                yield

    app = FastAPI(
        title=f"Covey {service.name}",
        summary=service.summary,
        version=_version(service.package),
        lifespan=serving,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=problems.RESPONSES,
        generate_unique_id_function=lambda route: route.name,
        telemetry=telemetry.FASTAPI,
        exception_handlers={HTTPException: _answer, RequestValidationError: _answer},
    )
    app.state.context = context
    own = (watching.router, operations.router, probe_routes(ready=ready, live=live), manual_routes())
    for router in (*service.routers, *own):
        app.include_router(router, max_body_size=BODY_BYTES_MAX)
    _check_operation_ids(app)
    _check_access(app)
    _complete_documentation(app)
    app.add_middleware(Edge)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return problems.answer(request.scope, error)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "0"


def _check_operation_ids(app: FastAPI) -> None:
    named = Counter(
        found.original_route.name
        for found in iter_route_contexts(app.routes)
        if isinstance(found.original_route, APIRoute) and found.original_route.include_in_schema
    )
    twice = sorted(name for name, times in named.items() if times > 1)
    if twice:
        raise ValueError(f"operation IDs are the names of functions, and these are there twice: {', '.join(twice)}")


def _service_routes(app: FastAPI) -> Iterator[TransactionRoute]:
    for found in iter_route_contexts(app.routes):
        if isinstance(found.original_route, TransactionRoute):
            yield found.original_route


def _check_access(app: FastAPI) -> None:
    for route in _service_routes(app):
        if type(route).guard is None:
            check_declared(route)


def _complete_documentation(app: FastAPI) -> None:
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            problems.describe(made())
            describe_shared_headers(made())
            asked = {route.name: requirement_of(route) for route in _service_routes(app)}
            describe_access(made(), {name: each for name, each in asked.items() if isinstance(each, Requirement)})
        return made()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
