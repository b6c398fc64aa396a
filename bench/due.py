"""A book of groups whose renewals become due day by day, so many on each; and somebody who asks for some of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate, count
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from covey_chassis.clock import Clock
from covey_local.databases import DatabaseUrls, connected
from covey_renewals.domain.renewal import last_date_in_reach

from bench.stand import Stand

ZONE = ZoneInfo("America/Los_Angeles")
FIRMS_GROUPS = 300

BOOK = """
INSERT INTO book (group_id, sequence, group_number, legal_name, renewal_date)
SELECT uuidv7(), 1, to_char(number, 'FM00000000'),
       (ARRAY['Acme', 'Blue River', 'Cedar', 'Delta', 'Evergreen', 'Foothill', 'Golden Gate'])[1 + number % 7] || ' '
           || (ARRAY['Bakery', 'Dental', 'Plumbing', 'Software', 'Ceramics'])[1 + number % 5] || ' ' || number || ' LLC',
       $1::date + width_bucket(number, $2::int[])
  FROM generate_series(0, $3::int - 1) AS number
"""
RENEWALS = """
INSERT INTO renewal (id, group_id, plan_year, effective_date, current, status, version, sequence)
SELECT uuidv7(), group_id, extract(year FROM renewal_date), renewal_date, true, 'upcoming', 1, 1 FROM book
"""
BROKER = """
WITH firm AS (INSERT INTO firm VALUES (uuidv7(), 1, 'F-1', 'Foothill Benefits') RETURNING firm_id),
     appointment AS (
         INSERT INTO appointment
         SELECT uuidv7(), 1, group_id, firm_id, $1::date - 400, NULL, $1::date - 400
           FROM firm, (SELECT group_id FROM book ORDER BY reverse(group_number) LIMIT $2) AS served
         RETURNING *
     )
INSERT INTO access_fact (kind, id, rev, group_id, account_id, firm_id, rights, active)
SELECT 'appointment', appointment_id, 1, group_id, NULL, firm_id, ARRAY['renewals.view'], true FROM appointment
UNION ALL
SELECT 'membership', uuidv7(), 1, NULL, uuidv7(), firm_id, '{}', true FROM firm
"""
DUE = """
SELECT count(*) FROM renewal, clock WHERE status = 'upcoming' AND effective_date <= $1::date + offset_days
"""


@dataclass(frozen=True)
class Book:
    """A database of renewals, filled, and a connection of its workers' role."""

    urls: DatabaseUrls
    database: asyncpg.Connection
    last_date: date
    """The last effective date in reach before the first of the days has passed."""

    async def pass_to(self, day: int) -> int:
        """Let the service's date be that day. How many renewals are due then."""
        await self.database.execute("UPDATE clock SET offset_days = $1", day)
        return await self.due()

    async def due(self) -> int:
        """How many renewals are due and not available yet."""
        return int(await self.database.fetchval(DUE, self.last_date))

    async def events(self) -> int:
        """How many events wait to be sent."""
        return int(await self.database.fetchval("SELECT count(*) FROM outbox"))

    async def broker(self) -> UUID:
        """Whose firm serves some of the groups."""
        found: UUID = await self.database.fetchval("SELECT account_id FROM access_fact WHERE kind = 'membership'")
        return found

    async def brokers_renewals(self) -> list[asyncpg.Record]:
        """The renewals of the broker's groups: each with ``id`` and ``group_id``."""
        found: list[asyncpg.Record] = await self.database.fetch(
            "SELECT id, group_id FROM renewal JOIN appointment USING (group_id)"
        )
        return found


@dataclass(frozen=True)
class Shelf:
    """A filled book that is kept as it is: whoever works on it has a copy."""

    stand: Stand
    urls: DatabaseUrls
    last_date: date
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[Book]:
        """A book of one's own for the block."""
        name = f"{self.urls.database}_{next(self._numbers)}"
        infrastructure = self.stand.infrastructure
        urls = await infrastructure.copy_database("renewals", self.urls.database, database=name)
        try:
            async with connected(urls.worker) as database:
                await database.execute("SET transaction_timeout = 0")
                yield Book(urls, database, self.last_date)
        finally:
            await infrastructure.drop_database(name)


@asynccontextmanager
async def filled(stand: Stand, days: Sequence[int]) -> AsyncIterator[Shelf]:
    """A book where so many groups become due on the first day after today, so many on the next, and so on."""
    async with stand.database("covey_renewals") as urls:
        today = Clock.now().astimezone(ZONE).date()
        last_date = last_date_in_reach(today)
        firsts = [0, *accumulate(days)]
        async with connected(urls.owner) as database:
            await database.execute(BOOK, last_date, firsts[:-1], firsts[-1])
            await database.execute(RENEWALS)
            await database.execute(BROKER, today, FIRMS_GROUPS)
            await database.execute("UPDATE access_applier SET authority = true")  # its facts are its own: no lease
            await database.execute("VACUUM ANALYZE")
        yield Shelf(stand, urls, last_date)
