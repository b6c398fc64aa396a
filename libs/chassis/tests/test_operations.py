"""What an operator sees and does: dead letters of three kinds, and the date. Every act is written down."""

import asyncio
import base64
import contextlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from covey_chassis.deadletters import DeadLetterNotFound, LetterId
from covey_chassis.ids import new_id
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

SECRET = "canary-in-the-payload"
REASON = {"reason": "the cause was mended"}


@dataclass
class Letters:
    """The dead letters that a test puts there."""

    toy: object
    _offset: int = 0

    async def park(self, consumer="toy.copies", key="group-1", *, records=1, state="dead", attempts=10):
        await self.toy.execute(
            """
            INSERT INTO parked_key (consumer, key, state, attempts, next_at, error)
            VALUES (:consumer, :key, :state, :attempts, now() + interval '1 hour', 'GroupUnknown: not yet')
            """,
            consumer=consumer, key=key, state=state, attempts=attempts,
        )  # fmt: skip
        events = []
        for _ in range(records):
            self._offset += 1
            events.append(str(new_id()))
            await self.toy.execute(
                """
                INSERT INTO parked (consumer, key, event_id, topic, partition, "offset", headers, payload)
                VALUES (:consumer, :key, :event, 'covey.group.changed.v1', 2, :offset,
                        '[["ce_id", "1"], ["ce_type", "t"]]', :payload)
                """,
                consumer=consumer, key=key, event=events[-1], offset=self._offset, payload=SECRET.encode(),
            )  # fmt: skip
        return events

    async def unreadable(self, consumer="toy.copies", payload=b"\xff\x00", key=b"\xfe"):
        self._offset += 1
        headers = json.dumps([["ce_id", base64.b64encode(b"\xff").decode()]])
        ((number,),) = await self.toy.execute(
            """
            INSERT INTO dead_letter (consumer, topic, partition, "offset", key, headers, payload, error)
            VALUES (:consumer, 'covey.group.changed.v1', 0, :offset, :key, CAST(:headers AS jsonb), :payload, 'odd')
            RETURNING id
            """,
            consumer=consumer, offset=self._offset, key=key, headers=headers, payload=payload,
        )  # fmt: skip
        return number

    async def block(self, key="group-9", *, records=1):
        numbers = []
        for sequence in range(1, records + 1):
            ((number,),) = await self.toy.execute(
                """
                INSERT INTO outbox (topic, key, sequence, occurred_at, correlation_id, payload)
                VALUES ('covey.group.changed.v1', :key, :sequence, now(), 'c', :payload) RETURNING id
                """,
                key=key, sequence=sequence, payload=SECRET.encode(),
            )  # fmt: skip
            numbers.append(number)
        await self.toy.execute(
            "INSERT INTO outbox_blocked (key, outbox_id, topic, error) VALUES (:key, :id, 'covey.group.changed.v1', 'big')",
            key=key, id=numbers[0],
        )  # fmt: skip
        return numbers


@pytest.fixture
def letters(toy):
    return Letters(toy)


async def listed(toy, **filters):
    answer = await toy.api.get("/internal/dead-letters", params=filters, headers=toy.operator)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def the_only(toy):
    (letter,) = await listed(toy)
    return letter


async def act(toy, letter, verb, **more):
    return await toy.api.post(f"/internal/dead-letters/{letter['id']}/{verb}", json=REASON | more, headers=toy.operator)


async def acts(toy):
    return await toy.execute("SELECT actor, act, subject, reason, details FROM operator_act ORDER BY id")


ROUTES = [
    ("GET", "/internal/dead-letters"),
    ("GET", "/internal/dead-letters/x"),
    ("POST", "/internal/dead-letters/x/retry"),
    ("POST", "/internal/dead-letters/x/discard"),
    ("GET", "/internal/date"),
    ("POST", "/internal/date"),
]


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic {}", "{}", "Bearer {}x", "Bearer é"]
)
async def test_only_the_operators_token_opens_the_operators_routes(empty_toy, authorization):
    token = empty_toy.operator["Authorization"].partition(" ")[2]
    headers = [] if authorization is None else [(b"Authorization", authorization.format(token).encode("latin-1"))]

    for method, path in ROUTES:
        answer = await empty_toy.api.request(method, path, headers=headers, content=b"{ not even json")

        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_no_route_below_internal_is_open(empty_toy):
    document = (await empty_toy.api.get("/openapi.json")).json()
    internal = [path for path in document["paths"] if path.startswith("/internal")]

    assert {(m, p.replace("x", "{letter_id}")) for m, p in ROUTES} == {
        (method.upper(), path) for path in internal for method in document["paths"][path]
    }
    assert all(operation["security"] for path in internal for operation in document["paths"][path].values())


