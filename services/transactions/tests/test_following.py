"""Transactions are followed live: one hears of each change once, however commits overlap, and of nothing else."""

from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from covey_chassis.access import Actor, Right, Sight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.db import load
from covey_chassis.following import MANY, POSITION, Seen, changed_since
from covey_chassis.ids import new_id
from covey_chassis.streaming import STREAMS_MAX
from covey_chassis.testing.broker import eventually
from covey_chassis.testing.streams import heard, served
from covey_transactions import queries
from covey_transactions.domain.transaction import Transaction, TransactionNotFound
from sqlalchemy import text

from .reviewing import Reviewing

EVENTS = "/v1/transactions/events"
NOBODY = Actor(account_id=UUID(int=1), session_id=None, staff=frozenset())
EVERYTHING = Sight(NOBODY, (), everything=True)


@pytest.fixture
def reviewing(covey) -> Reviewing:
    return Reviewing(covey)


async def look(covey, seen, sight=EVERYTHING):
    async with covey.transaction() as session:
        return await changed_since(session, seen, sight, queries.followed(sight), Transaction.changed_in)


_TOUCH = text("UPDATE transaction SET updated_at = now() WHERE id = :id")
_COPY = text(
    """
    INSERT INTO transaction
    SELECT copied.*
      FROM transaction AS original, generate_series(1, :copies) AS number,
           jsonb_populate_record(
               original, jsonb_build_object('id', gen_random_uuid(), 'plan_year', 3000 + number)
           ) AS copied
    """
)


async def position(client, path="/v1/transactions"):
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.headers[POSITION]


@asynccontextmanager
async def listening(covey, client, last_event_id):
    async with (
        served(covey) as connecting,
        aclosing(heard(connecting(client), EVENTS, last_event_id=last_event_id)) as stream,
    ):
        yield stream


# --- what is news ---


async def test_a_change_is_news_once(story):
    owner = await story.begin()
    made = await story.saved(owner)
    seen, _ = await look(story.covey, None)

    seen, nothing = await look(story.covey, seen)
    await owner.submit(made.transaction_id, made.etag)
    seen, submitted = await look(story.covey, seen)
    seen, over = await look(story.covey, seen)

    assert (nothing, submitted, over) == ([], [UUID(made.transaction_id)], [])


async def test_what_is_committed_later_under_a_lower_number_is_news_then(story):
    acme, bolt = await story.begin("Acme"), await story.begin("Bolt")
    early, late = [await story.saved(owner) for owner in (acme, bolt)]
    async with story.covey.transaction() as slow:
        transaction = await load(slow, Transaction, UUID(early.transaction_id), missing=TransactionNotFound)
        transaction.updated_at = transaction.updated_at.replace(microsecond=1)
        await slow.flush()  # it has its number, and goes on
        await bolt.submit(late.transaction_id, late.etag)
        seen, _ = await look(story.covey, None)
        kept, meanwhile = await look(story.covey, seen)
        assert meanwhile == []

    _, afterwards = await look(story.covey, kept)
    _, of_the_first_look = await look(story.covey, seen)

    assert afterwards == of_the_first_look == [UUID(early.transaction_id)]


async def test_what_was_rolled_back_is_no_news(story):
    owner = await story.begin()
    made = await story.saved(owner)
    seen, _ = await look(story.covey, None)

    async with story.covey.context.workers.session() as session:
        await session.execute(_TOUCH, {"id": made.transaction_id})
        await session.rollback()

    assert (await look(story.covey, seen))[1] == []


async def test_a_change_within_a_savepoint_is_news_with_the_whole_transaction(story):
    made = await story.saved(await story.begin())
    async with story.covey.transaction() as session:
        async with session.begin_nested():
            await session.execute(_TOUCH, {"id": made.transaction_id})
        seen, _ = await look(story.covey, None)

    assert (await look(story.covey, seen))[1] == [UUID(made.transaction_id)]


async def test_rows_that_came_with_a_dump_have_another_servers_numbers_and_are_no_news(story):
    made = await story.saved(await story.begin())
    seen, _ = await look(story.covey, None)

    async with story.covey.as_owner() as session:
        await session.execute(text("ALTER TABLE transaction DISABLE TRIGGER note_change"))
        await session.execute(
            text("UPDATE transaction SET changed_in = '999999999999' WHERE id = :id"), {"id": made.transaction_id}
        )

    assert (await look(story.covey, seen))[1] == []


async def test_nobody_hears_of_what_was_never_saved(story):
    owner = await story.begin()
    seen, _ = await look(story.covey, None)

    await story.opened(owner)

    assert (await look(story.covey, seen))[1] == []


async def test_of_too_many_it_is_not_said_which(story):
    await story.saved(await story.begin())
    seen, _ = await look(story.covey, None)
    async with story.covey.transaction() as session:
        await session.execute(_COPY, {"copies": MANY + 1})

    assert (await look(story.covey, seen))[1] is None


async def test_of_another_database_everything_is_looked_at_again(story):
    """A restore makes one, or the server begins anew, after which it may give out numbers once more."""
    await story.saved(await story.begin())
    seen, _ = await look(story.covey, None)

    assert (await look(story.covey, replace(seen, of="0a" * 32)))[1] is None


