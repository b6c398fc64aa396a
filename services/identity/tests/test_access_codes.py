"""An access code: unguessable, good once, for 168 hours, for whom it was meant, and kept nowhere in clear (R-02, R-05)."""

import ast
import asyncio
import inspect
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest
from covey_chassis.access import Right
from covey_chassis.testing import Harness, ServiceHarness
from covey_contracts.identity import AccessChanged, AccessCodeIssued, CodeLetter, Letter, MailRequested
from covey_identity.app import service
from covey_identity.domain import crockford
from covey_identity.domain.access_code import LENGTH, as_typed, bucket, draw
from covey_identity.domain.crockford import ALPHABET, shown

from .accounts import command, comparable, run, where_kept
from .conftest import SETTINGS, staff_member
from .story import Story

CODE = "7F3K9QWD2MXR01TA"


def clear(code: str) -> str:
    """Without dashes."""
    return code.replace("-", "")


async def ages(story: Story, seconds: int) -> None:
    """All codes that are out were issued so long ago."""
    await run(
        story.covey,
        "UPDATE access_code SET issued_at = clock_timestamp() - make_interval(secs => :seconds),"
        " expires_at = clock_timestamp() - make_interval(secs => :seconds) + interval '168 hours'",
        seconds=seconds,
    )


async def invited(story: Story, email: str | None = None, *, rights=(Right.RENEWALS_VIEW,)):
    """A group's primary, and somebody whom they have added: (group, primary, person, grant ID, code)."""
    group = await story.group()
    primary = await story.primary(group)
    person = await story.person("Sec")
    added = await story.add(primary, group, email or person.email, rights)
    assert added.status_code == 201, added.text
    return group, primary, person, added.json()["grant_id"], await story.code()


# --- what a code looks like ---


def test_a_code_is_sixteen_of_crockfords_letters_which_are_eighty_bits() -> None:
    assert (len(set(ALPHABET)), len(ALPHABET), LENGTH) == (32, 32, 16)
    assert set("ILOU").isdisjoint(ALPHABET)
    assert 32**LENGTH == 2**80


def test_ten_thousand_codes_have_no_bias_and_no_two_are_alike() -> None:
    codes = [draw() for _ in range(10_000)]
    assert len(set(codes)) == len(codes)

    expected = len(codes) / 32
    for place in range(LENGTH):
        found = Counter(code[place] for code in codes)
        # 31 degrees of freedom: above 90 once in ten million times, by chance.
        assert sum((found[letter] - expected) ** 2 / expected for letter in ALPHABET) < 90


def test_codes_are_drawn_by_the_systems_randomness_and_no_other() -> None:
    tree = ast.parse(inspect.getsource(crockford))
    modules = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) if node.module}

    assert "secrets" in modules
    assert not modules & {"random", "numpy", "numpy.random", "time"}


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        shown(CODE),
        shown(CODE).lower(),
        f"  {CODE}\n",
        "7F3K 9QWD 2MXR 01TA",
        "7-F-3-K-9-Q-W-D-2-M-X-R-0-1-T-A",
        "7F3K-9QWD-2MXR-OITA",
        "7F3K-9QWD-2MXR-oLTA",
        "7f3k-9qwd-2mxr-olta",
    ],
)
def test_a_code_is_known_however_it_is_typed(typed: str) -> None:
    assert as_typed(typed) == CODE


@pytest.mark.parametrize("typed", ["", "7F3K", CODE[:-1] + "U", CODE + "0", CODE[:-1] + "é", CODE[:-1] + "_", "0" * 99])
def test_what_cannot_be_a_code_is_none(typed: str) -> None:
    assert as_typed(typed) is None


def test_the_drawer_of_a_code_depends_on_the_secret_and_holds_many_codes() -> None:
    assert bucket(CODE, "a secret") != bucket(CODE, "another secret")
    assert 0 <= bucket(CODE, "a secret") < 2**20


async def test_of_a_code_there_is_a_hash_by_argon2id_alone(story: Story) -> None:
    *_, code = await invited(story)

    kept = await run(story.covey, "SELECT hash, to_jsonb(access_code)::text FROM access_code")

    assert {hashed.rpartition("$v=")[0] for hashed, _ in kept} == {"$argon2id"}
    assert not [row for _, row in kept if clear(code) in row.replace("-", "")]


