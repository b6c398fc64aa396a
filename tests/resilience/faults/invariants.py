"""One function for each invariant: what in the evidence breaks it, in sentences."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise

from covey_chassis.access.facts import SILENT_S

from .case import COPIES, IMPORT, IMPORTED, TOLD, Case
from .evidence import Place, Poison, Rec
from .history import Op

HARNESS = "the harness"
"""Nothing was done, or nothing came of it, or nobody looked: whatever else is said of such a run is worth nothing."""
MAIL_TWICE = "I3-mail"
"""A message went out twice. A crash between the mail server's "taken" and the commit excuses it."""
REMOVED_LATE = "I10-late"
""""Removed" took longer than is promised. What strikes identity, which has to say it, or its database excuses it."""
REFUSED_ANEW = (412, 422)
"""Refusals that a repetition of a committed command cannot get: its stored answer comes before the look at versions.

Nor can an attempt be committed after another one was refused so: what is stale stays stale. (403 it can get: who has lost
the right meanwhile gets no stored answer.)
"""
REST_WITHIN_S = 60.0
"""So long after the healing everything may take to come to rest."""
DELAY_S = 2.0
"""So late may the slowest of a hundred effects be while there is poison in the topics."""
REMOVED_WITHIN_S = SILENT_S + 2.0
"""So long a removal may take: a silence that is waited out, and until somebody looks, on a busy machine."""
STREAM_S = 2.0
"""So long after "removed" a piece of a stream may still be on its way."""
WRITES = ("write", "write.renewal")
"""What a person does who is let in and removed."""
POISONED_S = 10.0
"""So long after a poison the effects of others are timed."""


# --- I1 ---


def no_command_is_lost(case: Case) -> Iterator[str]:
    yield from _commands_left_nothing(case)
    yield from _events_were_not_told(case)
    yield from _events_had_no_effect(case)
    yield from _copies_stay_behind(case)
    yield from _letters_were_not_sent(case)
    yield from (
        f"{_named(op)} was done, and the audit has no entry of it" for op, entries in _audited(case) if not entries
    )


def _audited(case: Case) -> Iterator[tuple[Op, int]]:
    """Commands of other services than identity that were done, and how many entries the audit has of each.

    Identity's own stand in the audit with what they changed, in one transaction.
    """
    evidence = case.evidence
    for op in evidence.ops:
        told_of = op.is_command and op.service != "identity" and not evidence.restored & {op.service, "identity"}
        if told_of and (op.outcome == "ok" or op.id in evidence.committed):
            yield op, evidence.audited.get(op.id, 0)


def _commands_left_nothing(case: Case) -> Iterator[str]:
    for op in case.evidence.ops:
        committed = op.id in case.evidence.committed
        if op.outcome == "ok" and op.is_command and not committed:
            yield f"{_named(op)} was acknowledged, and is not committed"
        if op.outcome == "unknown" and committed and op.status in REFUSED_ANEW:
            yield f"{_named(op)} is committed, and its repetition was refused with {op.status}"
        if op.outcome == "ok" or (op.outcome == "unknown" and committed):
            told = {each.type for each in case.told_of(op, TOLD.get(op.kind, ()))}
            for kind in TOLD.get(op.kind, ()):
                if kind not in told:
                    yield f"{_named(op)} was {'acknowledged' if op.outcome == 'ok' else 'committed'}, and not told: {kind}"
        if op.kind == IMPORT and op.outcome == "ok" and (rows := len(case.told_of(op, IMPORTED))) != int(op.said):
            yield f"{_named(op)} made a difference to {op.said} groups, and {rows} were told of"


def _events_were_not_told(case: Case) -> Iterator[str]:
    for (service, aggregate), (before, after) in case.evidence.sequences.items():
        told = {each.sequence for each in case.of_aggregate.get((service, aggregate), ())}
        for missing in sorted(set(range(before + 1, after + 1)) - told):
            yield f"{service} has made event {missing} of {aggregate}, and it is in no topic"


def _events_had_no_effect(case: Case) -> Iterator[str]:
    hearing: dict[str, list[tuple[str, dict[str, int]]]] = defaultdict(list)
    for consumer, types in case.evidence.subscriptions.items():
        for kind in types:
            hearing[kind].append((consumer, case.evidence.inbox.get(consumer, {})))
    for event in case.events.values():
        for consumer, entered in hearing.get(event.type, ()):
            if event.id not in entered and case.has_read(consumer, event):
                yield f"{consumer} has no trace of {_at(event)}"


