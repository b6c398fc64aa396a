"""A checker that cannot fail is no checker: a right story passes, and for each promise a story that breaks it does not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from .checker import HARNESS, MAIL_TWICE, REMOVED_LATE, Figures, Violation, figures, violations
from .evidence import (
    DeadLetter,
    Effect,
    Evidence,
    Lease,
    Letter,
    Mail,
    Parked,
    Poison,
    Rebuilt,
    Rec,
    RelayAct,
    Removal,
    Sample,
)
from .history import Op

CHANGED = "covey.group.changed.v1"
ACCESS = "covey.access.changed.v1"
AVAILABLE = "covey.renewal.available.v1"
GROUP = "a-group"
LISTENERS = ("identity.groups", "transactions.groups", "renewals.groups", "notifications.groups")
TABLES = (
    ("identity", "group_copy"),
    ("transactions", "group_copy"),
    ("renewals", "book"),
    ("notifications", "group_copy"),
)
REMOVED_AT = 20.0


def op(op_id: str, outcome: str, kind: str = "group.change", **more: object) -> Op:
    given = {"client": "c", "service": "membership", "invoked_at": 1.0, "finished_at": 2.0, "attempts": 1}
    given |= {"subject": GROUP, "status": {"ok": 200, "fail": 412}.get(outcome)}
    return Op(id=op_id, kind=kind, outcome=outcome, **{**given, **more})


def record(number: int, *, of: str, offset: int, **more: object) -> Rec:
    """Event number so-and-so of the group, which a command set off."""
    given = {"topic": CHANGED, "partition": 0, "offset": offset, "key": GROUP, "id": f"event-{number}"}
    given |= {"source": "/membership", "type": CHANGED, "sequence": number, "correlation_id": of}
    given |= {"causation_id": None, "time": 1000.0 + number, "content": number}
    return Rec(**{**given, **more})


def effects_of(*numbers: int) -> list[Effect]:
    return [
        Effect(service, table, number, GROUP, number, 1000.5 + number)
        for service, table in TABLES
        for number in numbers
    ]


def right() -> Evidence:
    """Two changes of a group, one refused, one that nobody knows of; a letter; and somebody who was removed."""
    place = ("renewals.groups", CHANGED, 0)
    return Evidence(
        ops=[
            op("first", "ok"),
            op("second", "ok"),
            op("refused", "fail"),
            op("lost", "unknown"),
            op("early", "ok", "write", person="them", invoked_at=10.0, finished_at=10.1, shows=True),
            op("shown", "ok", "read", person="them", invoked_at=19.9, finished_at=20.1, shows=True),
            op(
                "removal",
                "ok",
                "remove",
                service="identity",
                person="them",
                invoked_at=19.0,
                finished_at=REMOVED_AT,
                shows=True,
                committed=frozenset({"early"}),
            ),
            op("piece", "ok", "watch", person="them", invoked_at=19.6, shows=True),
            op("late", "fail", "read", person="them", invoked_at=20.5, finished_at=20.6),
            op("silent", "unknown", "write", person="them", invoked_at=20.7, finished_at=20.8),
        ],
        records=[
            record(1, of="first", offset=0),
            record(2, of="second", offset=1),
            record(2, of="second", offset=2),
            record(3, of="early", offset=3),
            record(1, of="removal", offset=0, topic=ACCESS, type=ACCESS, key="grant", id="gone", source="/identity"),
        ],
        committed={"first", "second", "early", "removal"},
        audited={"first": 1, "second": 1, "early": 1},
        sequences={("membership", GROUP): (0, 3), ("identity", "grant"): (0, 1)},
        inbox={name: {f"event-{number}": 1 for number in (1, 2, 3)} for name in LISTENERS},
        subscriptions={name: frozenset({CHANGED}) for name in LISTENERS},
        positions={place: 4},
        ends={place[1:]: 4},
        effects=effects_of(1, 2, 3),
        relay_acts=[
            RelayAct("membership", 1, 11, "hold", 1, 1),
            RelayAct("membership", 2, 11, "delete", 1, 2),
            RelayAct("membership", 3, 22, "hold", 2, 1),
            RelayAct("membership", 4, 22, "delete", 2, 1),
        ],
        samples=[
            Sample(1.0, {place: 1}, {place: 2}, {"membership": Lease("one", 1)}),
            Sample(2.0, {place: 4}, {place: 4}, {"membership": Lease("other", 2)}),
        ],
        mails=[Mail("<letter>", "somebody@people.example")],
        letters=[Letter("<letter>", "delivered", "event-1", "broker")],
        removals=[Removal(0.9, "acknowledged"), Removal(7.9, "silence")],
        rebuilt=[Rebuilt("renewals.book", 1, 1, ())],
        recovery_s=5.0,
    )


def found(evidence: Evidence, **options: object) -> list[Violation]:
    return violations(evidence, **options)


def test_a_right_story_has_no_violation():
    assert found(right()) == []


def test_it_is_counted_what_was_proven():
    assert figures(right()) == Figures(operations=9, acknowledged=5, events=4, effects=12, wire_duplicates=1)


# --- stories that break a promise ---


def without(story: Evidence, event_id: str) -> None:
    story.records[:] = [each for each in story.records if each.id != event_id]


def change_op(story: Evidence, op_id: str, **more: object) -> None:
    story.ops[:] = [replace(each, **more) if each.id == op_id else each for each in story.ops]


def change_record(story: Evidence, offset: int, **more: object) -> None:
    story.records[offset] = replace(story.records[offset], **more)


def sampled(story: Evidence, **more: object) -> None:
    story.samples.append(replace(story.samples[-1], **more))


def poisoned(story: Evidence, **more: object) -> Poison:
    """A poison that ends as it should."""
    poison = Poison(CHANGED, 1, 7, b"key", b"value", "dead letter", 1000.0)
    story.poisons.append(replace(poison, **more))
    story.dead_letters += [DeadLetter(name, CHANGED, 1, 7, b"key", b"value") for name in LISTENERS]
    return poison


def the_audit_has_no_entry_of_a_command(story: Evidence) -> None:
    del story.audited["first"]


def the_audit_tells_of_what_was_not_done(story: Evidence) -> None:
    story.audited["refused"] = 1


def the_audit_tells_of_a_command_twice(story: Evidence) -> None:
    story.audited["first"] = 2


def an_acknowledged_command_is_not_committed(story: Evidence) -> None:
    story.committed.remove("first")


def an_acknowledged_command_is_not_told(story: Evidence) -> None:
    without(story, "event-1")


def a_committed_command_is_not_told(story: Evidence) -> None:
    story.committed.add("lost")


def a_committed_command_is_done_anew(story: Evidence) -> None:
    change_op(story, "second", outcome="unknown", status=412, attempts=2)


def a_committed_command_is_taken_for_another(story: Evidence) -> None:
    change_op(story, "second", outcome="unknown", status=422, attempts=2)


def an_import_is_told_in_part(story: Evidence) -> None:
    story.ops.append(op("import", "ok", "import", said="3"))
    story.committed.add("import")


def an_event_vanishes(story: Evidence) -> None:
    story.sequences["renewals", "another"] = (4, 6)


def a_consumer_skips_an_event(story: Evidence) -> None:
    del story.inbox["renewals.groups"]["event-2"]


def a_copy_stays_behind(story: Evidence) -> None:
    story.effects[:] = [each for each in story.effects if (each.table, each.sequence) != ("book", 3)]


def a_copy_is_never_made(story: Evidence) -> None:
    story.effects[:] = [each for each in story.effects if each.table != "book"]


def a_letter_is_lost(story: Evidence) -> None:
    story.mails.clear()


def a_refused_command_is_committed(story: Evidence) -> None:
    story.committed.add("refused")


def a_refused_command_is_told(story: Evidence) -> None:
    story.records.append(record(4, of="refused", offset=4))
    story.sequences["membership", GROUP] = (0, 4)


def an_unknown_command_is_told_and_not_committed(story: Evidence) -> None:
    story.records.append(record(4, of="lost", offset=4))
    story.sequences["membership", GROUP] = (0, 4)


def an_event_tells_of_what_was_rolled_back(story: Evidence) -> None:
    story.sequences["membership", GROUP] = (0, 2)


def an_event_tells_of_nothing_that_moved(story: Evidence) -> None:
    del story.sequences["membership", GROUP]


def a_copy_of_an_event_says_something_else(story: Evidence) -> None:
    change_record(story, 2, content=99)


def a_command_is_told_twice(story: Evidence) -> None:
    story.records.append(record(4, of="first", offset=4))


def a_number_is_given_twice(story: Evidence) -> None:
    story.records.append(record(3, of="elsewhere", offset=4, id="another-3"))


def available(story: Evidence, renewal: str, plan_year: int) -> None:
    """A renewal of the group becomes available."""
    about = {"topic": AVAILABLE, "type": AVAILABLE, "key": renewal, "source": "/renewals", "sequence": None}
    story.records.append(record(1, of="sweep", offset=plan_year, id=f"{renewal}-{plan_year}", **about))
    story.plan_years[f"{renewal}-{plan_year}"] = (GROUP, plan_year)


def a_renewal_becomes_available_twice(story: Evidence) -> None:
    """Under another ID, too."""
    available(story, "renewal", 2030)
    available(story, "another", 2030)


def a_consumer_takes_an_event_twice(story: Evidence) -> None:
    story.inbox["renewals.groups"]["event-2"] = 2


def a_row_is_made_twice(story: Evidence) -> None:
    story.effects += [Effect("membership", "taken_approval", number, "approval", None, 0.0) for number in (1, 2)]


def somebody_is_written_to_twice(story: Evidence) -> None:
    story.letters.append(Letter("<letter-2>", "waiting", "event-1", "broker"))


def a_mail_comes_from_nowhere(story: Evidence) -> None:
    story.mails.append(Mail("<forged>", "somebody@people.example"))


def a_mail_goes_out_twice(story: Evidence) -> None:
    story.mails.append(story.mails[0])


def two_events_change_places(story: Evidence) -> None:
    story.records[0], story.records[1] = story.records[1], story.records[0]


def a_number_is_left_out(story: Evidence) -> None:
    without(story, "event-2")


def a_new_event_has_an_old_number(story: Evidence) -> None:
    story.records.append(record(7, of="elsewhere", offset=0, key="another", partition=1))
    story.sequences["membership", "another"] = (9, 9)


def a_copy_goes_back(story: Evidence) -> None:
    story.effects.append(Effect("renewals", "book", 9, GROUP, 2, 1005.0))


def a_key_changes_its_partition(story: Evidence) -> None:
    change_record(story, 3, partition=1)


def kafka_is_ahead_of_the_database(story: Evidence) -> None:
    sampled(story, committed={("renewals.groups", CHANGED, 0): 5})


def a_position_is_beyond_the_end(story: Evidence) -> None:
    story.positions["renewals.groups", CHANGED, 0] = 5


def it_does_not_come_to_rest(story: Evidence) -> None:
    story.recovery_s = None


def it_comes_to_rest_late(story: Evidence) -> None:
    story.recovery_s = 61.0


def the_outbox_is_not_empty(story: Evidence) -> None:
    story.outbox_left = 1


def a_key_is_parked(story: Evidence) -> None:
    story.parked.append(Parked("renewals.groups", "other", "event-9", "waiting"))


def a_consumer_has_not_read_all(story: Evidence) -> None:
    story.positions["renewals.groups", CHANGED, 0] = 3


def a_good_event_is_buried(story: Evidence) -> None:
    story.dead_letters.append(DeadLetter("renewals.groups", CHANGED, 0, 1, b"key", b"value"))


def a_poison_is_buried_nowhere(story: Evidence) -> None:
    poisoned(story)
    del story.dead_letters[0]


def a_poison_is_buried_twice(story: Evidence) -> None:
    poisoned(story)
    story.dead_letters.append(story.dead_letters[0])


def a_poison_is_kept_otherwise(story: Evidence) -> None:
    poisoned(story)
    story.dead_letters[0] = replace(story.dead_letters[0], payload=b"another")


def a_poison_does_not_park_its_key(story: Evidence) -> None:
    poisoned(story, ends="parked", event_id="poison")
    story.dead_letters.clear()


def what_only_looks_odd_is_not_handled(story: Evidence) -> None:
    poisoned(story, ends="handled", event_id="odd")
    story.dead_letters.clear()
    for name in LISTENERS[1:]:
        story.inbox[name]["odd"] = 1


def what_is_to_be_passed_over_is_buried(story: Evidence) -> None:
    poisoned(story, ends="passed over")


def others_are_late_because_of_a_poison(story: Evidence) -> None:
    poisoned(story)
    story.effects[0] = replace(story.effects[0], at=1009.0)


def a_fence_goes_back(story: Evidence) -> None:
    sampled(story, leases={"membership": Lease("one", 1)})


def two_relays_hold_one_fence(story: Evidence) -> None:
    sampled(story, leases={"membership": Lease("third", 2)})


def a_replaced_relay_deletes(story: Evidence) -> None:
    story.relay_acts.append(RelayAct("membership", 5, 11, "delete", 2, 3))


def who_was_removed_reads(story: Evidence) -> None:
    change_op(story, "late", outcome="ok", status=200, shows=True)


def who_was_removed_is_told_that_the_version_is_stale(story: Evidence) -> None:
    change_op(story, "silent", outcome="fail", status=412, shows=True)


def who_was_removed_writes(story: Evidence) -> None:
    change_op(story, "silent", outcome="ok", status=200)


def a_write_is_committed_that_was_sent_after_the_removal(story: Evidence) -> None:
    story.committed.add("silent")


def a_write_is_committed_after_the_removal(story: Evidence) -> None:
    story.ops.append(op("slow", "unknown", "write", person="them", invoked_at=19.5))
    story.committed.add("slow")


def a_write_is_committed_between_removal_and_the_next_code(story: Evidence) -> None:
    story.ops.append(op("slow", "unknown", "write", person="them", invoked_at=19.5))
    story.committed.add("slow")
    come_back(story, committed=frozenset({"early", "slow"}))


def who_was_removed_writes_elsewhere(story: Evidence) -> None:
    story.ops.append(op("renewal", "fail", "write.renewal", person="them", invoked_at=20.7, status=409, shows=True))


def a_stream_goes_on_after_the_removal(story: Evidence) -> None:
    story.ops.append(op("more", "ok", "watch", person="them", invoked_at=22.5, shows=True))


def who_was_removed_reads_after_a_code_that_was_refused(story: Evidence) -> None:
    story.ops.append(op("no code", "fail", "user.redeem", person="them", invoked_at=20.3, finished_at=20.4))
    story.ops.sort(key=lambda each: each.invoked_at)
    who_was_removed_reads(story)


def a_removal_takes_too_long(story: Evidence) -> None:
    story.removals.append(Removal(9.8, "silence"))


def no_relay_was_seen(story: Evidence) -> None:
    story.relay_acts.clear()


def no_removal_was_judged(story: Evidence) -> None:
    change_op(story, "removal", committed=None)


def nothing_was_audited(story: Evidence) -> None:
    story.audited.clear()


def no_stream_was_open(story: Evidence) -> None:
    story.ops[:] = [each for each in story.ops if each.kind != "watch"]


def a_copy_cannot_be_made_again(story: Evidence) -> None:
    story.rebuilt.append(Rebuilt("renewals.firm", 2, 2, ("a-firm",)))


def rows_are_missing_in_the_topics(story: Evidence) -> None:
    story.rebuilt.append(Rebuilt("renewals.firm", 2, 1, ()))


def nothing_was_acknowledged(story: Evidence) -> None:
    story.ops[:] = [replace(each, outcome="unknown") if each.is_command else each for each in story.ops]


def nothing_had_an_effect(story: Evidence) -> None:
    story.inbox = {name: {} for name in story.inbox}


def no_copy_changed(story: Evidence) -> None:
    story.effects.clear()


def offsets_were_never_compared(story: Evidence) -> None:
    story.samples[:] = [replace(each, stored={}) for each in story.samples]


def come_back(story: Evidence, **more: object) -> None:
    """Who was removed enters a code again."""
    again = {"service": "identity", "person": "them", "invoked_at": 20.65, "finished_at": 20.66}
    story.ops.append(op("again", "ok", "user.redeem", **again, **more))
    story.ops.sort(key=lambda each: each.invoked_at)
    story.committed.add("again")
    story.records.append(
        record(2, of="again", offset=1, topic=ACCESS, type=ACCESS, key="grant", id="back", source="/identity")
    )
    story.sequences["identity", "grant"] = (0, 2)


BROKEN: list[tuple[Callable[[Evidence], object], str, str]] = [
    (an_acknowledged_command_is_not_committed, "I1", "first at membership was acknowledged, and is not committed"),
    (an_acknowledged_command_is_not_told, "I1", "first at membership was acknowledged, and not told"),
    (a_committed_command_is_not_told, "I1", "lost at membership was committed, and not told"),
    (
        a_committed_command_is_done_anew,
        "I1",
        "second at membership is committed, and its repetition was refused with 412",
    ),
    (a_committed_command_is_taken_for_another, "I1", "is committed, and its repetition was refused with 422"),
    (an_import_is_told_in_part, "I1", "made a difference to 3 groups, and 0 were told of"),
    (an_event_vanishes, "I1", "renewals has made event 5 of another, and it is in no topic"),
    (a_consumer_skips_an_event, "I1", "renewals.groups has no trace of"),
    (a_copy_stays_behind, "I1", "renewals.book has a-group as of event 2, not 3"),
    (a_copy_is_never_made, "I1", "renewals.book has a-group as of event 0, not 3"),
    (a_letter_is_lost, "I1", "the mail server never took <letter>"),
    (the_audit_has_no_entry_of_a_command, "I1", "first at membership was done, and the audit has no entry of it"),
    (
        the_audit_tells_of_what_was_not_done,
        "I2",
        "refused at membership was not done, and the audit has an entry of it",
    ),
    (the_audit_tells_of_a_command_twice, "I3", "first at membership has 2 entries in the audit"),
    (a_refused_command_is_committed, "I2", "refused at membership was refused with 412, and is committed"),
    (a_refused_command_is_told, "I2", "was refused with 412, and covey.group.changed.v1/0/4"),
    (an_unknown_command_is_told_and_not_committed, "I2", "lost at membership is not committed, and"),
    (an_event_tells_of_what_was_rolled_back, "I2", "which membership has as of event 2"),
    (an_event_tells_of_nothing_that_moved, "I2", "which membership has as of event 0"),
    (a_copy_of_an_event_says_something_else, "I3", "is not a copy of"),
    (a_command_is_told_twice, "I3", "first at membership was told 2 times, by different events"),
    (a_number_is_given_twice, "I3", "membership tells of a-group by 2 different events with number 3"),
    (a_renewal_becomes_available_twice, "I3", "the renewal of a-group for 2030 became available 2 times"),
    (a_consumer_takes_an_event_twice, "I3", "renewals.groups has taken event event-2 2 times"),
    (a_row_is_made_twice, "I3", "membership.taken_approval got approval 2 times"),
    (somebody_is_written_to_twice, "I3", "the broker is written to 2 times about event event-1"),
    (a_mail_comes_from_nowhere, "I3", "nobody wrote the message <forged>"),
    (a_mail_goes_out_twice, MAIL_TWICE, "<letter> went out 2 times"),
    (two_events_change_places, "I4", "has number 1, and is behind 2 of a-group"),
    (a_number_is_left_out, "I4", "between 1 and 3 nothing is told"),
    (
        a_new_event_has_an_old_number,
        "I4",
        "is new, and has number 7 of another, which membership had as of event 9 before",
    ),
    (a_copy_goes_back, "I4", "renewals.book went from event 3 to 2"),
    (a_key_changes_its_partition, "I5", "has a-group in partitions [0, 1]"),
    (kafka_is_ahead_of_the_database, "I6", "Kafka has 5, the database 4"),
    (a_position_is_beyond_the_end, "I6", "the database has 5, beyond the end 4"),
    (it_does_not_come_to_rest, "I7", "it never came to rest"),
    (it_comes_to_rest_late, "I7", "it came to rest after 61.0 s only"),
    (the_outbox_is_not_empty, "I7", "1 events still wait"),
    (a_key_is_parked, "I7", "renewals.groups has event event-9 parked, waiting"),
    (a_consumer_has_not_read_all, "I7", "the database has 3, not 4"),
    (a_good_event_is_buried, "I8", "which was no poison"),
    (a_poison_is_buried_nowhere, "I8", "0 times as dead letter, not 1"),
    (a_poison_is_buried_twice, "I8", "2 times as dead letter, not 1"),
    (a_poison_is_kept_otherwise, "I8", "byte for byte"),
    (a_poison_does_not_park_its_key, "I8", "0 times as parked, not 1"),
    (what_only_looks_odd_is_not_handled, "I8", "identity.groups has not taken poison covey.group.changed.v1/1/7"),
    (what_is_to_be_passed_over_is_buried, "I8", "1 times as dead letter, not 0"),
    (others_are_late_because_of_a_poison, "I8", "the slowest of a hundred effects came 8.0 s after"),
    (a_fence_goes_back, "I9", "went back from 2 to 1"),
    (two_relays_hold_one_fence, "I9", "two relays held the lease with fence 2"),
    (a_replaced_relay_deletes, "I9", "did not hold fence 2 deleted 3 rows"),
    (who_was_removed_reads, "I10", "answered them a read with 200, sent 0.500 s after the removal"),
    (who_was_removed_is_told_that_the_version_is_stale, "I10", "answered them a write with 412, sent 0.700 s after"),
    (who_was_removed_writes, "I10", "answered them a write with 200"),
    (a_write_is_committed_that_was_sent_after_the_removal, "I10", "was committed that was sent 0.700 s after"),
    (a_write_is_committed_after_the_removal, "I10", "was committed after the removal, sent 0.500 s before it"),
    (a_write_is_committed_between_removal_and_the_next_code, "I10", "was committed after the removal, sent 0.500 s"),
    (who_was_removed_writes_elsewhere, "I10", "answered them a write.renewal with 409"),
    (a_stream_goes_on_after_the_removal, "I10", "went on with a stream of them 2.500 s after the removal"),
    (who_was_removed_reads_after_a_code_that_was_refused, "I10", "answered them a read with 200"),
    (a_removal_takes_too_long, REMOVED_LATE, "a removal took 9.8 s, by silence"),
    (no_relay_was_seen, HARNESS, "no relay was seen at work"),
    (no_removal_was_judged, HARNESS, "no removal was judged by what was committed"),
    (no_stream_was_open, HARNESS, "no stream was open"),
    (nothing_was_audited, HARNESS, "no command was found in the audit"),
    (a_copy_cannot_be_made_again, "I11", "renewals.firm has 2 rows, made again 2; not the same: a-firm"),
    (rows_are_missing_in_the_topics, "I11", "renewals.firm has 2 rows, made again 1"),
    (nothing_was_acknowledged, HARNESS, "no command was acknowledged"),
    (nothing_had_an_effect, HARNESS, "no consumer has taken an event"),
    (no_copy_changed, HARNESS, "no copy has changed"),
    (offsets_were_never_compared, HARNESS, "no offset was compared with a position"),
]


@pytest.mark.parametrize(("spoil", "invariant", "said"), BROKEN, ids=[spoil.__name__ for spoil, *_ in BROKEN])
def test_a_broken_promise_is_noticed(spoil, invariant, said):
    story = right()
    spoil(story)

    noticed = found(story)

    assert [each for each in noticed if each.invariant == invariant and said in each.what], noticed
    assert not [each for each in found(story, excused=frozenset({invariant})) if each.invariant == invariant]


@pytest.mark.parametrize(
    ("spoil", "invariant"),
    [
        (an_event_tells_of_what_was_rolled_back, "I2"),
        (a_number_is_given_twice, "I3"),
        (two_events_change_places, "I4"),
        (a_new_event_has_an_old_number, "I4"),
    ],
)
def test_a_restored_service_is_excused_for_the_numbers_of_its_own_events_alone(spoil, invariant):
    owner, listener = (replace(right(), restored=frozenset({name})) for name in ("membership", "renewals"))
    spoil(owner)
    spoil(listener)

    assert invariant not in {each.invariant for each in found(owner)}
    assert invariant in {each.invariant for each in found(listener)}


@pytest.mark.parametrize("spoil", [a_consumer_takes_an_event_twice, a_copy_goes_back, an_event_vanishes])
def test_a_restored_service_still_owes_all_that_it_hears(spoil):
    story = replace(right(), restored=frozenset({"renewals"}))
    spoil(story)

    assert found(story)


# --- stories that are odd, and right ---


def test_every_promise_has_a_story_that_breaks_it():
    assert {invariant for _, invariant, _ in BROKEN} == {f"I{number}" for number in range(1, 12)} | {
        MAIL_TWICE,
        REMOVED_LATE,
        HARNESS,
    }


def a_poison_ends_as_it_should(story: Evidence) -> None:
    poisoned(story)


def a_parked_poison_keeps_its_key(story: Evidence) -> None:
    poisoned(story, ends="parked", event_id="poison")
    story.dead_letters.clear()
    for name in LISTENERS:
        story.parked += [Parked(name, "key", "poison", "dead"), Parked(name, "key", "event-9", "dead")]


def who_comes_back_is_answered_again(story: Evidence) -> None:
    come_back(story, committed=frozenset({"early"}))
    story.ops.append(op("back", "ok", "write", person="them", invoked_at=20.9, shows=True))
    story.records.append(record(4, of="back", offset=4))
    story.committed.add("back")
    story.audited["back"] = 1
    story.sequences["membership", GROUP] = (0, 4)
    story.effects += effects_of(4)
    for name in LISTENERS:
        story.inbox[name]["event-4"] = 1


def an_unknown_command_was_done(story: Evidence) -> None:
    change_op(story, "second", outcome="unknown", status=None, finished_at=None)


def a_relay_comes_by_another_connection(story: Evidence) -> None:
    story.relay_acts += [RelayAct("membership", 5, 33, "hold", 2, 1), RelayAct("membership", 6, 22, "delete", 2, 1)]


def what_was_not_read_yet_is_late(story: Evidence) -> None:
    """It is not lost: that it is late is another promise's affair, which the end of the topic tells."""
    for name, (service, table) in zip(LISTENERS, TABLES, strict=True):
        del story.inbox[name]["event-3"]
        story.positions[name, CHANGED, 0] = 3
        story.effects[:] = [
            each for each in story.effects if (each.service, each.table, each.sequence) != (service, table, 3)
        ]
    story.ends.clear()