async def test_a_code_is_taken_however_it_is_typed(story: Story) -> None:
    _, _, person, _, code = await invited(story)

    answer = await story.redeem(person, f" {code.lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} ")

    assert answer.status_code == 200, answer.text


# --- how long it is good ---


async def test_a_code_is_good_until_168_hours_are_over(story: Story) -> None:
    # A minute, not a second: the request takes some time. To the second it is in test_lifecycles.
    for age, expected in ((168 * 3600 - 60, (200, None)), (168 * 3600, (422, "code-expired"))):
        _, _, person, _, code = await invited(story)
        await ages(story, age)

        answer = await story.redeem(person, code)

        assert (answer.status_code, answer.json().get("code")) == expected


async def test_the_event_says_when_the_code_expires(story: Story) -> None:
    await invited(story)

    ((expires_at, hours),) = await run(
        story.covey,
        "SELECT expires_at, extract(epoch FROM expires_at - issued_at) / 3600 FROM access_code WHERE status = 'issued'",
    )

    assert hours == 168
    assert (await story.covey.published(AccessCodeIssued))[-1].event.expires_at == expires_at


async def test_an_expired_code_shows_in_the_list_and_a_new_one_can_be_had(story: Story) -> None:
    group, primary, person, grant, _ = await invited(story)
    await ages(story, 168 * 3600)
    user = f"/v1/groups/{group}/users/{grant}"
    assert (await primary.api.get(user)).json()["status"] == "code expired"

    again = await primary.api.post(f"{user}/code", headers=command())

    assert (again.status_code, again.json()["status"]) == (200, "invited")
    assert (await story.redeem(person, await story.code())).status_code == 200


# --- once, and only the newest ---


async def test_a_code_is_good_once(story: Story) -> None:
    group, _, person, _, code = await invited(story)
    assert (await story.redeem(person, code)).status_code == 200

    again = await story.redeem(person, code)

    assert (again.status_code, again.json()["code"]) == (422, "code-used")
    assert await story.sees(person) == {group: ["renewals.view"]}


async def test_the_same_command_again_gets_the_same_answer(story: Story) -> None:
    _, _, person, _, code = await invited(story)
    headers = command(Prefer="wait=0")

    first, again = [
        await person.api.post("/v1/access-codes/redemption", json={"code": code}, headers=headers) for _ in range(2)
    ]

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_new_code_kills_the_old_one(story: Story) -> None:
    group, primary, person, grant, old = await invited(story)
    again = await primary.api.post(f"/v1/groups/{group}/users/{grant}/code", headers=command())
    assert again.status_code == 200

    refused = await story.redeem(person, old)

    assert (refused.status_code, refused.json()["code"]) == (422, "code-replaced")
    assert (await story.redeem(person, await story.code())).status_code == 200


async def test_whoever_has_redeemed_needs_no_other_code(story: Story) -> None:
    group = await story.group()
    primary = await story.primary(group)
    _, grant = await story.secondary(primary, group)
    before = len(await story.covey.published(AccessCodeIssued))

    answer = await primary.api.post(f"/v1/groups/{group}/users/{grant}/code", headers=command())

    assert (answer.status_code, answer.json()["code"]) == (409, "illegal-move")
    assert len(await story.covey.published(AccessCodeIssued)) == before


# --- whose it is ---


@pytest.mark.parametrize("becomes", ["issued", "expired", "redeemed", "replaced", "voided"])
async def test_somebody_elses_code_is_as_if_it_never_was(story: Story, becomes: str) -> None:
    _, _, person, _, code = await invited(story)
    stranger = await story.person("Stranger")
    if becomes == "expired":
        await ages(story, 168 * 3600)
    elif becomes != "issued":
        await run(story.covey, "UPDATE access_code SET status = :status WHERE status = 'issued'", status=becomes)

    somebody_elses = await story.redeem(stranger, code)
    never_was = await story.redeem(stranger, shown(draw()))

    assert (somebody_elses.status_code, somebody_elses.json()["code"]) == (422, "code-not-good")
    assert comparable(somebody_elses) == comparable(never_was)
    assert await run(story.covey, "SELECT failures FROM attempt WHERE purpose = 'access-code'") == [(2,)]
    if becomes == "issued":
        assert (await story.redeem(person, code)).status_code == 200


