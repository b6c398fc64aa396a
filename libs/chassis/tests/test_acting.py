"""Records that act for accounts: signed commands, each alone in a transaction of the request role."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import asyncpg
import pytest
from covey_chassis import parking
from covey_chassis.access import (
    AccessUnverified,
    AccountLocked,
    Actor,
    KeyNotRegistered,
    Right,
    StaffRight,
    check_signed,
)
from covey_chassis.access.facts import Fact, FactKind
from covey_chassis.access.signing import (
    LENGTH_MAX,
    KeyNotGood,
    PrivateKeyShown,
    SignatureNotGood,
    key_id,
    public_jwk,
    public_key,
    read_signed,
)
from covey_chassis.consumer import Consumer
from covey_chassis.envelope import IDENTITY_BYTES_MAX, Envelope
from covey_chassis.errors import Refusal
from covey_chassis.ids import new_id
from covey_chassis.running import Running
from covey_chassis.service import Service
from covey_chassis.settings import KafkaSettings, Role
from covey_chassis.testing import Harness, ServiceHarness
from covey_chassis.testing.broker import eventually, headers, new_topic, producing
from covey_chassis.testing.signing import new_key, sign
from covey_contracts import Event, Topic
from joserfc.jwk import ECKey, OKPKey
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

AUDIENCE = "covey-chassis"
GROUP = UUID("01a20ecd-0000-7000-8000-000000000001")
KEY = new_key()


class Told(Event):
    """A toy is told to show a face."""

    topic: ClassVar[Topic] = Topic(name="covey.toy.told.v1", aggregate="toy", key="toy", owner="chassis")

    toy: str
    signed: str
    number: UUID | None = None


@dataclass
class Toys:
    """A service whose toys do what programs tell them, unless the test wants otherwise."""

    topic: str = Told.topic.name
    acting: bool = True
    crashing: bool = False
    roles: list[str] = field(default_factory=list)
    """The database role of each call of the handler."""
    causes: list[tuple[str, str | None]] = field(default_factory=list)
    """The conversation of each, and what is said to have set it off."""
    service: Service = field(init=False)
    harness: Harness = field(init=False)
    account_id: UUID = field(default_factory=new_id)

    def __post_init__(self) -> None:
        class OnTopic(Told):
            topic: ClassVar[Topic]

        OnTopic.topic = Topic(name=self.topic, aggregate="toy", key="toy", owner="chassis", sequenced=False)
        self.kind = OnTopic
        self.consumer = Consumer("chassis.told", since="beginning", acting=self.acting)
        self.consumer.on(OnTopic)(self.on_told)
        self.service = Service("chassis", "A toy that is told what to do.", consumers=[self.consumer])

    async def on_told(self, session: AsyncSession, event: Told, envelope: Envelope) -> None:
        self.roles.append(str(await session.scalar(text("SELECT current_user"))))
        self.causes.append((envelope.correlation_id, envelope.causation_id))
        signed = read_signed(event.signed, audience=AUDIENCE)
        actor = await check_signed(session, signed, GROUP)
        await session.execute(
            text("INSERT INTO effect (toy, face, account_id) VALUES (:toy, :face, :account_id)"),
            {"toy": event.toy, "face": signed.claims["face"], "account_id": actor.account_id},
        )
        if self.crashing:
            raise ZeroDivisionError

    # --- what is told, and what comes of it ---

    def told(self, face: int, toy: str = "bear", **claims: Any) -> Told:
        return self.kind(toy=toy, signed=sign(KEY, self.account_id, audience=AUDIENCE, face=face, **claims))

    async def know(self, *facts: Fact) -> None:
        await self.harness.know(*facts)

    def key(self, *, active: bool = True, **different: Any) -> Fact:
        told = {"kind": FactKind.KEY, "id": key_id(KEY), "account_id": self.account_id, "active": active}
        return Fact(**told | different)

    async def lease(self, *, there: bool) -> None:
        await self.execute("UPDATE access_applier SET authority = :there", there=there)

    async def effects(self, toy: str = "bear") -> list[int]:
        return [row.face for row in await self.execute("SELECT face FROM effect WHERE toy = :toy ORDER BY id", toy=toy)]

    async def count(self, table: str) -> int:
        return int((await self.execute(f"SELECT count(*) AS rows FROM {table}"))[0].rows)

    async def execute(self, statement: str, **parameters: Any) -> Any:
        async with self.harness.transaction() as session:
            found = await session.execute(text(statement), parameters)
            return found.all() if found.returns_rows else None

    @property
    def request_role(self) -> str:
        return str(make_url(self.harness.context.settings.database_url.get_secret_value()).username)


@pytest.fixture
async def use(service_harness: ServiceHarness) -> AsyncIterator[Callable[..., Any]]:
    """``await use(Toys())``: with a database of their own, in which the program's key is registered."""
    opened = []

    async def fresh(toys: Toys, **settings: Any) -> Toys:
        harness = service_harness(toys.service, **settings)
        toys.harness = await harness.__aenter__()
        opened.append(harness)
        owner = toys.harness.context.settings.owner_database_url
        assert owner is not None
        connection = await asyncpg.connect(owner.get_secret_value())
        await connection.execute(
            "CREATE TABLE effect (id bigint GENERATED ALWAYS AS IDENTITY, toy text, face int, account_id uuid)"
        )
        await connection.close()
        await toys.know(toys.key())
        return toys

    yield fresh
    for each in opened:
        await each.__aexit__(None, None, None)


