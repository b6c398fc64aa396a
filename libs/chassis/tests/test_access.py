"""Rights as a service meets them: declared by each route, verified with each request, streamed while they last."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from covey_chassis.access import By, InSight, Right, StaffRight, public, requires, sees, signed_on, staff
from covey_chassis.access.checking import MANY, Actor, Sight
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.rights import IMPLIED, with_implied
from covey_chassis.access.tokens import AUDIENCE, ISSUER, SKEW_S, SignOnNeeded, SignOnUnverified, Verifier, issue
from covey_chassis.app import create_app
from covey_chassis.clock import Clock
from covey_chassis.http import IdempotencyKey, Session, service_router
from covey_chassis.ids import new_id
from covey_chassis.service import Context, Service
from covey_chassis.testing import Harness
from covey_chassis.testing.broker import eventually
from covey_chassis.testing.streams import heard, served
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, OKPKey
from pydantic import BaseModel
from sqlalchemy import column, table, text

GROUP = UUID("01a20ecd-0000-7000-8000-000000000001")
router = service_router(prefix="/v1")


class Said(BaseModel):
    """What a toy says."""

    said: str


class Body(BaseModel):
    """What a toy is told."""

    n: int


@router.get("/groups/{group_id}", dependencies=[requires()])
async def read_any(group_id: UUID, by: By) -> Said:
    units = by.units()
    return Said(said="all" if units is None else ",".join(sorted(units)))


@router.get("/groups/{group_id}/bill", dependencies=[requires(Right.BILLING_VIEW, or_staff=(StaffRight.OPERATIONS,))])
async def read_bill(group_id: UUID) -> Said:
    return Said(said="the bill")


@router.post("/groups/{group_id}/payment", dependencies=[requires(Right.BILLING_PAY)])
async def pay(group_id: UUID, body: Body, key: IdempotencyKey) -> Said:
    return Said(said=str(body.n))


@router.post("/notes", dependencies=[signed_on()])
async def note(body: Body, by: By, key: IdempotencyKey) -> Said:
    return Said(said=str(by.account_id))


@router.post("/work", dependencies=[staff(StaffRight.OPERATIONS)])
async def work() -> Said:
    return Said(said="done")


@router.get("/groups", dependencies=[sees(Right.BILLING_VIEW, or_staff=(StaffRight.OPERATIONS,))])
async def list_groups(session: Session, sight: InSight) -> list[UUID]:
    facts = table("access_fact", column("group_id"), column("kind"))
    query = (
        facts.select().with_only_columns(facts.c.group_id).where(facts.c.kind == "grant", sight.of(facts.c.group_id))
    )
    return sorted(set(await session.scalars(query)))


@router.get("/open", dependencies=[public("it is a toy")])
async def read_open() -> Said:
    return Said(said="hello")


TOY = Service(name="chassis", summary="A toy with rights.", routers=[router])


@pytest.fixture
async def toy(service_harness) -> AsyncIterator[Harness]:
    async with service_harness(TOY) as harness:
        yield harness


# --- a route says who may use it ---


@pytest.mark.parametrize(
    ("path", "method", "declared", "takes_sight", "refused"),
    [
        ("/v1/x", "GET", [], False, "must say who may use it"),
        ("/v1/x", "GET", [public("a"), signed_on()], False, "must say who may use it"),
        ("/v1/x", "GET", [requires(Right.BILLING_VIEW)], False, "its path names none"),
        ("/v1/x", "GET", [sees(Right.BILLING_VIEW)], False, "must take `sight: InSight`"),
        ("/v1/x", "GET", [signed_on()], True, "must take `sight: InSight`"),
        ("/v1/x", "POST", [sees(Right.BILLING_VIEW)], True, "must name its group"),
        ("/v1/{group_id}", "GET", [requires()], False, None),
        ("/v1/x", "GET", [sees()], True, None),
    ],
)
def test_a_route_that_does_not_say_who_may_use_it_cannot_be_served(path, method, declared, takes_sight, refused):
    async def with_sight(sight: InSight) -> Said:
        return Said(said="x")

    async def without() -> Said:
        return Said(said="x")

    routes = service_router()
    routes.add_api_route(path, with_sight if takes_sight else without, methods=[method], dependencies=declared)
    service = Service(name="chassis", summary="A toy.", routers=[routes])

    if refused is None:
        create_app(service, cast("Context", None))
    else:
        with pytest.raises(ValueError, match=refused):
            create_app(service, cast("Context", None))


def test_the_documentation_says_what_is_refused_to_whom(toy):
    paths = toy.app.openapi()["paths"]
    bill, open_to_all = paths["/v1/groups/{group_id}/bill"]["get"], paths["/v1/open"]["get"]

    assert bill["security"] == [{"HTTPBearer": []}]
    assert "`sign-on-needed`" in bill["responses"]["401"]["description"]
    assert "`not-yours`" in bill["responses"]["403"]["description"]
    assert "`access-unverified`" in bill["responses"]["503"]["description"]
    assert "security" not in open_to_all
    assert "401" not in open_to_all["responses"]


# --- who asks ---


def encoded(key: OKPKey, header: dict[str, Any] | None = None, **claims: Any) -> str:
    now = int(Clock.now().timestamp())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(new_id()), "sid": str(new_id()), "iat": now, "exp": now + 300}
    told = {name: value for name, value in (good | claims).items() if value is not None}
    return jwt.encode({"alg": "Ed25519", "kid": key.kid} | (header or {}), told, key, algorithms=["Ed25519"])


def unsigned(key: OKPKey) -> str:
    payload = encoded(key).split(".")[1]
    nobody = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": key.kid}).encode()).rstrip(b"=").decode()
    return f"{nobody}.{payload}."


def with_the_public_key_as_a_secret(key: OKPKey) -> str:
    secret = OctKey.import_key(json.dumps(key.as_dict(private=False)), {"kid": str(key.kid)})
    payload = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(new_id()), "sid": str(new_id()), "iat": 1, "exp": 1 << 40}
    return jwt.encode({"alg": "HS256", "kid": key.kid}, payload, secret, algorithms=["HS256"])


@pytest.mark.parametrize(
    "make",
    [
        lambda key: encoded(key, exp=int(Clock.now().timestamp()) - SKEW_S - 2),
        lambda key: encoded(key, exp=None),
        lambda key: encoded(key, iss="somebody-else"),
        lambda key: encoded(key, aud="somebody-else"),
        lambda key: encoded(key, sub="nobody"),
        lambda key: encoded(key, sid=None),
        lambda key: encoded(OKPKey.generate_key("Ed25519", {"kid": key.kid})),
        lambda key: encoded(OKPKey.generate_key("Ed25519", {"kid": "another"})),
        lambda key: encoded(key)[:-4] + "AAAA",
        unsigned,
        with_the_public_key_as_a_secret,
        lambda _: "not a token",
        lambda _: "a.b.c",
        lambda _: "",
        lambda _: base64.urlsafe_b64encode(b"[" * 1000).decode() + ".x.y",
        lambda _: "x" * 100_000,
    ],
    ids=range(16),
)
async def test_a_token_that_is_not_good_is_refused(toy, make):
    answer = await toy.client(None).post(
        "/v1/notes", json={"n": 1}, headers={"Authorization": f"Bearer {make(toy.key)}", "Idempotency-Key": "a"}
    )

    assert (answer.status_code, answer.json()["code"]) == (401, "sign-on-needed")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_whoever_is_not_signed_on_learns_nothing_of_what_a_route_reads(toy):
    answer = await toy.client(None).post("/v1/notes", content=b"{", headers={"Content-Type": "text/csv"})

    assert answer.status_code == 401


async def test_keys_are_asked_for_again_when_a_token_names_one_that_is_not_known_but_not_all_the_time(monkeypatch):
    old, new = (OKPKey.generate_key("Ed25519", {"kid": kid}) for kid in ("old", "new"))
    published, asked = [old], []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json=KeySet(list(published)).as_dict(private=False))

    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: client(transport=httpx.MockTransport(answer)))
    verifier = Verifier(keys_url="http://owner.test/.well-known/jwks.json")

    def token(key: OKPKey) -> str:
        return f"Bearer {issue(key, new_id(), new_id(), now=int(Clock.now().timestamp()))}"

    await verifier.verify(token(old))
    published.append(new)
    with pytest.raises(Exception, match="Sign on"):
        await verifier.verify(token(new))
    assert len(asked) == 1, "it had just asked"
    verifier._tried = float("-inf")  # a moment has passed
    await verifier.verify(token(new))
    await verifier.verify(token(old))
    assert len(asked) == 2

    published.remove(old)
    verifier._tried = verifier._asked = float("-inf")  # some minutes have passed

    async def refused() -> bool:
        try:
            await verifier.verify(token(old))  # the keys are had anew meanwhile: nobody waits for it
        except SignOnNeeded:
            return True
        return False

    await eventually(refused, within_s=10)


async def test_whoever_cannot_be_verified_for_now_is_not_told_to_sign_on_again(monkeypatch):
    client = httpx.AsyncClient
    away = httpx.MockTransport(lambda _: httpx.Response(503))
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: client(transport=away))
    key = OKPKey.generate_key("Ed25519", {"kid": "tokens-1"})
    verifier = Verifier(keys_url="http://owner.test/.well-known/jwks.json")

    with pytest.raises(SignOnUnverified):
        await verifier.verify(f"Bearer {issue(key, new_id(), new_id(), now=int(Clock.now().timestamp()))}")


# --- what they may do ---


def test_to_act_implies_to_view():
    assert set(IMPLIED) == {right for right in Right if right.value.split(".")[1] not in ("view", "manage")} - {
        Right.GROUP_UPDATE
    }
    assert with_implied([Right.BILLING_PAY]) == {Right.BILLING_PAY, Right.BILLING_VIEW}


@pytest.mark.parametrize(
    ("rights", "units", "any_right", "bill", "payment"),
    [
        ([], None, 403, 403, 403),
        ([Right.MEMBERS_VIEW], None, 200, 403, 403),
        ([Right.BILLING_VIEW], None, 200, 200, 403),
        ([Right.BILLING_VIEW], ("001",), 200, 200, 403),
        ([Right.BILLING_PAY, Right.BILLING_VIEW], ("001",), 200, 200, 403),
        ([Right.BILLING_PAY, Right.BILLING_VIEW], None, 200, 200, 200),
    ],
)
async def test_acting_takes_the_right_in_the_whole_group_and_reading_in_one_unit(
    toy, rights, units, any_right, bill, payment
):
    account = new_id()
    held = {"group_id": GROUP, "account_id": account, "rights": tuple(rights), "billing_units": units}
    await toy.know(Fact(kind=FactKind.GRANT, id=new_id(), active=bool(rights), **held))
    api = toy.client(account)

    answers = [
        await api.get(f"/v1/groups/{GROUP}"),
        await api.get(f"/v1/groups/{GROUP}/bill"),
        await api.post(f"/v1/groups/{GROUP}/payment", json={"n": 1}, headers={"Idempotency-Key": "a"}),
    ]

    assert [answer.status_code for answer in answers] == [any_right, bill, payment]
    assert (await api.get(f"/v1/groups/{new_id()}")).status_code == 403


async def test_rights_through_a_firm_add_up_and_an_exclusion_takes_them_away(toy):
    account, firm = new_id(), new_id()
    member = Fact(kind=FactKind.MEMBERSHIP, id=new_id(), account_id=account, firm_id=firm, active=True)
    given = {"group_id": GROUP, "firm_id": firm, "active": True}
    await toy.know(
        member,
        Fact(kind=FactKind.APPOINTMENT, id=new_id(), rights=("renewals.view",), **given),
        Fact(kind=FactKind.GRANT, id=new_id(), rights=("billing.view",), billing_units=("002",), **given),
    )
    api = toy.client(account)
    assert (await api.get(f"/v1/groups/{GROUP}/bill")).status_code == 200
    assert (await api.get(f"/v1/groups/{GROUP}")).json()["said"] == "all"

    exclusion = Fact(kind=FactKind.EXCLUSION, id=new_id(), group_id=GROUP, account_id=account, active=True)
    await toy.know(exclusion)
    assert (await api.get(f"/v1/groups/{GROUP}/bill")).status_code == 403
    await toy.know(exclusion.model_copy(update={"active": False}), member.model_copy(update={"active": False}))
    assert (await api.get(f"/v1/groups/{GROUP}/bill")).status_code == 403


async def test_a_list_shows_what_one_sees_and_staff_see_everything(toy):
    one, other = await toy.person({GROUP: [Right.BILLING_VIEW]}), await toy.person({new_id(): [Right.MEMBERS_VIEW]})

    assert (await one.get("/v1/groups")).json() == [str(GROUP)]
    assert (await other.get("/v1/groups")).json() == []
    assert len((await toy.api.get("/v1/groups")).json()) == 2


@pytest.mark.parametrize("groups", [MANY - 1, MANY], ids=["few", "many"])
async def test_whoever_has_many_groups_sees_these_and_no_others(toy, groups):
    """The queries are other ones then."""
    theirs = {new_id(): [Right.BILLING_VIEW] for _ in range(groups - 1)}
    one = await toy.person(theirs | {GROUP: [Right.MEMBERS_VIEW]})
    await toy.person({new_id(): [Right.BILLING_VIEW]})

    assert (await one.get("/v1/groups")).json() == sorted(map(str, theirs))


@pytest.mark.parametrize("many", [False, True])
def test_of_many_groups_each_rows_group_is_looked_up_among_them(many):
    actor = Actor(account_id=new_id(), session_id=None, staff=frozenset(), in_many_groups=many)

    query = str(Sight(actor, (Right.BILLING_VIEW,), everything=False).of(column("group_id")))

    assert query.startswith("CASE WHEN") is many


async def test_staff_do_what_their_own_rights_allow(toy):
    right, wrong = await toy.staff_member(StaffRight.OPERATIONS), await toy.staff_member(StaffRight.CATALOGUE_MANAGE)

    assert [(await api.post("/v1/work")).status_code for api in (right, wrong)] == [200, 403]


async def test_an_ended_session_and_a_locked_account_are_refused(toy):
    account, session_id, other_session = new_id(), new_id(), new_id()
    await toy.know(Fact(kind=FactKind.SESSION, id=session_id, account_id=account, active=False))
    headers = {"Idempotency-Key": "a"}

    ended = await toy.client(account, session_id).post("/v1/notes", json={"n": 1}, headers=headers)
    going_on = await toy.client(account, other_session).post("/v1/notes", json={"n": 1}, headers=headers)
    await toy.know(Fact(kind=FactKind.ACCOUNT, id=account, account_id=account, active=False))
    locked = await toy.client(account, other_session).post("/v1/notes", json={"n": 1}, headers=headers)

    assert (ended.status_code, going_on.status_code) == (401, 200)
    assert (locked.status_code, locked.json()["code"]) == (403, "account-locked")


async def test_two_people_may_choose_the_same_idempotency_key(toy):
    answers = [
        await toy.client(account).post("/v1/notes", json={"n": 1}, headers={"Idempotency-Key": "the same"})
        for account in (new_id(), new_id())
    ]

    assert answers[0].json() != answers[1].json()


async def test_without_a_lease_nothing_is_answered_but_what_is_public(toy):
    api = await toy.person({GROUP: [Right.BILLING_VIEW]})
    async with toy.transaction() as session:
        await session.execute(text("UPDATE access_applier SET authority = false"))

    answer = await api.get(f"/v1/groups/{GROUP}/bill")

    assert (answer.status_code, answer.json()["code"]) == (503, "access-unverified")
    assert int(answer.headers["Retry-After"]) >= 1
    assert (await api.get("/v1/open")).status_code == 200


# --- live ---


EVENTS = f"/v1/groups/{GROUP}/access/events"


async def test_a_stream_says_what_one_may_do_and_ends_when_that_is_nothing(toy):
    account, grant = new_id(), new_id()
    held = {"kind": FactKind.GRANT, "id": grant, "group_id": GROUP, "account_id": account, "active": True}
    await toy.know(Fact(rights=("billing.view",), **held))
    said = []

    async with served(toy) as connecting:
        async for each in heard(connecting(toy.client(account)), EVENTS):
            said.append((each.name, each.data.get("code") or [held["rights"] for held in each.data["held"]]))
            if len(said) == 1:
                await toy.know(Fact(rights=("billing.pay", "billing.view"), **held))
            elif len(said) == 2:
                await toy.know(Fact(**held | {"active": False}))

    assert said == [
        ("access", [["billing.view"]]),
        ("access", [["billing.pay", "billing.view"]]),
        ("ended", "not-yours"),
    ]


async def test_a_stream_ends_with_the_lease_and_with_the_process(toy):
    async with served(toy) as connecting:
        api = connecting(await toy.person({GROUP: [Right.BILLING_VIEW]}))
        said = []
        async for each in heard(api, EVENTS):
            said.append((each.name, each.data.get("code")))
            async with toy.transaction() as session:
                await session.execute(text("UPDATE access_applier SET authority = false"))
        assert said == [("access", None), ("ended", "access-unverified")]

        async with toy.transaction() as session:
            await session.execute(text("UPDATE access_applier SET authority = true"))
        said = []
        async for each in heard(api, EVENTS):
            said.append(each.name)
            toy.context.stopping.set()
        assert said == ["access"]


async def test_nobody_listens_to_a_group_that_is_not_theirs(toy):
    stranger = await toy.person({uuid4(): [Right.BILLING_VIEW]})

    assert (await stranger.get(EVENTS)).status_code == 403
