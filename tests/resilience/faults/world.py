"""A running platform that faults strike, and that heals: what can be done to it, and whether it has come to rest."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from covey_chassis.kafka import connection
from covey_chassis.testing.broker import admin, eventually
from covey_local import postgres
from covey_local.databases import connected
from covey_local.processes import StartFailed
from covey_local.services import HttpProcess
from covey_local.stack import Stack

from tests.resilience.platform import Group, Platform, Team, running_platform

from .cast import Cast, recruit
from .effects import database_url, install
from .evidence import Poison
from .links import Proxies
from .logs import Logs

GROUPS = 120
STARTED_S = 10
"""So long a process that is to fail is given to become ready."""
NO_SPACE = "No space left on device"
"""What Kafka and PostgreSQL say of a full disk."""
DISK_SIZE = {"kafka": "700m", "postgres": "1500m"}
PIECES = (64 << 20, 1 << 20, 4096)
"""In which a disk is filled, in bytes."""
SABOTAGE = Path(__file__).parent / "strikes" / "sabotage"
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, KafkaError, httpx.HTTPError)
"""How it shows that something does not answer at the moment."""
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a stack is built. Faults of the same shape share one."""

    brokers: int = 1
    linked: bool = False
    """With a proxy on each link."""
    relays_apart: bool = False
    """Relays are processes of their own."""
    small_disk: str | None = None
    """``kafka`` or ``postgres``: its data are on a disk of their own, which can be filled."""

    def __str__(self) -> str:
        said = [f"{self.brokers} brokers" if self.brokers > 1 else "1 broker"]
        said += ["links"] if self.linked else []
        said += ["relays apart"] if self.relays_apart else []
        said += [f"small disk of {self.small_disk}"] if self.small_disk else []
        return ", ".join(said)