@pytest.fixture
async def toys(use) -> Toys:
    return await use(Toys())


# --- each command alone, in the request role ---


async def test_a_command_that_comes_twice_is_done_once_in_the_request_role(toys):
    await toys.harness.deliver_twice(toys.told(1))

    assert await toys.effects() == [1]
    assert toys.roles == [toys.request_role]
    assert "request" in toys.request_role


def test_an_acting_consumer_has_one_record_at_a_time_whatever_is_asked_for():
    assert Consumer("chassis.told", since="now", records_at_once=50, acting=True).records_at_once == 1
    assert Consumer("chassis.told", since="now", records_at_once=50).records_at_once == 50


async def test_without_a_lease_a_command_waits_and_parks_nothing(toys):
    await toys.lease(there=False)

    with pytest.raises(AccessUnverified):
        await toys.harness.deliver(toys.told(1), event_id="one")
    waiting = await toys.effects(), await toys.count("parked_key"), await toys.count("inbox")
    await toys.lease(there=True)
    await toys.harness.deliver(toys.told(1), event_id="one")

    assert waiting == ([], 0, 0)
    assert await toys.effects() == [1]


@pytest.mark.parametrize(
    "value",
    [
        b'{"toy": "bear"}',
        b'{"toy": ["bear"], "signed": ""}',
        b'{"toy": "bear", "signed": "", "number": "\\u0000"}',
        b"{oops",
        b"[]",
        b"",
        None,
        b"\xff",
    ],
    ids=range(8),
)
async def test_what_is_no_command_is_put_aside_as_it_came_and_the_keys_next_command_is_done(toys, value):
    await toys.harness.deliver_record(toys.topic, value, headers(toys.topic, "bear"), "bear")
    await toys.harness.deliver(toys.told(2))

    assert await toys.effects() == [2]
    assert await toys.count("parked_key") == 0
    assert [row.payload for row in await toys.execute("SELECT payload FROM dead_letter")] == [value]


async def test_what_the_model_refuses_is_told_of_without_its_values(toys):
    await toys.harness.deliver_record(
        toys.topic, b'{"toy": {"said": "canary"}, "signed": "x"}', headers(toys.topic, "bear"), "bear"
    )

    ((error,),) = await toys.execute("SELECT error FROM dead_letter")
    assert error.startswith("the value is refused: toy: ")
    assert "canary" not in error


