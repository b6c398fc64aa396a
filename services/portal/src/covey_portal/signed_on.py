"""Who is signed on: a session of identity's, whose token is in the browser's cookie and nowhere else."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self
from urllib.parse import quote
from uuid import UUID

from covey_chassis.access.rights import StaffRight
from fastapi import Depends
from pydantic import BaseModel
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from covey_portal.calling import Answer, Away, Json, Param, Refused, Services, To

COOKIE = "__Host-covey"
"""Browsers take a cookie of such a name over TLS alone (or on this machine), for this host and no other."""

MANY = 200
"""The longest page of a service's list."""
SESSION_TOKEN = "Covey-Session-Token"  # noqa: S105 - a header of identity's
BACKGROUND = "covey-background"
"""The header of a page that our own script asks for, because something has changed: nobody has used the session."""
WAITING_S = 1.0
"""So long a page waits for what the navigation shows beside it."""


class SignOnNeeded(Exception):
    """Nobody is signed on, or no longer."""


class Firm(BaseModel):
    """A brokerage firm that somebody belongs to."""

    firm_id: UUID
    firm_number: str
    firm_name: str


class Who(BaseModel):
    """Who somebody is to the carrier, as identity says it."""

    account_id: UUID
    user_id: str
    first_name: str
    last_name: str
    market_region: str
    language: str
    staff: frozenset[str]
    firms: tuple[Firm, ...]
    has_groups: bool
    codes_waiting: int
    codes_expired: int

    @property
    def firm_numbers(self) -> list[str]:
        return [firm.firm_number for firm in self.firms]

    @property
    def reviews(self) -> bool:
        """Whether they decide on transactions, for the carrier."""
        return StaffRight.REVIEW_DECIDE in self.staff

    @property
    def sees_all(self) -> bool:
        """Whether renewals and transactions of all groups are for them, as staff."""
        return self.reviews or StaffRight.OPERATIONS in self.staff

    @property
    def sees_business(self) -> bool:
        """Whether there can be renewals and transactions to show."""
        return self.has_groups or bool(self.firms) or self.sees_all

    @property
    def is_waited_for(self) -> bool:
        """Whether transactions can wait for them: to be corrected, or for those who review, to be decided."""
        return self.sees_business and (self.reviews or not self.staff)


@dataclass
class SignedOn:
    """Somebody, in one request: the services are asked in their name, and answer what they may see and do.

    ``renewed`` is the session's token from now on, where identity has given another one: they have shown their password.
    """

    services: Services
    access_token: str
    idle_ends_at: datetime
    expires_at: datetime
    who: Who
    renewed: str = ""

    @classmethod
    async def by(cls, services: Services, session_token: str, *, in_background: bool = False) -> Self:
        """By a session's token; the session counts as used, but for what is asked in the background.

        Raises:
            SignOnNeeded: the session has ended.
            Away: identity does not answer.
        """
        issued = await exchange(services, session_token, in_background=in_background)
        try:
            said = await services.ask(To.IDENTITY, "GET", "/v1/access", bearer=issued["access_token"])
        except Refused as refused:
            raise SignOnNeeded from refused
        return cls(
            services,
            issued["access_token"],
            datetime.fromisoformat(issued["idle_ends_at"]),
            datetime.fromisoformat(issued["expires_at"]),
            Who.model_validate(said.body),
        )

    async def ask(
        self,
        to: To,
        method: str,
        path: str,
        *,
        json: Json | None = None,
        params: Mapping[str, Param] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask a service in their name; see ``Services.ask``."""
        answer = await self.services.ask(
            to, method, path, bearer=self.access_token, json=json, params=params, headers=headers
        )
        if to is To.IDENTITY:
            self.renewed = answer.headers.get(SESSION_TOKEN, self.renewed)
        return answer

    async def get(self, to: To, path: str, **params: Param) -> Any:
        """What a service answers to a question."""
        return (await self.ask(to, "GET", path, params=params)).body

    async def waiting(self) -> Json | None:
        """How many transactions wait for them; None where none can, or where that cannot be said right now."""
        if not self.who.is_waited_for:
            return None
        status = "pending review" if self.who.reviews else "action required"
        try:
            async with asyncio.timeout(WAITING_S):
                counted: Json = await self.get(To.TRANSACTIONS, "/v1/transactions/count", status=status)
        except (Away, Refused, TimeoutError):
            return None
        return counted

    async def all(self, to: To, path: str, **params: Param) -> list[Json]:
        """All of a list, page by page: for those that are short by nature, such as one's sessions."""
        found: list[Json] = []
        after: str | None = None
        while True:
            page = await self.get(to, path, limit=MANY, after=after, **params)
            found += page["items"]
            after = page["next"]
            if after is None:
                return found


async def exchange(services: Services, session_token: str, *, in_background: bool = False) -> Json:
    """A session's token for an access token, and when the session is over.

    Raises:
        SignOnNeeded: the session has ended.
        Away: identity does not answer.
    """
    try:
        answer = await services.ask(
            To.IDENTITY, "POST", "/v1/tokens", bearer=session_token, params={"in_background": in_background or None}
        )
    except Refused as refused:
        raise SignOnNeeded from refused
    issued: Json = answer.body
    return issued


def services_of(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


def session_token_of(request: Request) -> str:
    """The token in the cookie.

    Raises:
        SignOnNeeded: there is none that could be one.
    """
    token = request.cookies.get(COOKIE, "")
    if not token or len(token) > 200 or not token.isascii():
        raise SignOnNeeded
    return token


async def _signed_on(request: Request) -> SignedOn:
    in_background = BACKGROUND in request.headers and request.method == "GET"
    me = await SignedOn.by(services_of(request), session_token_of(request), in_background=in_background)
    request.state.me = me
    return me


Me = Annotated[SignedOn, Depends(_signed_on)]
"""Whoever is signed on; a route that takes it is for them alone."""


async def recognise(request: Request) -> None:
    """Let a page that no route has made show who is signed on, where that can be had."""
    if (
        COOKIE in request.cookies
        and not hasattr(request.state, "me")
        and "text/html" in request.headers.get("accept", "")
    ):
        with suppress(SignOnNeeded, Away, TimeoutError):
            async with asyncio.timeout(WAITING_S):
                await _signed_on(request)


def remember(response: Response, session_token: str) -> None:
    """Let the browser have the session's token, until it is closed or the session is over."""
    response.set_cookie(COOKIE, session_token, path="/", secure=True, httponly=True, samesite="lax")


class RememberRenewed:
    """Whatever page comes of it: the browser gets the token by which the session goes on."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            me = scope.get("state", {}).get("me")
            if message["type"] == "http.response.start" and me is not None and me.renewed:
                response = Response()
                remember(response, me.renewed)
                MutableHeaders(scope=message).append("set-cookie", response.headers["set-cookie"])
            await send(message)

        await self._app(scope, receive, sending)


def forget(response: Response) -> None:
    """Let the browser forget it."""
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def sign_on_first(request: Request) -> Response:
    """To the sign-on, and back to what was to be read. What was to be done is not repeated by itself.

    The cookie stays: the browser may have been given another one meanwhile, by an answer that came after this question.
    """
    back = request.url.path if request.method == "GET" else "/"
    if request.method == "GET" and request.url.query:
        back = f"{back}?{request.url.query}"
    address = "/sign-on" if back == "/" else f"/sign-on?next={quote(back, safe='/')}"
    if "hx-request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


def local(path: str) -> str:
    """A path of the portal, to go to; the home page where it could be anything else."""
    return path if path.startswith("/") and path[1:2] not in ("/", "\\") and path.isprintable() else "/"
