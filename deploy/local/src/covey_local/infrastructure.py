"""PostgreSQL and Kafka of one stack: what the services stand on, and all that most tests need."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from covey_chassis.settings import KafkaSettings
from covey_contracts import EVENTS, Topic

from covey_local import ports, topology
from covey_local.databases import DatabaseUrls, create_databases, database_urls, drop_database
from covey_local.home import Home
from covey_local.kafka import Kafka, Listener
from covey_local.postgres import Postgres
from covey_local.progress import Progress
from covey_local.topics import Applied, apply_topics

WANTED_PORTS = {
    "postgres": topology.POSTGRES,
    "kafka": topology.KAFKA,
    "kafka-controller": topology.KAFKA_CONTROLLER,
}
KEPT_WHEN_FRESH = ("cache", "lock", "ports.json")


class Infrastructure:
    """Real PostgreSQL and real Kafka, whose data, logs and secrets live in one folder.

    ``durable=False`` is for throw-away stacks: PostgreSQL does not wait for the disk, and ports are any free ones.
    ``cache`` holds Kafka's jars; stacks may share one. Start and stop may happen in different event loops.
    """

    def __init__(
        self, folder: Path, *, durable: bool = True, cache: Path | None = None, progress: Progress | None = None
    ) -> None:
        self.home = Home(folder)
        self.progress = progress or Progress()
        self._durable = durable
        self._cache = (cache or self.home.folder / "cache").resolve()
        self._postgres: Postgres | None = None
        self._kafka: Kafka | None = None

    @property
    def admin_url(self) -> str:
        """PostgreSQL's superuser."""
        if self._postgres is None:
            raise RuntimeError("The stack has not been started.")
        return self._postgres.admin_url

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        if self._kafka is None:
            raise RuntimeError("The stack has not been started.")
        return self._kafka.bootstrap_servers

    @property
    def kafka_settings(self) -> KafkaSettings:
        """Kafka's address as the services' settings."""
        return KafkaSettings(bootstrap_servers=self.bootstrap_servers)

    async def start(self) -> None:
        """Start both. Raises ``AlreadyRunning`` when somebody runs this folder's stack, or ``StartFailed``."""
        self.home.lock()
        try:
            if left := await self.home.end_leftovers():
                self.progress.say(f"Ended what a killed run had left: {', '.join(left)}.")
            chosen = ports.choose(self.home.ports_file, WANTED_PORTS if self._durable else dict.fromkeys(WANTED_PORTS))
            await self._start_postgres(chosen["postgres"])
            await self._start_kafka(chosen["kafka"], chosen["kafka-controller"])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop both and wait until they have ended. Harmless when they don't run."""
        for name in ("kafka", "postgres"):
            await self.home.running.stop(name)
        self.home.unlock()

    def delete(self) -> None:
        """Delete all data, logs and secrets of the stopped stack. What the cache holds stays, if it is outside."""
        self.home.delete()

    async def apply_topics(self, topics: Iterable[Topic] | None = None) -> Applied:
        """Make the topics of all contracts, or those given."""
        return await apply_topics(self.kafka_settings, topics or [event.topic for event in EVENTS])

    async def create_database(
        self, service: str, *, database: str | None = None, template: str | None = None
    ) -> DatabaseUrls:
        """A service's database and roles, made if they are not there; its tables are the service's own affair.

        ``database`` makes another one for the same roles, such as a test's; ``template`` copies that database.
        """
        urls = self.database_urls(service, database=database)
        await create_databases(self.admin_url, urls, template=template)
        return urls

    def database_urls(self, service: str, *, database: str | None = None) -> DatabaseUrls:
        """Where a service's database is, and its passwords, which are kept in the stack's folder."""
        passwords = self.home.secrets((service,)).databases[service]
        return database_urls(self.admin_url, service, passwords, database=database)

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

    async def _start_kafka(self, port: int, controller_port: int) -> None:
        with self.progress.step("Kafka") as step:
            self._kafka = Kafka(
                folder=self.home.folder / "kafka",
                cache=self._cache / "maven",
                log=self.home.logs / "kafka.log",
                listeners=(Listener(name="CLIENT", port=port),),
                controller_port=controller_port,
                downloading=step.advance,
            )
            await self.home.running.start(self._kafka)
            step.where = self._kafka.bootstrap_servers

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()
