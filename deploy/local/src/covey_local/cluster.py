"""Kafka of one stack: one broker, or three that each keep a copy of everything."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from covey_chassis.settings import KafkaSettings

from covey_local import topology
from covey_local.credentials import ADMIN, signed_on
from covey_local.home import Home
from covey_local.kafka import AUTHORIZER, Kafka, Listener, jars
from covey_local.links import Links
from covey_local.progress import Step
from covey_local.refused import Refused
from covey_local.topology import Broker


class Cluster:
    """The brokers of a stack's folder, each of which is a controller, too.

    With ``links`` each of the ``users`` has a door of its own at each broker, and is told, as the way there, what
    ``links`` says; so are brokers when they ask one another. Raises ``Refused`` for a number of brokers that can't be had.
    """

    def __init__(self, home: Home, *, brokers: int, cache: Path, links: Links | None, users: Sequence[str]) -> None:
        if brokers not in topology.BROKERS:
            raise Refused(f"A stack has {' or '.join(map(str, topology.BROKERS))} brokers, not {brokers}.")
        self._home = home
        self._cache = cache
        self._links = links
        self._users = users
        self._brokers = topology.BROKERS[brokers]
        self._nodes: list[Kafka] = []

    @property
    def names(self) -> list[str]:
        """The brokers' names as processes of the stack."""
        return [broker.name for broker in self._brokers]

    @property
    def wanted_ports(self) -> dict[str, int | None]:
        """Where it would like to listen."""
        wanted: dict[str, int | None] = {}
        for broker in self._brokers:
            wanted |= {broker.name: broker.port, _controller(broker): broker.controller_port}
            wanted |= {_door(user, broker): None for user in self._linked}
            wanted |= {_door(user, broker, of="-controller"): None for user in self._askers}
        return wanted

    def bootstrap_servers(self, user: str | None = None) -> str:
        """The addresses of all brokers: those for one of the users, or the straight ones."""
        if not self._nodes:
            raise RuntimeError("The stack has not been started.")
        if user is None or self._links is None:
            return ",".join(node.bootstrap_servers for node in self._nodes)
        doors = [door for node in self._nodes for door in node.listeners if door.name == _listener(user)]
        return ",".join(f"127.0.0.1:{door.advertised_port}" for door in doors)

    def settings(self, principal: str = ADMIN, *, user: str | None = None) -> KafkaSettings:
        """How a principal, or the super user, signs on: by the way of one of the users, or straight."""
        return signed_on(self.bootstrap_servers(user), principal, self._password(principal))

    async def start(self, chosen: dict[str, int], step: Step) -> None:
        """Start all of them, listening at these ports, and wait until each is one of the cluster.

        Raises ``Refused`` when the folder's data lie on another number of brokers, or nobody signs on to them; or
        ``StartFailed``.
        """
        self._refuse_other_number()
        self._refuse_open_doors()
        await asyncio.to_thread(jars, self._cache, step.advance)
        self._nodes = [await self._node(number, chosen) for number in range(1, len(self._brokers) + 1)]
        processes = [await self._home.running.launch(node) for node in self._nodes]
        await asyncio.gather(*(node.ready(process) for node, process in zip(self._nodes, processes, strict=True)))

    async def stop(self) -> None:
        """Stop all of them at once. Harmless when they don't run."""
        await asyncio.gather(*map(self._home.running.stop, self.names))

    @property
    def _linked(self) -> Sequence[str]:
        """Who has a door of their own at each broker."""
        return (*self._users, *self._askers) if self._links else ()

    @property
    def _askers(self) -> Sequence[str]:
        """The brokers that ask one another, and one another's controllers, by links."""
        return self.names if self._links and len(self._brokers) > 1 else ()

    def _refuse_other_number(self) -> None:
        for number, brokers in topology.BROKERS.items():
            kept = any((self._home.folder / broker.name / "data").exists() for broker in brokers)
            if kept and number != len(self._brokers):
                raise Refused(
                    f"The data of {self._home.folder} are those of a stack with `--brokers {number}`: run it so, "
                    "or begin anew with `--fresh`."
                )

    def _refuse_open_doors(self) -> None:
        """The super user's password is set when data are begun: who has older ones could not be let in."""
        written = [self._home.folder / broker.name / "server.properties" for broker in self._brokers]
        if any(file.exists() and AUTHORIZER not in file.read_text() for file in written):
            raise Refused(
                f"The data of {self._home.folder} are from before Kafka asked who connects: begin anew with `--fresh`."
            )

    def _password(self, principal: str) -> str:
        return self._home.secrets((), principals=(principal,)).kafka[principal]

    async def _node(self, number: int, chosen: dict[str, int]) -> Kafka:
        own = self._brokers[number - 1]
        doors = [await self._linked_door(user, own, chosen) for user in self._linked]
        controller_doors = [await self._linked_door(user, own, chosen, of="-controller") for user in self._askers]
        others = {each: broker for each, broker in enumerate(self._brokers, 1) if each != number}
        return Kafka(
            name=own.name,
            folder=self._home.folder / own.name,
            cluster=self._home.folder,
            cache=self._cache,
            log=self._home.logs / f"{own.name}.log",
            listeners=(Listener(name="CLIENT", port=chosen[own.name]), *doors, *controller_doors),
            node_id=number,
            controller_port=chosen[_controller(own)],
            password=self._password(ADMIN),
            others={each: await self._controller_port(own, broker, chosen) for each, broker in others.items()},
            settings=_asks_by_own_doors(own, controller_doors) if self._askers else {},
        )

    async def _linked_door(self, user: str, broker: Broker, chosen: dict[str, int], *, of: str = "") -> Listener:
        port = chosen[_door(user, broker, of=of)]
        return Listener(name=_listener(user, of=of), port=port, advertised_port=await self._way(user, broker, port))

    async def _controller_port(self, user: Broker, target: Broker, chosen: dict[str, int]) -> int:
        """Where a broker asks another's controller: at its own door there, if it has one."""
        if not self._askers:
            return chosen[_controller(target)]
        return await self._way(user.name, target, chosen[_door(user.name, target, of="-controller")])

    async def _way(self, user: str, broker: Broker, port: int) -> int:
        if self._links is None or user == broker.name:
            return port
        return await self._links.port(user, broker.name, port)


def _asks_by_own_doors(own: Broker, controller_doors: Sequence[Listener]) -> dict[str, str]:
    """A node looks for the others by the listener's name that it has itself in the first place: each has another."""
    mine = _listener(own.name, of="-controller")
    names = sorted((door.name for door in controller_doors), key=lambda name: name != mine)
    return {
        "inter.broker.listener.name": _listener(own.name),
        "controller.listener.names": ",".join([*names, "CONTROLLER"]),
    }


def _controller(broker: Broker) -> str:
    return f"{broker.name}-controller"


def _door(user: str, broker: Broker, *, of: str = "") -> str:
    return f"{user}>{broker.name}{of}"


def _listener(user: str, *, of: str = "") -> str:
    return f"{user}{of}".upper()
