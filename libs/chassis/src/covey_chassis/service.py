"""A service is its name, routes, consumers and workers. ``covey_chassis.running`` runs them, in one process or several."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from fastapi import APIRouter

from covey_chassis.acts import Keep, Refusals
from covey_chassis.clock import Clock
from covey_chassis.consumer import Consumer
from covey_chassis.db import Database
from covey_chassis.sealing import Keyring
from covey_chassis.settings import ServiceSettings

if TYPE_CHECKING:  # the package that it is in needs this module
    from covey_chassis.access.tokens import Verifier

LOOKS_AT_ONCE = 3
"""Of the ten connections for requests."""


@dataclass(frozen=True)
class Context:
    """What a running service has at hand: routes get it as a dependency, workers as their argument."""

    name: str
    settings: ServiceSettings
    requests: Database
    workers: Database
    clock: Clock
    keyring: Keyring
    verifier: "Verifier"
    acts: Keep | None = None
    refusals: Refusals = field(default_factory=Refusals)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is asked to end: long answers come to their end then."""
    listeners: Counter[UUID] = field(default_factory=Counter)
    """How many streams each account listens to (``streaming``)."""
    looks: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOOKS_AT_ONCE))
    """Held by a stream while it looks for news: a part of the connections, so that requests have the others."""

    def database_of(self, consumer: Consumer) -> Database:
        """Where the effects of a consumer's records are had, retries included."""
        return self.requests if consumer.acting else self.workers


@dataclass(frozen=True)
class Worker:
    """Work that is due now and then, in a loop of its own.

    ``run`` does one bounded piece in its own transactions and says whether more is due at once; else it is called again
    after ``every_s`` seconds. Every instance of the service runs it: pieces are claimed by row locks.
    """

    name: str
    run: Callable[[Context], Awaitable[bool]]
    every_s: float = 1.0


@dataclass(frozen=True)
class Companion:
    """What runs beside the answering of requests, in every process that does, for as long as it lives.

    ``run`` goes on until it is cancelled, and comes through whatever the database or the network does meanwhile.
    """

    name: str
    run: Callable[[Context], Coroutine[object, object, None]]


@dataclass(frozen=True)
class Service:
    """One deployable service."""

    name: str
    summary: str
    settings: type[ServiceSettings] = ServiceSettings
    routers: Sequence[APIRouter] = ()
    consumers: Sequence[Consumer] = ()
    workers: Sequence[Worker] = ()
    companions: Sequence[Companion] = ()
    acts: Keep | None = None
    """Where the audit's acts go; None for what has nobody signed on, or keeps no audit."""

    @property
    def package(self) -> str:
        return f"covey_{self.name}"