async def test_a_conversation_that_is_called_by_a_very_long_name_is_called_by_its_command(toys):
    told, name = toys.told(1), b"x" * (IDENTITY_BYTES_MAX + 1)
    envelope = [*headers(toys.topic, "bear", event_id="one"), ("ce_correlationid", name), ("ce_causationid", name)]

    await toys.harness.deliver_record(toys.topic, told.model_dump_json().encode(), envelope, "bear")

    assert toys.causes == [("one", None)]


async def test_a_crash_parks_the_key_and_leaves_no_trace(toys):
    toys.crashing = True
    await toys.harness.deliver(toys.told(1))
    toys.crashing = False
    await toys.harness.deliver(toys.told(2))
    await toys.harness.deliver(toys.told(3, toy="duck"))

    assert (await toys.effects(), await toys.effects("duck")) == ([], [3])
    assert [(each.key, each.error[:17]) for each in await toys.harness.parked()] == [("bear", "ZeroDivisionError")]


async def test_a_retry_without_a_lease_is_no_try(toys):
    toys.crashing = True
    await toys.harness.deliver(toys.told(1))
    toys.crashing = False
    await toys.lease(there=False)

    async def retry() -> None:
        await toys.execute("UPDATE parked_key SET next_at = now()")
        database = toys.harness.context.database_of(toys.consumer)
        assert await parking.retry_one(database, {toys.consumer.name: toys.consumer})

    for _ in range(parking.ATTEMPTS_MAX + 1):
        await retry()
    ((attempts, state),) = await toys.execute("SELECT attempts, state FROM parked_key")
    await toys.lease(there=True)
    await retry()

    assert (attempts, state) == (1, "waiting")
    assert await toys.effects() == [1]
    assert set(toys.roles) == {toys.request_role}


async def test_a_handler_of_an_ordinary_consumer_cannot_act_for_an_account(use):
    toys = await use(Toys(acting=False))

    await toys.harness.deliver(toys.told(1))

    (parked,) = await toys.harness.parked()
    assert parked.error.startswith("RuntimeError: nothing is done for an account")
    assert await toys.effects() == []
    assert toys.request_role not in toys.roles


# --- on Kafka ---


async def test_on_kafka_a_command_waits_for_the_lease_and_a_crashed_one_is_retried_in_the_request_role(
    use, kafka: KafkaSettings, sealing_keys: Path
):
    toys = await use(Toys(topic=await new_topic(kafka, partitions=1)))
    settings = toys.harness.context.settings.model_copy(
        update={
            "kafka": kafka,
            "roles": frozenset({Role.CONSUMERS, Role.WORKERS}),
        }
    )

    async def send(*told: Told) -> None:
        async with producing(kafka) as producer:
            for each in told:
                value, key = each.model_dump_json().encode(), each.toy.encode()
                await producer.send_and_wait(toys.topic, value, key=key, headers=headers(toys.topic, each.toy))

    async def tried_again() -> bool:
        return len(toys.roles) >= 3

    async def parked() -> bool:
        return await toys.count("parked_key") == 1

    async def done(*faces: int) -> None:
        async def are() -> bool:
            return await toys.effects() == list(faces)

        await eventually(are)

    await toys.lease(there=False)
    async with Running(toys.service, settings).lifespan():
        await send(toys.told(1), toys.told(2))
        await eventually(tried_again)
        assert await toys.effects() == []
        assert await toys.count("parked_key") == 0
        await toys.lease(there=True)
        await done(1, 2)

        toys.crashing = True
        await send(toys.told(3), toys.told(4))
        await eventually(parked)
        toys.crashing = False
        await done(1, 2, 3, 4)

    assert set(toys.roles) == {toys.request_role}


# --- who has signed, and what they may do ---