@dataclass
class World:
    """A platform of this shape with its people, and all that has to be undone for it to be sound again."""

    platform: Platform
    shape: Shape
    cast: Cast
    links: Proxies
    disk: "Disk"
    poisons: list[Poison] = field(default_factory=list)
    """What has been put into topics to do harm, since the last fault began."""
    poisoned_keys: set[bytes | None] = field(default_factory=set)
    """Of what was put there before: such a record is not sent again as if it were an event."""
    restored: set[str] = field(default_factory=set)
    """Services whose database went back to an earlier state: for good, as far as this world goes."""
    _undo: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def stack(self) -> Stack:
        return self.platform.stack

    @property
    def services(self) -> list[str]:
        return list(self.stack.run["services"])

    @property
    def brokers(self) -> list[str]:
        return [name for name in self.stack.run["pids"] if name.startswith("kafka")]

    def pid(self, name: str) -> int:
        return self.platform.pid(name)

    # --- what is done, and undone by heal ---

    async def forget_poison(self) -> None:
        """An operator discards what is left of it."""
        for service in self.services:
            async with connected(self.database_url(service)) as database:
                await database.execute(DISCARD, [(each.key or b"").decode() for each in self.poisons])
        self.poisoned_keys.update(each.key for each in self.poisons)
        self.poisons.clear()

    async def heal(self) -> None:
        """Undo all that was done to it."""
        self.links.heal()
        self.disk.free()
        undo, self._undo = self._undo, AsyncExitStack()
        await undo.aclose()

    @asynccontextmanager
    async def healed_afterwards(self) -> AsyncIterator[None]:
        """What is done in the block is undone at its end."""
        outer, self._undo = self._undo, AsyncExitStack()
        try:
            yield
        finally:
            inner, self._undo = self._undo, outer
            await inner.aclose()

    async def fail(self, plan: str, *names: str) -> None:
        """These processes begin anew, and do what the plan says for the failpoints that they pass.

        Their dice are not of the seed, and others in each life: by the same ones it would die at the same step each time.
        """
        await self._replace({"COVEY_FAILPOINTS": plan}, names)

    async def sabotage(self, *names: str, **settings: str) -> dict[str, int]:
        """These processes begin anew, and can be made to do what ``sabotage`` says. Their process IDs."""
        await self._replace({"PYTHONPATH": str(SABOTAGE), **settings}, names)
        return {name: self.pid(name) for name in names}

    async def _replace(self, settings: dict[str, str], names: tuple[str, ...]) -> None:
        async def undo() -> None:
            await asyncio.gather(*(self.stack.replace(name, {}) for name in names))

        self.afterwards(undo)
        replacing = [asyncio.create_task(self.stack.replace(name, settings)) for name in names]
        _, waiting = await asyncio.wait(replacing, timeout=STARTED_S)
        for task in waiting:  # one that dies again and again is never ready
            task.cancel()
        for found in await asyncio.gather(*replacing, return_exceptions=True):
            if isinstance(found, BaseException) and not isinstance(found, asyncio.CancelledError | StartFailed):
                raise found

    async def add(self, service: str, *, name: str, roles: str, failpoints: str = "", watched: bool = False) -> None:
        """One more process of a service, until the world is healed or it is taken away."""
        environment = {"COVEY_FAILPOINTS": failpoints}
        self._undo.push_async_callback(self._take_away, name)
        await self.stack.add(service, name=name, roles=roles, environment=environment, watched=watched)

    async def _take_away(self, name: str) -> None:
        if name in self.stack.run["pids"]:
            await self.stack.take_away(name)

    def afterwards(self, undo: Callable[[], Awaitable[None]]) -> None:
        """Something else to be undone."""
        self._undo.push_async_callback(undo)

    async def kill(self, name: str, *, how: int = signal.SIGKILL) -> None:
        """A part dies by this signal, and is awaited again as it is started anew."""
        former = self.pid(name)
        os.kill(former, how)

        async def replaced() -> bool:
            return self.pid(name) != former

        await eventually(replaced, within_s=60)
        part = self.stack.home.running.part(name)
        await part.ready(self.stack.home.running.process(name))

    async def stopped_by_itself(self, name: str) -> int:
        """Wait until a process has stopped itself at a failpoint; its ID."""

        async def stopped() -> int | None:
            with suppress(FileNotFoundError, KeyError):
                pid = self.pid(name)
                return pid if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T" else None
            return None

        pid = await eventually(stopped, within_s=60)
        assert pid is not None
        return pid

    @staticmethod
    def go_on(pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    async def active_relay(self, *names: str) -> int:
        """The process of these that holds the relay's lease; its ID."""

        async def active() -> int | None:
            async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
                for name in names:
                    part = self.stack.home.running.part(name)
                    assert isinstance(part, HttpProcess)
                    with suppress(httpx.HTTPError):
                        if re.search(r"(?m)^covey_relay_active 1", (await http.get(f"{part.url}/metrics")).text):
                            return self.pid(name)
            return None

        pid = await eventually(active)
        assert pid is not None
        return pid

    # --- databases ---

    def database_url(self, service: str) -> str:
        """The superuser's way into a service's database."""
        return database_url(self.stack.infrastructure.admin_url, service)

    async def another_database(self, name: str) -> str:
        """An empty database, until the world is healed; the superuser's way into it."""
        await self._administer(f"CREATE DATABASE covey_{name}")
        self.afterwards(lambda: self.stack.infrastructure.drop_database(f"covey_{name}"))
        return self.database_url(name)

    async def copy_of_database(self, service: str) -> str:
        """A copy of the database of a service that is down, until the world is healed; its name."""
        name = f"covey_{service}_as_it_was"

        async def copied() -> bool:
            await self._end_sessions(service)
            with suppress(asyncpg.ObjectInUseError):  # the sampler looks into it now and then
                await self._administer(f"CREATE DATABASE {name} TEMPLATE covey_{service}")
                return True
            return False

        await eventually(copied)
        self.afterwards(lambda: self.stack.infrastructure.drop_database(name))
        return name

    async def restore_database(self, service: str, copy: str) -> None:
        """The database of a service that is down becomes what the copy is."""
        self.restored.add(service)
        await self.stack.infrastructure.drop_database(f"covey_{service}")
        await self.stack.infrastructure.copy_database(service, copy)

    async def _end_sessions(self, service: str) -> None:
        await self._administer(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'covey_{service}'"
        )

    async def _administer(self, statement: str) -> None:
        async with connected(self.stack.infrastructure.admin_url) as connection:
            await connection.execute(statement)

    # --- how it does ---

    def logs(self, *names: str) -> Logs:
        """What these processes say from now on."""
        return Logs(self.stack.home.logs, names)

    async def ahead_s(self, name: str) -> float:
        """How far the clock of a service's process is ahead of ours: its answers are dated by it, in whole seconds."""
        await self.ready(name)
        async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
            answer = await http.get(f"{self._url(name)}/readyz")
        return parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()

    async def team(self) -> Team:
        """A group that nobody else works with, its primary administrator, and a user whom they added."""
        return await self.platform.team()

    async def change(self, group: Group, within_s: float = 20, **fields: object) -> int:
        """The staff change a group, though others may be quicker or a service be away; its sequence afterwards."""
        fields = fields or {"ein": f"{next(_numbers) % 90 + 10}-{next(_numbers):07d}"}

        async def changed() -> bool:
            with suppress(httpx.HTTPError):
                path = f"/v1/groups/{group.id}"
                found = await self.platform.ask("GET", "membership", path)
                if found.is_success:
                    headers = {"If-Match": found.headers["ETag"], "Idempotency-Key": uuid4().hex}
                    answer = await self.platform.ask("PATCH", "membership", path, json=fields, headers=headers)
                    assert answer.is_success or answer.status_code in (409, 412) or answer.is_server_error, answer.text
                    return answer.is_success
            return False

        await eventually(changed, within_s=within_s)
        async with connected(self.database_url("membership")) as membership:
            query = "SELECT sequence FROM covered_group WHERE group_id = $1::text::uuid"
            return int(await membership.fetchval(query, group.id))

    async def flows(self, within_s: float = 20) -> None:
        """A change of a group comes from membership to renewals; AssertionError when it does not, in time."""
        group = self.platform.groups[-1]
        sequence = await self.change(group, within_s)

        async def arrived() -> bool:
            async with connected(self.database_url("renewals")) as renewals:
                query = "SELECT sequence FROM book WHERE group_id = $1::text::uuid"
                return bool(await renewals.fetchval(query, group.id) >= sequence)

        await eventually(arrived, within_s=within_s)

    async def ready(self, *names: str) -> None:
        """Wait until these processes, or all services, say that they are ready."""

        async def all_are() -> bool:
            async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
                urls = [self._url(name) for name in names or self.services]
                try:
                    answers = await asyncio.gather(*(http.get(f"{url}/readyz") for url in urls))
                except httpx.HTTPError:
                    return False
                return all(answer.is_success for answer in answers)

        await eventually(all_are, within_s=90)

    def _url(self, name: str) -> str:
        part = self.stack.home.running.part(name)
        assert isinstance(part, HttpProcess)
        return part.url

    async def until_kafka_answers(self) -> None:
        async def answers() -> bool:
            with suppress(*AWAY):
                async with admin(self.stack.infrastructure.kafka_settings) as kafka:
                    return bool(await kafka.describe_cluster())
            return False

        await eventually(answers, within_s=60)

    async def until_replicated(self) -> None:
        """Wait until every partition has all of its copies again."""

        async def all_are() -> bool:
            with suppress(*AWAY):
                async with admin(self.stack.infrastructure.kafka_settings) as kafka:
                    topics = await kafka.describe_topics()
                return all(
                    len(partition["isr"]) == len(partition["replicas"])
                    for topic in topics
                    for partition in topic["partitions"]
                )
            return False

        await eventually(all_are, within_s=60)

    async def restless(self) -> list[str]:
        """What has not come to rest; nothing when nothing waits and every consumer is at the end of its topics."""
        found: list[str] = []
        for service in self.services:
            async with connected(self.database_url(service)) as database:
                waiting = await database.fetchrow(WAITING, [(each.key or b"").decode() for each in self.poisons])
                found += [f"{number} {what} at {service}" for what, number in waiting.items() if number]
                if service == "notifications":
                    number = await database.fetchval("SELECT count(*) FROM notification WHERE status = 'waiting'")
                    found += [f"{number} emails to be sent"] if number else []
                if service == "membership":
                    number = await database.fetchval("SELECT count(*) FROM import_chunk")
                    found += [f"{number} chunks to be imported"] if number else []
        return found + [f"{consumer} is {number} records behind" for consumer, number in (await self.behind()).items()]

    async def behind(self) -> dict[str, int]:
        """How many records each consumer has not taken yet that has not taken all."""
        positions: dict[str, dict[TopicPartition, int]] = {}
        for service in self.services:
            async with connected(self.database_url(service)) as database:
                for row in await database.fetch("SELECT consumer, topic, partition, next_offset FROM position"):
                    place = TopicPartition(row["topic"], row["partition"])
                    positions.setdefault(row["consumer"], {})[place] = row["next_offset"]
        ends = await self._ends({place for places in positions.values() for place in places})
        found = {
            consumer: sum(max(0, ends[place] - position) for place, position in places.items())
            for consumer, places in positions.items()
        }
        return {consumer: number for consumer, number in found.items() if number}

    async def _ends(self, places: set[TopicPartition]) -> dict[TopicPartition, int]:
        kafka = AIOKafkaConsumer(**connection(self.stack.infrastructure.kafka_settings))
        try:
            await kafka.start()
            ends: dict[TopicPartition, int] = await kafka.end_offsets(list(places))
            return ends
        finally:
            await kafka.stop()

    async def comes_to_rest(self, *, within_s: float) -> tuple[float | None, list[str]]:
        """When all was at rest, for two looks in turn (CLOCK_MONOTONIC); or None, and what was not."""
        began = time.monotonic()
        at_first: list[str] | None = None
        calm_since: float | None = None
        while True:
            try:
                await self.ready()
                moving = await self.restless()
            except AWAY as error:
                moving = [f"something does not answer: {error!r}"]
            except AssertionError:
                moving = ["a service is not ready"]
            now = time.monotonic()
            if moving:
                calm_since = None
            elif calm_since is None:
                calm_since = now
            else:
                return calm_since, []
            at_first = moving if at_first is None else at_first
            if now - began > within_s:
                return None, [f"{'; '.join(moving)}; at first: {'; '.join(at_first)}"]
            await asyncio.sleep(0.5)


WAITING = """
    SELECT (SELECT count(*) FROM outbox) AS "rows in the outbox",
           (SELECT count(*) FROM outbox_blocked) AS "blocked keys",
           (SELECT count(*) FROM parked_key WHERE key <> ALL($1::text[])) AS "parked keys"
"""


DISCARD = """
    WITH discarded AS (DELETE FROM parked WHERE key = ANY($1::text[]) RETURNING key)
    DELETE FROM parked_key WHERE key = ANY($1::text[])
"""


@dataclass
class Disk:
    """A small disk under a part's data. Where there is none, nothing can be filled."""

    folder: Path | None = None

    @contextmanager
    def full(self) -> Iterator[None]:
        """There is no room on it for the block."""
        assert self.folder
        try:
            with (self.folder / "filler").open("wb") as filler:
                _take_all_room(filler.fileno())
            yield
        finally:
            self.free()

    def free(self) -> None:
        if self.folder:
            (self.folder / "filler").unlink(missing_ok=True)


def _take_all_room(filler: int) -> None:
    """Piece by piece: others take room, too, while it is taken."""
    taken = 0
    for piece in PIECES:
        with suppress(OSError):  # no room for a piece of this size any more
            while True:
                os.posix_fallocate(filler, taken, piece)
                taken += piece


@contextmanager
def small_disk(part: str | None, stack_folder: Path) -> Iterator[Disk]:
    """A file system in memory where the part will keep its data. It needs root."""
    if part is None:
        yield Disk()
        return
    folder = postgres.ROOT_HOME / f"small-disk-{os.getpid()}"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE[part]}", "covey-faults", str(folder)], check=True)
    place = stack_folder / part
    if part == "postgres":
        place = postgres.place(place).folder
        place.rmdir()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(folder)
    try:
        yield Disk(folder)
    finally:
        place.unlink(missing_ok=True)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@asynccontextmanager
