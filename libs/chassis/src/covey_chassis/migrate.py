"""Bring a service's database to today's tables: the chassis's own first, then the service's; and guard them.

Each has its own version table, so a service's versions never need to know the chassis's. Migrations run with the
owner's role, under a lock: two instances that start at once do not both migrate.
"""

from importlib.resources import files

from alembic import command, op
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from covey_chassis.db import make_engine
from covey_chassis.guarding import Roles, check_roles, guard_groups

LOCK = 0x436F7665794D6967
"""The advisory lock of migrations ("CoveyMig")."""


def _upgrade_by_one(connection: Connection, package: str) -> bool:
    """Run the package's next version; False when there is none."""
    version_table = f"{package}_version"
    config = Config()
    config.set_main_option("script_location", str(files("covey_chassis") / "migrations"))
    config.set_main_option("version_locations", str(files(package) / "migrations" / "versions"))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, version_table=version_table)
    present = MigrationContext.configure(connection, opts={"version_table": version_table}).get_current_revision()
    connection.rollback()  # Alembic begins a transaction of its own
    if present == ScriptDirectory.from_config(config).get_current_head():
        return False
    command.upgrade(config, "+1")
    return True


async def migrate(owner_url: str, package: str, *, request_url: str, worker_url: str) -> None:
    """Upgrade the database behind ``owner_url`` for the service whose Python package is ``package``.

    The other two URLs tell which roles there are. What has rows of groups is guarded before the service's first version,
    and after each: so each runs on guarded tables, in a database that is new as in one that is not.

    Raises:
        CannotGuard: rows could not be kept from the request role. Nothing is done then.
    """
    roles = Roles(
        owner=await _role_of(owner_url), request=await _role_of(request_url), worker=await _role_of(worker_url)
    )
    engine = make_engine(owner_url)
    try:
        async with engine.connect() as lock:
            await lock.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            await lock.commit()
            await check_roles(lock, roles)
            await lock.commit()
            while await _by_one(engine, "covey_chassis"):
                pass
            await guard_groups(engine, roles)
            while await _by_one(engine, package):
                await guard_groups(engine, roles)
    finally:
        await engine.dispose()


async def _by_one(engine: AsyncEngine, package: str) -> bool:
    async with engine.connect() as connection:
        there_was_one = await connection.run_sync(_upgrade_by_one, package)
        await connection.commit()
    return there_was_one


async def _role_of(url: str) -> str:
    engine = make_engine(url)
    try:
        async with engine.connect() as connection:
            return str(await connection.scalar(text("SELECT current_user")))
    finally:
        await engine.dispose()


def execute_all(statements: str) -> None:
    """For a migration: run the statements, each of which ends with a semicolon at a line's end."""
    for statement in statements.split(";\n"):
        if statement.strip():
            op.execute(statement)
