"""What notifications does by itself: sending what is due, and measuring what waits."""

import asyncio
from functools import partial

from covey_chassis.service import Context, Worker

from covey_notifications.mailbox import parsed
from covey_notifications.metrics import OLDEST_WAITING_S
from covey_notifications.queries import waiting_since
from covey_notifications.settings import LANES_MAX, Settings
from covey_notifications.smtp import MailServer
from covey_notifications.use_cases.send_next import send_next

PIECE_S = 3.0
"""How long a lane goes on with one connection. With the last message's time-out it ends before a stopping process."""


async def send_due(context: Context, *, lane: int) -> bool:
    """Send what is due, one message after the other over one connection; True when there may be more.

    Lanes are independent: one that waits for a stalled server holds up nobody else. Every second lane takes messages
    that were never tried first.
    """
    settings = context.settings
    assert isinstance(settings, Settings)
    if lane > settings.mail_concurrency:
        return False
    time = asyncio.get_running_loop().time
    until = time() + PIECE_S
    sender = parsed(settings.mail_from)
    async with MailServer(settings) as server:
        while time() < until:
            async with context.workers.transaction() as session:
                found = await send_next(
                    session,
                    server,
                    context.keyring,
                    sender=sender,
                    new_first=lane % 2 == 0,
                    clock=context.clock,
                    portal_url=settings.portal_url,
                )
            if not found:
                return False
    return True


async def measure_waiting(context: Context) -> bool:
    """Bring the gauge up to date."""
    async with context.workers.transaction() as session:
        since = await waiting_since(session)
    OLDEST_WAITING_S.set((context.clock.now() - since).total_seconds() if since else 0)
    return False


mailers = [Worker(f"mailer-{lane}", partial(send_due, lane=lane), every_s=0.5) for lane in range(1, LANES_MAX + 1)]
workers = [*mailers, Worker("measure-mail", measure_waiting, every_s=5)]