def _copies_stay_behind(case: Case) -> Iterator[str]:
    reached: dict[tuple[str, str, str], int] = {}
    for effect in case.evidence.effects:
        if effect.sequence is not None:
            reached[effect.service, effect.table, effect.subject] = effect.sequence
    for (service, table), (consumer, types) in COPIES.items():
        if consumer not in case.evidence.subscriptions:
            continue
        highest: dict[str, int] = {}
        for event in case.events.values():
            if event.type in types and event.sequence is not None and case.has_read(consumer, event):
                highest[event.key] = max(event.sequence, highest.get(event.key, 0))
        for key, sequence in highest.items():
            at = reached.get((service, table, key), 0)
            if at < sequence and (consumer, key) not in case.waiting_keys:
                yield f"{service}.{table} has {key} as of event {at}, not {sequence}"


def _letters_were_not_sent(case: Case) -> Iterator[str]:
    sent = {mail.message_id for mail in case.evidence.mails}
    for letter in case.evidence.letters:
        if letter.status == "delivered" and letter.message_id not in sent:
            yield f"the mail server never took {letter.message_id}, which is delivered"


# --- I2 ---


def nothing_comes_of_a_refusal(case: Case) -> Iterator[str]:
    for op in case.evidence.ops:
        told = case.told_of(op, TOLD.get(op.kind, ()))
        if op.outcome == "fail" and op.id in case.evidence.committed:
            yield f"{_named(op)} was refused with {op.status}, and is committed"
        if op.outcome == "fail" and told:
            yield f"{_named(op)} was refused with {op.status}, and {_at(told[0])} tells of it"
        if op.outcome == "unknown" and told and op.id not in case.evidence.committed:
            yield f"{_named(op)} is not committed, and {_at(told[0])} tells of it"
        restored = case.evidence.restored & {op.service, "identity"}
        done = op.outcome == "ok" or op.id in case.evidence.committed
        if op.id in case.evidence.audited and not done and not restored:
            yield f"{_named(op)} was not done, and the audit has an entry of it"
    for (service, aggregate), events in case.numbered.items():
        _, after = case.evidence.sequences.get((service, aggregate), (0, 0))
        for event in events:
            if event.sequence is not None and event.sequence > after:
                yield f"{_at(event)} tells of {aggregate}, which {service} has as of event {after}"


# --- I3 ---


def nothing_happens_twice(case: Case) -> Iterator[str]:
    yield from _contents_differ(case)
    yield from _events_are_told_twice(case)
    yield from _events_have_two_effects(case)
    known = {letter.message_id for letter in case.evidence.letters}
    yield from (
        f"nobody wrote the message {mail.message_id}" for mail in case.evidence.mails if mail.message_id not in known
    )


def _contents_differ(case: Case) -> Iterator[str]:
    for record in case.evidence.records:
        first = case.events.get(record.id)
        if first is not None and first is not record and _content(first) != _content(record):
            yield f"{_at(record)} is not a copy of {_at(first)}"


def _content(record: Rec) -> tuple[object, ...]:
    return (
        record.topic,
        record.key,
        record.source,
        record.type,
        record.sequence,
        record.correlation_id,
        record.content,
    )


def _events_are_told_twice(case: Case) -> Iterator[str]:
    for op in case.evidence.ops:
        for kind, times in Counter(event.type for event in case.told_of(op, TOLD.get(op.kind, ()))).items():
            if times > 1:
                yield f"{_named(op)} was told {times} times, by different events: {kind}"
    for (service, aggregate), events in case.numbered.items():
        for sequence, times in Counter(event.sequence for event in events).items():
            if times > 1:
                yield f"{service} tells of {aggregate} by {times} different events with number {sequence}"
    available = Counter(year for each, year in case.evidence.plan_years.items() if each in case.events)
    yield from (
        f"the renewal of {group_id} for {year} became available {times} times"
        for (group_id, year), times in available.items()
        if times > 1
    )


