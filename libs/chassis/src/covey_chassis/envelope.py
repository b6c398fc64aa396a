"""What travels around an event: CloudEvents 1.0 attributes in Kafka headers, binary binding, and the trace.

Keys and headers never hold personal data: intermediaries may log them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from covey_chassis.errors import Refusal

Headers = list[tuple[str, bytes]]

IDENTITY_BYTES_MAX = 500
"""Of an event's ID, source and subject each: they are keys of indexes, which hold no longer ones. What is optional and
longer counts as missing: the events that follow carry it on, beside a body that Kafka has to take with it."""
SEQUENCE_MAX = 2**63 - 1


class Unnumbered(Refusal):
    """A fact about something does not say its place in the history of what it tells of."""


class Unreadable(Exception):
    """The record has no envelope that can be read. Its bytes go to the dead letters."""


class Envelope(NamedTuple):
    """The CloudEvents attributes of one record. ``sequence`` is None for commands and answers."""

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    sequence: int | None
    correlation_id: str
    causation_id: str | None
    traceparent: str | None

    @property
    def place(self) -> int:
        """The sequence of a fact that others copy.

        Raises:
            Unnumbered: it has none, as a command.
        """
        if self.sequence is None:
            raise Unnumbered(event_id=self.id)
        return self.sequence


@dataclass(frozen=True)
class Cause:
    """Why something happens: the conversation that it belongs to, and the event that set it off, if one did."""

    correlation_id: str
    causation_id: str | None = None
    origin: str | None = None
    """The address that a request came from."""


_cause: ContextVar[Cause | None] = ContextVar("covey_cause", default=None)


def current_cause() -> Cause | None:
    """The cause of what this task is doing."""
    return _cause.get()


@contextmanager
def caused_by(cause: Cause) -> Iterator[None]:
    """Everything that is emitted in the block names this cause."""
    token = _cause.set(cause)
    try:
        yield
    finally:
        _cause.reset(token)


def to_headers(envelope: Envelope) -> Headers:
    """The envelope as Kafka headers. The sequence is padded to 20 digits: the CloudEvents extension sorts as text."""
    subject = envelope.subject.encode()
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", envelope.time.isoformat().replace("+00:00", "Z").encode()),
        ("ce_subject", subject),
        ("ce_partitionkey", subject),
        ("ce_correlationid", envelope.correlation_id.encode()),
        ("content-type", b"application/json"),
    ]
    if envelope.sequence is not None:
        headers.append(("ce_sequence", b"%020d" % envelope.sequence))
    if envelope.causation_id is not None:
        headers.append(("ce_causationid", envelope.causation_id.encode()))
    if envelope.traceparent is not None:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def from_headers(headers: Iterable[tuple[str, bytes | None]]) -> Envelope:
    """Read an envelope; what is optional may be missing or odd, what identifies the event may not.

    Raises:
        Unreadable: an attribute that every event must have is missing or is not text.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        try:
            found[name] = (value or b"").decode()
        except UnicodeDecodeError:
            found[name] = ""
    if found.get("ce_specversion") != "1.0":
        raise Unreadable("ce_specversion is not 1.0")
    for name in ("ce_id", "ce_source", "ce_type", "ce_subject", "ce_time"):
        if not found.get(name):
            raise Unreadable(f"{name} is missing")
        if "\0" in found[name]:
            raise Unreadable(f"{name} has a null character")
        if len(found[name].encode()) > IDENTITY_BYTES_MAX:
            raise Unreadable(f"{name} is longer than {IDENTITY_BYTES_MAX} bytes")
    try:
        time = datetime.fromisoformat(found["ce_time"])
    except ValueError as error:
        raise Unreadable("ce_time is not a time") from error
    return Envelope(
        id=found["ce_id"],
        source=found["ce_source"],
        type=found["ce_type"],
        time=time,
        subject=found["ce_subject"],
        sequence=_sequence(found.get("ce_sequence", "")),
        correlation_id=_optional(found, "ce_correlationid") or found["ce_id"],
        causation_id=_optional(found, "ce_causationid"),
        traceparent=_optional(found, "traceparent"),
    )


def _sequence(said: str) -> int | None:
    if said and not (said.isascii() and said.isdigit()):
        raise Unreadable("ce_sequence is not a number")
    if len(said) > 20 or int(said or 0) > SEQUENCE_MAX:
        raise Unreadable("ce_sequence is too high")
    return int(said) if said else None


def _optional(found: dict[str, str], name: str) -> str | None:
    value = found.get(name, "")
    return value if value and "\0" not in value and len(value.encode()) <= IDENTITY_BYTES_MAX else None


def storable(said: str) -> str:
    """The text without null characters, which PostgreSQL cannot hold."""
    return said.replace("\0", "\N{REPLACEMENT CHARACTER}")
