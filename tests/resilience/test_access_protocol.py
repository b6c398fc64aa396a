"""The protocol by which a removal is true everywhere (docs/access.md), rule by rule.

Each rule has an interleaving that breaks the claim without it. Where a test is run twice, ``kept`` says whether the rule is
in force; without it, the same interleaving must show the breach: else the test would prove nothing of the rule.
"""

import asyncio
from typing import ClassVar
from uuid import UUID

import asyncpg
import httpx
import pytest
from covey_chassis.access import KeyNotRegistered, Right, applier, check_signed, checking
from covey_chassis.access.applier import Overtaken, apply
from covey_chassis.access.facts import LEASE_S, SILENT_S, TRANSACTION_S, Fact, FactKind, News, Poll, keep_facts
from covey_chassis.access.signing import key_id, read_signed
from covey_chassis.consumer import Consumer
from covey_chassis.ids import new_id
from covey_chassis.testing import armed
from covey_chassis.testing.broker import eventually, headers, in_background
from covey_chassis.testing.signing import new_key, sign
from covey_contracts import Event, Topic
from covey_identity import feed, ledger, progress, signals
from covey_identity.audit import Author
from covey_identity.domain.access_change import AccessChange, ChangeKind, Progress
from covey_identity.feed import EVERYWHERE
from covey_identity.ledger import lock_ledger
from covey_identity.progress import progress_of
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

HEARD_S = 10
"""So soon whoever waits has heard."""
LISTENING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'listen%'"
FEED = "http://owner.test/internal/access/feed"
JSON = {"Content-Type": "application/json"}
both = pytest.mark.parametrize("kept", [True, False], ids=["rule kept", "rule taken out"])


async def test_the_person_reads_and_writes_until_they_are_removed(world):
    assert (await world.reads(), await world.writes()) == (200, 200)

    change = await world.remove()
    assert not await world.is_done(change)
    await world.catch_up()

    assert await world.is_done(change)
    assert (await world.reads(), await world.writes()) == (403, 403)


# --- rules 1 and 2: the ledger ---


@both
async def test_rule_1_two_changes_at_once_have_two_revisions_one_after_the_other(world, monkeypatch, kept):
    if not kept:
        monkeypatch.setattr(ledger, "_LOCK", text("SELECT rev FROM access_ledger"))
    arrived = asyncio.Barrier(2)

    async def change(number):
        fact = Fact(kind=FactKind.SESSION, id=new_id(), account_id=world.person_id, active=False)
        async with world.owner.transaction() as session:
            await arrived.wait()
            locked = await lock_ledger(session)
            return await locked.record(f"change {number}", Author("a test"), [fact])

    with armed("ledger.locked:sleep=0.3"):
        revisions = await asyncio.gather(change(1), change(2), return_exceptions=True)

    if kept:
        assert sorted(revisions) == [2, 3]
    else:
        assert any(isinstance(each, IntegrityError) for each in revisions)


async def test_rule_1_a_change_that_is_rolled_back_leaves_no_revision(world):
    async with world.owner.context.workers.session() as session:
        locked = await lock_ledger(session)
        await locked.record("undone", Author("a test"), [world.grant((), active=False)])

    async with world.owner.transaction() as session:
        assert (await session.execute(text("SELECT rev FROM access_ledger"))).scalar_one() == 1
        assert (await session.execute(text("SELECT count(*), max(rev) FROM access_log"))).one() == (1, 1)