def _events_have_two_effects(case: Case) -> Iterator[str]:
    yield from (f"{_named(op)} has {entries} entries in the audit" for op, entries in _audited(case) if entries > 1)
    for consumer, entered in case.evidence.inbox.items():
        yield from (
            f"{consumer} has taken event {event_id} {times} times" for event_id, times in entered.items() if times > 1
        )
    made = Counter((each.service, each.table, each.subject) for each in case.evidence.effects if each.sequence is None)
    yield from (
        f"{service}.{table} got {subject} {times} times"
        for (service, table, subject), times in made.items()
        if times > 1
    )
    written = Counter((letter.event_id, letter.recipient) for letter in case.evidence.letters)
    yield from (
        f"the {recipient} is written to {times} times about event {event_id}"
        for (event_id, recipient), times in written.items()
        if times > 1
    )


def no_mail_goes_out_twice(case: Case) -> Iterator[str]:
    for message_id, times in Counter(mail.message_id for mail in case.evidence.mails).items():
        if times > 1:
            yield f"{message_id} went out {times} times"


# --- I4, I5 ---


def events_are_in_order(case: Case) -> Iterator[str]:
    for (service, aggregate), events in case.numbered.items():
        numbers = sorted({event.sequence for event in events if event.sequence is not None})
        for before, after in pairwise(numbers):
            if after != before + 1:
                yield f"between {before} and {after} nothing is told of {service}'s {aggregate}"
        lanes: dict[tuple[str, int], list[Rec]] = defaultdict(list)
        for event in events:
            lanes[event.topic, event.partition].append(event)
        yield from _disordered(chain.from_iterable(pairwise(lane) for lane in lanes.values()))
    yield from _numbers_come_again(case)
    last: dict[tuple[str, str, str], int] = {}
    for effect in case.evidence.effects:
        place = (effect.service, effect.table, effect.subject)
        if effect.sequence is None:
            continue
        if effect.sequence <= last.get(place, -1):
            yield f"{effect.service}.{effect.table} went from event {last[place]} to {effect.sequence} of {effect.subject}"
        last[place] = effect.sequence


def _numbers_come_again(case: Case) -> Iterator[str]:
    for record in case.old_numbers:
        service = record.source.removeprefix("/")
        if record.id not in case.evidence.told_before and service not in case.evidence.restored:
            before, _ = case.evidence.sequences[service, record.key]
            said = f"has number {record.sequence} of {record.key}, which {service} had as of event {before} before"
            yield f"{_at(record)} is new, and {said}"


def _disordered(pairs: Iterable[tuple[Rec, Rec]]) -> Iterator[str]:
    for before, after in pairs:
        if before.sequence is not None and after.sequence is not None and after.sequence <= before.sequence:
            yield f"{_at(after)} has number {after.sequence}, and is behind {before.sequence} of {after.key}"


def keys_stay_in_their_partition(case: Case) -> Iterator[str]:
    partitions: dict[tuple[str, str], set[int]] = defaultdict(set)
    for record in case.evidence.records:
        if record.id and (record.topic, record.partition, record.offset) not in case.poisoned:
            partitions[record.topic, record.key].add(record.partition)
    for (topic, key), found in partitions.items():
        if len(found) > 1:
            yield f"{topic} has {key} in partitions {sorted(found)}"


# --- I6, I7 ---


def offsets_are_honest(case: Case) -> Iterator[str]:
    for sample in case.evidence.samples:
        for place, committed in sample.committed.items():
            if committed > sample.stored.get(place, committed):
                yield f"{_placed(place)}: Kafka has {committed}, the database {sample.stored[place]}, at {sample.at:.1f}"
    for place, position in case.evidence.positions.items():
        if position > (end := case.evidence.ends.get(place[1:], position)):
            yield f"{_placed(place)}: the database has {position}, beyond the end {end}"


def all_comes_to_rest(case: Case) -> Iterator[str]:
    evidence = case.evidence
    if evidence.recovery_s is None:
        yield "it never came to rest"
    elif evidence.recovery_s > REST_WITHIN_S:
        yield f"it came to rest after {evidence.recovery_s:.1f} s only"
    if evidence.outbox_left:
        yield f"{evidence.outbox_left} events still wait in outboxes"
    expected = {poison.event_id for poison in evidence.poisons if poison.ends == "parked"}
    poisoned_keys = {(each.consumer, each.key) for each in evidence.parked if each.event_id in expected}
    for each in evidence.parked:
        if (each.consumer, each.key) not in poisoned_keys:
            yield f"{each.consumer} has event {each.event_id} parked, {each.state}"
    for place, position in evidence.positions.items():
        if position < (end := evidence.ends.get(place[1:], position)):
            yield f"{_placed(place)}: the database has {position}, not {end}"