OF = "0a" * 32


@pytest.mark.parametrize(
    "said",
    [
        "",
        "7",
        f"8:{OF}",
        f"8::{OF[:-1]}",
        f"8::{OF.upper()}",
        f"8:1,:{OF}",
        f"-8::{OF}",
        f"8::{OF} ",
        f"٧::{OF}",
        f"8::{OF}'; DROP TABLE transaction; --",
        f"{'9' * 19}::{OF}",
    ],
)
def test_what_was_never_said_is_no_position(said):
    assert Seen.read(said) is None


def test_a_position_is_read_as_it_was_written():
    for said in (f"741::{OF}", f"760:742,750:{OF}"):
        assert str(Seen.read(said)) == said


# --- who hears of it ---


async def test_a_page_and_the_stream_after_it_leave_nothing_out_and_say_nothing_twice(story):
    owner = await story.begin()
    made = await story.saved(owner)
    shown = await position(owner.api)
    await owner.submit(made.transaction_id, made.etag)  # after the page was made, before anybody listens

    async with served(story.covey) as connecting:
        api = connecting(owner.api)
        async with aclosing(heard(api, EVENTS, last_event_id=shown)) as stream:
            first = await anext(stream)
        await story.sent_back(made.transaction_id)  # while they are cut off
        async with aclosing(heard(api, EVENTS, last_event_id=first.event_id)) as stream:
            second = await anext(stream)
            await owner.withdraw(made.transaction_id)
            third = await anext(stream)

    assert [each.data for each in (first, second, third)] == [{"transactions": [made.transaction_id]}] * 3
    assert len({each.event_id for each in (first, second, third)}) == 3


async def test_without_a_position_all_may_have_changed(story):
    owner = await story.begin()

    async with listening(story.covey, owner.api, None) as stream:
        first = await anext(stream)

    assert (first.name, first.data) == ("changed", {"transactions": None})


async def test_one_hears_of_the_groups_in_sight_alone_and_when_others_come_into_sight_or_leave_it(story):
    acme, bolt = await story.begin("Acme"), await story.begin("Bolt")
    account, grant = new_id(), new_id()
    shared = {"kind": FactKind.GRANT, "group_id": bolt.group_id, "account_id": account, "rights": ("renewals.view",)}
    await story.grant(account, acme.group_id, Right.RENEWALS_VIEW)
    await story.grant(account, bolt.group_id, Right.MEMBERS_VIEW)  # and not renewals
    api = story.covey.client(account)
    shown = await position(api)

    async with listening(story.covey, api, shown) as stream:
        await story.saved(bolt)
        mine = await story.saved(acme)
        first = await anext(stream)
        await story.covey.know(Fact(id=grant, active=True, **shared))
        second = await anext(stream)
        await story.covey.know(Fact(id=grant, active=False, **shared))
        third = await anext(stream)

    assert [each.data["transactions"] for each in (first, second, third)] == [[mine.transaction_id], None, None]


async def test_the_stream_ends_with_the_session(story):
    owner = await story.begin()
    session_id = new_id()

    async with listening(story.covey, story.covey.client(owner.account_id, session_id), None) as stream:
        await anext(stream)
        await story.covey.know(Fact(kind=FactKind.SESSION, id=session_id, account_id=owner.account_id, active=False))
        last = await anext(stream)
        assert [each async for each in stream] == []

    assert (last.name, last.data) == ("ended", {"code": "sign-on-needed"})


async def test_reviewers_hear_of_claims(reviewing: Reviewing):
    transaction_id = await reviewing.submitted("Acme")
    mine, other = await reviewing.reviewer(), await reviewing.reviewer()
    shown = await position(mine.api, "/v1/reviews")

    async with listening(reviewing.covey, mine.api, shown) as stream:
        await other.claim(transaction_id)
        claimed = await anext(stream)

    assert claimed.data == {"transactions": [str(transaction_id)]}


async def test_one_transaction_is_followed_from_where_it_was_read(reviewing: Reviewing):
    transaction_id = await reviewing.submitted("Acme")
    mine, other = await reviewing.reviewer(), await reviewing.reviewer()
    paths = [f"/v1/reviews/{transaction_id}", f"/v1/transactions/{transaction_id}"]
    shown = [Seen.read(await position(mine.api, path)) for path in paths]

    await other.claim(transaction_id)

    for seen in shown:
        assert seen is not None
        assert (await look(reviewing.covey, seen))[1] == [transaction_id]


async def test_nobody_listens_to_very_many_at_once(story):
    owner = await story.begin()

    async with served(story.covey) as connecting, AsyncExitStack() as listening_to:
        api = connecting(owner.api)
        for _ in range(STREAMS_MAX):
            stream = await listening_to.enter_async_context(aclosing(heard(api, EVENTS)))
            await anext(stream)
        refused = await api.get(EVENTS)
        await listening_to.aclose()

        async def there_is_room() -> bool:
            return not story.covey.context.listeners[owner.account_id]

        await eventually(there_is_room)

    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-streams")
