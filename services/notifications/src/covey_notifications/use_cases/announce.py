"""Write messages down, to be sent."""

from sqlalchemy.ext.asyncio import AsyncSession

from covey_notifications.domain.notification import Notification
from covey_notifications.queries import recipients_of


async def announce(session: AsyncSession, *notifications: Notification) -> None:
    """Write down the messages about one event, each once: the inbox forgets after 30 days, a mailbox does not."""
    told = await recipients_of(session, notifications[0].about_event_id)
    session.add_all(each for each in notifications if each.recipient not in told)
