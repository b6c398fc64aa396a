"""Every fault by its number: what strikes, at which moment, on a stack of which shape.

All of them once may bring fewer events than are wanted: a million (``EVENTS``) may take several seeds in turn.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from .checker import MAIL_TWICE, REMOVED_LATE
from .strikes import access, broker, database, network, processes, records
from .world import Shape, World

PLAIN = Shape()
RELAYS_APART = Shape(relays_apart=True)
LINKED = Shape(linked=True)
THREE = Shape(brokers=3)
THREE_LINKED = Shape(brokers=3, linked=True)

TWICE = "a crash between the mail server's answer and the commit sends an email again, with the same Message-ID"
LATE = 'identity, which has to say "removed", is struck itself'
BOTH = f"{TWICE}; {LATE}"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault. ``excused`` are the invariants that it breaks by its nature, with the reason in ``because``."""

    id: str
    title: str
    moment: str
    strike: Callable[[World, Random], Awaitable[None]]
    shape: Shape = PLAIN
    storms: bool = True
    """Whether books are imported all the time, beside what people do: not where delays are looked at."""
    excused: frozenset[str] = frozenset()
    because: str = ""


async def three_at_random(world: World, rng: Random) -> None:
    """Three faults of those for one broker, one after the other."""
    possible = [
        each
        for each in FAULTS
        if each.strike is not three_at_random
        and each.shape in (PLAIN, LINKED)
        and each.storms
        and each.excused <= {MAIL_TWICE, REMOVED_LATE}
    ]
    for fault in rng.sample(possible, 3):
        async with world.healed_afterwards():
            await fault.strike(world, rng)
        world.links.heal()


