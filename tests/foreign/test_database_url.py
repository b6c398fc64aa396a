"""A PostgreSQL that somebody else runs: its URL says how connections are made, for every part of a service."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from covey_chassis.clock import Clock
from covey_chassis.db import Database
from covey_chassis.migrate import migrate
from covey_chassis.running import Running
from covey_chassis.settings import Role
from covey_chassis.testing import NewDatabase, service_settings
from covey_local.databases import DatabaseUrls
from covey_renewals.app import service


async def test_a_database_url_may_say_how_connections_are_made(new_database: NewDatabase, sealing_keys: Path) -> None:
    async with new_database(service.package) as found:
        more = "?sslmode=prefer&target_session_attrs=read-write&application_name=covey"
        urls = DatabaseUrls(request=found.request + more, worker=found.worker + more, owner=found.owner + more)
        await migrate(urls.owner, service.package, request_url=urls.request, worker_url=urls.worker)
        running = Running(service, service_settings(service, urls, sealing_keys, roles={Role.HTTP}))
        async with running.lifespan():
            assert [await check() for _, check in running.ready()] == [None]


async def test_where_the_url_asks_for_tls_there_is_no_connection_without_it(new_database: NewDatabase) -> None:
    async with new_database(service.package) as urls:
        database = Database(f"{urls.worker}?sslmode=require", Clock(ZoneInfo("UTC")))
        with pytest.raises(ConnectionError, match="SSL"):
            await database.engine.connect().start()
