import asyncio
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from typing import Any
from uuid import UUID

import pytest
from covey_chassis.testing import Harness
from covey_contracts.identity import AccountChanged, AccountRegistered, Person
from covey_identity.attempts import FREE
from covey_identity.domain.account import Account, ProgramHasNoAddress
from covey_identity.domain.registration import NewRegistration, Registration
from covey_identity.domain.user_ids import draw_user_id
from covey_identity.queries_accounts import addresses_of, free_user_id, load_account, owner_of_address

from .accounts import (
    PASSWORD,
    applicant,
    ask,
    command,
    comparable,
    exchange,
    letters,
    run,
    session_of,
    sign_on,
    somebody,
    statements,
    token_for,
    verify,
    where_kept,
)

EMAIL = "ottoline@alderquist.example.org"
OURS = "first_name <> 'Sam'"
"""There is a member of staff from the beginning."""


async def test_whoever_registers_proves_the_address_and_has_an_account(covey: Harness) -> None:
    answer = await ask(covey, middle_initial="q", language="es")
    assert (answer.status_code, answer.json()) == (202, {"valid_hours": 24})
    ((mail, letter),) = await letters(covey)
    assert (mail.purpose, letter.address, letter.first_name, letter.language) == (
        "verify-address",
        EMAIL,
        "Ottoline",
        "es",
    )

    verified = await verify(covey, letter.token or "")

    assert verified.status_code == 201
    _, published = await covey.published(AccountRegistered)
    assert isinstance(published.event, AccountRegistered)
    assert (str(published.event.account_id), published.sequence) == (verified.json()["account_id"], 1)
    assert published.event.market_region == "California"
    person = covey.context.keyring.open(published.event.sealed, Person)
    assert person == Person(
        first_name="Ottoline",
        last_name="Farrow",
        address=EMAIL,
        language="es",
        user_id=verified.json()["user_id"],
    )
    ((stored),) = await run(covey, f"SELECT * FROM account WHERE {OURS}")
    assert (stored.middle_initial, stored.company, stored.terms_version) == ("Q", "Alderquist Benefits", "2026-01")
    assert stored.password_hash.startswith("$argon2id$")
    assert stored.terms_accepted_at < stored.created_at


# --- whether an address has an account is told to its mailbox alone ---


async def test_the_answer_is_the_same_whether_or_not_the_address_has_an_account(covey: Harness) -> None:
    holder = await somebody(covey)

    unknown = await ask(covey, email="nobody@alderquist.example.org", first_name="Mallory")
    known = await ask(covey, email=EMAIL.upper(), first_name="Mallory")

    assert comparable(unknown) == comparable(known)
    (_, (to_unknown, _), (to_known, letter)) = await letters(covey)
    assert (to_unknown.purpose, to_known.purpose) == ("verify-address", "already-registered")
    assert (letter.user_id, letter.token, letter.address) == (holder.user_id, None, EMAIL)
    assert letter.first_name == "Ottoline", "a stranger's words do not go to somebody else's mailbox"


async def test_both_ways_write_one_row_and_one_event(covey: Harness) -> None:
    await somebody(covey)

    async def written(email: str) -> tuple[int, int]:
        before = await _counts(covey)
        await ask(covey, email=email)
        after = await _counts(covey)
        return after[0] - before[0], after[1] - before[1]

    assert await written("nobody@alderquist.example.org") == (1, 1)
    assert await written(EMAIL) == (1, 1)


async def _counts(covey: Harness) -> tuple[int, int]:
    ((registrations, events),) = await run(
        covey, "SELECT (SELECT count(*) FROM registration), (SELECT count(*) FROM outbox)"
    )
    return registrations, events


async def test_an_address_that_has_an_account_cannot_be_verified_for_another(covey: Harness) -> None:
    """Somebody asks; before they verify, the address is proven for an account in another way."""
    token = await token_for(covey)
    other = await somebody(covey, email="other@alderquist.example.org")
    async with covey.transaction() as session:
        account = await load_account(session, other.account_id)
        account.add_address(EMAIL, at=covey.context.clock.now(), seal=covey.context.keyring.seal)

    late = await verify(covey, token)

    assert comparable(late) == comparable(await verify(covey, "made-up"))
    assert late.status_code == 422


# --- the token ---


async def test_a_token_is_good_once(covey: Harness) -> None:
    token = await token_for(covey)
    assert (await verify(covey, token)).status_code == 201

    again = await verify(covey, token)

    assert comparable(again) == comparable(await verify(covey, "made-up"))
    assert (again.status_code, again.json()["code"]) == (422, "verification-not-good")


