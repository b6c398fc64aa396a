"""Send a failed message again."""

from datetime import datetime
from uuid import UUID

from covey_chassis.db import load
from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import Notification, NotificationNotFound


async def resend_notification(session: AsyncSession, notification_id: UUID, *, at: datetime) -> Notification:
    """Let a failed message wait again, due at once, to whoever has the role now."""
    notification = await load(session, Notification, notification_id, missing=NotificationNotFound)
    notification.resend(at=at)
    return notification
