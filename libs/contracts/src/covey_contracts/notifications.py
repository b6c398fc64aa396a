"""What notifications tells the world: which messages went out, and which could not."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from covey_contracts.acts import ActRecorded
from covey_contracts.base import Event, Topic


class NotificationState(Event):
    """One message to one recipient about one event. Who the recipient is stays in the service."""

    notification_id: UUID
    kind: Annotated[str, Field(description="What the message says, such as `renewal-available`.")]
    about_event_id: Annotated[str, Field(description="The CloudEvents ID of the event that it was written for.")]
    message_id: Annotated[
        str, Field(description="The email's Message-ID: the same each time that this message is sent.")
    ]
    attempts: int


class NotificationDelivered(NotificationState):
    """The mail server took the message."""

    topic: ClassVar[Topic] = Topic(
        name="covey.notification.delivered.v1",
        aggregate="notification",
        key="notification_id",
        owner="notifications",
        kept_days=30,
    )


class NotificationFailed(NotificationState):
    """The message could not be delivered and is not tried again by itself; an operator can send it again."""

    topic: ClassVar[Topic] = Topic(
        name="covey.notification.failed.v1",
        aggregate="notification",
        key="notification_id",
        owner="notifications",
        kept_days=30,
    )

    reason: str


# --- audit ---


class NotificationsActRecorded(ActRecorded):
    """Somebody did something in notifications, looked at what is sensitive there, or was refused."""

    topic: ClassVar[Topic] = Topic(
        name="covey.notifications-act.recorded.v1",
        aggregate="notifications-act",
        key="act_id",
        owner="notifications",
        listeners=("identity",),
        kept_days=30,
        sequenced=False,
    )
