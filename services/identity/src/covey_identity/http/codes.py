"""Entering an access code (R-05)."""

from typing import Annotated
from uuid import UUID

from covey_chassis.access import By, Right, signed_on
from covey_chassis.http import Ctx, IdempotencyKey, Session, answers_about, refuses, says, service_router
from covey_chassis.transaction import work_of
from covey_contracts.identity import GrantRole
from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from covey_identity import queries
from covey_identity.attempts import TooManyAttempts, clear_attempts, subject_of
from covey_identity.audit import Author, refusals_audited
from covey_identity.codes import PURPOSE, FoundCode, find_before
from covey_identity.domain.access_change import Progress
from covey_identity.domain.access_code import CodeExpired, CodeNotGood, CodeReplaced, CodeUsed
from covey_identity.domain.access_request import OwnApproval
from covey_identity.domain.grant import AlreadyHasAccess
from covey_identity.http.changes import Prefer, address_of, seconds_preferred
from covey_identity.progress import wait_until_done
from covey_identity.use_cases.redeem_code import redeem_code

router = service_router(prefix="/v1/access-codes", tags=["access codes"])

WAIT_S = 2.0
"""So long the answer waits for the services to know, unless the client says otherwise: else the next call would get 403."""


class Typed(BaseModel):
    """A code as somebody types it: in any case, with or without dashes and spaces."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=100, examples=["7F3K-9QWD-2MXR-V0TA"])]


class Redeemed(BaseModel):
    """What is yours from now on."""

    grant_id: UUID
    group_id: UUID
    group_number: str
    legal_name: str
    role: GrantRole
    rights: list[Right]
    billing_units: list[str] | None
    everywhere: Annotated[bool, Field(description="Whether every service knows already: else look at `Location`.")]


@router.post(
    "/redemption",
    dependencies=[signed_on(before=find_before)],
    responses=says(200, "Location")
    | refuses(CodeNotGood, CodeExpired, CodeUsed, CodeReplaced, AlreadyHasAccess, OwnApproval, TooManyAttempts),
    summary="Enter an access code",
)
async def redeem(
    typed: Typed,
    request: Request,
    code_id: FoundCode,
    by: By,
    session: Session,
    ctx: Ctx,
    key: IdempotencyKey,
    response: Response,
    prefer: Prefer = None,
) -> Redeemed:
    """The rights that were offered are yours, on the account that you are signed on with."""
    async with refusals_audited(ctx, "code.redeemed", Author.of(by, "access code"), session=session):
        if code_id is None:
            raise CodeNotGood
        grant, change = await redeem_code(session, by, code_id, seal=ctx.keyring.seal, at=ctx.clock.now())
    await clear_attempts(session, PURPOSE, subject_of(str(by.account_id)))
    group = await queries.group_of(session, grant.group_id)
    await session.flush()
    response.headers["Location"] = address_of(change)
    answers_about(request, grant.group_id)
    redeemed = Redeemed(
        grant_id=grant.id,
        group_id=grant.group_id,
        group_number=group.group_number,
        legal_name=group.legal_name,
        role=grant.role,
        rights=sorted(grant.scope.rights),
        billing_units=grant.billing_units,
        everywhere=False,
    )
    change_id, location, seconds = change.id, address_of(change), seconds_preferred(prefer, WAIT_S)

    async def afterwards() -> Response | None:
        if await wait_until_done(ctx, change_id, seconds=seconds) is Progress.PENDING:
            return None
        said = redeemed.model_copy(update={"everywhere": True})
        return JSONResponse(said.model_dump(mode="json"), headers={"Location": location})

    work_of(request).afterwards = afterwards
    return redeemed
