"""What an upgrade makes of what was there before."""

from importlib import import_module

from covey_chassis.testing import Harness
from covey_local.databases import connected

from .accounts import run
from .story import Story
from .test_own_account import EMAIL, OTHER, with_two_addresses

CODES = "ottoline@codes.example.org"


async def test_addresses_from_before_recover_an_account_but_for_those_of_codes(covey: Harness) -> None:
    story = Story(covey)
    group = await story.group()
    primary = await story.primary(group)
    _, client = await with_two_addresses(covey)
    await story.add(primary, group, CODES)
    entered = await client.post(
        "/v1/access-codes/redemption",
        json={"code": await story.code()},
        headers={"Idempotency-Key": "entered", "Prefer": "wait=0"},
    )
    assert entered.status_code == 200
    await run(
        covey,
        "UPDATE account_address SET verified_at = verified_at - interval '1 hour' WHERE email = :email",
        email=CODES,
    )
    owner = covey.context.settings.owner_database_url
    assert owner is not None

    async with connected(owner.get_secret_value()) as database:
        await database.execute("ALTER TABLE account_address DROP COLUMN recovers")
        await database.execute(import_module("covey_identity.migrations.versions.0013_what_recovers_accounts").TABLES)
        found = await database.fetch("SELECT email, recovers FROM account_address WHERE email LIKE 'ottoline@%'")

    assert {row["email"]: row["recovers"] for row in found} == {EMAIL: True, OTHER: True, CODES: False}
