"""The audit: one entry an act, and a chain that shows whether one was touched (R-12)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pyotp
import pytest
from covey_chassis.clock import Clock
from covey_chassis.testing import Harness
from covey_contracts.identity import AuditAnchored
from covey_identity import audit_verification
from covey_identity.attempts import FREE
from covey_identity.audit_chain import ANCHOR_S, BEGINNING, CHANGE, ENTRY, anchor, link_hash
from covey_identity.audit_verification import Verdict, read_anchor
from joserfc.jwk import KeySet, OKPKey
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from .accounts import PASSWORD, client_of, run, session_of, sign_on, somebody
from .story import Story

LATEST = "SELECT id FROM audit_entry ORDER BY id DESC LIMIT 1"


async def entries(covey: Harness, *acts: str) -> list[Any]:
    """Those of these acts, in the order in which they were written."""
    return await run(covey, "SELECT * FROM audit_entry WHERE act = ANY(:acts) ORDER BY id", acts=list(acts))


async def by_owner(covey: Harness, statement: str) -> None:
    """As somebody does who may do all with the tables."""
    async with covey.as_owner() as session:
        await session.execute(text(statement))


async def link(covey: Harness) -> None:
    await covey.work("audit-chain")


async def anchors(covey: Harness) -> list[AuditAnchored]:
    """What the world was told."""
    found = [each.event for each in await covey.published(AuditAnchored)]
    return [each for each in found if isinstance(each, AuditAnchored)]


async def verify(covey: Harness, told: Sequence[AuditAnchored] | None = None) -> Verdict:
    told = await anchors(covey) if told is None else told
    async with covey.transaction() as session:
        return await audit_verification.verify(session, told)


# --- what is written down ---


async def test_an_act_is_one_entry_with_who_what_when_and_from_where(covey: Harness) -> None:
    who, trace = await somebody(covey), "ab" * 16
    before = Clock.now()
    answer = await sign_on(covey, who.user_id, traceparent=f"00-{trace}-{'cd' * 8}-01")

    (entry,) = await entries(covey, "sign-on")

    assert before <= entry.at <= Clock.now()
    assert (entry.outcome, entry.authority) == ("done", "password")
    assert (entry.account_id, entry.subjects) == (who.account_id, [who.account_id])
    assert str(entry.session_id) == answer.json()["session_id"]
    assert entry.origin == "127.0.0.1"
    assert (entry.correlation_id, entry.trace_id) == (answer.headers["X-Correlation-ID"], trace)


@pytest.mark.parametrize("known", [True, False])
async def test_what_is_refused_is_written_down_though_it_changes_nothing(covey: Harness, known: bool) -> None:
    who = await somebody(covey)

    await sign_on(covey, who.user_id if known else "z99999", "another password")

    (entry,) = await entries(covey, "sign-on")
    assert (entry.outcome, entry.details) == ("refused", {"why": "sign-on-refused"})
    assert (entry.account_id, entry.subjects) == (None, [who.account_id] if known else [])


async def test_a_change_of_access_names_its_revisions_and_on_whose_authority(covey: Harness) -> None:
    story = Story(covey)
    group = await story.group()
    primary = await story.primary(group)
    secondary, grant = await story.secondary(primary, group)
    await story.remove(primary, group, grant)

    added, removed = [(await entries(covey, act))[0] for act in ("user.added", "user.removed")]

    assert (added.authority, added.account_id, added.groups) == (
        "primary administrator",
        primary.account_id,
        [group],
    )
    assert (removed.authority, removed.subjects) == ("primary administrator", [secondary.account_id])
    changed = await run(
        covey,
        "SELECT fact ->> 'active' FROM access_log WHERE rev BETWEEN :first AND :last",
        first=removed.first_rev,
        last=removed.last_rev,
    )
    assert changed == [("false",)]


async def test_codes_are_written_down_when_they_are_sent_refused_and_used(covey: Harness) -> None:
    story = Story(covey)
    group = await story.group()
    primary, person = await story.primary(group), await story.person("Sec")
    before = len(await entries(covey, "code.issued", "code.redeemed"))
    await story.add(primary, group, person.email)
    code = await story.code()
    stranger = await story.person("Stranger")
    await story.redeem(stranger, code)
    await story.redeem(person, code)

    told = (await entries(covey, "code.issued", "code.redeemed"))[before:]

    assert [(each.act, each.outcome, each.account_id) for each in told] == [
        ("code.issued", "done", primary.account_id),
        ("code.redeemed", "refused", stranger.account_id),
        ("code.redeemed", "done", person.account_id),
    ]


async def test_no_entry_holds_what_was_typed(covey: Harness) -> None:
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    other = "ottoline@home.example.org"
    await client.post("/v1/account/addresses", json={"email": other, "password": PASSWORD})
    await client.put("/v1/account/password", json={"password": "a wrong one", "new_password": "nine slow otters"})
    await client.put("/v1/account/password", json={"password": PASSWORD, "new_password": "nine slow otters"})
    await sign_on(covey, "x12345", "guess me")

    written = json.dumps([str(each) for each in await run(covey, "SELECT entry::text FROM audit_entry AS entry")])

    assert len(await entries(covey, "password.changed", "password.shown", "address.asked-for")) == 3
    for typed in (who.email, other, PASSWORD, "a wrong one", "nine slow otters", "x12345", "guess me", "Ottoline"):
        assert typed not in written


# --- nobody changes it ---


@pytest.mark.parametrize("table", ["audit_entry", "audit_link", "audit_anchor", "access_log"])
@pytest.mark.parametrize("act", ["DELETE FROM {}", "TRUNCATE {} CASCADE", "UPDATE {} SET {} = {}"])
@pytest.mark.parametrize("role", ["requests", "workers"])
async def test_the_services_own_roles_cannot_change_it(covey: Harness, table: str, act: str, role: str) -> None:
    column = {"audit_entry": "act", "access_log": "act"}.get(table, "number")
    statement = act.format(table, column, column)

    with pytest.raises(DBAPIError, match="permission denied"):
        async with getattr(covey.context, role).transaction() as session:
            await session.execute(text(statement))


# --- the chain ---


@dataclass
class Chain:
    """Five entries and more that are linked, the newest of them anchored."""

    covey: Harness
    length: int

    async def entry(self, number: int) -> UUID:
        ((entry_id,),) = await run(self.covey, "SELECT entry_id FROM audit_link WHERE number = :number", number=number)
        assert isinstance(entry_id, UUID)
        return entry_id


@pytest.fixture
async def chain(covey: Harness) -> Chain:
    who = await somebody(covey)
    for _ in range(5):
        await sign_on(covey, who.user_id)
    await link(covey)
    ((length,),) = await run(covey, "SELECT count(*) FROM audit_link")
    assert length > 5
    return Chain(covey, length)


async def test_what_nobody_touched_holds(chain: Chain) -> None:
    assert await verify(chain.covey) == Verdict(chain.length, 0, chain.length, None)


async def test_entries_that_come_later_are_linked_to_those_before(chain: Chain) -> None:
    await sign_on(chain.covey, "z99999")
    assert (await verify(chain.covey)).waiting == 1

    await link(chain.covey)

    assert await verify(chain.covey) == Verdict(chain.length + 1, 0, chain.length, None)


async def test_nothing_is_linked_twice_by_two_at_once(chain: Chain) -> None:
    covey = chain.covey
    await sign_on(covey, "z99999")
    async with covey.transaction() as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('audit chain', 0))"))
        await link(covey)
        assert await run(covey, "SELECT count(*) FROM audit_waiting") == [(1,)]

    await link(covey)

    assert (await verify(covey)).links == chain.length + 1


@pytest.mark.parametrize(
    "touch",
    [
        "UPDATE audit_entry SET account_id = gen_random_uuid() WHERE id = '{third}'",
        "UPDATE audit_entry SET outcome = 'refused' WHERE id = '{third}'",
        "UPDATE audit_entry SET at = at + interval '1 microsecond' WHERE id = '{third}'",
        "UPDATE audit_entry SET details = '{{\"x\": 1}}' WHERE id = '{third}'",
        "UPDATE audit_link SET hash = sha256(hash) WHERE number = 3",
    ],
)
async def test_a_touched_entry_is_named(chain: Chain, touch: str) -> None:
    third = await chain.entry(3)
    await by_owner(chain.covey, touch.format(third=third))

    verdict = await verify(chain.covey)

    assert verdict.links == 2
    assert verdict.broken == f"link 3 is not of what stands in entry {third}"


async def test_a_deleted_entry_is_named(chain: Chain) -> None:
    await by_owner(chain.covey, "DELETE FROM audit_link WHERE number = 3")

    assert (await verify(chain.covey)).broken == "link 3 is missing"


async def test_an_entry_that_was_deleted_with_its_link_is_named(chain: Chain) -> None:
    third = await chain.entry(3)
    await by_owner(chain.covey, "DELETE FROM audit_link WHERE number = 3")
    await by_owner(chain.covey, f"DELETE FROM audit_entry WHERE id = '{third}'")

    assert (await verify(chain.covey)).broken == "link 3 is missing"


async def test_two_swapped_entries_are_named(chain: Chain) -> None:
    third, fourth = await chain.entry(3), await chain.entry(4)
    swap = "UPDATE audit_link SET entry_id = CASE entry_id WHEN '{0}' THEN uuid '{1}' ELSE '{0}' END WHERE number IN (3, 4)"
    await by_owner(chain.covey, "ALTER TABLE audit_link DROP CONSTRAINT audit_link_entry_id_key")
    await by_owner(chain.covey, swap.format(third, fourth))

    assert (await verify(chain.covey)).broken == f"link 3 is not of what stands in entry {fourth}"


async def test_an_entry_that_was_put_in_is_named(chain: Chain) -> None:
    await by_owner(
        chain.covey,
        "INSERT INTO audit_entry (id, act, outcome, authority, subjects, groups, details)"
        " VALUES ('01a21991-0000-7000-8000-000000000001', 'sign-on', 'done', 'password', '{}', '{}', '{}')",
    )

    verdict = await verify(chain.covey)

    assert verdict.broken == "an entry is in no chain: 01a21991-0000-7000-8000-000000000001"


async def test_a_touched_change_of_access_breaks_its_entrys_link(covey: Harness) -> None:
    story = Story(covey)
    group = await story.group()
    primary = await story.primary(group)
    await story.secondary(primary, group)
    await link(covey)
    (added,) = await entries(covey, "user.added")
    await by_owner(covey, f"UPDATE access_log SET fact = fact || '{{\"active\": true}}' WHERE rev = {added.first_rev}")

    assert (await verify(covey)).broken.endswith(f"is not of what stands in entry {added.id}")  # type: ignore[union-attr]


async def test_a_change_of_access_that_was_put_in_is_named(covey: Harness) -> None:
    await Story(covey).person("Pat")
    await link(covey)
    await by_owner(
        covey,
        "INSERT INTO access_log (rev, id, act, authority, fact)"
        " VALUES (999, gen_random_uuid(), 'user.added', 'nobody', '{}')",
    )

    assert (await verify(covey)).broken == "no entry names a change of access, revision: 999"


async def test_an_end_that_was_cut_off_is_found_by_the_anchor(chain: Chain) -> None:
    await by_owner(chain.covey, "TRUNCATE audit_anchor")
    await by_owner(chain.covey, f"DELETE FROM audit_link WHERE number > {chain.length - 2}")

    verdict = await verify(chain.covey)

    assert verdict.broken == f"the chain ends at link {chain.length - 2}, but link {chain.length} was anchored"


async def test_a_chain_that_was_written_anew_is_found_by_the_anchor(chain: Chain) -> None:
    """By somebody who can do all with the database, and computes every hash again."""
    covey = chain.covey
    first = await chain.entry(1)
    await by_owner(covey, "TRUNCATE audit_anchor, audit_link")
    await by_owner(covey, f"UPDATE audit_entry SET authority = 'staff' WHERE id = '{first}'")
    await by_owner(covey, "INSERT INTO audit_waiting SELECT id FROM audit_entry")
    told = await anchors(covey)
    await link(covey)

    assert (await verify(covey, told=[])).broken is None
    assert (await verify(covey, told)).broken == f"link {chain.length} is another one than was anchored"


def test_a_link_is_computed_as_it_was_when_the_first_was_made() -> None:
    """Whatever is changed here makes every link void that was ever made."""
    entry = dict.fromkeys(ENTRY) | {
        "id": UUID("01a21991-0000-7000-8000-000000000001"),
        "at": datetime(2026, 3, 8, 9, 30, 0, 250, tzinfo=UTC),
        "act": "user.removed",
        "outcome": "done",
        "subjects": [UUID("01a21991-0000-7000-8000-000000000003")],
        "groups": [],
        "authority": "primary administrator",
        "account_id": UUID("01a21991-0000-7000-8000-000000000002"),
        "first_rev": 7,
        "last_rev": 7,
        "details": {"why": "señal"},
    }
    change = dict.fromkeys(CHANGE) | {"rev": 7, "act": "user.removed", "fact": {"kind": "grant", "active": False}}
    elsewhere = entry | {"at": entry["at"].astimezone(timezone(timedelta(hours=5, minutes=30))), "added": "later"}

    linked = link_hash(BEGINNING, 1, entry, [change])

    assert linked.hex() == "129500790bbbf68b2e184854923034da0c57f1997ae3100b5d424ecf56dd6430"
    assert link_hash(BEGINNING, 1, elsewhere, [change]) == linked
    assert link_hash(BEGINNING, 2, entry, [change]) != linked
    assert link_hash(linked, 1, entry, [change]) != linked
    assert link_hash(BEGINNING, 1, entry, []) != linked


# --- anchors ---


async def test_a_link_that_was_anchored_as_two_different_ones_is_named(chain: Chain) -> None:
    """Somebody wrote the chain anew, and let the service anchor its end once more."""
    covey = chain.covey
    first = await chain.entry(1)
    await by_owner(covey, "TRUNCATE audit_anchor, audit_link")
    await by_owner(covey, f"UPDATE audit_entry SET authority = 'staff' WHERE id = '{first}'")
    await by_owner(covey, "INSERT INTO audit_waiting SELECT id FROM audit_entry")
    await link(covey)

    assert [each.number for each in await anchors(covey)] == [chain.length, chain.length]
    assert (await verify(covey)).broken == f"link {chain.length} was anchored twice, as two different ones"


async def test_a_chain_that_nobody_anchors_any_more_is_named(chain: Chain) -> None:
    covey = chain.covey
    told = await anchors(covey)
    await by_owner(covey, "UPDATE audit_anchor SET anchored_at = 'infinity'")
    await sign_on(covey, "z99999")
    await by_owner(covey, f"UPDATE audit_entry SET at = now() - interval '1 hour' WHERE id IN ({LATEST})")
    await link(covey)
    assert await anchors(covey) == told

    assert "and was never anchored" in str((await verify(covey)).broken)


async def test_entries_that_nobody_links_are_named(chain: Chain) -> None:
    await sign_on(chain.covey, "z99999")
    assert (await verify(chain.covey)).broken is None
    await by_owner(chain.covey, f"UPDATE audit_entry SET at = now() - interval '1 hour' WHERE id IN ({LATEST})")

    assert "entries wait for their links since" in str((await verify(chain.covey)).broken)


async def test_waiting_is_not_written_down_and_a_flood_makes_no_entries(covey: Harness) -> None:
    who = await somebody(covey)
    for _ in range(FREE + 5):
        await sign_on(covey, who.user_id, "a guess")

    assert len(await entries(covey, "sign-on")) == FREE


async def test_wrong_codes_of_a_second_factor_are_written_down_wherever_they_are_typed(covey: Harness) -> None:
    who = await somebody(covey)
    client = await client_of(covey, await session_of(covey, who))
    factor = "/v1/account/second-factor"
    secret = (await client.post(factor, json={"password": PASSWORD})).json()["secret"]
    await client.post(f"{factor}/on", json={"code": "000000"})
    await client.post(f"{factor}/on", json={"code": pyotp.TOTP(secret).now()})
    await client.post(f"{factor}/off", json={"password": PASSWORD, "code": "000000"})

    told = await entries(covey, "second-factor.begun", "second-factor.on", "second-factor.off")

    assert [(each.act, each.outcome) for each in told] == [
        ("second-factor.begun", "done"),
        ("second-factor.on", "refused"),
        ("second-factor.on", "done"),
        ("second-factor.off", "refused"),
    ]
    assert {each.account_id for each in told} == {who.account_id}


async def test_the_newest_link_is_anchored_when_it_is_time(chain: Chain) -> None:
    covey = chain.covey
    await sign_on(covey, "z99999")
    await link(covey)
    assert [each.number for each in await anchors(covey)] == [chain.length]

    await by_owner(covey, f"UPDATE audit_anchor SET anchored_at = anchored_at - interval '{ANCHOR_S} s'")
    await link(covey)
    await link(covey)

    assert [each.number for each in await anchors(covey)] == [chain.length, chain.length + 1]


async def test_an_anchor_is_signed_and_what_is_not_is_none(chain: Chain) -> None:
    (told,) = await anchors(chain.covey)
    settings = chain.covey.context.settings
    assert settings.token_keys
    keys = KeySet.import_key_set(json.loads(settings.token_keys.read_text()))
    forger = OKPKey.generate_key("Ed25519", {"kid": "tokens-1"})
    forged = anchor(told.number, bytes(32), key=forger)
    changed = told.model_copy(update={"number": told.number + 1})

    read = [read_anchor(each.model_dump_json().encode(), keys) for each in (told, forged, changed)]

    assert read == [told, None, None]
    assert read_anchor(None, keys) is None
    assert read_anchor(b"{}", keys) is None