@both
async def test_rule_2_what_a_decision_rests_on_is_read_after_the_lock(world, monkeypatch, kept):
    """A removal that does not wait for "joins a firm" leaves somebody with the firm's sight, and nobody knows."""
    if not kept:
        monkeypatch.setattr(ledger, "_LOCK", text("SELECT rev FROM access_ledger"))
    firm_id = new_id()
    appointed = Fact(
        kind=FactKind.APPOINTMENT,
        id=new_id(),
        group_id=world.group_id,
        firm_id=firm_id,
        rights=("renewals.view",),
        active=True,
    )
    await world.record(ChangeKind.CHANGED, [appointed])
    joins = Fact(kind=FactKind.MEMBERSHIP, id=new_id(), account_id=world.person_id, firm_id=firm_id, active=True)
    read = asyncio.Event()

    async def remove():
        async with world.owner.transaction() as session:
            await lock_ledger(session)
            held = text("SELECT count(*) FROM access_held WHERE account_id = :id AND cardinality(rights) > 0")
            seen = await session.scalar(held, {"id": world.person_id})
            read.set()
            await asyncio.sleep(0.5)  # while it works
            return seen

    async def join():
        await read.wait()
        async with world.owner.transaction() as session:
            locked = await lock_ledger(session)
            await locked.record("joins", Author("a test"), [joins])
        return asyncio.get_running_loop().time()

    async def removal():
        await remove()
        return asyncio.get_running_loop().time()

    removed_at, joined_at = await asyncio.gather(removal(), join())

    assert (joined_at > removed_at) == kept


# --- rule 3: the owner listens to itself ---


@both
async def test_rule_3_the_owner_waits_for_its_own_writers_too(world, monkeypatch, kept):
    if not kept:
        monkeypatch.setattr(applier, "_BARRIER", text("SELECT CAST(:key AS bigint)"))
    writer = await asyncpg.connect(world.owner.context.requests.url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("SELECT pg_advisory_xact_lock_shared(access_key('group', $1))", world.group_id)

    removing = asyncio.create_task(world.remove())
    try:
        await eventually(lambda: _waits_or_done(world, removing))
        assert removing.done() != kept
        assert (await _acked(world.owner) >= 2) != kept
    finally:
        await transaction.commit()
        await writer.close()

    change = await removing
    await world.catch_up()
    assert await world.is_done(change)


async def _waits_or_done(world, task):
    return task.done() or await world.owner.somebody_waits()


async def _acked(harness):
    async with harness.transaction() as session:
        return await session.scalar(text("SELECT acked_rev FROM access_applier"))


# --- rules 4 and 5: the feed ---


@both
async def test_rule_4_a_listener_of_a_history_that_is_not_this_one_begins_again_without_a_lease(
    world, monkeypatch, kept
):
    """The owner was restored: its revision 1 is another one than the listener's."""
    if not kept:
        anything = text("SELECT 1 WHERE CAST(:rev AS bigint) >= 0 OR CAST(:id AS uuid) IS NULL")
        monkeypatch.setattr(feed, "_KNOWN", anything)
    async with world.owner.as_owner() as session:
        await session.execute(text("UPDATE access_log SET id = :id"), {"id": new_id()})
        await session.execute(text("UPDATE access_fact SET active = false"))
        await session.execute(text("UPDATE access_ledger SET id = (SELECT id FROM access_log)"))

    if kept:
        await world.step()
        assert not await world.lease()
        assert await world.reads() == 503
        await world.catch_up()
        assert await world.reads() == 403
    else:
        server = await world.lease("extract(epoch FROM pg_postmaster_start_time())::text")
        body = Poll(seen_rev=1, seen_id=new_id(), acked_rev=1, server=server, wait=False).model_dump_json()
        answer = await world.http.post(FEED, content=body, headers=JSON)
        assert answer.json()["head"], "a lease, for facts that are not there"


async def test_rule_4_every_answer_follows_a_commit_of_the_listeners_row(world, monkeypatch):
    """One when the poll comes, and one after it has waited: the server may have been replaced meanwhile."""
    monkeypatch.setattr(feed, "WAIT_S", 60)

    async def polled_at():
        async with world.owner.transaction() as session:
            return await session.scalar(text("SELECT polled_at FROM listener WHERE name = 'membership'"))

    before = await polled_at()

    async def has_come() -> bool:
        return bool(await polled_at() > before)

    async with in_background(world.step()) as poll:
        await eventually(has_come)
        waiting = await polled_at()
        await world.record(ChangeKind.REMOVED, [world.grant((), active=False)], acknowledged=False)
        await asyncio.wait_for(poll, HEARD_S)

    assert await polled_at() > waiting


async def test_rule_5_how_far_a_listener_is_stands_in_its_database(world):
    """Its database was restored to a state from before; the process that polls did not notice."""
    await world.catch_up()
    async with world.listener.transaction() as session:
        await session.execute(text("DELETE FROM access_fact"))
        await session.execute(text("UPDATE access_applier SET seen_rev = 0, seen_id = NULL, acked_rev = 0"))

    await world.step()

    assert await world.reads() == 200


# --- rule 6: the fence ---


@both
async def test_rule_6_an_applier_that_was_overtaken_changes_nothing(world, monkeypatch, kept):
    """A process was stopped with an answer in its hand; another has gone on since, and the person was removed."""
    if not kept:
        always = (
            "WHERE :fence > -1 AND :seen_rev > -1 AND (:server <> '' OR CAST(:seen_id AS uuid) IS NULL) RETURNING 1"
        )
        monkeypatch.setattr(applier, "_ADVANCE", text(str(applier._ADVANCE).split("WHERE")[0] + always))
    state = await world.applier._hold()
    old = News(facts=(), rev=state.seen_rev, id=state.seen_id, head=True)
    await world.another_process_takes_over()
    await world.remove()
    await world.step()
    assert await world.lease("seen_rev") == 2

    if kept:
        with pytest.raises(Overtaken):
            await apply(world.listener.context.workers, state, old)
        assert await world.lease("seen_rev") == 2
    else:
        await apply(world.listener.context.workers, state, old)
        assert await world.lease("seen_rev") == 1


async def test_rule_6_a_fact_is_overwritten_only_by_a_higher_revision(world):
    older = world.grant((Right.GROUP_UPDATE,), active=True).model_copy(update={"rev": 1})
    await world.remove()
    await world.catch_up()

    async with world.listener.transaction() as session:
        await keep_facts(session, [older])

    assert await world.reads() == 403


async def test_rule_6_a_fact_that_cannot_be_applied_withholds_the_lease_and_nothing_is_skipped(world):
    horoscope = f'"facts":[{{"kind":"horoscope","id":"{new_id()}","active":true,"rev":2}}]'
    unknown = News(facts=(), rev=2, id=new_id(), head=True).model_dump_json().replace('"facts":[]', horoscope)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, text=unknown))
    async with httpx.AsyncClient(transport=transport) as owner:
        with pytest.raises(ValueError, match="horoscope"):
            await world.applier.step(owner)

    assert await world.lease("seen_rev") == 1