async def test_of_two_who_verify_at_once_one_gets_the_account(covey: Harness) -> None:
    token = await token_for(covey)

    answers = await asyncio.gather(*(verify(covey, token) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert len(await run(covey, f"SELECT 1 FROM account WHERE {OURS}")) == 1


async def test_a_token_expires(covey: Harness) -> None:
    token = await token_for(covey)
    await run(covey, "UPDATE registration SET expires_at = clock_timestamp()")

    late = await verify(covey, token)

    assert comparable(late) == comparable(await verify(covey, "made-up"))


async def test_a_token_is_good_until_its_last_second(covey: Harness) -> None:
    token = await token_for(covey)
    await run(covey, "UPDATE registration SET expires_at = clock_timestamp() + interval '20 s'")

    assert (await verify(covey, token)).status_code == 201


def test_a_registration_is_good_for_its_hours_and_not_a_moment_longer() -> None:
    at = datetime(2026, 3, 8, 9, 30, tzinfo=UTC)
    registration, mail = Registration.ask(
        NewRegistration(**applicant()), None, at=at, hours=24, seal=lambda body: "a.b.c.d.e"
    )

    assert mail.expires_at == at + timedelta(hours=24)
    assert registration.is_good(at=at + timedelta(hours=24) - timedelta(microseconds=1))
    assert not registration.is_good(at=at + timedelta(hours=24))


# --- several ask for one address ---


@pytest.mark.parametrize("verified", [0, 1])
async def test_a_stranger_who_asks_for_ones_address_takes_nothing_away(covey: Harness, verified: int) -> None:
    """Each token is good, and makes the account that was asked for with it; then the others are of no use."""
    own = await token_for(covey)
    strangers = await token_for(covey, email=EMAIL.title(), first_name="Mallory")
    tokens, names = [own, strangers], ["Ottoline", "Mallory"]
    waiting = await token_for(covey, email="waiting@alderquist.example.org")

    assert (await verify(covey, tokens[verified])).status_code == 201

    assert await run(covey, f"SELECT first_name FROM account WHERE {OURS}") == [(names[verified],)]
    assert await run(covey, "SELECT email FROM registration") == [("waiting@alderquist.example.org",)]
    late = await verify(covey, tokens[1 - verified])
    assert comparable(late) == comparable(await verify(covey, "made-up"))
    assert (await verify(covey, waiting)).status_code == 201


async def test_of_several_registrations_that_are_verified_at_once_one_makes_the_account(covey: Harness) -> None:
    tokens = [await token_for(covey) for _ in range(4)]

    answers = await asyncio.gather(*(verify(covey, token) for token in tokens))

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert len(await run(covey, f"SELECT 1 FROM account WHERE {OURS}")) == 1
    assert await run(covey, "SELECT 1 FROM registration") == []


async def test_an_expired_registration_is_forgotten_and_a_later_one_for_the_address_is_not(covey: Harness) -> None:
    await token_for(covey)
    await run(covey, "UPDATE registration SET expires_at = now() - interval '1 s'")
    token = await token_for(covey)

    await covey.work("forget-expired")

    assert len(await run(covey, "SELECT 1 FROM registration")) == 1
    assert (await verify(covey, token)).status_code == 201


# --- how often an address is written to ---


async def test_an_address_is_written_to_so_often_only_and_the_answer_does_not_tell(covey: Harness) -> None:
    await somebody(covey)
    await run(covey, "DELETE FROM attempt")
    before = await _counts(covey)
    for email in (EMAIL, "nobody@alderquist.example.org"):
        answers = [await ask(covey, email=email) for _ in range(FREE)]
        await run(covey, "UPDATE attempt SET next_at = clock_timestamp() + interval '100 s'")
        answers += [await ask(covey, email=email.upper(), first_name="Mallory") for _ in range(3)]

        assert {answer.status_code for answer in answers} == {202}
        assert all(comparable(answer) == comparable(answers[0]) for answer in answers)

    registrations, mails = await _counts(covey)
    assert (registrations - before[0], mails - before[1]) == (2 * FREE, 2 * FREE)
    sent = [letter.address for _, letter in await letters(covey)][1:]
    assert [sent.count(EMAIL), sent.count("nobody@alderquist.example.org")] == [FREE, FREE]
    assert await run(covey, "SELECT purpose, failures FROM attempt") == [("registration", FREE)] * 2


async def test_many_at_once_do_not_outrun_the_pause(covey: Harness) -> None:
    for _ in range(FREE):
        await ask(covey)
    await run(covey, "UPDATE attempt SET failures = 15, next_at = clock_timestamp()")

    await asyncio.gather(*(ask(covey) for _ in range(8)))

    assert len(await letters(covey)) == FREE + 1


async def test_after_the_pause_the_address_is_written_to_again(covey: Harness) -> None:
    for _ in range(FREE):
        await ask(covey)
    await run(covey, "UPDATE attempt SET next_at = clock_timestamp()")

    token = await token_for(covey, first_name="Otto")

    assert len(await letters(covey)) == FREE + 1
    assert (await verify(covey, token)).status_code == 201


async def test_both_ways_run_the_same_statements_whether_or_not_the_address_is_written_to(covey: Harness) -> None:
    await somebody(covey)
    emails = (EMAIL, "nobody@alderquist.example.org")

    with statements(covey) as known:
        await ask(covey, email=emails[0])
    with statements(covey) as unknown:
        await ask(covey, email=emails[1])
    assert known == unknown

    for email in emails:
        for _ in range(FREE):
            await ask(covey, email=email)
    await run(covey, "UPDATE attempt SET next_at = clock_timestamp() + interval '100 s'")
    with statements(covey) as known:
        await ask(covey, email=emails[0])
    with statements(covey) as unknown:
        await ask(covey, email=emails[1])
    assert known == unknown
    assert not any("outbox" in each for each in known)


# --- the password, and what is kept ---


async def test_a_password_that_is_refused_leaves_the_token_good(covey: Harness) -> None:
    token = await token_for(covey)

    refused = await verify(covey, token, "password123")

    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"pointer": "/password", "detail": "is one of the commonest passwords"}]
    assert (await verify(covey, token)).status_code == 201


