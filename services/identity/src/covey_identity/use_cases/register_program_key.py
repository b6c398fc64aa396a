"""Staff register a key with which a program signs commands."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from covey_chassis.access import Actor
from covey_chassis.access.signing import key_id, public_key
from sqlalchemy.ext.asyncio import AsyncSession

from covey_identity import queries
from covey_identity.audit import Author
from covey_identity.domain.program_key import (
    KEYS_MAX,
    KeyAlreadyRegistered,
    KeyWasRemoved,
    ProgramKey,
    TooManyKeys,
)
from covey_identity.ledger import lock_ledger
from covey_identity.queries_accounts import find_program, keys_of


async def register_program_key(
    session: AsyncSession, account_id: UUID, jwk: Mapping[str, Any], actor: Actor, *, at: datetime
) -> ProgramKey:
    """What is signed with the key is said by this program, from the moment when a service knows it.

    Raises:
        KeyNotGood, PrivateKeyShown: it is not the public half of an Ed25519 key, or more than that.
        ProgramNotFound: no program has this ID.
        KeyAlreadyRegistered, KeyWasRemoved: a program has it, or had it.
        TooManyKeys: the program has enough.
    """
    key = public_key(jwk)
    ledger = await lock_ledger(session)
    await queries.still_operates(session, actor.account_id)
    await find_program(session, account_id)
    if known := await session.get(ProgramKey, key_id(key)):
        raise KeyAlreadyRegistered if known.removed_at is None else KeyWasRemoved
    present = keys_of(account_id).where(ProgramKey.removed_at.is_(None))
    if len((await session.scalars(present)).all()) >= KEYS_MAX:
        raise TooManyKeys(keys=KEYS_MAX)
    registered = ProgramKey.register(account_id, key, at=at)
    session.add(registered)
    await ledger.record("program.key-registered", Author.of(actor, "staff"), [registered.fact()])
    return registered
