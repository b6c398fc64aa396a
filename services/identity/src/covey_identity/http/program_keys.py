"""Keys with which programs sign commands. Private halves never come here."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from covey_chassis.access import By, StaffRight, staff
from covey_chassis.access.signing import KeyNotGood, PrivateKeyShown
from covey_chassis.http import After, Ctx, IdempotencyKey, Limit, Page, Session, page_of, refuses, service_router
from pydantic import BaseModel, ConfigDict, Field

from covey_identity.domain.account import ProgramNotFound
from covey_identity.domain.program_key import (
    KeyAlreadyRegistered,
    KeyWasRemoved,
    ProgramKey,
    ProgramKeyNotFound,
    TooManyKeys,
)
from covey_identity.queries_accounts import find_program, keys_of
from covey_identity.use_cases.register_program_key import register_program_key
from covey_identity.use_cases.remove_program_key import remove_program_key

router = service_router(prefix="/v1/programs/{account_id}/keys", tags=["programs"])

OPERATING = staff(StaffRight.OPERATIONS)
JWK = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


class NewKey(BaseModel):
    """The public half of an Ed25519 key (RFC 8037)."""

    model_config = ConfigDict(extra="forbid")

    jwk: Annotated[
        dict[str, Any],
        Field(description="`kty`, `crv` and `x`. Whatever else is in it is not kept; `d` is refused.", examples=[JWK]),
    ]


class KeyView(BaseModel):
    """A key of a program. What is signed with it is done as long as it is not removed."""

    key_id: UUID
    jwk: Annotated[dict[str, str], Field(examples=[JWK])]
    added_at: datetime
    removed_at: Annotated[datetime | None, Field(description="Null while it is good.")]

    @classmethod
    def of(cls, key: ProgramKey) -> "KeyView":
        return cls(key_id=key.id, jwk=key.public_jwk, added_at=key.added_at, removed_at=key.removed_at)


@router.post(
    "",
    status_code=201,
    dependencies=[OPERATING],
    responses=refuses(ProgramNotFound, KeyNotGood, PrivateKeyShown, KeyAlreadyRegistered, KeyWasRemoved, TooManyKeys),
    summary="Register a key with which a program signs commands",
)
async def add_key(account_id: UUID, new: NewKey, by: By, session: Session, ctx: Ctx, key: IdempotencyKey) -> KeyView:
    """The program keeps the private half, and shows it to nobody."""
    return KeyView.of(await register_program_key(session, account_id, new.jwk, by, at=ctx.clock.now()))


@router.get(
    "",
    dependencies=[OPERATING],
    responses=refuses(ProgramNotFound),
    summary="A program's keys, removed ones too, the latest first",
)
async def list_keys(account_id: UUID, session: Session, limit: Limit, after: After) -> Page[KeyView]:
    await find_program(session, account_id)
    found, following = await page_of(
        session,
        keys_of(account_id),
        by=[ProgramKey.added_at, ProgramKey.id],
        limit=limit,
        after=after,
        descending=True,
    )
    return Page(items=[KeyView.of(each) for each in found], next=following)


@router.delete(
    "/{key_id}",
    status_code=204,
    dependencies=[OPERATING],
    responses=refuses(ProgramKeyNotFound),
    summary="Remove a key of a program",
)
async def remove_key(account_id: UUID, key_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey) -> None:
    """Nothing that is signed with it is done any more: within moments, and about 8 seconds later at most.

    It is never good again.
    """
    await remove_program_key(session, account_id, key_id, by, at=ctx.clock.now())
