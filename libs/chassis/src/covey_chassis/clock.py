"""The only place that reads a clock.

``now()`` is always real. ``today()`` is the real date in the carrier's zone plus an offset that the service's database
keeps, which ``covey date`` moves forward for demos and tests: all instances and processes of a service agree on it.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from covey_chassis.errors import Refusal


class DateCannotGoBack(Refusal):
    """The date moves forward only: what became due stays due."""


@dataclass(frozen=True)
class Clock:
    """Time as a service sees it."""

    zone: ZoneInfo

    @staticmethod
    def now() -> datetime:
        """The real time, in UTC. Expiries use it."""
        return datetime.now(UTC)

    async def today(self, session: AsyncSession) -> date:
        """The carrier's date: what is due is due by it."""
        return self.now().astimezone(self.zone).date() + timedelta(days=await offset_days(session))


_OFFSET = text("SELECT offset_days FROM clock")


async def offset_days(session: AsyncSession) -> int:
    """By how many days the service's date runs ahead of the real one; 0 in production."""
    return int((await session.execute(_OFFSET)).scalar_one())


async def move_date(session: AsyncSession, days: int) -> None:
    """Let the date run ``days`` ahead of the real one.

    Raises:
        DateCannotGoBack: it runs further ahead already.
    """
    moved = await session.execute(
        text("UPDATE clock SET offset_days = :days WHERE offset_days <= :days RETURNING 1"), {"days": days}
    )
    if moved.first() is None:
        raise DateCannotGoBack(offset_days=await offset_days(session), asked=days)
