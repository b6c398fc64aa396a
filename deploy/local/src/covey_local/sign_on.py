"""Signing on as a person does, for commands and the demo: a session by user ID and password, then access tokens.

A token is good for five minutes and is renewed before; a session that was idle for too long is begun anew.
"""

import time
from collections.abc import AsyncGenerator, Generator
from http import HTTPStatus

import httpx

from covey_local.home import RunFile, UserAccount
from covey_local.refused import Refused, why

SPARE_S = 30.0
"""So long before its end a token is no longer used: it has to last until the request is there."""


class SignOnRefused(Refused):
    """This account can't sign on; the message says why."""


def sign_on(run: RunFile, account: UserAccount) -> "SignOn":
    """Present an account of this stack with every request of a client: ``httpx.Client(auth=sign_on(run, account))``."""
    if "identity" not in run["services"]:
        raise Refused("Nobody can sign on: there is no identity among this stack's services.")
    return SignOn(run["services"]["identity"], account)


def as_staff(run: RunFile) -> "SignOn":
    """Present the stack's own member of the carrier's staff."""
    if "staff" not in run["accounts"]:
        raise Refused("This stack has no staff account.")
    return sign_on(run, run["accounts"]["staff"])


class SignOn(httpx.Auth):
    """Signs on when it has to, for a client or an async client; one may serve several clients.

    A request raises ``SignOnRefused`` when the account can't sign on, and httpx's errors when identity does not answer
    or is not well.
    """

    def __init__(self, identity_url: str, account: UserAccount) -> None:
        self._url = identity_url.rstrip("/")
        self._account = account
        self._session: str | None = None
        self._token: str | None = None
        self._good_until = 0.0

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        steps = self._steps(request)
        asked = next(steps)
        while True:
            answer = yield asked
            if asked is not request:
                answer.read()  # the request's own answer may be a long download: it is the caller's to read
            try:
                asked = steps.send(answer)
            except StopIteration:
                return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        steps = self._steps(request)
        asked = next(steps)
        while True:
            answer = yield asked
            if asked is not request:
                await answer.aread()
            try:
                asked = steps.send(answer)
            except StopIteration:
                return

    def _steps(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with a token, and once more with a new one when that was refused."""
        if time.monotonic() >= self._good_until:
            yield from self._renew()
        used = self._token
        request.headers["Authorization"] = f"Bearer {used}"
        answer = yield request
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            if self._token == used:  # else another request has renewed it meanwhile
                yield from self._renew()
            request.headers["Authorization"] = f"Bearer {self._token}"
            yield request

    def _renew(self) -> Generator[httpx.Request, httpx.Response, None]:
        """A new token: of the session if it still lives, else of a new one."""
        if self._session is not None:
            answer = yield self._ask_for_token()
            if answer.status_code != HTTPStatus.UNAUTHORIZED:
                self._take(answer)
                return
        answer = yield httpx.Request("POST", f"{self._url}/v1/sessions", json=dict(self._account))
        self._session = str(_sound(answer)["session_token"])
        self._take((yield self._ask_for_token()))

    def _ask_for_token(self) -> httpx.Request:
        return httpx.Request("POST", f"{self._url}/v1/tokens", headers={"Authorization": f"Bearer {self._session}"})

    def _take(self, answer: httpx.Response) -> None:
        found = _sound(answer)
        self._token = str(found["access_token"])
        self._good_until = time.monotonic() + float(str(found["expires_in"])) - SPARE_S


def _sound(answer: httpx.Response) -> dict[str, object]:
    if answer.is_client_error:
        raise SignOnRefused(f"Signing on was refused: {why(answer)}")
    found: dict[str, object] = answer.raise_for_status().json()
    return found
