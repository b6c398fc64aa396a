"""A command that is repeated with its Idempotency-Key has one effect (draft-ietf-httpapi-idempotency-key-header).

The first successful answer is stored in the transaction of the command itself, and given again to every repetition. A
refusal is not stored: nothing was done, so the command is tried anew. Two at once: the second is turned away while the
first is at work, because waiting for it would hold a connection.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Header, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile

from covey_chassis.access.checking import NotYours
from covey_chassis.access.requiring import ACTOR, NOBODY, actor_of
from covey_chassis.errors import Refusal
from covey_chassis.transaction import Session

KEPT_DAYS = 30
"""For how long an answer is given again; published with the header."""

REPLAYED = "Idempotency-Replayed"
CLAIM = "covey.idempotency"
ABOUT = "covey.idempotency.group"
"""Keys in the ASGI scope."""

_CHUNK_BYTES = 1 << 20


class IdempotencyKeyReused(Refusal):
    """The Idempotency-Key was used for another request."""

    status = 422


class CommandInProgress(Refusal):
    """The same command is being done right now: ask again in a moment."""


@dataclass(frozen=True)
class Claim:
    """A key that this request holds until its transaction ends."""

    account: str
    route: str
    key: str
    fingerprint: bytes


class Replay(Exception):
    """The command was done before: the stored answer is the answer."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def answers_about(request: Request, group_id: UUID) -> None:
    """The command's answer tells of a group that its route does not name: only who holds something in it gets it again."""
    request.scope[ABOUT] = group_id


async def fingerprint(request: Request) -> bytes:
    """A digest of what the command asks for. A form counts by its fields: its boundary differs at every sending."""
    digest = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        for part in parts:
            data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8) + data)

    add(request.method, request.scope["path"], request.scope["query_string"])
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        add(await request.body())
        return digest.digest()
    for name, value in (await request.form()).multi_items():
        if isinstance(value, UploadFile):
            add(name, value.filename or "")
            await value.seek(0)
            while chunk := await value.read(_CHUNK_BYTES):
                add(chunk)
            await value.seek(0)
        else:
            add(name, value)
    return digest.digest()


async def _claim(
    request: Request,
    session: Session,
    idempotency_key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            examples=["3f1c9b52-6a0e-4f0c-9b1e-5d2f4f0a7c11"],
            description="Chosen by the client for this one command, such as a UUID. The same command with the same key "
            f"is done once; for {KEPT_DAYS} days its answer is given again, with `{REPLAYED}: true`.",
        ),
    ],
) -> str:
    # Authorised first: whoever has lost the right must not get a stored answer either.
    actor = request.scope[ACTOR]
    claim = Claim(
        account="" if actor is NOBODY else str(actor_of(request).account_id),
        route=f"{request.method} {request.scope['path']}",
        key=idempotency_key,
        fingerprint=await fingerprint(request),
    )
    await _take(session, claim)
    request.scope[CLAIM] = claim
    return idempotency_key


IdempotencyKey = Annotated[str, Depends(_claim)]
"""Makes the route a command that is done once a key; the header is required (400)."""


async def _take(session: AsyncSession, claim: Claim) -> None:
    names = {"account": claim.account, "route": claim.route, "key": claim.key}
    if not await session.scalar(_LOCK, {"what": json.dumps(["idempotency", *names.values()])}):
        raise CommandInProgress
    # A statement of its own: it must see what the holder of the lock before us has committed.
    stored = (await session.execute(_STORED, names | {"days": KEPT_DAYS})).first()
    if stored is None:
        return
    if stored.fingerprint != claim.fingerprint:
        raise IdempotencyKeyReused
    if not stored.is_theirs:
        raise NotYours
    raise Replay(_again(stored.status, stored.headers, stored.body))


def _again(status: int, headers: list[list[str]], body: bytes) -> Response:
    response = Response(body, status)
    response.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    response.headers[REPLAYED] = "true"
    return response


async def store(session: AsyncSession, claim: Claim, response: Response, group_id: UUID | None) -> None:
    """Keep the answer of a command that was done, and of which group it tells, in the command's own transaction."""
    body: Any = getattr(response, "body", None)
    if not isinstance(body, bytes):
        raise TypeError(f"{claim.route} takes an Idempotency-Key, so it cannot stream its answer")
    await session.execute(
        _STORE,
        {
            "account": claim.account,
            "route": claim.route,
            "key": claim.key,
            "fingerprint": claim.fingerprint,
            "status": response.status_code,
            "headers": json.dumps([(k.decode("latin-1"), v.decode("latin-1")) for k, v in response.raw_headers]),
            "body": body,
            "group_id": group_id,
        },
    )


_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:what, 0))")
_STORED = text(
    """
    SELECT fingerprint, status, headers, body, group_id IS NULL OR EXISTS (
               SELECT FROM access_held
                WHERE account_id::text = :account AND access_held.group_id = stored_answer.group_id
           ) AS is_theirs
      FROM stored_answer
     WHERE account = :account AND route = :route AND idempotency_key = :key
       AND at > now() - make_interval(days => :days)
    """
)
_STORE = text(
    """
    INSERT INTO stored_answer (account, route, idempotency_key, fingerprint, status, headers, body, group_id)
    VALUES (:account, :route, :key, :fingerprint, :status, CAST(:headers AS jsonb), :body, :group_id)
    ON CONFLICT (account, route, idempotency_key) DO UPDATE
       SET fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers,
           body = excluded.body, group_id = excluded.group_id, at = now()
    """
)
