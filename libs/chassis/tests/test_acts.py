"""Acts: who did what, or was refused, is told once, with IDs alone."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from covey_chassis.access import By, Right, StaffRight, public, requires, see_all_groups, signed_on, staff
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.acts import ALIKE_A_MINUTE, REFUSALS_A_MINUTE, published_as, shows_sensitive, tells_of
from covey_chassis.clock import Clock
from covey_chassis.errors import Refusal
from covey_chassis.http import IdempotencyKey, Session, service_router
from covey_chassis.ids import new_id
from covey_chassis.service import Service
from covey_chassis.testing import Harness, ServiceHarness, armed
from covey_contracts.acts import Origin
from covey_contracts.membership import MembershipActRecorded
from sqlalchemy import text

OURS, THEIRS, NOTE = new_id(), new_id(), new_id()
router = service_router(prefix="/v1")
CHANGING = requires(Right.GROUP_UPDATE, or_staff=(StaffRight.OPERATIONS,))


class NotToday(Refusal):
    """Not today."""


class NotThatOne(Refusal):
    """Not that one."""

    status = 403


@router.post("/groups/{group_id}/notes/{note_id}", dependencies=[CHANGING])
async def write_note(group_id: UUID, note_id: UUID, session: Session, key: IdempotencyKey, said: str = "") -> str:
    await session.execute(text("SELECT 1"))
    if said == "not today":
        raise NotToday
    if said == "not that one":
        raise NotThatOne
    return "written"


@router.get("/groups/{group_id}/notes/{note_id}", dependencies=[CHANGING])
async def read_note(group_id: UUID, note_id: UUID, session: Session, whole: bool = False) -> str:
    if whole:
        shows_sensitive(session, letter=NOTE)
    return "read"


@router.post("/letters/{name}", dependencies=[staff(StaffRight.OPERATIONS)])
async def send_letter(name: str, by: By, session: Session) -> str:
    await see_all_groups(session)
    tells_of(session, group_id=OURS)
    return "sent"


@router.post("/wishes", dependencies=[signed_on()])
async def wish(session: Session) -> str:
    return "wished"


@router.post("/weather", dependencies=[public("it is a toy")])
async def change_weather(session: Session) -> str:
    return "rain"


TOY = Service(name="chassis", summary="A toy with acts.", routers=[router], acts=published_as(MembershipActRecorded))
NOTES = f"/v1/groups/{OURS}/notes/{NOTE}"


@pytest.fixture
async def toy(service_harness: ServiceHarness) -> AsyncIterator[Harness]:
    async with service_harness(TOY) as harness:
        yield harness


@pytest.fixture
async def user(toy: Harness) -> httpx.AsyncClient:
    return await toy.person({OURS: [Right.GROUP_UPDATE]})


def key() -> dict[str, str]:
    return {"Idempotency-Key": str(new_id())}


async def hold(toy: Harness, group_id: UUID) -> UUID:
    """Somebody who may change what is in this group; their account."""
    account_id = new_id()
    await toy.know(
        Fact(
            kind=FactKind.GRANT,
            id=new_id(),
            group_id=group_id,
            account_id=account_id,
            rights=(Right.GROUP_UPDATE,),
            active=True,
        )
    )
    return account_id


async def acts(toy: Harness) -> list[dict[str, Any]]:
    return [each.event.model_dump(mode="json") for each in await toy.published(MembershipActRecorded)]


async def test_a_command_is_told_with_who_what_where_and_from_where(toy: Harness) -> None:
    account_id, session_id = await hold(toy, OURS), new_id()
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    before = Clock.now()

    answer = await toy.client(account_id, session_id).post(NOTES, headers=key() | {"traceparent": trace})

    (told,) = await toy.published(MembershipActRecorded)
    event = told.event.model_dump(mode="json")
    assert event | {"act_id": None, "sealed": None} == {
        "act_id": None,
        "act": "write_note",
        "outcome": "done",
        "authority": "grant",
        "account_id": str(account_id),
        "session_id": str(session_id),
        "group_id": str(OURS),
        "about": {"note_id": str(NOTE)},
        "why": None,
        "sealed": None,
    }
    assert toy.context.keyring.open(event["sealed"], Origin).address == "127.0.0.1"
    assert (told.key, told.sequence) == (event["act_id"], None)
    assert told.correlation_id == answer.headers["X-Correlation-ID"]
    async with toy.transaction() as session:
        at, traceparent = (await session.execute(text("SELECT occurred_at, traceparent FROM outbox"))).one()
    assert before <= at <= Clock.now()
    assert traceparent.split("-")[1] == "ab" * 16


async def test_nothing_that_was_typed_is_in_it(toy: Harness) -> None:
    await toy.api.post("/v1/letters/a-persons-name?said=123-45-6789", headers={"X-Said": "secret"})

    (told,) = await acts(toy)
    assert told["about"] == {}
    assert not re.search("persons|6789|secret", str(told))


async def test_a_command_that_is_repeated_is_one_act(toy: Harness, user: httpx.AsyncClient) -> None:
    same = key()

    for _ in range(2):
        assert (await user.post(NOTES, headers=same)).is_success

    assert len(await acts(toy)) == 1


async def test_what_is_not_done_is_no_act(toy: Harness, user: httpx.AsyncClient) -> None:
    assert (await user.post(NOTES, params={"said": "not today"}, headers=key())).status_code == 409
    assert (await user.post(NOTES)).status_code == 400
    with armed("command.before_commit:raise"):
        assert (await user.post(NOTES, headers=key())).status_code >= 500

    assert await acts(toy) == []


async def test_a_look_is_an_act_only_when_what_is_shown_is_sensitive(toy: Harness, user: httpx.AsyncClient) -> None:
    await user.get(NOTES)
    assert await acts(toy) == []

    await user.get(NOTES, params={"whole": True})

    (told,) = await acts(toy)
    assert (told["act"], told["outcome"]) == ("read_note", "done")
    assert told["about"] == {"note_id": str(NOTE), "letter": str(NOTE)}


async def test_by_what_right_it_was_done_is_told(toy: Harness, user: httpx.AsyncClient) -> None:
    await user.post(NOTES, headers=key())
    await toy.api.post(NOTES, headers=key())
    await user.post("/v1/wishes")

    assert [each["authority"] for each in await acts(toy)] == ["grant", "staff", "none"]


async def test_which_group_it_was_about_may_show_only_later(toy: Harness) -> None:
    await toy.api.post("/v1/letters/monday")

    (told,) = await acts(toy)
    assert told["group_id"] == str(OURS)


async def test_who_is_refused_for_want_of_a_right_is_told_and_nothing_else_of_it_is_left(toy: Harness) -> None:
    stranger = await hold(toy, THEIRS)

    refused = await toy.client(stranger).post(NOTES, headers=key())

    assert refused.status_code == 403
    (told,) = await acts(toy)
    assert (told["act"], told["outcome"], told["authority"]) == ("write_note", "refused", "none")
    assert (told["why"], told["group_id"], told["about"]) == ("not-yours", str(OURS), {"note_id": str(NOTE)})
    assert told["account_id"] == str(stranger)


async def test_a_look_that_is_refused_is_told_too(toy: Harness) -> None:
    stranger = await toy.person()

    assert (await stranger.get(NOTES)).status_code == 403

    assert [each["act"] for each in await acts(toy)] == ["read_note"]


async def test_whoever_is_not_signed_on_is_nobody_to_tell_of(toy: Harness) -> None:
    await toy.client(None).post("/v1/weather")
    assert (await toy.client(None).post(NOTES, headers=key())).status_code == 401

    assert await acts(toy) == []


async def test_a_right_that_the_domain_finds_missing_is_told_too(toy: Harness, user: httpx.AsyncClient) -> None:
    assert (await user.post(NOTES, params={"said": "not that one"}, headers=key())).status_code == 403

    (told,) = await acts(toy)
    assert (told["outcome"], told["why"]) == ("refused", "not-that-one")


async def test_nobody_fills_the_audit_with_refusals_and_the_log_has_them(
    toy: Harness, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    noon = Clock.now()
    monkeypatch.setattr(Clock, "now", staticmethod(lambda: noon))
    stranger, other = await toy.person(), await toy.person()

    for _ in range(ALIKE_A_MINUTE + 2):
        assert (await stranger.get(NOTES)).status_code == 403
    assert (await stranger.get(f"/v1/groups/{THEIRS}/notes/{NOTE}")).status_code == 403
    assert (await other.get(NOTES)).status_code == 403

    groups = Counter(each["group_id"] for each in await acts(toy))
    assert groups == {str(OURS): ALIKE_A_MINUTE + 1, str(THEIRS): 1}
    dropped = [line for line in logged().splitlines() if "act.one_too_many" in line]
    assert len(dropped) == 2
    assert str(OURS) in dropped[0]


async def test_somebody_who_tries_everywhere_is_told_of_so_often(toy: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = Clock.now()
    monkeypatch.setattr(Clock, "now", staticmethod(lambda: noon))
    stranger = await toy.person()

    for _ in range(REFUSALS_A_MINUTE + 5):
        await stranger.get(f"/v1/groups/{new_id()}/notes/{NOTE}")
    assert len(await acts(toy)) == REFUSALS_A_MINUTE

    monkeypatch.setattr(Clock, "now", staticmethod(lambda: noon + timedelta(minutes=1)))
    await stranger.get(NOTES)
    assert len(await acts(toy)) == REFUSALS_A_MINUTE + 1


async def test_a_refusal_that_cannot_be_written_down_is_a_refusal_and_an_error_in_the_log(
    toy: Harness, logged: Callable[[], str]
) -> None:
    stranger = await toy.person()
    async with toy.as_owner() as session:
        await session.execute(text("ALTER TABLE outbox RENAME TO outbox_away"))

    assert (await stranger.get(NOTES)).status_code == 403

    assert "act.not_written" in logged()


async def test_an_address_is_sealed_once_an_hour(toy: Harness, user: httpx.AsyncClient) -> None:
    for _ in range(2):
        await user.post(NOTES, headers=key())

    first, second = await acts(toy)
    assert first["sealed"] == second["sealed"]
    assert first["act_id"] != second["act_id"]
