"""Notifications: emails about what happened, once each."""

from covey_chassis.acts import published_as
from covey_chassis.service import Service
from covey_contracts.notifications import NotificationsActRecorded

from covey_notifications.consumers import accounts, groups, reactions
from covey_notifications.http import router
from covey_notifications.settings import Settings
from covey_notifications.workers import workers

service = Service(
    name="notifications",
    summary="Tells people what concerns them, once, and shows what could not be delivered.",
    settings=Settings,
    routers=[router],
    consumers=[groups, accounts, reactions],
    workers=workers,
    acts=published_as(NotificationsActRecorded),
)
