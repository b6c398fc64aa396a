"""PostgreSQL and Kafka of one stack: what the services stand on, and all that most tests need."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from covey_chassis.settings import KafkaSettings
from covey_contracts import EVENTS, Topic

from covey_local import ports, principals, topology
from covey_local.cluster import Cluster
from covey_local.databases import DatabaseUrls, copy_database, create_databases, database_urls, drop_database
from covey_local.home import Home
from covey_local.links import Links
from covey_local.postgres import Postgres
from covey_local.principals import AclsApplied
from covey_local.progress import Progress
from covey_local.topics import Applied, apply_topics

KEPT_WHEN_FRESH = ("cache", "lock", "ports.json")


class Infrastructure:
    """Real PostgreSQL and real Kafka, whose data, logs and secrets live in one folder.

    ``brokers`` is one or three; with three, every topic has a copy on each, and two have what was acknowledged.
    ``durable=False`` is for throw-away stacks: PostgreSQL does not wait for the disk, and ports are any free ones.
    ``links`` is asked for the ways by which the ``users``, services, reach both. ``cache`` holds Kafka's jars; stacks may
    share one. Start and stop may happen in different event loops.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        durable: bool = True,
        links: Links | None = None,
        users: Sequence[str] = (),
        cache: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.home = Home(folder)
        self.progress = progress or Progress()
        self._durable = durable
        self._links = links
        self._users = users
        self._brokers = brokers
        cache = (cache or self.home.folder / "cache").resolve()
        self._kafka = Cluster(self.home, brokers=brokers, cache=cache / "maven", links=links, users=users)
        self._postgres: Postgres | None = None
        self._linked_postgres: dict[str, Postgres] = {}

    @property
    def admin_url(self) -> str:
        """PostgreSQL's superuser."""
        if self._postgres is None:
            raise RuntimeError("The stack has not been started.")
        return self._postgres.admin_url

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's addresses, one a broker, with commas between."""
        return self._kafka.bootstrap_servers()

    @property
    def kafka_settings(self) -> KafkaSettings:
        """How Kafka's super user signs on: whoever administers it, and tests with topics of their own."""
        return self._kafka.settings()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its processes."""
        return ("postgres", *self._kafka.names)

    def kafka_settings_of(self, principal: str, *, user: str | None = None) -> KafkaSettings:
        """How one of the contracts' principals signs on to Kafka, once they are there: by the way of a user, if given."""
        return self._kafka.settings(principal, user=user)

    async def start(self) -> None:
        """Start both. Raises ``AlreadyRunning`` when somebody runs this folder's stack, or ``StartFailed``."""
        self.home.lock()
        try:
            if left := await self.home.end_leftovers():
                self.progress.say(f"Ended what a killed run had left: {', '.join(left)}.")
            wanted = {"postgres": topology.POSTGRES, **self._kafka.wanted_ports}
            chosen = ports.choose(self.home.ports_file, wanted if self._durable else dict.fromkeys(wanted))
            await self._start_postgres(chosen["postgres"])
            with self.progress.step("Kafka") as step:
                await self._kafka.start(chosen, step)
                step.where = self.bootstrap_servers
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop both and wait until they have ended. Harmless when they don't run."""
        await self._kafka.stop()
        await self.home.running.stop("postgres")
        self.home.unlock()

    def delete(self) -> None:
        """Delete all data, logs and secrets of the stopped stack. What the cache holds stays, if it is outside."""
        self.home.delete()

    async def apply_topics(self, topics: Iterable[Topic] | None = None) -> Applied:
        """Make the topics of all contracts, or those given."""
        wanted = topics or [event.topic for event in EVENTS]
        return await apply_topics(self.kafka_settings, wanted, replication_factor=self._brokers)

    async def apply_principals(self) -> AclsApplied:
        """Let each principal sign on with its password, and do what the contracts say and nothing else."""
        passwords = self.home.secrets((), principals=principals.NAMES).kafka
        await principals.set_passwords(self.kafka_settings, {name: passwords[name] for name in principals.NAMES})
        return await principals.apply_acls(self.kafka_settings, principals.ACLS)

    async def create_database(self, service: str, *, database: str | None = None) -> DatabaseUrls:
        """A service's database and roles, made if they are not there; its tables are the service's own affair.

        ``database`` makes another one for the same roles, such as a test's.
        """
        urls = self.database_urls(service, database=database)
        await create_databases(self.admin_url, urls)
        return urls

    async def copy_database(self, service: str, template: str, *, database: str | None = None) -> DatabaseUrls:
        """A copy of one of the service's databases: as ``database``, for the same roles, or as its own, if that is gone."""
        urls = self.database_urls(service, database=database)
        await copy_database(self.admin_url, urls, template=template)
        return urls

    def database_urls(self, service: str, *, database: str | None = None, linked: bool = False) -> DatabaseUrls:
        """Where a service's database is, and its passwords, which are kept in the stack's folder.

        ``linked`` gives the service's own way there, where there are links.
        """
        passwords = self.home.secrets((service,)).databases[service]
        way = self._linked_postgres.get(service) if linked else None
        return database_urls(way.admin_url if way else self.admin_url, service, passwords, database=database)

    async def drop_database(self, database: str) -> None:
        """Drop a database, whoever is connected to it."""
        await drop_database(self.admin_url, database)

    async def _start_postgres(self, port: int) -> None:
        with self.progress.step("PostgreSQL") as step:
            self._postgres = Postgres(
                folder=self.home.folder / "postgres",
                port=port,
                password=self.home.secrets(()).postgres,
                log=self.home.logs / "postgres.log",
                durable=self._durable,
            )
            await self.home.running.start(self._postgres)
            step.where = f"127.0.0.1:{port}"
        if self._links:
            ways = {user: await self._links.port(user, "postgres", port) for user in self._users}
            self._linked_postgres = {user: replace(self._postgres, port=way) for user, way in ways.items()}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
