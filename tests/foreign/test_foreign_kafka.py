"""The services on a Kafka and a PostgreSQL that somebody else runs: nothing but settings tells them so."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from covey_chassis.kafka import connection
from covey_chassis.running import Running
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing import NewDatabase, service_settings
from covey_chassis.testing.broker import admin, eventually, headers
from covey_contracts import EVENTS
from covey_contracts.membership import Address, GroupRegistered
from covey_contracts.renewals import RenewalChanged
from covey_local import ports, processes
from covey_local.cli import app
from covey_local.events import Seen, tail
from covey_local.principals import ACLS
from covey_local.topics import apply_topics
from covey_renewals.app import service
from pydantic import SecretStr

from .conftest import PASSWORD, USER, Foreign

WAYS = ("scram", "plain", "certificate")
CONSUMER = service.consumers[0].name
TOKEN = "a token of this test's operator"


@pytest.fixture(scope="session")
async def covey_topics(foreign: Foreign) -> None:
    """Every topic is there."""
    await apply_topics(foreign.scram, [event.topic for event in EVENTS])


Start = Callable[[KafkaSettings], Any]


@pytest.fixture
def start(new_database: NewDatabase, sealing_keys: Path) -> Start:
    """``start(kafka)``: renewals with all its roles, on a fresh database, for a block."""

    @asynccontextmanager
    async def running(kafka: KafkaSettings) -> AsyncIterator[Running]:
        async with new_database(service.package) as urls:
            running = Running(service, service_settings(service, urls, sealing_keys, kafka=kafka))
            async with running.lifespan():
                yield running

    return running


async def not_ready(running: Running) -> dict[str, str]:
    return {name: reason for name, check in running.ready() if (reason := await check())}


async def register_group(kafka: KafkaSettings) -> UUID:
    """What membership publishes of a new group, by a client that signs on; the group's ID."""
    group = GroupRegistered(
        group_id=uuid4(),
        group_number="G-1",
        legal_name="Acme",
        ein="12-3456789",
        market_region="California",
        principal_address=Address(street="1 Main Street", city="Fresno", county="Fresno", state="CA", zip="93650"),
        billing_units=(),
        effective_date=date(2020, 1, 1),
        renewal_date=date(2098, 9, 1),
        plans=(),
        broker=None,
        sealed="e30.a.b.c.d",
    )
    producer = AIOKafkaProducer(**connection(kafka), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(
            group.topic.name,
            group.model_dump_json().encode(),
            key=group.key.encode(),
            headers=headers(group.topic.name, group.key, sequence=1),
        )
    finally:
        await producer.stop()
    return group.group_id


async def renewals_of(kafka: KafkaSettings, group_id: UUID) -> list[Seen]:
    """What has been published of the group's renewals."""
    told = tail(kafka, [RenewalChanged.topic.name], from_beginning=True, follow=False)
    return [seen async for seen in told if RenewalChanged.model_validate(seen.value).group_id == group_id]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.usefixtures("covey_topics")
async def test_a_group_that_is_registered_there_has_its_renewal_published_there(
    foreign: Foreign, start: Start, logged: Callable[[], str], way: str
) -> None:
    kafka: KafkaSettings = getattr(foreign, way)
    async with start(kafka) as running:

        async def ready() -> bool:
            return not await not_ready(running)

        await eventually(ready)
        group_id = await register_group(kafka)

        async def told() -> list[Seen]:
            return await renewals_of(kafka, group_id)

        (renewal,) = await eventually(told)

    assert renewal.headers["ce_source"] == "/renewals"
    assert PASSWORD not in logged()


@pytest.mark.parametrize(
    ("way", "wrong", "reason"),
    [
        ("scram", {"sasl_password": "guessed-wrong"}, "SaslAuthenticationFailed"),
        ("plain", {"sasl_password": "guessed-wrong"}, "SaslAuthenticationFailed"),
        ("scram", {"ca_file": None}, "CERTIFICATE_VERIFY_FAILED"),
        ("certificate", {"cert_file": None, "key_file": None}, "Unable connect to"),
    ],
    ids=["a wrong password", "a wrong password in plain", "a CA that nobody trusts", "no certificate"],
)
async def test_a_service_that_kafka_refuses_says_that_it_is_not_ready_and_why(
    foreign: Foreign, start: Start, logged: Callable[[], str], way: str, wrong: dict[str, object], reason: str
) -> None:
    known: KafkaSettings = getattr(foreign, way)
    async with start(KafkaSettings(**{**known.model_dump(), **wrong})) as running:

        async def refused() -> bool:
            unready = await not_ready(running)
            return unready.get("kafka", "").startswith("cannot connect or sign on") and CONSUMER in unready

        async def both_go_on_trying() -> bool:
            return logged().count('"kafka.unreachable"') > 1 and logged().count('"relay.interrupted"') > 1

        await eventually(refused)
        await eventually(both_go_on_trying)
        assert [await check() for _, check in running.live() if await check()] == []

    assert reason in logged()
    assert PASSWORD not in logged()
    assert "guessed-wrong" not in logged()


@pytest.fixture
def covey(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """``covey(kafka, "topics", "apply")``: the command, with that Kafka in its environment; its exit code and output."""

    def carry_out(kafka: KafkaSettings, *words: str) -> tuple[int, str, str]:
        for name, value in kafka.environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            app(words)
        return int(end.value.code or 0), *capsys.readouterr()

    return carry_out


def test_the_topics_are_made_there_by_command(foreign: Foreign, covey: Callable[..., tuple[int, str, str]]) -> None:
    code, said, complaints = covey(foreign.scram, "topics", "apply")
    _, listed, _ = covey(foreign.certificate, "topics", "list")

    assert code == 0, complaints
    for event in EVENTS:
        assert event.topic.name in said
        assert event.topic.name in listed


async def test_principals_get_their_passwords_and_their_rights_there_by_command(
    foreign: Foreign, covey: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, password = "covey-membership", "the-password-of-membership"
    monkeypatch.setenv("COVEY_KAFKA_PASSWORDS", json.dumps({name: password}))
    code, said, complaints = await asyncio.to_thread(covey, foreign.plain, "principals", "apply")
    _, again, _ = await asyncio.to_thread(covey, foreign.plain, "principals", "apply")

    assert code == 0, complaints
    assert f"{len(ACLS)} ACLs given, 0 taken, 0 as they should be." in said
    assert f"0 ACLs given, 0 taken, {len(ACLS)} as they should be." in again
    assert password not in said + again
    settings = foreign.scram.model_copy(update={"sasl_username": name, "sasl_password": SecretStr(password)})
    async with admin(settings) as client:
        assert set(await client.list_topics()) <= {acl.name for acl in ACLS if acl.principal == name}


def test_the_command_says_that_kafka_refuses_it(foreign: Foreign, covey: Callable[..., tuple[int, str, str]]) -> None:
    wrong = KafkaSettings(**{**foreign.plain.model_dump(), "sasl_password": "guessed-wrong"})

    code, said, complaints = covey(wrong, "topics", "apply")

    assert code == 1
    assert complaints.startswith(f"Kafka at {wrong.bootstrap_servers}: ")
    assert "guessed-wrong" not in said + complaints


@pytest.mark.usefixtures("covey_topics")
async def test_a_service_takes_its_secrets_from_files(
    foreign: Foreign, new_database: NewDatabase, sealing_keys: Path, tmp_path: Path
) -> None:
    """A process of its own, as a platform runs it: what is secret is mounted, the rest is in the environment."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    port = ports.choose(tmp_path / "ports.json", {"http": None})["http"]
    public = {
        "COVEY_HTTP_PORT": str(port),
        "COVEY_LOG_LEVEL": "DEBUG",
        "COVEY_SEALING_PUBLIC_KEYS": str(sealing_keys / "public.jwks.json"),
        "COVEY_SECRETS_DIR": str(secrets),
        **foreign.scram.environment(),
    }
    async with new_database(service.package) as urls:
        mounted = {
            "COVEY_DATABASE_URL": urls.request,
            "COVEY_WORKER_DATABASE_URL": urls.worker,
            "COVEY_OPERATOR_TOKEN": TOKEN,
            "COVEY_KAFKA_SASL_PASSWORD": public.pop("COVEY_KAFKA_SASL_PASSWORD"),
        }
        for name, value in mounted.items():
            (secrets / name).write_text(f"{value}\n")
        with (tmp_path / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "covey_chassis", "serve", service.package],
                env=public,
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as api:

                async def ready() -> bool:
                    assert process.poll() is None, (tmp_path / "said").read_text()
                    try:
                        return (await api.get("/readyz")).is_success
                    except httpx.TransportError:
                        return False

                await eventually(ready)
                today = await api.get("/internal/date", headers={"Authorization": f"Bearer {TOKEN}"})
                assert today.status_code == 200
        finally:
            await processes.stop(process, gently=signal.SIGTERM)
    logs = (tmp_path / "said").read_text()
    assert f"Authenticated as {USER}" in logs
    assert [name for name, value in mounted.items() if value in logs] == []