async def checked(toys: Toys, key: OKPKey = KEY, account_id: UUID | None = None) -> Actor | type[Refusal]:
    signed = read_signed(sign(key, account_id or toys.account_id, audience=AUDIENCE), audience=AUDIENCE)
    try:
        async with toys.harness.context.requests.transaction() as session:
            return await check_signed(session, signed, GROUP)
    except Refusal as refusal:
        return type(refusal)


async def test_who_has_signed_is_who_acts_with_what_they_hold_now(toys):
    grant = Fact(
        kind=FactKind.GRANT,
        id=new_id(),
        group_id=GROUP,
        account_id=toys.account_id,
        rights=("renewals.change", "renewals.view"),
        active=True,
    )
    staff = Fact(
        kind=FactKind.STAFF,
        id=toys.account_id,
        account_id=toys.account_id,
        rights=(StaffRight.REVIEW_DECIDE,),
        active=True,
    )
    await toys.know(grant, staff)

    actor = await checked(toys)
    await toys.know(grant.model_copy(update={"active": False}), staff.model_copy(update={"active": False}))
    later = await checked(toys)

    assert isinstance(actor, Actor)
    assert (actor.account_id, actor.session_id) == (toys.account_id, None)
    assert actor.holds(Right.RENEWALS_CHANGE, whole_group=True)
    assert actor.has_staff_right([StaffRight.REVIEW_DECIDE])
    assert isinstance(later, Actor)
    assert not later.held
    assert not later.staff


async def test_a_command_is_refused_whose_key_is_not_its_accounts_or_whose_account_is_locked(toys):
    another = new_id()
    assert await checked(toys, key=new_key()) is KeyNotRegistered
    assert await checked(toys, account_id=another) is KeyNotRegistered

    await toys.know(Fact(kind=FactKind.ACCOUNT, id=toys.account_id, account_id=toys.account_id, active=False))
    assert await checked(toys) is AccountLocked
    await toys.know(toys.key(active=False))
    assert await checked(toys) is KeyNotRegistered
    await toys.lease(there=False)
    assert await checked(toys) is AccessUnverified


# --- signatures ---


def test_a_signed_command_says_who_says_what():
    account_id, command_id = new_id(), new_id()
    encoded = sign(KEY, account_id, audience=AUDIENCE, jti=str(command_id), iat=1_700_000_000, face=3)

    signed = read_signed(encoded, audience=AUDIENCE)

    assert (signed.account_id, signed.command_id, signed.key_id) == (account_id, command_id, key_id(KEY))
    assert signed.issued_at.isoformat() == "2023-11-14T22:13:20+00:00"
    assert signed.claims["face"] == 3


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
def test_the_algorithm_may_have_its_older_name():
    read_signed(sign(KEY, new_id(), audience=AUDIENCE, header={"alg": "EdDSA"}), audience=AUDIENCE)


def signed_with(header: dict[str, Any] | None = None, key: OKPKey = KEY, **claims: Any) -> str:
    return sign(key, new_id(), audience=AUDIENCE, header=header, **claims)


def resealed(
    *, header: dict[str, Any] | None = None, payload: bytes | None = None, signature: bytes | None = None
) -> str:
    """Something in a good command is replaced, and not signed anew."""
    parts = signed_with().split(".")
    for place, part in enumerate([header and json.dumps(header).encode(), payload, signature]):
        if part is not None:
            parts[place] = base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    return ".".join(parts)


def with_a_key_for_which_anybody_signs() -> str:
    """Its point is the identity, so that the same signature is good for whatever is said."""
    identity = bytes([1]) + bytes(31)
    header = {"alg": "Ed25519", "typ": "covey-command+jwt", "jwk": jwk_of(identity)}
    return resealed(header=header, signature=identity + bytes(32))


def jwk_of(point: bytes) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": base64.urlsafe_b64encode(point).rstrip(b"=").decode()}


