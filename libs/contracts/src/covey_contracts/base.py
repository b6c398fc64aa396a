"""The grammar of every fact that Covey publishes: an event is a frozen model that names its topic.

A topic carries one kind of event; its name is the CloudEvents type. ID, time, sequence, correlation and trace are
CloudEvents headers (``ce_*``) of the record, never part of the model: the record's value is the model's plain JSON.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Where one kind of event travels, who writes it, who reads it, how long it is kept.

    ``key`` names the model's field that holds the aggregate's ID: it is the Kafka key and ``ce_subject``.
    ``kept_days`` is None for facts that others copy: they stay for ever, and a new listener begins with the first.
    ``sequenced`` is False for commands and answers, which have no place in the aggregate's history.
    """

    name: str
    aggregate: str
    key: str
    owner: str
    listeners: tuple[str, ...] = ()
    kept_days: int | None = None
    partitions: int = 6
    sequenced: bool = True


class Part(BaseModel):
    """A value inside an event. Frozen, tolerant of fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SealedBody(BaseModel):
    """Personal data that only one listener may read. It travels as a JWE in the event's ``sealed`` field."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    sealed_for: ClassVar[str]


class Event(BaseModel):
    """A fact that has already happened: the public state of its aggregate after the change.

    Frozen; safe to receive twice, late, and out of order across topics; unknown fields are ignored, so that a newer
    producer does not stop an older listener.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    topic: ClassVar[Topic]
    sealed_body: ClassVar[type[SealedBody] | None] = None
    """What the ``sealed`` field holds, in events that have one."""

    @property
    def key(self) -> str:
        """The aggregate's ID as text: the record's key."""
        return str(getattr(self, self.topic.key))


Sealed = Annotated[
    str,
    Field(
        description="A compact JWE (RFC 7516) for one listener alone; its `kid` names the listener's key.",
        pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*){4}$",
    ),
]
