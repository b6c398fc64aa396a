"""A service's database and its three roles: one for requests, one for workers, one that owns and migrates.

The request role may become the worker for a transaction, and has none of its rights by itself: by its policies it sees the
rows of the groups that a request is about (``covey_chassis.guarding``).
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import asyncpg

WORKER_TRANSACTION_S = 30
IDLE_TIMEOUT = "15s"


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """One password a role. Whoever makes them keeps them: the database has only hashes."""

    request: str
    worker: str
    owner: str

    @classmethod
    def generate(cls) -> Self:
        return cls(request=secrets.token_hex(16), worker=secrets.token_hex(16), owner=secrets.token_hex(16))


@dataclass(frozen=True, kw_only=True)
class DatabaseUrls:
    """The three ways into a service's database."""

    request: str
    worker: str
    owner: str

    @property
    def database(self) -> str:
        return unquote(urlsplit(self.owner).path.removeprefix("/"))

    def environment(self) -> dict[str, str]:
        """The settings by which a service finds its database."""
        return {
            "COVEY_DATABASE_URL": self.request,
            "COVEY_WORKER_DATABASE_URL": self.worker,
            "COVEY_OWNER_DATABASE_URL": self.owner,
        }


def database_urls(admin_url: str, service: str, passwords: Passwords, *, database: str | None = None) -> DatabaseUrls:
    """The URLs of a service's database on the server of ``admin_url``.

    ``database`` names another one than the service's own, such as a test's: the roles stay the service's.
    """
    own = f"covey_{service}"
    host = urlsplit(admin_url).netloc.rpartition("@")[2]
    return DatabaseUrls(
        **{
            role: urlunsplit(
                ("postgresql", f"{own}_{role}:{quote(password, safe='')}@{host}", f"/{database or own}", "", "")
            )
            for role, password in asdict(passwords).items()
        }
    )


async def create_databases(admin_url: str, urls: DatabaseUrls) -> None:
    """Create the roles and the database that the URLs name, or bring those that are there to the same rights.

    Roles belong to the server: their passwords and time-outs hold in each of the service's databases.
    """
    from covey_chassis.access.facts import TRANSACTION_S  # noqa: PLC0415 - the routes' libraries come with it

    owner, request, worker = (_sign_on(url) for url in (urls.owner, urls.request, urls.worker))
    async with connected(admin_url) as admin:
        # Two tests, or a test and its neighbour, may create databases of one service at the same time.
        await admin.execute("SELECT pg_advisory_lock(hashtext('covey databases'))")
        for role in (owner, request, worker):
            verb = "ALTER" if await admin.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role.name) else "CREATE"
            await admin.execute(f"{verb} ROLE {role.identifier} LOGIN PASSWORD {_literal(role.password)}")
            await admin.execute(
                f"ALTER ROLE {role.identifier} SET idle_in_transaction_session_timeout = '{IDLE_TIMEOUT}'"
            )
        for role, seconds in ((request, TRANSACTION_S), (worker, WORKER_TRANSACTION_S)):
            await admin.execute(f"ALTER ROLE {role.identifier} SET transaction_timeout = '{seconds * 1000:.0f}ms'")
        await admin.execute(f"GRANT {worker.identifier} TO {request.identifier} WITH INHERIT FALSE, SET TRUE")
        if not await admin.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", urls.database):
            await admin.execute(f"CREATE DATABASE {_identifier(urls.database)} OWNER {owner.identifier}")
        await _let_in(admin, urls)
    async with connected(_with_database(admin_url, urls.database)) as admin:
        both = f"{request.identifier}, {worker.identifier}"
        defaults = f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner.identifier}"
        await admin.execute(
            f"""
            ALTER SCHEMA public OWNER TO {owner.identifier};
            REVOKE ALL ON SCHEMA public FROM PUBLIC;
            GRANT USAGE ON SCHEMA public TO {both};
            {defaults} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {both};
            {defaults} GRANT USAGE ON SEQUENCES TO {both};
            """
        )


async def copy_database(admin_url: str, urls: DatabaseUrls, *, template: str) -> None:
    """Create the database that the URLs name as a copy of another one of the service: tables, rows, and rights in it.

    Nobody may be connected to the template. The roles are there, as it is.
    """
    async with connected(admin_url) as admin:
        names = f"{_identifier(urls.database)} OWNER {_sign_on(urls.owner).identifier} TEMPLATE {_identifier(template)}"
        await admin.execute(f"CREATE DATABASE {names} STRATEGY file_copy")  # the log would take it page by page
        await _let_in(admin, urls)


async def _let_in(admin: "asyncpg.Connection[asyncpg.Record]", urls: DatabaseUrls) -> None:
    """Nobody but the service's roles may connect."""
    database, request, worker = _identifier(urls.database), _sign_on(urls.request), _sign_on(urls.worker)
    await admin.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
    await admin.execute(f"GRANT CONNECT ON DATABASE {database} TO {request.identifier}, {worker.identifier}")


async def drop_database(admin_url: str, database: str) -> None:
    """Drop a database if there is one, and end whoever is connected to it. The roles stay."""
    async with connected(admin_url) as admin:
        await admin.execute(f"DROP DATABASE IF EXISTS {_identifier(database)} WITH (FORCE)")


@asynccontextmanager
async def connected(url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """One connection, closed at the end."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()


@dataclass(frozen=True)
class _Role:
    name: str
    password: str

    @property
    def identifier(self) -> str:
        return _identifier(self.name)


def _sign_on(url: str) -> _Role:
    parts = urlsplit(url)
    return _Role(unquote(parts.username or ""), unquote(parts.password or ""))


def _with_database(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(database, safe='')}"))


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
