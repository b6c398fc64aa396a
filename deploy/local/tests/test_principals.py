"""Each principal on a real broker with its authorizer: it can do what its contract says, and nothing else."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    TopicAuthorizationFailedError,
)
from covey_chassis.kafka import connection
from covey_chassis.outgoing import PRODUCER
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.broker import admin
from covey_contracts.acls import Acl, principal_of
from covey_contracts.identity import AuditAnchored
from covey_local.cluster import Cluster
from covey_local.credentials import DOWNSTREAM, PROGRAMS
from covey_local.home import Home
from covey_local.principals import ACLS, apply_acls, set_passwords
from covey_local.progress import Step
from covey_local.refused import Refused
from covey_local.topics import administered
from covey_local.topology import SERVICES
from pydantic import SecretStr

ASYNCAPI = json.loads((Path(__file__).parents[3] / "libs/contracts/generated/asyncapi.json").read_text())
TOPICS = sorted(ASYNCAPI["channels"])
PARTIES = (*(service.name for service in SERVICES), "programs")


def topics_of(party: str, action: str) -> set[str]:
    """Those that it sends to, or receives from, as the AsyncAPI document says."""
    return {
        operation["channel"]["$ref"].removeprefix("#/channels/")
        for operation in ASYNCAPI["operations"].values()
        if (operation["tags"][0]["name"], operation["action"]) == (party, action)
    }


@pytest.fixture(scope="module")
async def kafka(stack):
    """``kafka(principal)``: how it signs on. Every topic is there, with a record."""
    await stack.apply_topics()
    await stack.apply_principals()
    async with AIOKafkaProducer(**connection(stack.kafka_settings)) as producer:
        for topic in TOPICS:
            await producer.send_and_wait(topic, b"{}", partition=0)
    return stack.kafka_settings_of


@asynccontextmanager
async def consumer(settings: KafkaSettings, **options: object) -> AsyncIterator[AIOKafkaConsumer]:
    async with AIOKafkaConsumer(**connection(settings), enable_auto_commit=False, **options) as found:
        yield found


async def readable(settings: KafkaSettings) -> set[str]:
    found = set()
    async with consumer(settings, auto_offset_reset="earliest") as reader:
        for topic in set(TOPICS) & await reader.topics():  # of the others it is not even told that they are there
            reader.assign([TopicPartition(topic, 0)])
            try:
                assert (await reader.getone()).topic == topic
            except TopicAuthorizationFailedError:
                continue
            found.add(topic)
    return found


async def writable(settings: KafkaSettings) -> set[str]:
    """By a producer like the relay's."""
    found = set()
    async with AIOKafkaProducer(**connection(settings), **PRODUCER) as producer:
        for topic in TOPICS:
            try:
                await producer.send_and_wait(topic, b"{}", partition=0)
            except TopicAuthorizationFailedError:
                continue
            found.add(topic)
    return found


@pytest.mark.parametrize("party", PARTIES)
async def test_each_party_reads_the_topics_of_its_contract_and_no_other(kafka, party):
    assert await readable(kafka(principal_of(party))) == topics_of(party, "receive")


async def test_whoever_subscribes_to_a_topic_that_is_not_theirs_is_told_so(kafka):
    reader = AIOKafkaConsumer(AuditAnchored.topic.name, **connection(kafka(principal_of("membership"))))

    with pytest.raises(TopicAuthorizationFailedError):
        await reader.start()
    await reader.stop()


@pytest.mark.parametrize("party", PARTIES)
async def test_each_party_writes_the_topics_of_its_contract_and_no_other(kafka, party):
    assert await writable(kafka(principal_of(party))) == topics_of(party, "send")


async def test_whoever_listens_downstream_reads_everything_and_writes_nothing(kafka):
    assert await readable(kafka(DOWNSTREAM)) == set(TOPICS)
    async with AIOKafkaProducer(**connection(kafka(DOWNSTREAM))) as producer:
        for topic in TOPICS:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topic, b"{}", partition=0)
    with pytest.raises(ClusterAuthorizationFailedError):
        await AIOKafkaProducer(**connection(kafka(DOWNSTREAM)), **PRODUCER).start()


