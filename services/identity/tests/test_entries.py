"""What people do with their accounts, and officers, staff and programs, is one entry each, done or refused (R-12)."""

from collections.abc import Awaitable, Callable

import pytest
from covey_chassis.testing import Harness

from .accounts import PASSWORD, command, run, somebody, verify
from .story import Story
from .test_access_requests import decline
from .test_forgotten import ask as forget
from .test_forgotten import reset, token_for
from .test_own_account import EMAIL, OTHER, change, prove, signed_on, with_two_addresses
from .test_programs import make
from .test_programs import sign_on as program_signs_on
from .test_second_factor import FACTOR, challenge_for, finish, shown, with_factor

NO_TOKEN = "x" * 43


async def registers(covey: Harness) -> None:
    await verify(covey, NO_TOKEN)
    await somebody(covey)


async def signs_on_by_a_recovery_code(covey: Harness) -> None:
    who, _, _, codes = await with_factor(covey)
    challenge = await challenge_for(covey, who)
    await finish(covey, challenge, "000000")
    await finish(covey, challenge, codes[0])


async def renews_recovery_codes(covey: Harness) -> None:
    _, client, secret, _ = await with_factor(covey)
    for code in ("000000", shown(secret)):
        await client.post(f"{FACTOR}/recovery-codes", json={"password": PASSWORD, "code": code})


async def staff_take_a_second_factor(covey: Harness) -> None:
    who, *_ = await with_factor(covey)
    await covey.api.post(f"/v1/accounts/{who.account_id}/second-factor/removal", headers=command())


async def has_another_address(covey: Harness) -> None:
    _, client = await with_two_addresses(covey)
    await prove(client, NO_TOKEN)
    await client.put("/v1/account/addresses/main", json={"email": EMAIL, "password": PASSWORD})
    await client.post("/v1/account/addresses/removal", json={"email": OTHER, "password": PASSWORD})


async def changes_their_name(covey: Harness) -> None:
    _, client = await signed_on(covey)
    await change(client, first_name="Otti")


async def has_forgotten_everything(covey: Harness) -> None:
    await somebody(covey)
    await forget(covey, "user-id")
    await reset(covey, NO_TOKEN)
    await reset(covey, await token_for(covey))


async def asks_for_access_and_is_declined(covey: Harness) -> None:
    story = Story(covey)
    await decline(story, await story.request(await story.group(), "prim@people.example"))


async def a_program_signs_on(covey: Harness) -> None:
    made = await make(covey)
    for secret in (NO_TOKEN, made["client_secret"]):
        await program_signs_on(covey, made["client_id"], secret)


STORIES: list[tuple[Callable[[Harness], Awaitable[None]], list[str]]] = [
    (registers, ["account.registered refused", "account.registered done"]),
    (signs_on_by_a_recovery_code, ["sign-on.second-factor refused", "recovery-code.used done"]),
    (renews_recovery_codes, ["recovery-codes.renewed refused", "recovery-codes.renewed done"]),
    (staff_take_a_second_factor, ["second-factor.taken done"]),
    (
        has_another_address,
        [
            *("address.asked-for done", "address.proven done", "address.proven refused"),
            *("address.chosen done", "address.dropped done"),
        ],
    ),
    (changes_their_name, ["account.changed done"]),
    (
        has_forgotten_everything,
        ["user-id.asked-for done", "password.reset refused", "password.asked-for done", "password.reset done"],
    ),
    (asks_for_access_and_is_declined, ["request.submitted done", "request.declined done"]),
    (a_program_signs_on, ["program.created done", "program.signed-on refused", "program.signed-on done"]),
]


@pytest.mark.parametrize(("story", "expected"), STORIES, ids=[each.__name__ for each, _ in STORIES])
async def test_each_act_is_one_entry(
    covey: Harness, story: Callable[[Harness], Awaitable[None]], expected: list[str]
) -> None:
    await story(covey)

    acts = sorted({each.split()[0] for each in expected})
    found = await run(covey, "SELECT act, outcome FROM audit_entry WHERE act = ANY(:acts) ORDER BY id", acts=acts)
    assert [f"{act} {outcome}" for act, outcome in found] == expected
