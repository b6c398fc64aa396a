"""What staff do to an account: find it, lock it, let it in again, take a second factor that was lost."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from covey_chassis.access import By, StaffRight, staff
from covey_chassis.http import Ctx, IdempotencyKey, Session, refuses, service_router
from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import select

from covey_identity.domain.account import Account, AccountNotFound, OwnAccount
from covey_identity.domain.second_factor import SecondFactorOff
from covey_identity.domain.user_ids import as_stored
from covey_identity.use_cases.lock_account import lock_account
from covey_identity.use_cases.turn_off_second_factor import take_second_factor
from covey_identity.use_cases.unlock_account import unlock_account

router = service_router(prefix="/v1/accounts", tags=["accounts"])


class AccountStatus(BaseModel):
    """Whether an account can be used."""

    account_id: UUID
    user_id: str
    locked_at: Annotated[datetime | None, Field(description="Null when it is not locked.")]

    @classmethod
    def of(cls, found: Account) -> Self:
        return cls(account_id=found.id, user_id=found.user_id, locked_at=found.locked_at)


class AccountFound(AccountStatus):
    """Whose account it is."""

    first_name: str
    last_name: str
    program_name: Annotated[str | None, Field(description="Null for a person.")]


@router.get("", dependencies=[staff(StaffRight.ACCESS_APPROVE)], summary="Find an account by its user ID")
async def find_account(
    session: Session, user_id: Annotated[str, Query(min_length=1, max_length=100, description="In any case.")]
) -> list[AccountFound]:
    """The account that has this user ID, or none: to be shown before anything is done about it."""
    found = await session.scalars(select(Account).where(Account.user_id == as_stored(user_id)))
    return [
        AccountFound(
            **dict(AccountStatus.of(each)),
            first_name=each.first_name,
            last_name=each.last_name,
            program_name=each.program_name,
        )
        for each in found
    ]


@router.post(
    "/{account_id}/lock",
    dependencies=[staff(StaffRight.ACCESS_APPROVE)],
    responses=refuses(AccountNotFound),
    summary="Lock an account",
)
async def lock(account_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey) -> AccountStatus:
    """All of its sessions end, and nobody does anything with it until it is unlocked."""
    return AccountStatus.of(await lock_account(session, account_id, by, at=ctx.clock.now()))


@router.post(
    "/{account_id}/unlock",
    dependencies=[staff(StaffRight.ACCESS_APPROVE)],
    responses=refuses(AccountNotFound),
    summary="Unlock an account",
)
async def unlock(account_id: UUID, by: By, session: Session, key: IdempotencyKey) -> AccountStatus:
    """It can be signed on with again."""
    return AccountStatus.of(await unlock_account(session, account_id, by))


@router.post(
    "/{account_id}/second-factor/removal",
    dependencies=[staff(StaffRight.ACCESS_APPROVE)],
    responses=refuses(AccountNotFound, SecondFactorOff, OwnAccount),
    summary="Take a second factor that was lost",
)
async def take_factor(account_id: UUID, by: By, session: Session, ctx: Ctx, key: IdempotencyKey) -> AccountStatus:
    """For somebody who has lost app and recovery codes, and whom you know by other means.

    Their passkeys go, too, as the device that was lost may have had one. All of their sessions end.
    """
    return AccountStatus.of(await take_second_factor(ctx, session, account_id, by))
