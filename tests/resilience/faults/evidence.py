"""What is left of a run, read from the outside: the topics, the databases, the mail catcher, and what clients wrote down.

It is of one window, between a mark and a collection (``collecting``), so that a long run does not read everything again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .history import Op

Place = tuple[str, str, int]
"""A consumer, and a topic's partition that it reads."""


@dataclass(frozen=True, slots=True)
class Rec:
    """One record as it lies in its topic. Without a readable envelope its ID is empty."""

    topic: str
    partition: int
    offset: int
    key: str
    id: str
    source: str
    type: str
    sequence: int | None
    correlation_id: str
    causation_id: str | None
    time: float
    """When it happened: seconds of the epoch, by its maker's clock."""
    content: int
    """A checksum of the value."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One change of a copy, or one row that a reaction made, in the order in which they came to be in that database."""

    service: str
    table: str
    serial: int
    subject: str
    sequence: int | None
    """Of the event that it follows, where the table keeps it."""
    at: float
    """Seconds of the epoch, by the database's clock."""


@dataclass(frozen=True, slots=True)
class RelayAct:
    """What a relay's connection did to its service's database: it took or renewed the lease, or deleted rows."""

    service: str
    serial: int
    backend: int
    """The process of PostgreSQL that served it."""
    act: Literal["hold", "delete"]
    fence: int
    """Of the lease, as it stood after the act."""
    rows: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A relay's lease as it stood at a sample."""

    holder: str
    fence: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at everything. What could not be read at that moment is not there."""

    at: float
    """CLOCK_MONOTONIC."""
    committed: dict[Place, int]
    """Offsets that Kafka has for the consumers' groups."""
    stored: dict[Place, int]
    """Positions in the services' databases; read after ``committed``."""
    leases: dict[str, Lease]
    """By service."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that the mail server took."""

    message_id: str
    to: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A notification as its database has it."""

    message_id: str
    status: str
    event_id: str
    recipient: str


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal that came true, as identity has it: after how long, and by ``acknowledged`` or ``silence``."""

    took_s: float
    how: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a consumer could not read, as it was kept."""

    consumer: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that waits for its key in a consumer."""

    consumer: str
    key: str
    event_id: str
    state: str
    """``waiting``, or ``dead`` when an operator has to decide."""


@dataclass(frozen=True, slots=True)
class Poison:
    """A record that was put into a topic to do harm, and how it has to end in each consumer of that topic.

    ``dead letter``: kept byte for byte, once. ``parked``: its key waits for an operator. ``passed over``: nothing is
    left of it. ``handled``: it only looks odd.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    ends: Literal["dead letter", "parked", "passed over", "handled"]
    at: float
    """When it was put there: seconds of the epoch."""
    event_id: str = ""
    """Where it has one."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A copy table beside what the kept topics make of it from the beginning."""

    table: str
    """``service.table``"""
    live: int
    rebuilt: int
    differing: tuple[str, ...]
    """Keys of rows that are not the same, or in one of the two only; the first ones."""


@dataclass(slots=True)
class Evidence:
    """Everything that the checker goes by."""

    ops: list[Op] = field(default_factory=list)
    records: list[Rec] = field(default_factory=list)
    """Every record since the mark; in each partition in the order of offsets."""
    told_before: set[str] = field(default_factory=set)
    """IDs of events among them that were told of before the mark, too: these records are copies."""
    plan_years: dict[str, tuple[str, int]] = field(default_factory=dict)
    """Of the events by which a renewal becomes available: the group's ID and the year, by the event's ID."""
    committed: set[str] = field(default_factory=set)
    """Keys of commands whose answers are stored: they were committed with what the command did."""
    audited: dict[str, int] = field(default_factory=dict)
    """How many entries the audit has of a command that another service than identity has done, by its ID."""
    sequences: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """Of each aggregate, by service and ID, that has moved or is told of: its sequence at the mark and at the end."""
    inbox: dict[str, dict[str, int]] = field(default_factory=dict)
    """How often each consumer has entered an event, by its ID."""
    subscriptions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The types that each consumer has handlers for."""
    parked: list[Parked] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    outbox_left: int = 0
    positions: dict[Place, int] = field(default_factory=dict)
    """Stored positions at the end."""
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    """The ends of all partitions, read before the positions."""
    effects: list[Effect] = field(default_factory=list)
    """In each service by serial."""
    relay_acts: list[RelayAct] = field(default_factory=list)
    """In each service by serial."""
    samples: list[Sample] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    rebuilt: list[Rebuilt] = field(default_factory=list)
    poisons: list[Poison] = field(default_factory=list)
    restored: frozenset[str] = frozenset()
    """Services whose database went back to an earlier state: what they told meanwhile stays told, and its numbers are given
    again. So the numbers of their own events say nothing; what they hear of others counts as it always does."""
    recovery_s: float | None = None
    """From the healing until all was drained; None when it was not."""