FAULTS: tuple[Fault, ...] = (
    Fault(
        id="F1",
        title="kill -9 of services",
        moment="after the check of rights; before a command's commit",
        strike=processes.killed_before_commit,
        excused=frozenset({REMOVED_LATE}),
        because=LATE,
    ),
    Fault(
        id="F2",
        title="kill -9 of services",
        moment="after a command's commit, before its answer",
        strike=processes.killed_before_answer,
        excused=frozenset({REMOVED_LATE}),
        because=LATE,
    ),
    Fault(
        id="F3",
        title="kill -9 of relays",
        moment="after the select, the send, the acknowledgement, the delete",
        strike=processes.relay_killed,
        shape=RELAYS_APART,
    ),
    Fault(
        id="F4",
        title="relay stands still for 8 s, with a standby",
        moment="with a full send buffer, before it deletes, at any time",
        strike=processes.relay_stopped,
        shape=RELAYS_APART,
    ),
    Fault(
        id="F5",
        title="kill -9 of consumers",
        moment="after the poll, before and after the commit, after the offsets' commit",
        strike=processes.consumer_killed,
        excused=frozenset({MAIL_TWICE}),
        because=TWICE,
    ),
    Fault(
        id="F6",
        title="consumer stands still for 17 s, twice, with a second one",
        moment="in an open transaction",
        strike=processes.consumer_stopped,
    ),
    Fault(
        id="F7",
        title="consumers come and go",
        moment="every 5 s, under load",
        strike=processes.consumers_come_and_go,
    ),
    Fault(
        id="F8",
        title="kill -9 of the broker",
        moment="three times, under load",
        strike=broker.broker_killed,
    ),
    Fault(
        id="F8-3",
        title="kill -9 of each of three brokers",
        moment="leaders and controller, under load",
        strike=broker.each_broker_killed,
        shape=THREE,
    ),
    Fault(
        id="F9",
        title="broker stands still for 15 s",
        moment="under load",
        strike=broker.broker_stopped,
    ),
    Fault(
        id="F9-3",
        title="each of three brokers stands still for 6 s",
        moment="leaders and controller, under load",
        strike=broker.each_broker_stopped,
        shape=THREE,
    ),
    Fault(
        id="F9R-3",
        title="each of three brokers is restarted",
        moment="leaders and controller, under load",
        strike=broker.each_broker_restarted,
        shape=THREE,
    ),
    Fault(
        id="F10",
        title="broker's disk is full for 20 s",
        moment="under load",
        strike=broker.disk_full,
        shape=Shape(small_disk="kafka"),
    ),
    Fault(
        id="F11",
        title="topic's limit is below an event's size",
        moment="then as before, and an operator retries",
        strike=records.limit_lowered,
    ),
    Fault(
        id="F12",
        title="PostgreSQL stops immediately",
        moment="three times, under load",
        strike=database.server_crashes,
        excused=frozenset({MAIL_TWICE, REMOVED_LATE}),
        because=BOTH,
    ),
    Fault(
        id="F13",
        title="PostgreSQL's disk is full for 15 s",
        moment="under load",
        strike=database.disk_full,
        shape=Shape(small_disk="postgres"),
        excused=frozenset({MAIL_TWICE, REMOVED_LATE}),
        because=BOTH,
    ),
    Fault(
        id="F14",
        title="sessions are ended",
        moment="of relays, of holders of locks, in transactions",
        strike=database.sessions_ended,
        excused=frozenset({MAIL_TWICE, REMOVED_LATE}),
        because=BOTH,
    ),
    Fault(
        id="F15",
        title="a long writing transaction in another database",
        moment="20 s, and events flow meanwhile",
        strike=database.long_transaction_elsewhere,
    ),
    Fault(
        id="F16",
        title="cut off from Kafka",
        moment="relay and consumer, 20 s; half-open 12 s",
        strike=network.cut_off_from_kafka,
        shape=LINKED,
    ),
    Fault(
        id="F17",
        title="cut off from PostgreSQL",
        moment="a COMMIT arrives, its answer does not",
        strike=network.cut_off_from_database,
        shape=LINKED,
        excused=frozenset({REMOVED_LATE}),
        because=LATE,
    ),
    Fault(
        id="F18",
        title="cut off from identity",
        moment="and somebody is removed meanwhile",
        strike=network.cut_off_from_identity,
        shape=LINKED,
    ),
    Fault(
        id="F19",
        title="every link takes 200 ms, more or less 100",
        moment="25 s",
        strike=network.slow_links,
        shape=LINKED,
    ),
    Fault(
        id="F20",
        title="every connection is reset",
        moment="every 0.5 s, for 20 s",
        strike=network.resets,
        shape=LINKED,
        excused=frozenset({MAIL_TWICE}),
        because=TWICE,
    ),
    Fault(
        id="F21",
        title="poison in topics",
        moment="eleven kinds, under load",
        strike=records.poison,
        storms=False,
    ),
    Fault(
        id="F22",
        title="a handler refuses one key, then does not",
        moment="about 10 s, other keys flow meanwhile",
        strike=records.handler_refuses,
    ),
    Fault(
        id="F23",
        title="the last 10,000 records come again, consumers begin anew",
        moment="under load",
        strike=records.duplicates,
        excused=frozenset({"I6", MAIL_TWICE}),
        because=f"the stored positions are set back by hand; {TWICE}",
    ),
    Fault(
        id="F24",
        title="records come again that the inbox has forgotten",
        moment="under load",
        strike=records.forgotten,
    ),
    Fault(
        id="F25",
        title="a service's clock is 5 minutes ahead, or late",
        moment="and people are removed meanwhile",
        strike=access.clock_is_wrong,
        excused=frozenset({MAIL_TWICE}),
        because=TWICE,
    ),
    Fault(
        id="F26",
        title="SIGTERM to each service in turn",
        moment="under load",
        strike=processes.rolling_restart,
        excused=frozenset({REMOVED_LATE}),
        because=LATE,
    ),
    Fault(
        id="F27",
        title="event loop blocked for 20 s",
        moment="of consumers, under load",
        strike=processes.loop_blocked,
        excused=frozenset({MAIL_TWICE}),
        because=TWICE,
    ),
    Fault(
        id="F28",
        title="aiokafka's coordination ends",
        moment="of consumers, under load",
        strike=processes.coordination_ended,
        excused=frozenset({MAIL_TWICE}),
        because=TWICE,
    ),
    Fault(
        id="F29",
        title="a partition without a leader for 35 s",
        moment="one hot key, pages in flight",
        strike=broker.partition_without_leader,
        shape=THREE,
    ),
    Fault(
        id="F30",
        title="services and one of three brokers cut off from the others",
        moment="and somebody is removed meanwhile",
        strike=network.minority_with_the_leader,
        shape=THREE_LINKED,
    ),
    Fault(
        id="F31",
        title='a service stands still in a write, until "removed" is answered',
        moment="before and after the locks, after the check, before the commit",
        strike=access.stopped_in_a_write,
    ),
    Fault(
        id="F32",
        title="a service's database is restored to an earlier state",
        moment="Kafka's offsets are ahead",
        strike=database.restored,
        excused=frozenset({"I6", "I9"}),
        because="positions and fences go back with the database, and the numbers of its own events",
    ),
    Fault(
        id="F33",
        title="three faults at random",
        moment="one after the other",
        strike=three_at_random,
        shape=LINKED,
        excused=frozenset({MAIL_TWICE, REMOVED_LATE}),
        because=BOTH,
    ),
)

NOT_HERE: dict[str, str] = {}
"""Faults of the list that this kind of machine does not allow, and why."""
