"""Triggers of the test's own note what services do to their copies, and relays to their outbox.

What is noted is in a schema of its own in each service's database, so it comes and goes with what it tells of. A note of a
row's change is written in the change's transaction, while the row is locked: the notes of one row are in the order in which
its changes were committed. No service is changed for it.
"""

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from covey_chassis.testing.broker import eventually
from covey_local.databases import connected

SUBJECTS: dict[str, dict[str, str]] = {
    "identity": {"group_copy": "NEW.group_id::text"},
    "membership": {"taken_approval": "NEW.transaction_id::text"},
    "transactions": {"group_copy": "NEW.group_id::text", "renewal_copy": "NEW.renewal_id::text"},
    "renewals": {
        "book": "NEW.group_id::text",
        "firm": "NEW.firm_id::text",
        "appointment": "NEW.appointment_id::text",
        "transaction_copy": "NEW.transaction_id::text",
    },
    "notifications": {
        "group_copy": "NEW.group_id::text",
        "account_copy": "NEW.account_id::text",
        "appointment_copy": "NEW.appointment_id::text",
        "grant_told": "NEW.grant_id::text",
        "notification": "NEW.about_event_id || ' ' || NEW.recipient",
    },
}
"""The tables of copies and of what reactions made, by service, and what names a row."""
MADE_ONCE = ("taken_approval", "notification")
"""Those whose rows are no copies: only that they come to be is noted."""


async def install(admin_url: str, services: Iterable[str]) -> None:
    """Put the triggers into the databases of these services, whoever works in them; again is harmless."""
    for service in services:
        await eventually(partial(_installed, database_url(admin_url, service), SUBJECTS[service]))


async def _installed(url: str, subjects: dict[str, str]) -> bool:
    """Whether it went well: a trigger locks its table, and who works in several tables may be waited for in a circle."""
    async with connected(url) as database:
        with suppress(asyncpg.DeadlockDetectedError):
            async with database.transaction():
                await database.execute(NOTES)
                for table, subject in subjects.items():
                    await database.execute(_notes_of(table, subject))
            return True
    return False


def database_url(admin_url: str, service: str) -> str:
    """The superuser's way into a service's database."""
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/covey_{service}"))


NOTES = """
CREATE SCHEMA IF NOT EXISTS faults;
CREATE TABLE IF NOT EXISTS faults.effect (
    serial bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    in_table text NOT NULL,
    subject text NOT NULL,
    sequence bigint,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE IF NOT EXISTS faults.relay_act (
    serial bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
    backend int NOT NULL DEFAULT pg_backend_pid(),
    act text NOT NULL,
    fence bigint NOT NULL,
    rows bigint NOT NULL
);

CREATE OR REPLACE FUNCTION faults.note_hold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO faults.relay_act (act, fence, rows) VALUES ('hold', NEW.fence, 1);
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_hold AFTER UPDATE ON public.relay_lease
    FOR EACH ROW WHEN (NEW.expires_at > clock_timestamp()) EXECUTE FUNCTION faults.note_hold();

CREATE OR REPLACE FUNCTION faults.note_delete() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO faults.relay_act (act, fence, rows)
    SELECT 'delete', (SELECT fence FROM public.relay_lease WHERE shard = 0), count(*) FROM gone HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER note_delete AFTER DELETE ON public.outbox
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT
    WHEN (current_setting('application_name') = 'relay') EXECUTE FUNCTION faults.note_delete();
"""


def _notes_of(table: str, subject: str) -> str:
    events = "INSERT" if table in MADE_ONCE else "INSERT OR UPDATE"
    sequence = "NULL" if table in MADE_ONCE else "NEW.sequence"
    return f"""
        CREATE OR REPLACE FUNCTION faults.note_{table}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            INSERT INTO faults.effect (in_table, subject, sequence) VALUES ('{table}', {subject}, {sequence});
            RETURN NULL;
        END $$;
        CREATE OR REPLACE TRIGGER note_{table} AFTER {events} ON public.{table}
            FOR EACH ROW EXECUTE FUNCTION faults.note_{table}();
    """
