"""The portal: pages for brokers, employers and the carrier's staff. It has no database: what it shows, the services say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from covey_chassis.edge import Edge
from covey_chassis.http import MIB
from covey_chassis.probes import probe_routes
from covey_chassis.problems import MEDIA_TYPE, http_fault, noted
from covey_chassis.telemetry import FASTAPI
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from covey_portal.calling import Away, Refused, Services
from covey_portal.guard import HEADERS, SameOrigin
from covey_portal.languages import N_
from covey_portal.pages import error_page, page
from covey_portal.refusals import sentence_of
from covey_portal.routes import (
    access_requests,
    account,
    accounts,
    audit,
    brokers,
    business,
    codes,
    firms,
    groups,
    home,
    live,
    passkeys,
    registering,
    searches,
    sign_on,
    site,
)
from covey_portal.settings import PortalSettings
from covey_portal.signed_on import RememberRenewed, SignOnNeeded, recognise, sign_on_first
from covey_portal.site import read_site

BODY_BYTES_MAX = MIB
NOT_NOW = N_("This was not done")
OURS = ("text/html", "application/json", MEDIA_TYPE)
"""What refusals of ours are: pages; answers to scripts; and the probes' documents."""

ROUTERS = (
    site.router,
    sign_on.router,
    registering.router,
    access_requests.router,
    home.router,
    codes.router,
    account.router,
    passkeys.router,
    live.router,
    searches.router,
    business.router,
    groups.router,
    brokers.router,
    access_requests.staff,
    firms.router,
    accounts.router,
    audit.router,
)


def create_app(settings: PortalSettings, *, stopping: asyncio.Event | None = None) -> FastAPI:
    """The application of one process.

    Args:
        settings: of the portal.
        stopping: set when the process is asked to end: live streams come to their end then.

    Raises:
        pydantic.ValidationError: the site's file is not as it should be.
    """

    @asynccontextmanager
    async def serving(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = Services(settings)
        yield
        await app.state.services.close()

    app = FastAPI(
        title="Covey portal",
        lifespan=serving,
        openapi_url=None,
        redirect_slashes=False,
        telemetry=FASTAPI,
        exception_handlers={
            SignOnNeeded: _sign_on,
            Refused: _refused,
            Away: _away,
            HTTPException: _fault,
            RequestValidationError: _not_found,
        },
    )
    app.state.settings = settings
    app.state.site = read_site(settings.site_file)
    app.state.stopping = stopping or asyncio.Event()
    for router in (*ROUTERS, probe_routes(ready=tuple, live=tuple)):
        app.include_router(router, max_body_size=BODY_BYTES_MAX)
    app.add_middleware(SameOrigin, origin=settings.portal_url)
    app.add_middleware(Edge, headers=HEADERS, document=error_page, media_types=OURS)
    app.add_middleware(RememberRenewed)
    return app


async def _sign_on(request: Request, _error: Exception) -> Response:
    return sign_on_first(request)


async def _refused(request: Request, error: Exception) -> Response:
    """What a page has no place of its own for: it is not there, not theirs, or cannot be done any more."""
    assert isinstance(error, Refused)
    if error.status == 401:
        return sign_on_first(request)
    if error.status in (403, 404):
        return error_page(request.scope, http_fault(error.status))
    return await page(
        request, "error.html", status=error.status, heading=NOT_NOW, text=sentence_of(error), reference=""
    )


async def _away(request: Request, _error: Exception) -> Response:
    return error_page(request.scope, http_fault(503))


async def _fault(request: Request, error: Exception) -> Response:
    await recognise(request)
    return error_page(request.scope, noted(request.scope, error))


async def _not_found(request: Request, _error: Exception) -> Response:
    """An address with something in it that cannot be: nothing is there."""
    return error_page(request.scope, http_fault(404))
