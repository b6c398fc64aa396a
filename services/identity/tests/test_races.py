"""Two who act at once in identity: one after the other, and whoever comes second is told what is so by then."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest
from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually
from covey_chassis.testing.signing import new_key
from covey_contracts.identity import AccessChanged, AccessCodeIssued
from sqlalchemy import text

from .accounts import command, letters, run, sign_on, token_for, verify
from .story import Story
from .test_access_requests import decline, status_of
from .test_own_account import ask, prove, replace, signed_on
from .test_program_keys import add, heard, program

# Drawn by hand: what the second of two is told, of whom the first always wins. It is about somebody who was invited.
GRID = """
              redeem           send again        remove
  redeem      code-used        illegal-move      won
  send again  code-replaced    won               won
  remove      code-not-good    user-not-found    user-not-found
"""
HEAD, *ROWS = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in GRID.strip().splitlines()]
EXPECTED = [(row[0], second, told) for row in ROWS for second, told in zip(HEAD, row[1:], strict=True)]
BECOMES = {"redeem": "active", "send again": "invited", "remove": "removed"}

LEDGER = "SELECT FROM access_ledger FOR UPDATE"
ACCOUNT = "SELECT FROM account WHERE id = :id FOR UPDATE"

Act = Coroutine[Any, Any, httpx.Response]


async def in_turn(covey: Harness, held: str, first: Act, second: Act, **values: object) -> list[str]:
    """Both come as far as what is held, one after the other, before either goes on: ``won``, or what they are told."""

    async def until_waiting(number: int) -> None:
        async def waiting() -> bool:
            return await run(covey, "SELECT count(*) FROM pg_locks WHERE NOT granted") == [(number,)]

        await eventually(waiting)

    async with asyncio.TaskGroup() as tasks, covey.transaction() as holding:
        await holding.execute(text(held), values)
        sent = []
        for number, each in enumerate((first, second), start=1):
            sent.append(tasks.create_task(each))
            await until_waiting(number)
    answers = [each.result() for each in sent]
    return ["won" if answer.is_success else answer.json()["code"] for answer in answers]


@pytest.mark.parametrize(("first", "second", "told"), EXPECTED)
async def test_of_two_acts_on_an_invitation_the_second_finds_what_the_first_has_done(
    story: Story, first: str, second: str, told: str
) -> None:
    group = await story.group()
    primary, person = await story.primary(group), await story.person("Sec")
    added = await story.add(primary, group, person.email)
    grant, code, sent = added.json()["grant_id"], await story.code(), len(await story.covey.published(AccessCodeIssued))
    user = f"/v1/groups/{group}/users/{grant}"
    acts: dict[str, Callable[[], Act]] = {
        "redeem": lambda: story.redeem(person, code),
        "send again": lambda: primary.api.post(f"{user}/code", headers=command()),
        "remove": lambda: primary.api.delete(user, headers=command()),
    }

    assert await in_turn(story.covey, LEDGER, acts[first](), acts[second]()) == ["won", told]

    done = [first, second] if told == "won" else [first]
    statuses = ["invited", *(BECOMES[act] for act in done if act != "send again")]
    published = await story.covey.published(AccessChanged)
    assert [each.event.status for each in published if str(each.event.grant_id) == grant] == statuses
    assert len(await story.covey.published(AccessCodeIssued)) - sent == done.count("send again")
    assert await story.sees(person) == ({group: ["renewals.view"]} if statuses[-1] == "active" else {})
    good = await run(story.covey, "SELECT count(*) FROM access_code WHERE status = 'issued'")
    assert good == [(int(statuses[-1] == "invited"),)]


@pytest.mark.parametrize("first", ["delegate", "remove"])
async def test_a_delegation_at_once_with_its_givers_removal_is_refused_or_goes_too(story: Story, first: str) -> None:
    group = await story.group()
    primary = await story.primary(group)
    (own,) = (await primary.api.get(f"/v1/groups/{group}/users")).json()["items"]
    delegate = story.add(primary, group, "sec@people.example")
    remove = story.covey.api.delete(f"/v1/groups/{group}/users/{own['grant_id']}", headers=command())
    order = (delegate, remove) if first == "delegate" else (remove, delegate)

    told = await in_turn(story.covey, LEDGER, *order)

    assert told == ["won", "won" if first == "delegate" else "not-yours"]
    assert (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"] == []
    assert await run(story.covey, "SELECT FROM access_code WHERE status = 'issued'") == []


@pytest.mark.parametrize("first", ["approved", "declined"])
async def test_of_an_approval_and_a_decline_at_once_the_first_holds(story: Story, first: str) -> None:
    group = await story.group()
    reference = await story.request(group, "next@people.example")
    approving, declining = story.approve(group, reference), decline(story, reference)
    order = (approving, declining) if first == "approved" else (declining, approving)

    told = await in_turn(story.covey, "SELECT FROM access_request FOR UPDATE", *order)

    assert told == ["won", "illegal-move"]
    assert (await status_of(story, reference)).json()["status"] == first


async def test_of_two_approvals_at_once_the_second_ones_invitation_is_left(story: Story) -> None:
    group = await story.group()
    one, other = [await story.request(group, f"{name}@people.example") for name in ("one", "other")]

    told = await in_turn(story.covey, LEDGER, story.approve(group, one), story.approve(group, other))

    assert told == ["won", "won"]
    users = (await story.covey.api.get(f"/v1/groups/{group}/users")).json()["items"]
    assert [(user["status"], user["email"]) for user in users] == [("invited", "other@people.example")]
    assert await run(story.covey, "SELECT count(*) FROM access_code WHERE status = 'issued'") == [(1,)]


@pytest.mark.parametrize("tokens", [1, 2])
async def test_of_two_who_prove_one_address_at_once_the_first_has_the_account(covey: Harness, tokens: int) -> None:
    """By one registration, or by two."""
    one, *other = [await token_for(covey) for _ in range(tokens)]
    address = "SELECT pg_advisory_xact_lock(hashtextextended('address ' || 'ottoline@alderquist.example.org', 0))"

    told = await in_turn(covey, address, verify(covey, one), verify(covey, other[0] if other else one))

    assert told == ["won", "verification-not-good"]
    assert await run(covey, "SELECT count(*) FROM account_address WHERE email_key LIKE 'ottoline@%'") == [(1,)]


async def test_of_two_programs_that_are_given_one_key_at_once_the_first_has_it(covey: Harness) -> None:
    one, other, key = await program(covey), await program(covey), new_key()

    told = await in_turn(covey, LEDGER, add(covey, one, key), add(covey, other, key))

    assert told == ["won", "key-already-registered"]
    assert [str(account_id) for account_id, _, _ in await heard(covey)] == [one]


async def test_of_two_who_change_one_password_at_once_the_second_shows_one_that_is_no_longer_good(
    covey: Harness,
) -> None:
    who, client = await signed_on(covey)

    told = await in_turn(covey, LEDGER, replace(client, new="first quiet heron"), replace(client, new="second heron"))

    assert told == ["won", "password-wrong"]
    assert (await sign_on(covey, who.user_id, "first quiet heron")).status_code == 201


async def test_a_session_that_begins_while_the_password_is_replaced_is_refused(covey: Harness) -> None:
    """Its password was verified before the other was committed."""
    who, client = await signed_on(covey)

    told = await in_turn(covey, ACCOUNT, replace(client), sign_on(covey, who.user_id), id=who.account_id)

    assert told == ["won", "sign-on-refused"]


async def test_an_address_that_is_taken_out_at_the_same_moment_chooses_no_password(covey: Harness) -> None:
    """Both come as far as the account; the address goes first."""
    who, client = await signed_on(covey)
    await ask(client)
    await prove(client, (await letters(covey))[-1][1].token)
    async with covey.client(None) as anybody:
        await anybody.post("/v1/forgotten/password", json={"email": who.email}, headers=command())
        token = (await letters(covey))[-1][1].token
        body = {"email": who.email, "password": who.password}
        drop = client.post("/v1/account/addresses/removal", json=body)
        reset = anybody.post("/v1/forgotten/password/reset", json={"token": token, "password": "nine slow otters"})

        told = await in_turn(covey, ACCOUNT, drop, reset, id=who.account_id)

    assert told == ["won", "mailed-token-not-good"]
    assert (await sign_on(covey, who.user_id)).status_code == 201


async def test_requests_that_wait_for_each_other_do_not_use_up_the_services_own_connections(covey: Harness) -> None:
    """Many guess at an account whose holder changes it: whoever holds a lock must not wait for a connection."""
    who, client = await signed_on(covey)
    await sign_on(covey, who.user_id, "a guess")

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for _ in range(60):
            tasks.create_task(sign_on(covey, who.user_id, "a guess"))
        changing = [tasks.create_task(ask(client, f"new{number}@home.example.org")) for number in range(10)]

    assert {each.result().status_code for each in changing} <= {202, 429}