def with_the_public_key_as_a_secret() -> str:
    header = {"alg": "HS256", "typ": "covey-command+jwt", "jwk": public_jwk(KEY)}
    return resealed(header=header, signature=hashlib.sha256(b"x").digest())


@pytest.mark.parametrize(
    "make",
    [
        lambda: signed_with({"jwk": public_jwk(new_key())}),
        lambda: signed_with({"jwk": KEY.as_dict(private=True)}),
        lambda: signed_with({"jwk": ECKey.generate_key("P-256").as_dict(private=False)}),
        lambda: signed_with({"jwk": OKPKey.generate_key("X25519").as_dict(private=False)}),
        lambda: signed_with({"jwk": {}}),
        lambda: signed_with({"jwk": "a key"}),
        lambda: signed_with({"typ": "JWT"}),
        lambda: signed_with({"kid": "another"}),
        lambda: signed_with({"jku": "https://keys.example/jwks.json"}),
        lambda: signed_with({"crit": ["exp"], "exp": 1}),
        lambda: resealed(header={"alg": "none", "typ": "covey-command+jwt", "jwk": public_jwk(KEY)}, signature=b""),
        with_the_public_key_as_a_secret,
        with_a_key_for_which_anybody_signs,
        lambda: resealed(payload=b'{"iss": "somebody else"}'),
        lambda: resealed(signature=b"x" * 64),
        lambda: signed_with(iss="nobody"),
        lambda: signed_with(aud="covey-another"),
        lambda: signed_with(aud=[AUDIENCE]),
        lambda: signed_with(jti="not a UUID"),
        lambda: signed_with(jti=None),
        lambda: signed_with(iat=None),
        lambda: signed_with(iat="1700000000"),
        lambda: signed_with(iat=10**18),
        lambda: signed_with(said="a null \0 character"),
        lambda: signed_with(said=float("nan")),
        lambda: signed_with(said="x" * LENGTH_MAX),
        lambda: base64.urlsafe_b64encode(b"[" * 10_000).decode() + ".x.y",
        lambda: "é.é.é",
        lambda: "a.b",
        lambda: "",
    ],
    ids=range(30),
)
def test_a_command_that_is_not_signed_as_it_must_be_is_refused(make):
    with pytest.raises(SignatureNotGood):
        read_signed(make(), audience=AUDIENCE)


OF_SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    "01" + "00" * 30 + "80",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ec" + "ff" * 30 + "7f",
    "ed" + "ff" * 30 + "7f",
    "ee" + "ff" * 30 + "7f",
]


def test_a_key_is_known_by_its_thumbprint():
    """The example of RFC 8037, appendix A.3."""
    key = public_key({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"})

    assert key_id(key) == UUID("90facafe-a9b1-8566-9854-0f70c0117a22")
    assert key_id(key).version == 8
    assert public_jwk(key) == {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}


@pytest.mark.parametrize(
    ("jwk", "refused"),
    [
        (KEY.as_dict(private=True), PrivateKeyShown),
        (public_jwk(KEY) | {"d": None}, PrivateKeyShown),
        (public_jwk(KEY) | {"crv": "X25519"}, KeyNotGood),
        (public_jwk(KEY) | {"kty": "EC"}, KeyNotGood),
        (public_jwk(KEY) | {"x": "AAAA"}, KeyNotGood),
        (public_jwk(KEY) | {"x": 5}, KeyNotGood),
        (public_jwk(KEY) | {"x": "é" * 43}, KeyNotGood),
        ({"kty": "oct", "k": "AAAA"}, KeyNotGood),
        ({}, KeyNotGood),
        *((jwk_of(bytes.fromhex(point)), KeyNotGood) for point in OF_SMALL_ORDER),
    ],
    ids=range(17),
)
def test_only_the_public_half_of_an_ed25519_key_is_taken(jwk, refused):
    with pytest.raises(refused):
        public_key(jwk)
