"""The evidence of one window, sorted in the ways in which more than one invariant looks at it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from .evidence import Evidence, Rec
from .history import Op

TOLD = {
    "group.change": ("covey.group.changed.v1",),
    "write": ("covey.group.changed.v1",),
    "transaction.first-save": ("covey.transaction.opened.v1",),
    "transaction.submit": ("covey.transaction.submitted.v1",),
    "transaction.withdraw": ("covey.transaction.withdrawn.v1",),
    "review.claim": ("covey.review.claimed.v1",),
    "review.return": ("covey.review.returned.v1",),
    "review.approve": ("covey.review.approved.v1",),
    "review.decline": ("covey.review.declined.v1",),
    "user.add": ("covey.access.changed.v1", "covey.access-code.issued.v1"),
    "user.redeem": ("covey.access.changed.v1",),
    "remove": ("covey.access.changed.v1",),
}
"""What the service itself tells at once when it has done such a command: one event of each of these types."""
IMPORT = "import"
IMPORTED = ("covey.group.registered.v1", "covey.group.changed.v1")
"""What an import tells, later: one event for each row that makes a difference; ``Op.said`` is their number."""
COPIES: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("identity", "group_copy"): ("identity.groups", IMPORTED),
    ("transactions", "group_copy"): ("transactions.groups", IMPORTED),
    ("renewals", "book"): ("renewals.groups", IMPORTED),
    ("notifications", "group_copy"): ("notifications.groups", IMPORTED),
    ("renewals", "firm"): ("renewals.firms", ("covey.firm.registered.v1", "covey.firm.changed.v1")),
    ("renewals", "appointment"): ("renewals.firms", ("covey.appointment.changed.v1",)),
    ("renewals", "transaction_copy"): (
        "renewals.transactions",
        (
            "covey.transaction.opened.v1",
            "covey.transaction.submitted.v1",
            "covey.transaction.withdrawn.v1",
            "covey.review.claimed.v1",
            "covey.review.released.v1",
            "covey.review.returned.v1",
            "covey.review.declined.v1",
            "covey.review.approved.v1",
        ),
    ),
    ("transactions", "renewal_copy"): (
        "transactions.renewals",
        ("covey.renewal.available.v1", "covey.renewal.changed.v1"),
    ),
    ("notifications", "appointment_copy"): ("notifications.groups", ("covey.appointment.changed.v1",)),
    ("notifications", "account_copy"): (
        "notifications.accounts",
        ("covey.account.registered.v1", "covey.account.changed.v1"),
    ),
    ("notifications", "grant_told"): ("notifications.reactions", ("covey.access.changed.v1",)),
}
"""Tables of copies, by service and name: the consumer that keeps each, and the types of events that it follows.

The subject of a row is the events' key.
"""


def has_old_number(record: Rec, sequences: Mapping[tuple[str, str], tuple[int, int]]) -> bool:
    """Whether its aggregate had come to the record's number by the mark, so that it should be a copy."""
    before, _ = sequences.get((record.source.removeprefix("/"), record.key), (0, 0))
    return record.sequence is not None and record.sequence <= before


class Case:
    """What is asked of the evidence again and again, worked out once."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    @cached_property
    def poisoned(self) -> set[tuple[str, int, int]]:
        return {(each.topic, each.partition, each.offset) for each in self.evidence.poisons}

    @cached_property
    def told_records(self) -> list[Rec]:
        """Every record that tells of an event, copies too. Poison does not."""
        return [
            record
            for record in self.evidence.records
            if record.id and (record.topic, record.partition, record.offset) not in self.poisoned
        ]

    @cached_property
    def events(self) -> dict[str, Rec]:
        """The first copy of each event; a copy of what was told before the window is none."""
        found: dict[str, Rec] = {}
        for record in self.told_records:
            if not has_old_number(record, self.evidence.sequences):
                found.setdefault(record.id, record)
        return found

    @cached_property
    def old_numbers(self) -> list[Rec]:
        """Records whose numbers were given before the window."""
        return [record for record in self.told_records if has_old_number(record, self.evidence.sequences)]

    @cached_property
    def told(self) -> dict[str, list[Rec]]:
        """What a service told of a command in its own transaction, by the command's ID."""
        found: dict[str, list[Rec]] = defaultdict(list)
        for event in self.events.values():
            if event.causation_id is None:
                found[event.correlation_id].append(event)
        return found

    @cached_property
    def of_aggregate(self) -> dict[tuple[str, str], list[Rec]]:
        """An aggregate's numbered events, over all topics, by service and ID."""
        found: dict[tuple[str, str], list[Rec]] = defaultdict(list)
        for event in self.events.values():
            if event.sequence is not None:
                found[event.source.removeprefix("/"), event.key].append(event)
        return found

    @cached_property
    def numbered(self) -> dict[tuple[str, str], list[Rec]]:
        """The same, without the services whose numbers say nothing."""
        return {of: events for of, events in self.of_aggregate.items() if of[0] not in self.evidence.restored}

    @cached_property
    def waiting_keys(self) -> set[tuple[str, str]]:
        """Keys that are parked, by consumer."""
        return {(each.consumer, each.key) for each in self.evidence.parked}

    def has_read(self, consumer: str, event: Rec) -> bool:
        """Whether the consumer is beyond the event. What it has not read yet is late, not lost."""
        position = self.evidence.positions.get((consumer, event.topic, event.partition))
        return position is None or event.offset < position

    def told_of(self, op: Op, types: Iterable[str]) -> list[Rec]:
        return [each for each in self.told.get(op.id, ()) if each.type in types and each.source == f"/{op.service}"]