def what_was_told_before_is_told_again(story: Evidence) -> None:
    story.records.append(record(7, of="long ago", offset=0, key="another", partition=1))
    story.sequences["membership", "another"] = (9, 9)
    story.told_before.add("event-7")


def what_only_looks_odd_is_handled(story: Evidence) -> None:
    poisoned(story, ends="handled", event_id="odd")
    story.dead_letters.clear()
    for name in LISTENERS:
        story.inbox[name]["odd"] = 1


def a_repetition_of_what_was_rolled_back_is_refused(story: Evidence) -> None:
    change_op(story, "lost", status=412, attempts=2)


def who_was_removed_repeats_what_was_done(story: Evidence) -> None:
    change_op(story, "second", outcome="unknown", status=403, attempts=2)


def renewals_of_two_years_become_available(story: Evidence) -> None:
    available(story, "renewal", 2030)
    available(story, "another", 2031)


@pytest.mark.parametrize(
    "turn",
    [
        what_was_not_read_yet_is_late,
        what_was_told_before_is_told_again,
        a_poison_ends_as_it_should,
        a_parked_poison_keeps_its_key,
        who_comes_back_is_answered_again,
        an_unknown_command_was_done,
        a_relay_comes_by_another_connection,
        what_only_looks_odd_is_handled,
        a_repetition_of_what_was_rolled_back_is_refused,
        who_was_removed_repeats_what_was_done,
        renewals_of_two_years_become_available,
    ],
)
def test_what_is_only_odd_is_no_violation(turn):
    story = right()
    turn(story)

    assert found(story) == []


def test_of_many_violations_the_first_are_named():
    story = right()
    story.parked += [Parked("renewals.groups", f"key-{n}", f"event-{n}", "dead") for n in range(50)]

    assert [each.invariant for each in found(story)] == ["I7"] * 21
    assert str(found(story)[-1]) == "I7: and 30 more"
