"""A running service: its workers beside its requests."""

from pathlib import Path

import pytest
from covey_chassis.running import Running
from covey_chassis.service import Context, Service, Worker
from covey_chassis.settings import Role
from covey_chassis.testing import NewDatabase, service_settings
from covey_chassis.testing.broker import eventually
from sqlalchemy import text

pytestmark = pytest.mark.usefixtures("signing_key")


async def test_requests_that_never_end_do_not_stop_a_worker_that_gives_way_to_them(
    new_database: NewDatabase, sealing_keys: Path
) -> None:
    pieces = 0

    async def piece(_context: Context) -> bool:
        nonlocal pieces
        pieces += 1
        return True

    service = Service(name="chassis", summary="Works without end.", workers=[Worker("endless", piece)])
    async with new_database("covey_chassis") as urls:
        settings = service_settings(service, urls, sealing_keys, roles=frozenset({Role.WORKERS}))
        running = Running(service, settings)
        async with running.context.requests.session() as request:
            await request.execute(text("SELECT 1"))  # from now on it holds a connection
            async with running.lifespan():

                async def many() -> bool:
                    return pieces > 100

                await eventually(many)