async def test_a_code_for_an_address_of_no_account_adds_the_address_to_whoever_redeems_it(story: Story) -> None:
    group, _, person, _, code = await invited(story, "Sec@another.example")

    assert (await story.redeem(person, code)).status_code == 200

    addresses = (await person.api.get("/v1/account")).json()["addresses"]
    assert addresses == [person.email, "Sec@another.example"]
    assert await story.sees(person) == {group: ["renewals.view"]}
    assert (await story.redeem(person, code)).json()["code"] == "code-used"


async def test_whoever_gave_a_code_gets_nothing_of_the_account_by_the_mailbox_that_it_went_to(story: Story) -> None:
    """Else a primary invites somebody at a mailbox of their own, and has a new password for that account sent there."""
    _, _, person, _, code = await invited(story, "mine@primary.example")
    await story.redeem(person, code)
    told = await story.letter(MailRequested, Letter)
    anybody = story.covey.client(None)

    asked = {}
    for what in ("user-id", "password"):
        await anybody.post(f"/v1/forgotten/{what}", json={"email": "mine@primary.example"}, headers=command())
        asked[what] = (await story.letter(MailRequested, Letter)).address

    assert told.address == person.email, "the holder is told"
    assert set(asked.values()) == {person.email}
    assert (await person.api.get("/v1/account")).json()["proven_by_codes"] == ["mine@primary.example"]
    acts = (await story.covey.api.get("/v1/audit", params={"account_id": str(person.account_id)})).json()["items"]
    assert [each["authority"] for each in acts if each["act"] == "address.proven"] == ["access code"]
    purposes = [each.event.purpose for each in await story.covey.published(MailRequested)]
    assert purposes[-3:] == ["address-added", "forgotten-user-id", "reset-password"]


async def test_an_address_that_came_with_a_code_opens_the_account_once_its_holder_has_chosen_it(story: Story) -> None:
    _, _, person, _, code = await invited(story, "sec@new-work.example")
    await story.redeem(person, code)

    chosen = {"email": "sec@new-work.example", "password": "quillfern-9-thistle"}
    here = await story.signed_on(person)
    answer = await here.put("/v1/account/addresses/main", json=chosen)
    await here.put("/v1/account/addresses/main", json=chosen | {"email": person.email})
    await story.covey.client(None).post(
        "/v1/forgotten/password", json={"email": "sec@new-work.example"}, headers=command()
    )

    assert answer.json()["proven_by_codes"] == []
    assert (await story.letter(MailRequested, Letter)).address == "sec@new-work.example"


@pytest.mark.parametrize("age", [0, 168 * 3600])
async def test_a_code_that_does_not_work_adds_no_address(story: Story, age: int) -> None:
    _, _, person, _, code = await invited(story, "sec@another.example")
    await ages(story, age)
    await run(story.covey, "UPDATE access_code SET status = 'replaced' WHERE status = 'issued' AND :age = 0", age=age)

    answer = await story.redeem(person, code)

    assert answer.json()["code"] == "code-not-good"
    assert (await person.api.get("/v1/account")).json()["addresses"] == [person.email]


@pytest.mark.parametrize("becomes", ["expired", "redeemed", "replaced"])
@pytest.mark.parametrize(
    ("role", "ask"), [("primary", "the carrier"), ("secondary", "the group's primary administrator")]
)
async def test_whom_to_ask_for_another_code_is_said(story: Story, role: str, ask: str, becomes: str) -> None:
    if role == "secondary":
        _, _, person, _, code = await invited(story)
    else:
        group, person = await story.group(), await story.person("Prim")
        await story.approve(group, await story.request(group, person))
        code = await story.code()
    if becomes == "expired":
        await ages(story, 168 * 3600)
    else:
        await run(story.covey, "UPDATE access_code SET status = :status WHERE status = 'issued'", status=becomes)

    answer = await story.redeem(person, code)

    assert answer.json()["code"] == {"redeemed": "code-used"}.get(becomes, f"code-{becomes}")
    assert ask in answer.json()["detail"]


# --- guessing ---


async def test_wrong_codes_are_throttled_and_the_right_one_works_after_the_pause(story: Story) -> None:
    _, _, person, _, code = await invited(story)

    answers = [await story.redeem(person, shown(draw())) for _ in range(10)]
    assert {answer.status_code for answer in answers[:5]} == {422}
    assert {answer.status_code for answer in answers[5:]} <= {422, 429}
    assert answers[5].json()["code"] == "too-many-attempts"
    assert int(answers[5].headers["Retry-After"]) >= 1
    # The pauses are short at first; let this one be long.
    await run(story.covey, "UPDATE attempt SET next_at = clock_timestamp() + interval '100 s'")
    assert (await story.redeem(person, code)).status_code == 429
    await run(story.covey, "UPDATE attempt SET next_at = clock_timestamp()")

    assert (await story.redeem(person, code)).status_code == 200
    assert await run(story.covey, "SELECT * FROM attempt WHERE purpose = 'access-code'") == []


