"""The operator's routes of every service: dead letters and the date, for whoever has the operator's token."""

import hmac
from datetime import date, datetime
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from covey_chassis.clock import DateCannotGoBack, move_date, offset_days
from covey_chassis.deadletters import (
    DeadLetter,
    DeadLetterNotFound,
    InspectedLetter,
    LetterId,
    State,
    inspect_letter,
    list_letters,
    sort_values,
)
from covey_chassis.http import After, Ctx, Limit, Page, Session, refuses, service_router
from covey_chassis.operator_acts import (
    Act,
    AnotherRecordIsFirst,
    UnreadableCannotBeRetried,
    discard_letter,
    retry_letter,
    write_act,
)
from covey_chassis.transaction import context_of

OFFSET_DAYS_MAX = 36_500


async def only_operators(request: Request) -> None:
    """Let only the bearer of the operator's token pass."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    wanted = context_of(request).settings.operator_token.get_secret_value()
    if not (scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), wanted.encode())):
        raise HTTPException(401, "This is for operators.", headers={"WWW-Authenticate": 'Bearer realm="operators"'})


router = service_router(
    prefix="/internal",
    tags=["operations"],
    role="workers",
    guard=only_operators,
    dependencies=[Depends(HTTPBearer(auto_error=False, description="The operator's token."))],
)

Operator = Annotated[
    str,
    Header(
        alias="X-Operator",
        pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,98}[\x21-\x7e])?$",
        description="Who acts, for the record.",
        examples=["ada"],
    ),
]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Retry(BaseModel):
    """Why it should be tried again."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class Discard(BaseModel):
    """Why the record can be given up."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    event_id: str | None = Field(None, description="Discard only if this event is the first of its queue.")


class Today(BaseModel):
    """What day it is for the service."""

    now: datetime
    today: date
    offset_days: int


class MoveDate(BaseModel):
    """By how many days the service's date shall run ahead of the real one."""

    model_config = ConfigDict(extra="forbid")

    offset_days: int = Field(ge=-OFFSET_DAYS_MAX, le=OFFSET_DAYS_MAX, strict=True)
    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""


@router.get("/dead-letters", summary="Dead letters")
async def list_dead_letters(
    session: Session,
    limit: Limit,
    after: After,
    consumer: Annotated[str | None, Query(max_length=200)] = None,
    state: State | None = None,
) -> Page[DeadLetter]:
    """What waits for an operator, the oldest first."""
    letters = await list_letters(session, consumer=consumer, state=state, after=after.values, limit=limit + 1)
    shown = letters[:limit]
    more = after.next(*sort_values(shown[-1])) if len(letters) > limit else None
    return Page(items=shown, next=more)


@router.get("/dead-letters/{letter_id}", responses=refuses(DeadLetterNotFound), summary="One dead letter")
async def inspect_dead_letter(letter_id: str, session: Session) -> InspectedLetter:
    """One dead letter with its headers, its payload and the queue behind it."""
    return await inspect_letter(session, LetterId.parse(letter_id))


@router.post(
    "/dead-letters/{letter_id}/retry",
    responses=refuses(DeadLetterNotFound, UnreadableCannotBeRetried),
    summary="Try a dead letter again",
)
async def retry_dead_letter(letter_id: str, retry: Retry, session: Session, operator: Operator = "operator") -> Act:
    """Try its first record again now, as if for the first time."""
    return await retry_letter(session, LetterId.parse(letter_id), actor=operator, reason=retry.reason)


@router.post(
    "/dead-letters/{letter_id}/discard",
    responses=refuses(DeadLetterNotFound, AnotherRecordIsFirst),
    summary="Give up a dead letter",
)
async def discard_dead_letter(
    letter_id: str, discard: Discard, session: Session, operator: Operator = "operator"
) -> Act:
    """Give up its first record; what waits behind it goes on. A discarded event leaves a gap in its sequence."""
    return await discard_letter(
        session, LetterId.parse(letter_id), event_id=discard.event_id, actor=operator, reason=discard.reason
    )


@router.get("/date", summary="The service's date")
async def read_date(session: Session, context: Ctx) -> Today:
    """What day it is for the service, and by how many days that runs ahead."""
    return Today(
        now=context.clock.now(),
        today=await context.clock.today(session),
        offset_days=await offset_days(session),
    )


@router.post("/date", responses=refuses(DateCannotGoBack), summary="Move the service's date forward")
async def set_date(move: MoveDate, session: Session, context: Ctx, operator: Operator = "operator") -> Today:
    """Let the date run further ahead; for demos and tests. It never goes back."""
    await move_date(session, move.offset_days)
    details = {"offset_days": move.offset_days}
    await write_act(session, actor=operator, act="date.move", subject="date", reason=move.reason, details=details)
    return await read_date(session, context)