# --- rule 7: the lease ---


@both
async def test_rule_7_a_lease_counts_from_before_the_poll(world, monkeypatch, kept):
    """The answer lay in the process for longer than a lease while the person was removed, and a lease was given for it."""
    if not kept:
        now = "greatest(CAST(:t0 AS timestamptz), clock_timestamp())"
        from_the_answer = str(applier._ADVANCE).replace("CAST(:t0 AS timestamptz)", now)
        monkeypatch.setattr(applier, "_ADVANCE", text(from_the_answer))
    with armed(f"access.before_apply:sleep={LEASE_S + 0.3}"):
        await world.step()

    assert await world.reads() == (503 if kept else 200)


async def test_rule_7_only_an_answer_that_reached_the_head_gives_a_lease(world, monkeypatch):
    monkeypatch.setattr(feed, "PAGE", 1)
    await _lease_ends(world)
    await world.record(
        ChangeKind.CHANGED,
        [Fact(kind=FactKind.SESSION, id=new_id(), account_id=world.person_id, active=False) for _ in range(2)],
    )

    await world.step()

    assert await world.lease("seen_rev") == 2
    assert await world.reads() == 503


async def _lease_ends(world):
    async with world.listener.transaction() as session:
        await session.execute(text("UPDATE access_applier SET lease_until = '-infinity'"))


async def test_rule_7_a_lease_is_void_on_another_server(world):
    await world.step()
    assert await world.reads() == 200

    async with world.listener.transaction() as session:
        await session.execute(text("UPDATE access_applier SET lease_server = lease_server - interval '1 hour'"))

    assert await world.reads() == 503