@pytest.mark.parametrize("party", [*PARTIES, "downstream"])
async def test_each_party_keeps_its_place_in_its_own_groups_and_in_no_other(kafka, party):
    settings = kafka(principal_of(party))
    topic = min(topics_of(party, "receive") or TOPICS)
    place = {TopicPartition(topic, 0): 1}
    async with consumer(settings, group_id=f"{party}.of-a-test") as own:
        own.assign(list(place))
        await own.commit(place)
        assert await own.committed(*place) == 1
    for group in ("of-a-test", f"{party}", "another.of-a-test"):
        async with consumer(settings, group_id=group) as foreign:
            foreign.assign(list(place))
            with pytest.raises(GroupAuthorizationFailedError):
                await foreign.commit(place)


@pytest.mark.parametrize("principal", [principal_of("membership"), PROGRAMS, DOWNSTREAM])
async def test_no_party_administers_anything(kafka, principal):
    settings, topic = kafka(principal), f"covey.made.by-a-party-{uuid4().hex}.v1"
    async with administered(settings) as client:
        made = await client.create_topics([NewTopic(topic, 1, 1)])
        deleted = await client.delete_topics([TOPICS[0]])

    assert [each[1] for each in made.topic_errors] == [TopicAuthorizationFailedError.errno]
    assert [each[1] for each in deleted.topic_error_codes] == [TopicAuthorizationFailedError.errno]
    with pytest.raises(Refused, match="ClusterAuthorizationFailed"):
        await apply_acls(settings, [*ACLS, Acl(principal, "topic", "covey.", "prefixed", "write")])
    with pytest.raises(Refused, match="ClusterAuthorizationFailed"):
        await set_passwords(settings, {"admin": "known to a party"})


async def refused(settings: KafkaSettings) -> bool:
    try:
        async with admin(settings):
            return False
    except KafkaConnectionError:
        return True


async def test_nobody_is_let_in_without_a_password_by_a_wrong_one_or_by_anothers(kafka, stack):
    right, anothers = kafka(principal_of("renewals")), kafka(principal_of("membership"))

    assert not await refused(right)
    assert await refused(right.model_copy(update={"sasl_password": anothers.sasl_password}))
    assert await refused(right.model_copy(update={"sasl_username": "covey-nobody"}))
    assert await refused(right.model_copy(update={"sasl_mechanism": "PLAIN"}))
    assert await refused(KafkaSettings(bootstrap_servers=stack.bootstrap_servers))


async def test_a_password_that_was_replaced_is_good_no_more(stack):
    await set_passwords(stack.kafka_settings, {"covey-test": "the first"})
    first = stack.kafka_settings.model_copy(
        update={"sasl_username": "covey-test", "sasl_password": SecretStr("the first")}
    )
    second = first.model_copy(update={"sasl_password": SecretStr("the second")})
    assert not await refused(first)
    await set_passwords(stack.kafka_settings, {"covey-test": "the second"})

    assert await refused(first)
    assert not await refused(second)


async def test_acls_that_the_contracts_no_longer_give_are_taken_and_others_are_left_alone(stack):
    mine, others = "covey-test-mine", "covey-test-others"
    kept, dropped, new = (Acl(mine, "topic", name, "literal", "read") for name in ("a", "b", "c"))
    theirs = Acl(others, "group", "g.", "prefixed", "read")
    await apply_acls(stack.kafka_settings, [kept, dropped])
    await apply_acls(stack.kafka_settings, [theirs])
    applied = await apply_acls(stack.kafka_settings, [kept, new])
    again = await apply_acls(stack.kafka_settings, [kept, new, theirs])

    assert (applied.given, applied.taken, applied.unchanged) == ((new,), 1, 1)
    assert (again.given, again.taken, again.unchanged) == ((), 0, 3)


async def test_data_from_before_anybody_was_asked_who_they_are_are_refused_by_a_sentence(tmp_path):
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "server.properties").write_text("node.id=1\n")
    cluster = Cluster(Home(tmp_path), brokers=1, cache=tmp_path, links=None, users=())

    with pytest.raises(Refused, match="begin anew with `--fresh`"):
        await cluster.start({}, Step(title="Kafka"))


def test_only_the_owner_reads_what_brokers_sign_on_by(stack):
    settings = stack.home.folder / "kafka" / "server.properties"

    assert settings.stat().st_mode & 0o777 == 0o600
    assert not (stack.home.folder / "kafka" / "format.words").exists()