async def test_the_scheme_may_be_written_in_any_case(empty_toy):
    token = empty_toy.operator["Authorization"].partition(" ")[2]

    assert (await empty_toy.api.get("/internal/date", headers={"Authorization": f"bEARER {token}"})).status_code == 200


async def test_all_three_kinds_are_listed(toy, letters):
    (first, _) = await letters.park(records=2)
    await letters.unreadable()
    await letters.block(records=3)

    parked, unreadable, blocked = await listed(toy)

    assert parked | {"id": 0, "at": 0, "next_at": 0} == {
        "id": 0, "kind": "parked", "consumer": "toy.copies", "key": "group-1", "topic": "covey.group.changed.v1",
        "partition": 2, "offset": 1, "event_id": first, "state": "dead", "attempts": 10, "next_at": 0,
        "error": "GroupUnknown: not yet", "records": 2, "at": 0,
    }  # fmt: skip
    assert (unreadable["kind"], unreadable["key"], unreadable["event_id"], unreadable["records"]) == (
        "unreadable", "\ufffd", None, 1
    )  # fmt: skip
    assert (blocked["kind"], blocked["consumer"], blocked["key"], blocked["records"]) == ("outbox", None, "group-9", 3)


async def test_dead_letters_are_filtered_and_paged(toy, letters):
    for number in range(5):
        await letters.park(key=f"key-{number}", state="waiting" if number % 2 else "dead")
    await letters.park("toy.reactions", "key-0")
    await letters.unreadable("toy.reactions")

    assert len(await listed(toy, state="waiting")) == 2
    assert len(await listed(toy, consumer="toy.reactions")) == 2
    assert await listed(toy, consumer="nobody") == []
    assert (await toy.api.get("/internal/dead-letters?state=x", headers=toy.operator)).status_code == 422
    found, after = [], None
    while not found or after:
        parameters = {"limit": 3} | ({"after": after} if after else {})
        page = (await toy.api.get("/internal/dead-letters", params=parameters, headers=toy.operator)).json()
        found += page["items"]
        after = page["next"]
    assert found == await listed(toy)
    assert len(found) == 7


@pytest.mark.parametrize("key", ["a/b?c#d", "ä €", "..", " ", "", "x" * 400])
async def test_a_key_may_hold_any_text(toy, letters, key):
    await letters.park(key=key)

    letter = await the_only(toy)
    answer = await toy.api.get(f"/internal/dead-letters/{letter['id']}", headers=toy.operator)

    assert answer.status_code == 200
    assert answer.json()["key"] == key


async def test_a_parked_key_is_inspected_with_its_queue(toy, letters):
    _, second, third = await letters.park(records=3)

    letter = await the_only(toy)
    inspected = (await toy.api.get(f"/internal/dead-letters/{letter['id']}", headers=toy.operator)).json()

    assert inspected["headers"] == [["ce_id", "1"], ["ce_type", "t"]]
    assert (inspected["payload"], inspected["payload_encoding"]) == (SECRET, "text")
    assert [queued["event_id"] for queued in inspected["queue"]] == [second, third]


async def test_an_unreadable_record_is_inspected_as_it_came(toy, letters):
    await letters.unreadable(payload=b"\xff\x00")

    letter = await the_only(toy)
    inspected = (await toy.api.get(f"/internal/dead-letters/{letter['id']}", headers=toy.operator)).json()

    assert base64.b64decode(inspected["payload"]) == b"\xff\x00"
    assert inspected["payload_encoding"] == "base64"
    assert inspected["headers"] == [["ce_id", "\ufffd"]]


async def test_a_record_without_payload_and_key_is_inspected(toy, letters):
    await letters.unreadable(payload=None, key=None)

    letter = await the_only(toy)
    inspected = (await toy.api.get(f"/internal/dead-letters/{letter['id']}", headers=toy.operator)).json()

    assert (inspected["payload"], inspected["key"]) == (None, None)


async def test_a_blocked_key_is_inspected_with_its_queue(toy, letters):
    await letters.block(records=2)

    letter = await the_only(toy)
    inspected = (await toy.api.get(f"/internal/dead-letters/{letter['id']}", headers=toy.operator)).json()

    assert inspected["payload"] == SECRET
    assert ["sequence", "1"] in inspected["headers"]
    assert len(inspected["queue"]) == 1


async def test_a_parked_key_is_retried_from_the_beginning(toy, letters):
    await letters.park(records=2)

    answer = await act(toy, await the_only(toy), "retry")

    ((state, attempts, due),) = await toy.execute("SELECT state, attempts, next_at <= now() FROM parked_key")
    assert answer.status_code == 200
    assert (state, attempts, due) == ("waiting", 0, True)
    assert await toy.count("parked") == 2