# --- I8 ---


def poison_harms_nobody_else(case: Case) -> Iterator[str]:
    evidence = case.evidence
    for letter in evidence.dead_letters:
        if (letter.topic, letter.partition, letter.offset) not in case.poisoned:
            yield f"{letter.consumer} buried {letter.topic}/{letter.partition}/{letter.offset}, which was no poison"
    for poison in evidence.poisons:
        for consumer, types in evidence.subscriptions.items():
            if poison.topic in types:
                yield from _wrong_end(case, poison, consumer)
    yield from _others_were_late(case)


def _wrong_end(case: Case, poison: Poison, consumer: str) -> Iterator[str]:
    where = f"{poison.topic}/{poison.partition}/{poison.offset}"
    buried = [
        letter
        for letter in case.evidence.dead_letters
        if letter.consumer == consumer
        and (letter.topic, letter.partition, letter.offset) == (poison.topic, poison.partition, poison.offset)
    ]
    parked = [each for each in case.evidence.parked if each.consumer == consumer and each.event_id == poison.event_id]
    times = {"dead letter": len(buried), "parked": len(parked)}
    for end, found in times.items():
        if found != (wanted := int(poison.ends == end)):
            yield f"{consumer} has poison {where} {found} times as {end}, not {wanted}"
    if poison.ends == "handled" and poison.event_id not in case.evidence.inbox.get(consumer, {}):
        yield f"{consumer} has not taken poison {where}, which only looks odd"
    if any((letter.key, letter.payload) != (poison.key, poison.value) for letter in buried):
        yield f"{consumer} did not keep poison {where} byte for byte"


def _others_were_late(case: Case) -> Iterator[str]:
    if not case.evidence.poisons:
        return
    began = min(poison.at for poison in case.evidence.poisons)
    ended = max(poison.at for poison in case.evidence.poisons) + POISONED_S
    made = {
        (each.type, each.key, each.sequence): each.time for each in case.events.values() if began <= each.time <= ended
    }
    delays = sorted(
        effect.at - made[kind, effect.subject, effect.sequence]
        for effect in case.evidence.effects
        for kind in COPIES.get((effect.service, effect.table), ("", ()))[1]
        if (kind, effect.subject, effect.sequence) in made
    )
    if delays and (slow := delays[int(len(delays) * 0.99)]) > DELAY_S:
        yield f"while there was poison, the slowest of a hundred effects came {slow:.1f} s after the event"


# --- I9 ---


def a_replaced_relay_deletes_nothing(case: Case) -> Iterator[str]:
    last: dict[str, tuple[int, str]] = {}
    for sample in case.evidence.samples:
        for service, lease in sample.leases.items():
            fence, holder = last.get(service, (lease.fence, lease.holder))
            if lease.fence < fence:
                yield f"{service}: the lease's fence went back from {fence} to {lease.fence}"
            elif lease.fence == fence and lease.holder != holder:
                yield f"{service}: two relays held the lease with fence {fence}"
            last[service] = (lease.fence, lease.holder)
    held: dict[tuple[str, int], set[int]] = defaultdict(set)
    for act in case.evidence.relay_acts:
        holders = held[act.service, act.fence]
        if act.act == "hold":
            holders.add(act.backend)
        elif holders and act.backend not in holders:
            yield f"{act.service}: a relay that did not hold fence {act.fence} deleted {act.rows} rows"


# --- I10 ---


def removed_is_true(case: Case) -> Iterator[str]:
    concerning: dict[tuple[str | None, str | None], list[Op]] = defaultdict(list)
    for op in case.evidence.ops:
        if op.kind in ("read", "watch", "remove", "user.redeem", *WRITES):
            concerning[op.subject, op.person].append(op)
    for ops in concerning.values():
        for removal in ops:
            if removal.kind == "remove" and removal.outcome == "ok" and removal.shows:
                yield from _breaches(ops, removal, case.evidence.committed)