async def test_a_token_that_is_not_good_is_refused_before_the_password_is_looked_at(covey: Harness) -> None:
    assert (await verify(covey, "made-up", "short")).json()["code"] == "verification-not-good"


async def test_neither_token_nor_password_is_kept_or_logged(covey: Harness, logged: Any) -> None:
    token = await token_for(covey)
    await verify(covey, token, PASSWORD)
    await verify(covey, token, PASSWORD)

    for secret in (token, PASSWORD):
        assert await where_kept(covey, secret) == []
        assert secret not in logged()
    assert await where_kept(covey, EMAIL) == ["account_address"], "the search finds what is kept"


async def test_a_registration_that_is_repeated_with_its_key_sends_one_mail(covey: Harness) -> None:
    headers = command()
    async with covey.client(None) as anybody:
        answers = [await anybody.post("/v1/registrations", json=applicant(), headers=headers) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len(await letters(covey)) == 1


# --- what must be said ---


@pytest.mark.parametrize(
    "field", ["market_region", "first_name", "last_name", "company", "email", "terms_version", "terms_accepted"]
)
async def test_every_field_but_the_middle_initial_must_be_said(covey: Harness, field: str) -> None:
    body = applicant()
    del body[field]

    async with covey.client(None) as anybody:
        answer = await anybody.post("/v1/registrations", json=body, headers=command())

    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (422, [f"/{field}"])


@pytest.mark.parametrize(
    ("different", "pointer"),
    [
        ({"terms_accepted": False}, "/terms_accepted"),
        ({"email": "ottoline"}, "/email"),
        ({"email": "a@b@c.example.org"}, "/email"),
        ({"middle_initial": "Qu"}, "/middle_initial"),
        ({"middle_initial": "7"}, "/middle_initial"),
        ({"first_name": "   "}, "/first_name"),
        ({"first_name": "Win at https://evil.example.org"}, "/first_name"),
        ({"first_name": "evil.example"}, "/first_name"),
        ({"last_name": "a" * 61}, "/last_name"),
        ({"last_name": "Far\u0007row"}, "/last_name"),
        ({"market_region": "x" * 51}, "/market_region"),
        ({"language": "fr"}, "/language"),
        ({"is_staff": True}, "/is_staff"),
    ],
)
async def test_what_is_certainly_wrong_is_refused_by_name(
    covey: Harness, different: dict[str, Any], pointer: str
) -> None:
    answer = await ask(covey, **different)

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert await letters(covey) == []


@pytest.mark.parametrize("name", ["Ana Peña-Whitlock", "O'Brien", "J.R.", "Sammy Davis, Jr.", "李", "Ng"])
async def test_a_persons_name_is_taken_as_it_is(covey: Harness, name: str) -> None:
    assert (await ask(covey, last_name=name)).status_code == 202


# --- addresses ---


async def test_an_account_may_have_more_addresses_and_nobody_else_has_one_of_them(covey: Harness) -> None:
    who = await somebody(covey)
    async with covey.transaction() as session:
        account = await load_account(session, who.account_id)
        changed = account.add_address("o.farrow@quillfern.example.org", at=covey.context.clock.now(), seal=_no_seal)
        account.add_address("O.Farrow@Quillfern.example.org", at=covey.context.clock.now(), seal=_no_seal)

    async with covey.transaction() as session:
        assert isinstance(changed, AccountChanged)
        assert await addresses_of(session, who.account_id) == [EMAIL, "o.farrow@quillfern.example.org"]
        assert await owner_of_address(session, "O.FARROW@quillfern.example.org") == who.account_id
        assert await owner_of_address(session, "farrow@quillfern.example.org") is None
        assert await owner_of_address(session, "not an address") is None


def _no_seal(_body: object) -> str:
    return "a.b.c.d.e"


def test_a_program_has_no_address() -> None:
    program = Account.program("p20417", "nightly enrollment", "a secret", at=datetime(2026, 1, 1, tzinfo=UTC))

    with pytest.raises(ProgramHasNoAddress):
        program.add_address(EMAIL, at=datetime(2026, 1, 1, tzinfo=UTC), seal=_no_seal)


async def test_the_account_tells_its_holder_what_is_known_of_them(covey: Harness) -> None:
    who = await somebody(covey, middle_initial="Q")

    async with covey.client(who.account_id) as client:
        answer = await client.get("/v1/account")

    assert answer.json() == {
        "account_id": str(who.account_id),
        "user_id": who.user_id,
        "kind": "person",
        "first_name": "Ottoline",
        "middle_initial": "Q",
        "last_name": "Farrow",
        "company": "Alderquist Benefits",
        "program_name": None,
        "addresses": [EMAIL],
        "proven_by_codes": [],
        "market_region": "California",
        "language": "en",
    }
    async with covey.client(UUID(int=7)) as nobody:
        assert (await nobody.get("/v1/account")).status_code == 404


# --- user IDs ---


def test_a_user_id_is_a_letter_and_five_digits() -> None:
    drawn = {draw_user_id() for _ in range(2000)}

    assert len(drawn) > 1900
    for user_id in drawn:
        assert len(user_id) == 6
        assert user_id[0] in "abcdefghjkmnpqrstuvwxyz"
        assert user_id[1:].isdecimal()


async def test_a_user_id_that_is_somebodys_is_drawn_again(covey: Harness) -> None:
    who = await somebody(covey)
    draws = chain(repeat(who.user_id, 3), ["q00001"])

    async with covey.transaction() as session:
        assert await free_user_id(session, lambda: next(draws)) == "q00001"


async def test_a_user_id_that_somebody_is_just_getting_is_drawn_again(covey: Harness) -> None:
    async with covey.transaction() as first, covey.transaction() as second:
        await free_user_id(first, lambda: "q00001")
        draws = iter(["q00001", "q00002"])

        assert await free_user_id(second, lambda: next(draws)) == "q00002"


# --- what is of no use any more ---


async def test_what_is_of_no_use_any_more_is_forgotten(covey: Harness) -> None:
    who = await somebody(covey)
    over, alive = await session_of(covey, who), await session_of(covey, who)
    await ask(covey, email="late@alderquist.example.org")
    await ask(covey, email="waiting@alderquist.example.org")
    await sign_on(covey, "z99999")
    await sign_on(covey, "z88888")
    await run(covey, "UPDATE registration SET expires_at = now() - interval '1 s' WHERE email LIKE 'late%'")
    await run(covey, "UPDATE account_session SET expires_at = now() - interval '31 days' WHERE id = :id", id=over.id)
    await run(
        covey,
        "UPDATE attempt SET last_at = now() - interval '25 hours' WHERE subject <> sha256('z88888'::bytea)",
    )

    await covey.work("forget-expired")

    assert await run(covey, "SELECT email FROM registration") == [("waiting@alderquist.example.org",)]
    assert await run(covey, "SELECT id FROM account_session") == [(alive.id,)]
    assert await run(covey, "SELECT subject = sha256('z88888'::bytea) FROM attempt") == [(True,)]
    assert (await exchange(covey, alive.token)).status_code == 200
