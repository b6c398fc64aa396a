"""The whole platform as processes of this machine."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from covey_chassis.migrate import migrate
from covey_contracts.acls import principal_of

from covey_local import accounts, keys, ports, topology
from covey_local.home import RunFile
from covey_local.infrastructure import KEPT_WHEN_FRESH, Infrastructure
from covey_local.links import Links
from covey_local.processes import Command, Part, StartFailed, write_private
from covey_local.progress import Progress
from covey_local.refused import Refused
from covey_local.services import HttpProcess, ServiceProcess
from covey_local.supervisor import Supervisor
from covey_local.topology import Service

PASSED_ON = ("COVEY_ZONE", "COVEY_LOG_LEVEL")
"""Settings of the person's own that services get. All others would point them away from this stack."""
READY_S = 120
LOOK_S = 0.1
MAIL_FROM = "Covey <no-reply@covey.example>"


class Stack:
    """PostgreSQL, Kafka, a mail catcher and the services, each a process of its own, kept alive while this lives.

    ``services`` names some of them; all is the default. With ``relays_apart`` each service runs as two processes:
    ``<name>``, and ``<name>-relay`` which only relays. ``portal`` adds the pages for people. ``environment`` adds settings
    to single processes, by name.
    ``fresh`` deletes all data first. The other parameters are those of ``Infrastructure``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        brokers: int = 1,
        services: Sequence[str] | None = None,
        durable: bool = True,
        relays_apart: bool = False,
        portal: bool = False,
        links: Links | None = None,
        fresh: bool = False,
        cache: Path | None = None,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._services = [service for service in topology.SERVICES if services is None or service.name in services]
        self.infrastructure = Infrastructure(
            folder,
            brokers=brokers,
            durable=durable,
            links=links,
            users=[service.name for service in self._services],
            cache=cache,
            progress=progress,
        )
        self.home = self.infrastructure.home
        self.progress = self.infrastructure.progress
        self._durable = durable
        self._relays_apart = relays_apart
        self._portal = portal
        self._fresh = fresh
        self._environment = environment or {}
        self._supervisor = Supervisor(self.home.running, say=self.progress.say, changed=self._write_run_file)
        self._links = links
        self._ports: dict[str, int] = {}
        self._access_ports: dict[str, int] = {}

    async def start(self) -> None:
        """Start everything and wait until all of it is ready; ``run.json`` is there from then on.

        Raises ``AlreadyRunning`` when somebody runs this folder's stack, or ``StartFailed`` with the reason.
        """
        if self._fresh and not self.home.runner():
            await self.home.end_leftovers()
            self.home.delete(keep=KEPT_WHEN_FRESH)
        await self.infrastructure.start()
        try:
            self._ports = ports.choose(self.home.ports_file, self._wanted_ports())
            self._access_ports = await self._ways_to_access()
            await self._prepare()
            services = [part for service in self._services for part in self._processes(service)]
            await asyncio.gather(*map(self._start_part, [self._mail(), *services, *self._pages()]))
            await self._make_accounts()
            self._write_run_file()
            for part, process in self.home.running.entries():
                self._supervisor.watch(part, process)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything in order, services first, and wait until it has ended. Harmless when nothing runs."""
        await self._supervisor.release()
        self.home.run_file.unlink(missing_ok=True)
        names = [name for name in self.home.running.pids() if name not in ("mail", *self.infrastructure.names)]
        await asyncio.gather(*map(self.home.running.stop, names))
        await self.home.running.stop("mail")
        await self.infrastructure.stop()

    @asynccontextmanager
    async def down(self, name: str, *, how: int = signal.SIGKILL) -> AsyncIterator[None]:
        """A part is down for the block: ended by the signal ``how``, and started again and awaited ready after it.

        Raises ``Refused`` when nothing of that name runs, or ``StartFailed`` when it does not come up again.
        """
        watched = self._supervisor.watches(name)
        part = await self._end(name, how=how)
        try:
            yield
        finally:
            await self._begin(part, watched=watched)

    async def replace(self, name: str, environment: Mapping[str, str]) -> None:
        """Kill a service's process and run it with these settings beside its own, whenever it is started from now on.

        ``{}`` takes them away again. Raises as ``down`` does.
        """
        parts = [part for service in self._services for part in self._processes(service)]
        part = next((part for part in parts if part.name == name), None)
        if part is None:
            raise Refused(f"{name} is no process of a service. There are: {', '.join(part.name for part in parts)}.")
        await self._end(name, how=signal.SIGKILL)
        await self._begin(_with_settings(part, environment))

    async def add(
        self,
        service: str,
        *,
        name: str,
        roles: str,
        environment: Mapping[str, str] | None = None,
        watched: bool = False,
    ) -> ServiceProcess:
        """Start one more process of a service, which does what ``roles`` say, and wait until it is ready.

        Unless ``watched``, it is not started again when it dies. Raises ``StartFailed``; nothing of it is left then.
        Raises ``Refused`` when a process of that name runs.
        """
        if name in self.home.running.pids():
            raise Refused(f"{name} runs already.")
        self._ports |= ports.choose(self.home.ports_file, {name: None})
        part = _with_settings(self._process(self._service(service), name, roles=roles), environment or {})
        try:
            await self._begin(part, watched=watched)
        except BaseException:
            with suppress(Refused):  # it may not have been launched at all
                await self.take_away(name)
            raise
        return part

    async def take_away(self, name: str) -> None:
        """End a process that was added. Raises ``Refused`` when nothing of that name runs."""
        await self._end(name)
        self._write_run_file()

    @property
    def run(self) -> RunFile:
        """Where everything is."""
        secrets = self.home.secrets(())
        return {
            "services": {service.name: self.url(service.name) for service in self._services},
            "kafka": self.infrastructure.bootstrap_servers,
            "kafka_passwords": secrets.kafka,
            "databases": {
                service.name: self.infrastructure.database_urls(service.name).worker for service in self._services
            },
            "portal": self._portal_url if self._portal else None,
            "mail": self.url("mail"),
            "smtp": f"127.0.0.1:{self._ports['smtp']}",
            "pids": self.home.running.pids(),
            "operator_token": secrets.operator_token,
            "accounts": secrets.accounts,
        }

    @property
    def probes(self) -> list[str]:
        """The address of every process of a service, relays of their own included."""
        return [part.url for service in self._services for part in self._processes(service)]

    def _wanted_ports(self) -> dict[str, int | None]:
        wanted = {"smtp": topology.SMTP, "mail": topology.MAIL}
        for service in self._services:
            wanted[service.name] = service.port
            wanted[f"{service.name}-relay"] = service.port + topology.RELAY_PORT_DISTANCE
        if self._portal:
            wanted["portal"] = topology.PORTAL
        return {name: port if self._durable else None for name, port in wanted.items()}

    async def _prepare(self) -> None:
        """Principals, topics, keys, databases and their tables: everything that must be there before a service starts."""
        with self.progress.step("Principals") as step:
            acls = await self.infrastructure.apply_principals()
            step.where = f"{len(acls.given)} ACLs given, {acls.taken} taken, {acls.unchanged} as they should be"
        with self.progress.step("Topics") as step:
            applied = await self.infrastructure.apply_topics()
            step.where = f"{len(applied.created)} made, {len(applied.unchanged)} as they should be"
            if applied.altered:
                step.where += f", altered: {', '.join(applied.altered)}"
        if applied.unknown:
            self.progress.say(f"No contract knows these topics on the broker: {', '.join(applied.unknown)}.")
        keys.make_keys(self._keys, keys.holders())
        keys.make_signing_key(self._keys)
        with self.progress.step("Databases") as step:
            for done, service in enumerate(self._services, start=1):
                urls = await self.infrastructure.create_database(service.name)
                await migrate(urls.owner, service.package, request_url=urls.request, worker_url=urls.worker)
                step.advance(done, len(self._services))
            step.where = ", ".join(service.name for service in self._services)

    def _service(self, name: str) -> Service:
        for service in self._services:
            if service.name == name:
                return service
        raise Refused(f"There is no service {name}. There are: {', '.join(each.name for each in self._services)}.")

    async def _ways_to_access(self) -> dict[str, int]:
        """By which port each service reaches the one that owns access, where there are links."""
        owner = next((service.name for service in self._services if service.owns_access), None)
        if self._links is None or owner is None:
            return {}
        port = self._ports[owner]
        return {
            each.name: await self._links.port(each.name, owner, port) for each in self._services if each.name != owner
        }

    async def _end(self, name: str, *, how: int | None = None) -> Part:
        part = self.home.running.part(name)
        await self._supervisor.leave(name)
        await self.home.running.stop(name, how=how)
        return part

    async def _begin(self, part: Part, *, watched: bool = True) -> None:
        process = await self.home.running.launch(part)
        if watched:
            self._supervisor.watch(part, process)
        self._write_run_file()
        await self._until_ready(part)

    async def _until_ready(self, part: Part) -> None:
        """Wait for it, or for whoever the supervisor starts in its place when it dies meanwhile."""
        deadline = time.monotonic() + READY_S
        while True:
            process = self.home.running.process(part.name)
            try:
                return await part.ready(process)
            except StartFailed:
                if not self._supervisor.watches(part.name) or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(LOOK_S)

    async def _start_part(self, part: HttpProcess) -> None:
        with self.progress.step(part.name) as step:
            await self.home.running.start(part)
            step.where = part.url

    async def _make_accounts(self) -> None:
        """A member of the carrier's staff, once: somebody has to be there who may do the rest."""
        if self._access_url is None:
            return
        with self.progress.step("Accounts") as step:
            await asyncio.to_thread(accounts.make_staff, self.home, self.run)
            step.where = ", ".join(f"{name} {account['user_id']}" for name, account in self.run["accounts"].items())

    def _mail(self) -> HttpProcess:
        arguments = {"--smtp-port": self._ports["smtp"], "--http-port": self._ports["mail"]}
        return HttpProcess(
            name="mail",
            command=Command(
                arguments=[
                    *(sys.executable, "-m", "covey_local.mail", "--file", str(self.home.folder / "mail.jsonl")),
                    *(str(part) for pair in arguments.items() for part in pair),
                ],
                log=self.home.logs / "mail.log",
                environment=_own_environment(),
            ),
            url=self.url("mail"),
            ready_path="/messages?after=999999999",
        )

    def _pages(self) -> list[HttpProcess]:
        """The portal, where it is wanted. By its name, not its number: a passkey is bound to a name."""
        if not self._portal:
            return []
        asked = {f"COVEY_{name.upper()}_URL": self.url(name) for name in topology.ASKED_BY_PORTAL}
        return [
            HttpProcess(
                name="portal",
                command=Command(
                    arguments=[sys.executable, "-m", "covey_portal"],
                    log=self.home.logs / "portal.log",
                    environment={
                        **_own_environment(),
                        **asked,
                        "COVEY_HTTP_HOST": "127.0.0.1",
                        "COVEY_HTTP_PORT": str(self._ports["portal"]),
                        "COVEY_PORTAL_URL": self._portal_url,
                        **self._environment.get("portal", {}),
                    },
                ),
                url=self.url("portal"),
                ready_path="/readyz",
            )
        ]

    @property
    def _portal_url(self) -> str:
        return f"http://localhost:{self._ports['portal']}"

    def _processes(self, service: Service) -> list[ServiceProcess]:
        if not self._relays_apart:
            return [self._process(service, service.name, roles="http,consumers,relay,workers")]
        return [
            self._process(service, service.name, roles="http,consumers,workers"),
            self._process(service, f"{service.name}-relay", roles="relay"),
        ]

    def _process(self, service: Service, name: str, *, roles: str) -> ServiceProcess:
        settings = {
            **_own_environment(),
            **self.infrastructure.database_urls(service.name, linked=True).environment(),
            **self.infrastructure.kafka_settings_of(principal_of(service.name), user=service.name).environment(),
            "COVEY_HTTP_HOST": "127.0.0.1",
            "COVEY_HTTP_PORT": str(self._ports[name]),
            "COVEY_OPERATOR_TOKEN": self.home.secrets(()).operator_token,
            "COVEY_SEALING_PUBLIC_KEYS": str(keys.public_file(self._keys)),
            "COVEY_ROLES": roles,
            "COVEY_CONSUMER_SESSION_TIMEOUT_MS": "6000",  # what was killed is soon replaced
        }
        if (private := keys.private_file(self._keys, service.name)).exists():
            settings["COVEY_SEALING_PRIVATE_KEYS"] = str(private)
        if service.sends_mail:
            settings |= {
                "COVEY_SMTP_HOST": "127.0.0.1",
                "COVEY_SMTP_PORT": str(self._ports["smtp"]),
                "COVEY_SMTP_TLS": "none",
                "COVEY_MAIL_FROM": MAIL_FROM,
                **({"COVEY_PORTAL_URL": self._portal_url} if self._portal else {}),
            }
        settings |= self._access_settings(service)
        return ServiceProcess(
            name=name,
            command=Command(
                arguments=[sys.executable, "-m", "covey_chassis", "serve", service.package],
                log=self.home.logs / f"{name}.log",
                environment={**settings, **self._environment.get(name, {})},
                folder=self.home.folder,
            ),
            url=self.url(name),
        )

    def _access_settings(self, service: Service) -> dict[str, str]:
        secrets = self.home.secrets(topology.LISTENERS)
        if service.owns_access:
            credentials = {name: secrets.access_credentials[name] for name in topology.LISTENERS}
            return {
                "COVEY_SIGNING_KEYS": str(keys.signing_file(self._keys)),
                "COVEY_TOKEN_KEYS": str(keys.token_file(self._keys)),
                "COVEY_LISTENER_CREDENTIALS": json.dumps(credentials),
                "COVEY_CODE_SECRET": secrets.code_secret,
                **(
                    {"COVEY_TRUSTED_PROXIES": "127.0.0.1", "COVEY_PORTAL_URL": self._portal_url} if self._portal else {}
                ),
            }
        if self._access_url is None:
            return {}
        linked = self._access_ports.get(service.name)
        return {
            "COVEY_ACCESS_URL": f"http://127.0.0.1:{linked}" if linked else self._access_url,
            "COVEY_ACCESS_CREDENTIAL": secrets.access_credentials[service.name],
        }

    @property
    def _access_url(self) -> str | None:
        """None where the owner of access is not among the services: then nobody's rights can be verified."""
        return next((self.url(service.name) for service in self._services if service.owns_access), None)

    @property
    def _keys(self) -> Path:
        return self.home.folder / "keys"

    def url(self, name: str) -> str:
        """Where a service answers, or ``portal``, or ``mail``."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def _write_run_file(self) -> None:
        write_private(self.home.run_file, json.dumps(self.run, indent=1))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()


def _with_settings(part: ServiceProcess, environment: Mapping[str, str]) -> ServiceProcess:
    return replace(part, command=replace(part.command, environment={**part.command.environment, **environment}))


def _own_environment() -> dict[str, str]:
    """The environment of this process, without settings of a service that point somewhere else."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("COVEY_") or name in PASSED_ON}
    return mine | {"PYTHONUNBUFFERED": "1"}
