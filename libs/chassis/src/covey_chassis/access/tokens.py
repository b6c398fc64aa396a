"""Access tokens: who is signed on, for five minutes (RFC 7519, EdDSA). What they may do is never in a token."""

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from joserfc.util import urlsafe_b64decode

from covey_chassis.errors import Refusal

log = structlog.get_logger(__name__)

ISSUER = "covey-identity"
AUDIENCE = "covey"
ALGORITHM = "Ed25519"
TOKEN_S = 300
"""How long a token is good for. It says who somebody is; what they may do is asked anew each time."""
SKEW_S = 5
"""How far the clocks of two services may be apart."""
LENGTH_MAX = 4096
"""Characters of a token; ours have some 400."""
KEYS_S = 300.0
"""So old the known keys may be: one that was withdrawn is not good for longer."""
FETCH_PAUSE_S = 5.0
"""A key that nobody knows makes a service ask for the keys again, but not more often than so."""


class SignOnNeeded(Refusal):
    """Sign on first: the access token is missing, no longer good, or of a session that has ended."""

    status = 401
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012 - declared once, in Refusal


class SignOnUnverified(Refusal):
    """Who you are cannot be verified at the moment: ask again shortly."""

    status = 503
    headers = {"Retry-After": "1"}  # noqa: RUF012


@dataclass(frozen=True)
class Token:
    """Who presents it, and by which session."""

    account_id: UUID
    session_id: UUID
    expires_at: datetime

    def check_time(self, now: datetime) -> None:
        """For what goes on while a token runs out.

        Raises:
            SignOnNeeded: it is no longer good.
        """
        if now > self.expires_at + timedelta(seconds=SKEW_S):
            raise SignOnNeeded


def issue(key: OKPKey, account_id: UUID, session_id: UUID, *, now: int) -> str:
    """A token for this session, signed with a private key whose ``kid`` the verifiers know."""
    header = {"alg": ALGORITHM, "kid": key.kid, "typ": "at+jwt"}
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(account_id),
        "sid": str(session_id),
        "iat": now,
        "exp": now + TOKEN_S,
    }
    return jwt.encode(header, claims, key, algorithms=[ALGORITHM])


class Verifier:
    """Verifies tokens with public keys: from a file, or asked for at the service that issues them."""

    def __init__(self, keys_file: Path | None = None, keys_url: str | None = None) -> None:
        self._keys = KeySet.import_key_set(json.loads(keys_file.read_text())) if keys_file else KeySet([])
        self._url = keys_url
        self._asked = self._tried = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()

    async def verify(self, authorization: str) -> Token:
        """The token in an ``Authorization`` header.

        Raises:
            SignOnNeeded: there is none, or it is not good.
            SignOnUnverified: its key is not known, and whoever issues tokens does not answer.
        """
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(encoded.strip()) <= LENGTH_MAX:
            raise SignOnNeeded
        try:
            await self._have_key(str(_header(encoded.strip()).get("kid")))
            token = jwt.decode(encoded.strip(), self._keys, algorithms=[ALGORITHM])
            _CLAIMS.validate(token.claims)
            expires_at = datetime.fromtimestamp(token.claims["exp"], UTC)
            return Token(UUID(token.claims["sub"]), UUID(token.claims["sid"]), expires_at)
        except (JoseError, ValueError, TypeError, RecursionError, OverflowError) as error:
            raise SignOnNeeded from error

    async def _have_key(self, kid: str) -> None:
        if not self._knows(kid):
            await self._fetch()
            if not self._knows(kid):
                raise SignOnUnverified if self._asked < self._tried else SignOnNeeded
        elif time.monotonic() - self._asked > KEYS_S and self._url is not None and not self._asking.locked():
            self._refreshing = asyncio.create_task(self._fetch())  # nobody waits for it

    def _knows(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._keys.keys)

    async def _fetch(self) -> None:
        """Have the keys as they are now, unless it was just tried. Without an answer the known ones stay good."""
        if self._url is None:
            return
        async with self._asking:
            if time.monotonic() - self._tried < FETCH_PAUSE_S:
                return
            self._tried = time.monotonic()
            try:
                async with httpx.AsyncClient(timeout=3, trust_env=False) as http:
                    answer = await http.get(self._url)
                self._keys = KeySet.import_key_set(answer.raise_for_status().json())
                self._asked = time.monotonic()
            except (httpx.HTTPError, ValueError) as error:
                log.warning("access.keys_not_had", error=type(error).__name__)


_CLAIMS = jwt.JWTClaimsRegistry(
    leeway=SKEW_S,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    sub={"essential": True},
    sid={"essential": True},
    exp={"essential": True},
    iat={"essential": True},
)


def _header(encoded: str) -> dict[str, Any]:
    header = json.loads(urlsafe_b64decode(encoded.split(".", 1)[0].encode()))
    if not isinstance(header, dict):
        raise TypeError("a header is an object")
    return header