async def test_a_blocked_key_is_given_back_to_the_relay(toy, letters):
    await letters.block(records=2)

    answer = await act(toy, await the_only(toy), "retry")

    assert answer.status_code == 200
    assert await toy.count("outbox_blocked") == 0
    assert await toy.count("outbox") == 2


async def test_an_unreadable_record_cannot_be_retried(toy, letters):
    await letters.unreadable()

    answer = await act(toy, await the_only(toy), "retry")

    assert (answer.status_code, answer.json()["code"]) == (409, "unreadable-cannot-be-retried")
    assert await toy.count("operator_act") == 0
    assert await toy.count("dead_letter") == 1


async def test_discarding_gives_up_the_first_record_and_lets_the_rest_go_on(toy, letters):
    first, second = await letters.park(records=2)

    answer = await act(toy, await the_only(toy), "discard")

    assert answer.json()["details"]["event_id"] == first
    assert await toy.execute("SELECT event_id FROM parked") == [(second,)]
    assert await toy.execute("SELECT state, attempts, next_at <= now() FROM parked_key") == [("waiting", 0, True)]


async def test_discarding_the_last_record_frees_the_key(toy, letters):
    await letters.park()
    await letters.park(key="group-2")

    await act(toy, (await listed(toy))[0], "discard")

    assert await toy.execute("SELECT key FROM parked_key") == [("group-2",)]
    assert await toy.count("parked") == 1


async def test_discarding_a_blocked_event_deletes_it_and_lets_the_rest_go_on(toy, letters):
    _, second = await letters.block(records=2)

    await act(toy, await the_only(toy), "discard")

    assert await toy.count("outbox_blocked") == 0
    assert await toy.execute("SELECT id FROM outbox") == [(second,)]


async def test_discarding_an_unreadable_record_deletes_it(toy, letters):
    await letters.unreadable()

    await act(toy, await the_only(toy), "discard")

    assert await toy.count("dead_letter") == 0


async def test_a_second_click_discards_nothing_more_when_it_names_its_event(toy, letters):
    first, _ = await letters.park(records=2)
    letter = await the_only(toy)

    done, again = [await act(toy, letter, "discard", event_id=first) for _ in range(2)]

    assert (done.status_code, again.status_code, again.json()["code"]) == (200, 409, "another-record-is-first")
    assert await toy.count("parked") == 1


async def test_what_is_gone_cannot_be_retried_or_discarded(toy, letters):
    await letters.park()
    letter = await the_only(toy)
    await act(toy, letter, "discard")

    for verb in ("retry", "discard"):
        answer = await act(toy, letter, verb)
        assert (answer.status_code, answer.json()["code"]) == (404, "dead-letter-not-found")


@pytest.mark.parametrize(
    "letter_id", ["x", "parked", "parked.", "parked.a.b.c", "outbox.!", "what.YQ", "parked.YQ.AA", "unreadable.YQ.OTk5"]
)
async def test_an_id_that_is_none_finds_nothing(empty_toy, letter_id):
    answer = await empty_toy.api.get(f"/internal/dead-letters/{letter_id}", headers=empty_toy.operator)

    assert (answer.status_code, answer.json()["code"]) == (404, "dead-letter-not-found")


text_without_nul = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(kind=st.sampled_from(["parked", "unreadable", "outbox"]), consumer=text_without_nul, ref=text_without_nul)
def test_an_id_can_be_read_back(kind, consumer, ref):
    letter_id = LetterId(kind, "" if kind == "outbox" else consumer, ref)

    assert LetterId.parse(str(letter_id)) == letter_id


@given(st.text())
def test_any_text_is_an_id_or_is_not_found(letter_id):
    with contextlib.suppress(DeadLetterNotFound):
        assert str(LetterId.parse(letter_id)) == letter_id


async def test_every_act_is_written_down_without_the_payload(toy, letters):
    (event,) = await letters.park()
    letter = await the_only(toy)
    await act(toy, letter, "retry")
    await toy.api.post(
        f"/internal/dead-letters/{letter['id']}/discard",
        json={"reason": "  sent by mistake "},
        headers=toy.operator | {"X-Operator": "Ada L."},
    )

    retried, discarded = await acts(toy)

    assert retried[:4] == ("operator", "dead-letter.retry", letter["id"], "the cause was mended")
    assert discarded[:4] == ("Ada L.", "dead-letter.discard", letter["id"], "sent by mistake")
    assert discarded[4] == {
        "consumer": "toy.copies", "key": "group-1", "event_id": event, "topic": "covey.group.changed.v1",
        "partition": 2, "offset": 1, "attempts": 0, "state": "waiting",
    }  # fmt: skip
    assert SECRET not in json.dumps([retried[4], discarded[4]])