async def test_one_persons_wrong_codes_do_not_hold_up_another(story: Story) -> None:
    _, _, person, _, code = await invited(story)
    stranger = await story.person("Stranger")
    for _ in range(6):
        await story.redeem(stranger, shown(draw()))

    assert (await story.redeem(person, code)).status_code == 200


async def test_nobody_who_is_not_signed_on_tries_a_code(story: Story) -> None:
    _, _, _, _, code = await invited(story)

    answer = await story.covey.client(None).post(
        "/v1/access-codes/redemption", json={"code": code}, headers=command(Prefer="wait=0")
    )

    assert answer.status_code == 401


# --- kept nowhere ---


async def test_the_code_in_clear_is_nowhere_but_sealed_in_its_event(story: Story, logged) -> None:
    group, primary, person, grant, first = await invited(story)
    await primary.api.post(f"/v1/groups/{group}/users/{grant}/code", headers=command())
    second = await story.code()
    stranger = await story.person("Stranger")
    await story.redeem(stranger, second)
    await story.redeem(person, first)
    assert (await story.redeem(person, second)).status_code == 200
    waiting = [each.event.sealed for each in await story.covey.published(AccessCodeIssued)]

    opened = [story.covey.context.keyring.open(sealed, CodeLetter).code for sealed in waiting]
    assert opened[-2:] == [first, second]
    for code in (first, second):
        for said in (code, clear(code), clear(code).lower()):
            assert await where_kept(story.covey, said) == []
            assert said not in logged()
    assert "/v1/access-codes/redemption" in logged()  # else it would be empty, and would prove nothing


# --- all at once ---


async def test_twenty_requests_of_one_account_redeem_a_code_once(story: Story) -> None:
    group, _, person, grant, code = await invited(story)
    clients = [story.covey.client(person.account_id) for _ in range(20)]

    answers = await asyncio.gather(
        *(
            client.post("/v1/access-codes/redemption", json={"code": code}, headers=command(Prefer="wait=0"))
            for client in clients
        )
    )

    codes = Counter(answer.json().get("code") for answer in answers)
    assert codes[None] == 1, codes
    assert set(codes) <= {None, "code-used", "too-many-attempts"}
    await _is_active_once(story, grant)
    assert await story.sees(person) == {group: ["renewals.view"]}


async def test_twenty_people_who_have_the_same_code_redeem_it_once(story: Story) -> None:
    group, _, _, grant, code = await invited(story, "nobody@another.example")
    people = [await story.person(f"P{number}") for number in range(20)]

    answers = await asyncio.gather(*(story.redeem(person, code) for person in people))

    codes = Counter(answer.json().get("code") for answer in answers)
    assert codes == {None: 1, "code-not-good": 19}
    await _is_active_once(story, grant)
    assert [len(await story.sees(person)) for person in people].count(1) == 1
    assert await run(story.covey, "SELECT count(*) FROM account_address WHERE email_key LIKE 'nobody@%'") == [(1,)]
    assert await run(
        story.covey,
        "SELECT count(*) FROM access_held WHERE group_id = :group AND rights = '{renewals.view}'",
        group=group,
    ) == [(1,)]


async def _is_active_once(story: Story, grant: str) -> None:
    told = [
        each.event.status for each in await story.covey.published(AccessChanged) if str(each.event.grant_id) == grant
    ]
    assert told == ["invited", "active"]


async def test_more_at_once_than_there_are_connections_are_all_answered(
    service_harness: ServiceHarness, sealing_keys: Path, signing_key: object
) -> None:
    """Counting an attempt takes a connection beside the request's own: they must not wait for each other's."""
    signing_keys = sealing_keys / "signing.jwks.json"
    async with service_harness(service, signing_keys=signing_keys, database_pool_size=2, **SETTINGS) as harness:
        harness.api = await staff_member(harness)
        story = Story(harness)
        people = [await story.person(f"P{number}") for number in range(8)]

        async with asyncio.timeout(8):
            answers = await asyncio.gather(*(story.redeem(person, shown(draw())) for person in people))

    assert [answer.json()["code"] for answer in answers] == ["code-not-good"] * 8