async def running_world(folder: Path, shape: Shape, *, seed: int) -> AsyncIterator[World]:
    """A world of this shape, at rest; its stack's data are in the folder and deleted at the end.

    When it can't be made, or its block fails, the logs are kept beside the folder.
    """
    links = Proxies(seed)
    with small_disk(shape.small_disk, folder.resolve()) as disk:
        try:
            async with running_platform(
                folder,
                groups=GROUPS,
                durable=True,  # what was committed has to outlive a crash of the server
                brokers=shape.brokers,
                relays_apart=shape.relays_apart,
                links=links if shape.linked else None,
            ) as platform:
                try:
                    await install(platform.stack.infrastructure.admin_url, platform.stack.run["services"])
                    world = World(platform, shape, await recruit(platform), links, disk)
                    at_rest, moving = await world.comes_to_rest(within_s=120)
                    assert at_rest is not None, f"the platform does not come to rest by itself: {moving}"
                    yield world
                    with contextlib.suppress(Exception):
                        await world.heal()
                except Exception:
                    keep_logs(platform.stack, folder.parent)
                    raise
        finally:
            await links.close()


def keep_logs(stack: Stack, folder: Path) -> None:
    """They would be deleted with the stack."""
    shutil.copytree(stack.home.logs, folder / "logs", dirs_exist_ok=True)
    print(f"      the stack's logs are in {folder / 'logs'}")
