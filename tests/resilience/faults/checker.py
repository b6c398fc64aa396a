"""Did the platform keep its word? A pure function over the evidence, one small function for each invariant.

I1 no acknowledged command is lost, I2 nothing comes of a refused one, I3 nothing has its effect twice, I4 each aggregate's
events are in order and without a gap, I5 a key stays in its partition, I6 offsets are honest, I7 all comes to rest,
I8 poison harms nobody else, I9 a relay that was replaced deletes nothing, I10 "removed" is true, and in time, I11 copies
are what the topics make of them. And of the harness itself: that a run which shows nothing proves nothing.
"""

from dataclasses import dataclass

from .case import Case
from .evidence import Evidence
from .invariants import HARNESS, INVARIANTS, MAIL_TWICE, REMOVED_LATE

__all__ = ["HARNESS", "MAIL_TWICE", "REMOVED_LATE", "Figures", "Violation", "figures", "violations"]

SHOWN = 20
"""Violations of one invariant that are named one by one."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was not kept, and what shows it."""

    invariant: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.what}"


@dataclass(frozen=True, slots=True)
class Figures:
    """How much a run has proven.

    Wire duplicates are copies of an event beyond its first: those that relays sent again, and those of the harness's own
    making (F23, F24).
    """

    operations: int
    acknowledged: int
    events: int
    effects: int
    wire_duplicates: int


def violations(evidence: Evidence, *, excused: frozenset[str] = frozenset()) -> list[Violation]:
    """Every promise that was not kept; those of the excused invariants are not looked at.

    ``MAIL_TWICE`` and ``HARNESS`` are invariants of their own. Of many violations of one the first are named, the rest
    counted.
    """
    case = Case(evidence)
    found = []
    for invariant, look in INVARIANTS:
        if invariant not in excused:
            said = list(look(case))
            found += [Violation(invariant, what) for what in said[:SHOWN]]
            if len(said) > SHOWN:
                found.append(Violation(invariant, f"and {len(said) - SHOWN} more"))
    return found


def figures(evidence: Evidence) -> Figures:
    """What to count for the report."""
    case = Case(evidence)
    asked = [op for op in evidence.ops if op.kind != "watch"]  # pieces of streams were not asked for one by one
    return Figures(
        operations=len(asked),
        acknowledged=sum(op.outcome == "ok" for op in asked),
        events=len(case.events),
        effects=sum(sum(entered.values()) for entered in evidence.inbox.values()),
        wire_duplicates=len(case.told_records) - len(case.events),
    )