# --- who sends another ---


async def test_a_primarys_code_is_sent_again_by_staff_and_a_secondarys_by_the_primary(story: Story) -> None:
    group, primary, person, grant, _ = await invited(story)
    await story.approve(group, await story.request(group, "next@people.example"))
    users = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]
    (next_primary,) = [user["grant_id"] for user in users if (user["role"], user["status"]) == ("primary", "invited")]

    async def again(client, of: str) -> tuple[int, str | None]:
        answer = await client.post(f"/v1/groups/{group}/users/{of}/code", headers=command())
        return answer.status_code, answer.json().get("code")

    assert await again(primary.api, next_primary) == (403, "primary-is-the-carriers")
    assert await again(story.covey.api, grant) == (403, "not-yours")
    assert await again(person.api, grant) == (403, "not-yours")
    assert await again(primary.api, grant) == (200, None)
    assert await again(story.covey.api, next_primary) == (200, None)
    assert await again(primary.api, str(uuid4())) == (404, "user-not-found")


async def test_of_many_codes_sent_at_once_one_is_good(story: Story, covey: Harness) -> None:
    group, primary, person, grant, _ = await invited(story)

    await asyncio.gather(
        *(primary.api.post(f"/v1/groups/{group}/users/{grant}/code", headers=command()) for _ in range(5))
    )

    letters = [
        covey.context.keyring.open(each.event.sealed, CodeLetter) for each in await covey.published(AccessCodeIssued)
    ]
    codes = [letter.code for letter in letters if letter.address == person.email]
    assert len(codes) == 6
    statuses = []
    for code in codes:
        await run(covey, "DELETE FROM attempt")
        statuses.append((await story.redeem(person, code)).json().get("code"))
    assert Counter(statuses) == {"code-replaced": 5, None: 1}


# --- whoever is taken out of a group has no code left for it ---


async def test_whoever_is_excluded_cannot_redeem_a_code_that_they_still_have(story: Story) -> None:
    group, primary, person, grant, code = await invited(story, rights=[Right.BILLING_PAY])
    await story.changes_broker(group, "F-1")
    await story.joins(person, await story.firm("F-1"))
    reference = await story.request(group, person)

    answer = await primary.api.post(f"/v1/groups/{group}/exclusions/{person.account_id}", headers=command())

    assert answer.status_code == 202
    assert (await story.redeem(person, code)).json()["code"] == "code-not-good"
    assert await story.sees(person) == {}
    assert (await primary.api.get(f"/v1/groups/{group}/users/{grant}")).status_code == 404
    assert (await story.covey.client(None).get(f"/v1/access-requests/{reference}")).json()["status"] == "voided"


async def test_a_primary_who_excludes_somebody_does_not_take_back_what_the_carrier_has_offered_them(
    story: Story,
) -> None:
    group = await story.group(broker="F-1")
    primary, person = await story.primary(group), await story.person("Next")
    await story.joins(person, await story.firm("F-1"))
    await story.approve(group, await story.request(group, person))

    answer = await primary.api.post(f"/v1/groups/{group}/exclusions/{person.account_id}", headers=command())

    assert answer.status_code == 202
    assert await story.sees(person) == {}
    assert (await story.redeem(person, await story.code())).status_code == 200


@pytest.mark.parametrize("how", ["the firm goes", "they leave the firm"])
async def test_a_code_for_a_person_of_the_firm_goes_with_the_firm(story: Story, how: str) -> None:
    group, _, person, _, code = await invited(story)
    await story.changes_broker(group, "F-1")
    firm = await story.firm("F-1")
    await story.joins(person, firm)

    if how == "the firm goes":
        await story.changes_broker(group, None)
    else:
        await story.covey.api.delete(f"/v1/firms/{firm}/members/{person.account_id}", headers=command())

    assert (await story.redeem(person, code)).json()["code"] == "code-not-good"
    assert await story.sees(person) == {}


async def test_an_invitation_as_the_primary_outlasts_the_firm(story: Story) -> None:
    group = await story.group(broker="F-1")
    person = await story.person("Prim")
    await story.joins(person, await story.firm("F-1"))
    await story.approve(group, await story.request(group, person))

    await story.changes_broker(group, None)

    assert (await story.redeem(person, await story.code())).status_code == 200