async def test_rule_7_after_a_move_to_another_server_the_old_one_is_refused_and_acknowledgements_wait(world):
    """The listener's database failed over: the old server may still have writers, and a lease."""
    seen_id = await world.lease("seen_id")

    async def poll(server, acked_rev=1):
        body = Poll(seen_rev=1, seen_id=seen_id, acked_rev=acked_rev, server=server, wait=False).model_dump_json()
        return await world.http.post(FEED, content=body, headers=JSON)

    old = await world.lease("extract(epoch FROM pg_postmaster_start_time())::text")
    assert (await poll(old)).status_code == 200
    assert (await poll("the standby")).status_code == 200

    assert (await poll(old)).json()["code"] == "server-left"
    everywhere = text(EVERYWHERE).bindparams(silent_s=SILENT_S)
    async with world.owner.transaction() as session:
        assert await session.scalar(everywhere) == 0
        waits = text("SELECT extract(epoch FROM counts_from - clock_timestamp()) FROM listener")
        assert SILENT_S - 2 < await session.scalar(waits) <= SILENT_S
        await session.execute(text("UPDATE listener SET counts_from = clock_timestamp()"))
        assert await session.scalar(everywhere) == 1


# --- rule 8: the acknowledgement ---


@both
async def test_rule_8_a_slow_writer_delays_the_acknowledgement_and_never_the_lease(world, monkeypatch, kept):
    if not kept:
        monkeypatch.setattr(applier, "_BARRIER", text("SELECT CAST(:key AS bigint)"))
    with armed("access.after_check:sleep=1.5"):
        writing = asyncio.create_task(world.writes())
        await eventually(lambda: _holds_lock(world))
    change = await world.remove()
    await world.step()
    acknowledging = asyncio.create_task(world.acknowledge())
    await world.step()
    await world.step()

    assert await world.lease()
    assert await world.reads() == 403, "the fact is there already"
    assert await world.is_done(change) != kept
    assert not writing.done()
    assert await writing == 200, "it began before, and may end"

    await acknowledging
    await world.catch_up()
    assert await world.is_done(change)


async def _holds_lock(world):
    async with world.listener.transaction() as session:
        held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted")
        return await session.scalar(held)


@both
async def test_rule_8_a_page_acknowledges_nothing_that_it_left_out(world, monkeypatch, kept):
    """The removal was overwritten by a later change of the same fact, which is on the next page; the lease still runs."""
    if not kept:
        always = str(applier._PENDING).replace("at_head", "true AS at_head")
        monkeypatch.setattr(applier, "_PENDING", text(always))
    monkeypatch.setattr(feed, "PAGE", 2)
    change = await world.remove()
    ended = [Fact(kind=FactKind.SESSION, id=new_id(), account_id=new_id(), active=False) for _ in range(2)]
    await world.record(ChangeKind.CHANGED, ended)
    await world.record(ChangeKind.CHANGED, [world.grant((), active=False)])

    await world.step()
    await world.acknowledge()
    state = await world.applier._hold()
    body = Poll(seen_rev=state.seen_rev, seen_id=state.seen_id, acked_rev=state.acked_rev, server=state.server)
    await world.http.post(FEED, content=body.model_dump_json(), headers=JSON)

    assert await world.reads() == 200, "the removal has not come yet"
    assert await world.is_done(change) != kept
    await world.catch_up()
    assert await world.is_done(change)


