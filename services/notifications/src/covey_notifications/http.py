"""Delivery status over HTTP, and sending again: for carrier staff who look after messages, and for operations."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from covey_chassis.access import StaffRight, staff
from covey_chassis.acts import tells_of
from covey_chassis.http import After, Ctx, IdempotencyKey, Limit, Page, Session, page_of, refuses, service_router
from covey_chassis.lifecycle import IllegalMove
from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from covey_notifications.domain.notification import Kind, Notification, NotificationNotFound, Recipient, Status
from covey_notifications.queries import listed
from covey_notifications.use_cases.resend_notification import resend_notification

router = service_router(prefix="/v1/notifications", tags=["notifications"])

MAY = staff(StaffRight.MESSAGES_MANAGE, StaffRight.OPERATIONS)


class NotificationView(BaseModel):
    """A message and what became of it. Who the recipient is, and at which address, stays in the service."""

    model_config = ConfigDict(from_attributes=True)

    id: Annotated[UUID, Field(description="Also the reference that the message names.")]
    kind: Kind
    about_event_id: Annotated[str, Field(description="The CloudEvents ID of the event that it was written for.")]
    recipient: Recipient
    group_id: Annotated[UUID | None, Field(description="The group that it is about, if it is about one.")]
    group_number: str | None
    legal_name: str | None
    transaction_id: Annotated[UUID | None, Field(description="The transaction that it is about, if it is about one.")]
    effective_date: Annotated[date | None, Field(description="Of the renewal, in a message about one.")]
    plan_year: int | None
    expires_at: Annotated[
        datetime | None,
        Field(description="Until when what it says is of use: later it is not sent any more, and fails as `expired`."),
    ]
    message_id: Annotated[str, Field(description="The email's Message-ID: the same each time that it is sent.")]
    status: Status
    since: Annotated[datetime, Field(description="When it came to this status.")]
    attempts: Annotated[int, Field(description="How often it was tried since it last began to wait.")]
    next_at: Annotated[datetime | None, Field(description="When it is tried next, while it waits.")]
    reason: Annotated[
        str | None,
        Field(
            description="Why the last try failed, such as `smtp-550-5.1.1`, `connection-refused`, `no-contact`,"
            " `no-account`, `expired`."
        ),
    ]
    created_at: datetime


@router.get("", summary="List notifications, newest first", dependencies=[MAY])
async def list_notifications(
    session: Session,
    limit: Limit,
    after: After,
    status: Annotated[Status | None, Query(description="Only these.")] = None,
    group_id: Annotated[UUID | None, Query(description="Only about this group.")] = None,
) -> Page[NotificationView]:
    found, following = await page_of(
        session,
        listed(status=status, group_id=group_id),
        by=[Notification.id],
        limit=limit,
        after=after,
        descending=True,
    )
    return Page(items=[NotificationView.model_validate(each) for each in found], next=following)


@router.get(
    "/{notification_id}",
    summary="Read one notification",
    dependencies=[MAY],
    responses=refuses(NotificationNotFound),
)
async def read_notification(notification_id: UUID, session: Session) -> NotificationView:
    notification = await session.get(Notification, notification_id)
    if notification is None:
        raise NotificationNotFound(id=notification_id)
    return NotificationView.model_validate(notification)


@router.post(
    "/{notification_id}/resend",
    summary="Send a failed notification again",
    dependencies=[MAY],
    status_code=202,
    responses=refuses(NotificationNotFound, IllegalMove),
)
async def resend(notification_id: UUID, session: Session, ctx: Ctx, _: IdempotencyKey) -> NotificationView:
    """It waits again, due at once, and is tried as often as the first time; with the same Message-ID."""
    notification = await resend_notification(session, notification_id, at=ctx.clock.now())
    if notification.group_id is not None:
        tells_of(session, group_id=notification.group_id)
    return NotificationView.model_validate(notification)