async def test_an_act_that_is_refused_is_not_written_down(toy, letters):
    await letters.park()

    await act(toy, await the_only(toy), "discard", event_id="another")

    assert await toy.count("operator_act") == 0


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 501}, {"reason": "r", "force": True}]
)
async def test_an_act_needs_a_reason_and_nothing_else(toy, letters, body):
    await letters.park()
    letter = await the_only(toy)

    for verb in ("retry", "discard"):
        answer = await toy.api.post(f"/internal/dead-letters/{letter['id']}/{verb}", json=body, headers=toy.operator)
        assert answer.status_code == 422
    assert await toy.count("parked") == 1


@pytest.mark.parametrize("name", [" x", "x" * 101, "é", ""])
async def test_an_odd_operator_is_refused(toy, letters, name):
    await letters.park()
    letter = await the_only(toy)
    headers = [(k.encode(), v.encode()) for k, v in toy.operator.items()] + [(b"X-Operator", name.encode("latin-1"))]

    answer = await toy.api.post(f"/internal/dead-letters/{letter['id']}/discard", json=REASON, headers=headers)

    assert answer.status_code == 422


async def test_a_key_that_is_being_replayed_is_waited_for_and_seen_as_it_is_then(toy, letters):
    first, second = await letters.park(records=2)
    letter = await the_only(toy)
    async with toy.transaction() as replaying:
        await replaying.execute(text("SELECT 1 FROM parked_key FOR UPDATE"))
        discarding = asyncio.create_task(act(toy, letter, "discard"))
        await _until_waiting(toy)
        await replaying.execute(text("DELETE FROM parked WHERE event_id = :first"), {"first": first})

    assert (await discarding).json()["details"]["event_id"] == second
    assert await toy.count("parked") == 0


async def test_a_key_that_is_replayed_for_long_makes_the_operator_try_again(toy, letters):
    await letters.park()
    letter = await the_only(toy)
    async with toy.transaction() as replaying:
        await replaying.execute(text("SELECT 1 FROM parked_key FOR UPDATE"))

        answer = await act(toy, letter, "discard")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await toy.count("parked") == 1


async def test_of_two_who_discard_the_last_record_one_finds_nothing(toy, letters):
    await letters.park()
    letter = await the_only(toy)

    answers = await asyncio.gather(*(act(toy, letter, "discard") for _ in range(5)))

    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404, 404]
    assert await toy.count("operator_act") == 1


async def _until_waiting(toy):
    async with asyncio.timeout(10):
        while not (await toy.execute("SELECT count(*) FROM pg_locks WHERE NOT granted"))[0][0]:
            await asyncio.sleep(0.01)


async def test_the_date_is_the_carriers_and_moves_forward_only(toy):
    async def move(days, **more):
        return await toy.api.post("/internal/date", json={"offset_days": days} | more, headers=toy.operator)

    before = (await toy.api.get("/internal/date", headers=toy.operator)).json()
    moved, again, back, negative = await move(40), await move(40), await move(39), await move(-1)
    after = (await toy.api.get("/internal/date", headers=toy.operator)).json()

    real = datetime.now(UTC).astimezone(toy.context.clock.zone).date()
    assert before["offset_days"] == 0
    assert before["today"] in {str(real), str(real - timedelta(days=1))}
    assert (moved.status_code, moved.json()["offset_days"]) == (200, 40)
    assert again.status_code == 200
    assert (back.status_code, back.json()["code"]) == (409, "date-cannot-go-back")
    assert negative.status_code == 409
    assert (after["offset_days"], after["today"]) == (40, moved.json()["today"])
    assert abs(datetime.fromisoformat(after["now"]) - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("days", [10**9, -(10**9), 1.5, "1", None, True])
async def test_a_date_beyond_reason_is_refused(empty_toy, days):
    answer = await empty_toy.api.post("/internal/date", json={"offset_days": days}, headers=empty_toy.operator)

    assert answer.status_code == 422
    assert await empty_toy.execute("SELECT offset_days FROM clock") == [(0,)]


async def test_who_moved_the_date_is_written_down(toy):
    headers = toy.operator | {"X-Operator": "Ada"}

    await toy.api.post("/internal/date", json={"offset_days": 3, "reason": "demo"}, headers=headers)
    await toy.api.post("/internal/date", json={"offset_days": 2}, headers=headers)

    assert await acts(toy) == [("Ada", "date.move", "date", "demo", {"offset_days": 3})]