async def test_rule_8_more_locks_than_are_tried_at_once_are_all_waited_for(world, monkeypatch):
    monkeypatch.setattr(applier, "KEYS_AT_ONCE", 1)
    others = [Fact(kind=FactKind.ACCOUNT, id=(each := new_id()), account_id=each, active=True) for _ in range(3)]
    await world.record(ChangeKind.CHANGED, [*others, world.grant((), active=False)])
    writer = await asyncpg.connect(world.listener.context.requests.url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("SELECT pg_advisory_xact_lock_shared(access_key('group', $1))", world.group_id)
    await world.step()

    async with in_background(world.acknowledge()) as acknowledging:
        await eventually(world.listener.somebody_waits)
        assert not acknowledging.done()
        await transaction.commit()
        await writer.close()
        assert await asyncio.wait_for(acknowledging, HEARD_S)


async def test_rule_8_a_process_that_dies_before_it_acknowledged_leaves_that_to_the_next(world):
    change = await world.remove()
    await world.step()
    await world.another_process_takes_over()

    await world.step()
    assert not await world.is_done(change)

    await world.catch_up()
    assert await world.is_done(change)


# --- rule 9: the locks ---


async def test_rule_9_a_writer_in_one_group_delays_no_removal_in_another(world):
    with armed("access.after_check:sleep=1.5"):
        writing = asyncio.create_task(world.writes())
        await eventually(lambda: _holds_lock(world))
    elsewhere = Fact(kind=FactKind.GRANT, id=new_id(), group_id=new_id(), account_id=new_id(), rights=(), active=False)
    change = await world.record(ChangeKind.REMOVED, [elsewhere])

    await world.catch_up()

    assert await world.is_done(change)
    assert not writing.done()
    await writing


async def test_rule_9_overlapping_writers_do_not_keep_the_barrier_out(world):
    """With row locks they did, for as long as there was always one of them."""
    stop = asyncio.Event()

    async def write_without_end(offset):
        await asyncio.sleep(offset)
        while not stop.is_set():
            await world.reads()
            await world.writes()

    with armed("access.after_check:sleep=0.1"):
        writers = [asyncio.create_task(write_without_end(number * 0.04)) for number in range(4)]
        await eventually(lambda: _holds_lock(world))
        change = await world.remove()
        await asyncio.wait_for(world.catch_up(), 10)
    stop.set()
    await asyncio.gather(*writers)

    assert await world.is_done(change)


# --- rules 10 and 11: requests ---


@both
async def test_rule_10_without_a_lease_nobody_is_answered(world, monkeypatch, kept):
    if not kept:
        monkeypatch.setattr(
            checking, "_FACTS", text(str(checking._FACTS).replace("clock_timestamp() < applier.lease_until", "true"))
        )
    await _lease_ends(world)

    answers = (await world.reads(), await world.writes())

    assert answers == ((503, 503) if kept else (200, 200))


async def test_rule_10_nothing_is_remembered_between_two_requests(world):
    assert await world.reads() == 200
    async with world.listener.transaction() as session:
        await session.execute(text("UPDATE access_fact SET active = false, rev = rev + 1"))
    assert await world.reads() == 403


@both
async def test_rule_11_a_writer_reads_the_facts_after_it_has_the_lock(world, postgres, monkeypatch, kept):
    """Asked for before the removal, had after the barrier: what was read with the asking is from before."""
    asking = f"CASE WHEN pg_sleep(0.6) IS NOT NULL THEN ({LOCKS}) END IS NOT NULL"
    if kept:
        monkeypatch.setattr(checking, "_LOCK", text(f"SELECT {asking}"))
    else:
        nothing = text("SELECT 1 WHERE CAST(:account_id AS uuid) <> CAST(:group_id AS uuid)")
        monkeypatch.setattr(checking, "_LOCK", nothing)
        monkeypatch.setattr(checking, "_FACTS", text(f"{str(checking._FACTS).rstrip()} WHERE {asking}"))

    writing = asyncio.create_task(world.writes())
    await eventually(lambda: _sleeps(postgres))
    change = await world.remove()
    await world.catch_up()
    assert await world.is_done(change), "the barrier met nobody: the writer had not asked for the lock yet"

    assert await writing == (403 if kept else 200)


LOCKS = (
    "SELECT pg_advisory_xact_lock_shared(access_key('person', CAST(:account_id AS uuid)))::text"
    " || pg_advisory_xact_lock_shared(access_key('group', CAST(:group_id AS uuid)))::text"
)


async def _sleeps(postgres):
    connection = await asyncpg.connect(postgres)
    try:
        return await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    finally:
        await connection.close()


# --- rule 12: the request role ---


async def test_rule_12_whoever_acts_for_a_person_is_ended_after_five_seconds(world):
    async with world.listener.context.requests.session() as session:
        assert await session.scalar(text("SHOW transaction_timeout")) == f"{TRANSACTION_S:.0f}s"
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT pg_sleep(6)"))
    async with world.listener.transaction() as session:
        assert await session.scalar(text("SHOW max_prepared_transactions")) == "0"


class Told(Event):
    """A program tells something about a group."""

    topic: ClassVar[Topic] = Topic(name="covey.group.told.v1", aggregate="group", key="group_id", owner="programs")

    group_id: UUID
    signed: str


class Commands:
    """A consumer of the listener that acts for the person, and takes its time after it has seen what they may do."""

    def __init__(self, world, *, acting=True):
        self.world = world
        self.key = new_key()
        self.outcomes = []
        self.seen, self.go_on = asyncio.Event(), asyncio.Event()
        self.consumer = Consumer("membership.told", since="now", acting=acting)
        self.consumer.on(Told)(self.on_told)

    def key_fact(self, *, active):
        return Fact(kind=FactKind.KEY, id=key_id(self.key), account_id=self.world.person_id, active=active)

    async def on_told(self, session, event, envelope):
        try:
            actor = await check_signed(session, read_signed(event.signed, audience="a test"), event.group_id)
        except KeyNotRegistered as refusal:
            self.outcomes.append(refusal.code())
            return
        self.seen.set()
        await self.go_on.wait()
        self.outcomes.append("done" if actor.holds(Right.GROUP_UPDATE, whole_group=True) else "not-yours")

    async def come(self):
        signed = sign(self.key, self.world.person_id, audience="a test")
        told = Told(group_id=self.world.group_id, signed=signed)
        arrived = headers(Told.topic.name, told.key)
        value = told.model_dump_json().encode()
        await self.world.listener.deliver_record(Told.topic.name, value, arrived, told.key, [self.consumer])


@both
@pytest.mark.parametrize(("taken", "refused"), [("the right", "not-yours"), ("the key", "key-not-registered")])
async def test_rule_12_a_removal_waits_for_a_command_that_still_saw_what_is_removed(
    world, monkeypatch, kept, taken, refused
):
    if not kept:
        nothing = text("SELECT 1 WHERE CAST(:account_id AS uuid) <> CAST(:group_id AS uuid)")
        monkeypatch.setattr(checking, "_LOCK", nothing)
    commands = Commands(world)
    await world.record(ChangeKind.CHANGED, [commands.key_fact(active=True)])
    await world.catch_up()
    commanding = asyncio.create_task(commands.come())
    await commands.seen.wait()

    if taken == "the right":
        change = await world.remove()
    else:
        change = await world.record(ChangeKind.CHANGED, [commands.key_fact(active=False)])
    await world.step()
    acknowledging = asyncio.create_task(world.acknowledge())
    await world.step()
    await world.step()
    assert await world.is_done(change) != kept
    assert not commanding.done()
    commands.go_on.set()
    await commanding
    await acknowledging

    await world.catch_up()
    assert await world.is_done(change)
    await commands.come()
    assert commands.outcomes == ["done", refused]


async def test_rule_12_no_other_consumer_can_act_for_a_person(world):
    commands = Commands(world, acting=False)
    commands.go_on.set()
    await world.record(ChangeKind.CHANGED, [commands.key_fact(active=True)])
    await world.catch_up()

    await commands.come()

    (parked,) = await world.listener.parked()
    assert parked.error.startswith("RuntimeError: nothing is done for an account")
    assert commands.outcomes == []


# --- rule 13: streams and replays ---


async def test_rule_13_a_repeated_command_is_authorised_before_its_stored_answer_is_given(world):
    path, headers = f"/v1/groups/{world.group_id}", {"If-Match": '"1"', "Idempotency-Key": "once"}
    command = {"url": path, "json": {"ein": "98-7654321"}, "headers": headers}
    first, again = await world.person.patch(**command), await world.person.patch(**command)
    assert (first.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    await world.remove()
    await world.catch_up()

    assert (await world.person.patch(**command)).status_code == 403


# --- rules 14 and 15: "removed" ---


async def test_rule_14_a_listener_is_known_before_its_first_lease(world):
    """A second service begins to listen: from its first poll on, removals wait for it."""

    async def poll(seen: News) -> News:
        body = Poll(seen_rev=seen.rev, seen_id=seen.id, acked_rev=seen.rev, server="its own", wait=False)
        headers = JSON | {"Authorization": "Bearer another credential of a test"}
        answer = await world.http.post(FEED, content=body.model_dump_json(), headers=headers)
        return News.model_validate_json(answer.content)

    first = await poll(News(rev=0, id=None, head=True))
    assert first.head
    change = await world.remove()
    await world.catch_up()
    assert not await world.is_done(change)

    await poll(await poll(first))
    assert await world.is_done(change)


async def test_rule_14_a_retired_listener_is_refused_at_once_and_counts_as_silent_for_a_while(world):
    operator = world.owner.operator
    api = world.owner.client(None)
    assert (await api.post("/internal/access/listeners/membership/retirement", headers=operator)).status_code == 200

    with pytest.raises(httpx.HTTPStatusError) as refused:
        await world.step()
    assert refused.value.response.json()["code"] == "listener-retired"
    change = await world.remove()
    assert not await world.is_done(change), "it may still have a lease, and writers"

    async with world.owner.transaction() as session:
        await session.execute(text("UPDATE listener SET retired_at = retired_at - interval '8 seconds'"))
    assert await world.is_done(change)
    assert (await api.post("/internal/access/listeners/nobody/retirement", headers=operator)).status_code == 404


@both
async def test_rule_15_a_silent_listener_is_waited_out_and_not_an_instant_less(world, monkeypatch, kept):
    """By the answering process's own monotonic clock, from when it saw the committed change."""
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    if not kept:
        monkeypatch.setattr(progress, "SILENT_S", LEASE_S)
    change = await world.remove()
    assert not await world.is_done(change)

    now += SILENT_S - 0.1
    assert await world.is_done(change) != kept

    now += 0.2
    assert await world.is_done(change)


async def test_rule_15_another_instance_or_a_restart_counts_anew(world, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    change = await world.remove()
    await world.is_done(change)
    now += SILENT_S - 1

    monkeypatch.setattr(progress, "_known_since", {})  # this is another process
    now += 2

    assert not await world.is_done(change)


@pytest.mark.parametrize("hears", [True, False], ids=["hears all", "is cut off for a moment"])
async def test_rule_15_whoever_waits_hears_of_it_without_looking(world, monkeypatch, hears):
    """Nobody looks by themselves here: news, acknowledgements and the end of the change are told, or told anew."""
    for module, patience in (
        (feed, "WAIT_S"),
        (feed, "LOOK_S"),
        (progress, "LOOK_S"),
        (progress, "FIRST_LOOK_S"),
        (progress, "BARRIER_LOOK_S"),
    ):
        monkeypatch.setattr(module, patience, 60)
    context = world.owner.context

    async def listens() -> bool:
        async with world.owner.transaction() as session:
            return bool(await session.scalar(text(LISTENING)))

    async def has_acknowledged() -> bool:
        return bool(await _acked(world.owner) >= 2)

    async with (
        in_background(signals.listen(context)),
        in_background(progress.keep_settling(context)),
        in_background(progress.keep_acknowledging(context)),
    ):
        await eventually(listens)
        async with in_background(world.step()) as poll:
            change = await world.record(ChangeKind.REMOVED, [world.grant((), active=False)], acknowledged=False)
            await asyncio.wait_for(poll, HEARD_S)
        async with in_background(progress.wait_until_done(context, change, seconds=60)) as waiting:
            await eventually(has_acknowledged)
            await world.acknowledge()
            if not hears:
                async with world.owner.transaction() as session:
                    await session.execute(text(f"SELECT pg_terminate_backend(pid) FROM ({LISTENING}) AS listening"))
            async with in_background(world.step()):
                assert await asyncio.wait_for(waiting, HEARD_S) is Progress.REMOVED


async def test_a_removal_that_was_taken_back_says_so(world):
    change_id = await world.remove()
    await world.give()

    async with world.owner.transaction() as session:
        change = await session.get_one(AccessChange, change_id)
        assert progress_of(change) is Progress.SUPERSEDED