def _breaches(ops: Sequence[Op], removal: Op, committed: set[str]) -> Iterator[str]:
    """Where a person was answered who had been removed, until they entered a code again that was not refused."""
    removed_at = removal.finished_at or removal.invoked_at
    again = next(
        (op for op in ops if op.kind == "user.redeem" and op.invoked_at > removed_at and op.outcome != "fail"), None
    )
    until_then = [op for op in ops if again is None or op.invoked_at < again.invoked_at]
    asked = [op for op in until_then if op.kind in ("read", *WRITES)]
    for op in until_then:
        if op.kind == "watch" and (late_s := op.invoked_at - removed_at) > STREAM_S:
            yield f"{op.service} went on with a stream of {op.person} {late_s:.3f} s after the removal"
    for op in asked:
        late_s = (op.sent_at or op.invoked_at) - removed_at
        in_time = again is None or (op.finished_at is not None and op.finished_at < again.invoked_at)
        if late_s > 0 and in_time and (op.shows or (op.kind in WRITES and op.outcome == "ok")):
            yield f"{op.service} answered {op.person} a {op.kind} with {op.status}, sent {late_s:.3f} s after the removal"
    before = removal.committed
    after = committed if again is None else again.committed
    for op in asked:
        if op.kind not in WRITES or after is None or op.id not in after:
            continue
        late_s = op.invoked_at - removed_at
        if late_s > 0:
            yield f"a write of {op.person} was committed that was sent {late_s:.3f} s after the removal"
        elif before is not None and op.id not in before:
            yield f"a write of {op.person} was committed after the removal, sent {-late_s:.3f} s before it"


def removals_are_in_time(case: Case) -> Iterator[str]:
    for removal in case.evidence.removals:
        if removal.took_s > REMOVED_WITHIN_S:
            yield f"a removal took {removal.took_s:.1f} s, by {removal.how}"


# --- I11 ---


def copies_can_be_made_again(case: Case) -> Iterator[str]:
    for each in case.evidence.rebuilt:
        if each.differing or each.live != each.rebuilt:
            named = ", ".join(islice(each.differing, 5))
            yield f"{each.table} has {each.live} rows, made again {each.rebuilt}; not the same: {named or 'how many'}"


# --- the harness ---


def something_is_proven(case: Case) -> Iterator[str]:
    evidence = case.evidence
    yield from not_yet_done(evidence.ops)
    if not any(evidence.inbox.values()):
        yield "no consumer has taken an event"
    if not evidence.effects:
        yield "no copy has changed"
    if not any(sample.committed.keys() & sample.stored.keys() for sample in evidence.samples):
        yield "no offset was compared with a position"
    if not evidence.relay_acts:
        yield "no relay was seen at work"
    if "identity" not in evidence.restored and not any(entries for _, entries in _audited(case)):
        yield "no command was found in the audit"


def not_yet_done(ops: Sequence[Op]) -> Iterator[str]:
    """What clients have to have done: without it nothing is proven of commands, removals or streams."""
    done = [op for op in ops if op.outcome == "ok"]
    if not any(op.is_command and op.kind != IMPORT for op in done):
        yield "no command was acknowledged"
    if not any(op.kind == "remove" and op.shows and op.committed is not None for op in done):
        yield "no removal was judged by what was committed"
    if not any(op.kind == "watch" for op in done):
        yield "no stream was open"


INVARIANTS: tuple[tuple[str, Callable[[Case], Iterator[str]]], ...] = (
    ("I1", no_command_is_lost),
    ("I2", nothing_comes_of_a_refusal),
    ("I3", nothing_happens_twice),
    (MAIL_TWICE, no_mail_goes_out_twice),
    ("I4", events_are_in_order),
    ("I5", keys_stay_in_their_partition),
    ("I6", offsets_are_honest),
    ("I7", all_comes_to_rest),
    ("I8", poison_harms_nobody_else),
    ("I9", a_replaced_relay_deletes_nothing),
    ("I10", removed_is_true),
    (REMOVED_LATE, removals_are_in_time),
    ("I11", copies_can_be_made_again),
    (HARNESS, something_is_proven),
)


def _named(op: Op) -> str:
    return f"{op.kind} {op.id} at {op.service}"


def _at(record: Rec) -> str:
    return f"{record.topic}/{record.partition}/{record.offset} ({record.id})"


def _placed(place: Place) -> str:
    consumer, topic, partition = place
    return f"{consumer} at {topic}/{partition}"
