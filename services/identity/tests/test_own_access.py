"""What somebody is told of themselves when they sign on: staff, broker, employer, or nobody yet; and for how long."""

from datetime import datetime, timedelta

from covey_chassis.testing import Harness
from sqlalchemy import text

from .accounts import exchange, session_of, somebody
from .story import Person, Story

IDLE = timedelta(minutes=15)
EXPIRE = text(
    "UPDATE access_code SET expires_at = now() - interval '1 second'"
    " WHERE grant_id IN (SELECT id FROM access_grant WHERE email = :email)"
)


async def access_of(person: Person) -> dict[str, object]:
    answer = await person.api.get("/v1/access")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_whoever_has_just_registered_is_nobody_yet(covey: Harness) -> None:
    person = await Story(covey).person("Pat")

    access = await access_of(person)

    assert access["user_id"] == person.user_id
    assert (access["first_name"], access["market_region"], access["language"]) == ("Pat", "California", "en")
    assert (access["staff"], access["firms"], access["has_groups"], access["codes_waiting"]) == ([], [], False, 0)


async def test_a_broker_is_told_the_firms_that_they_belong_to_and_that_they_have_groups(covey: Harness) -> None:
    story = Story(covey)
    await story.group(broker="F-100")
    broker = await story.person("Bo")
    await story.joins(broker, await story.firm("F-100"))

    access = await access_of(broker)

    assert [firm["firm_number"] for firm in access["firms"]] == ["F-100"]  # type: ignore[attr-defined]
    assert access["has_groups"] is True


async def test_the_carriers_staff_are_told_their_rights(covey: Harness) -> None:
    answer = await covey.api.get("/v1/access")

    assert "access.approve" in answer.json()["staff"]


async def test_one_reads_who_gave_one_access_and_since_when(covey: Harness) -> None:
    story = Story(covey)
    group_id = await story.group()
    primary = await story.primary(group_id, "Prim")
    secondary, _ = await story.secondary(primary, group_id)

    of_primary, of_secondary = [
        (await each.api.get(f"/v1/access/groups/{group_id}")).json() for each in (primary, secondary)
    ]

    assert [each["by"] for each in of_primary["given"]] == [None]
    ((given),) = of_secondary["given"]
    assert given["by"].startswith("Prim ")
    assert given["since"] >= of_primary["given"][0]["since"]
    assert [each["given"] for each in (await secondary.api.get("/v1/access/groups")).json()["items"]] == [[given]]


async def test_a_code_waits_until_it_is_entered_replaced_or_expired(covey: Harness) -> None:
    story = Story(covey)
    group_id = await story.group()
    primary = await story.primary(group_id)
    invited = await story.person("Sec")
    assert (await story.add(primary, group_id, invited.email.upper())).status_code == 201
    code = await story.code()

    assert (await access_of(invited))["codes_waiting"] == 1
    assert (await access_of(primary))["codes_waiting"] == 0

    assert (await story.redeem(invited, code)).status_code == 200
    assert (await access_of(invited))["codes_waiting"] == 0


async def test_a_code_that_has_expired_is_said_to_have(covey: Harness) -> None:
    story = Story(covey)
    group_id = await story.group()
    primary = await story.primary(group_id)
    invited = await story.person("Sec")
    await story.add(primary, group_id, invited.email)
    async with covey.context.workers.transaction() as session:
        await session.execute(EXPIRE, {"email": invited.email})

    waiting = await access_of(invited)
    assert (waiting["codes_waiting"], waiting["codes_expired"]) == (0, 1)


async def test_a_token_says_when_its_session_is_over(covey: Harness) -> None:
    session = await session_of(covey, await somebody(covey))
    said = (await exchange(covey, session.token)).json()

    idle_ends_at, expires_at = (datetime.fromisoformat(said[name]) for name in ("idle_ends_at", "expires_at"))
    assert timedelta() < idle_ends_at - covey.context.clock.now() <= IDLE
    assert expires_at > idle_ends_at


async def test_a_token_for_something_in_the_background_does_not_keep_the_session(covey: Harness) -> None:
    session = await session_of(covey, await somebody(covey))
    before = (await exchange(covey, session.token)).json()["idle_ends_at"]

    async with covey.client(None) as anybody:
        bearer = {"Authorization": f"Bearer {session.token}"}
        quiet = await anybody.post("/v1/tokens", params={"in_background": True}, headers=bearer)
    assert quiet.status_code == 200, quiet.text
    assert quiet.json()["idle_ends_at"] == before
    assert (await exchange(covey, session.token)).json()["idle_ends_at"] > before
