"""The generated documents: whole, true, and refused when they are stale."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from covey_contracts import EVENTS, Event
from covey_contracts.__main__ import EXAMPLES, GENERATED, KAFKA_USERS, LIBRARY, PAGE, RELEASED, documents, main
from covey_contracts.acls import access_list
from covey_contracts.documents import event_schema
from jsonschema import Draft202012Validator

CHECKOUT = Path(__file__).resolve().parents[2]
SCHEMAS = GENERATED / "schemas"
TOPIC = "covey.renewal.available.v1"
EXAMPLE = f"{TOPIC}/2-minimal.json"


@pytest.fixture(scope="module")
def asyncapi() -> Any:
    return json.loads((CHECKOUT / GENERATED / "asyncapi.json").read_text())


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of everything that the commands read and write."""
    for folder in (GENERATED, RELEASED, EXAMPLES):
        shutil.copytree(CHECKOUT / folder, tmp_path / folder)
    for file in (PAGE, KAFKA_USERS, LIBRARY / "pyproject.toml"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / file, tmp_path / file)
    return tmp_path


def run(command: str, root: Path) -> int:
    return main([command, "--root", str(root)])


def references(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        for value in document.values():
            yield from references(value)
    elif isinstance(document, list):
        for value in document:
            yield from references(value)


def resolved(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for step in reference[2:].split("/"):
        document = document[step]
    return document


def rights(service: str) -> set[tuple[str, str, str]]:
    return {
        (right["resource"]["type"], right["resource"]["name"], right["operation"])
        for right in json.loads(json.dumps(access_list(EVENTS)))
        if right["principal"] == f"User:covey-{service}"
    }


def test_every_reference_of_the_asyncapi_document_leads_somewhere(asyncapi: Any) -> None:
    found = list(references(asyncapi))

    assert found
    assert all(resolved(asyncapi, reference) for reference in found)


@pytest.mark.parametrize("event", EVENTS)
def test_every_reference_of_a_schema_leads_somewhere(event: type[Event]) -> None:
    schema = event_schema(event)

    assert all(resolved(schema, reference) for reference in references(schema))


@pytest.mark.parametrize("event", EVENTS)
def test_every_topic_is_sent_by_its_owner_and_received_by_its_listeners(asyncapi: Any, event: type[Event]) -> None:
    name = event.topic.name
    parts = {
        (operation["action"], operation["tags"][0]["name"])
        for operation in asyncapi["operations"].values()
        if resolved(asyncapi, operation["channel"]["$ref"])["address"] == name
    }

    assert parts == {("send", event.topic.owner), *(("receive", listener) for listener in event.topic.listeners)}


def test_the_asyncapi_document_says_which_headers_a_record_has(asyncapi: Any) -> None:
    record = {
        "ce_specversion": "1.0",
        "ce_id": "01a1eef5-1917-7f1d-a12b-7d67eba72d50",
        "ce_source": "/renewals",
        "ce_type": TOPIC,
        "ce_time": "2026-11-18T08:00:00Z",
        "ce_subject": "01a19d6e-e172-739a-943a-cd41619cd31d",
        "ce_partitionkey": "01a19d6e-e172-739a-943a-cd41619cd31d",
        "ce_sequence": "00000000000000000002",
        "ce_correlationid": "01a1eef5-1917-7f1d-a12b-7d67eba72d50",
        "content-type": "application/json",
    }
    headers = asyncapi["components"]["messages"][TOPIC]["headers"]
    validator = Draft202012Validator({"components": asyncapi["components"], **headers})

    assert validator.is_valid(record)
    assert not validator.is_valid(record | {"ce_sequence": "2"})
    assert not validator.is_valid(record | {"ce_type": "covey.renewal.changed.v1"})
    for name in record:
        assert not validator.is_valid({header: value for header, value in record.items() if header != name})


def test_a_service_may_write_what_it_owns_and_read_what_it_listens_to_and_nothing_else() -> None:
    assert rights("membership") == {
        ("topic", "covey.group.registered.v1", "write"),
        ("topic", "covey.group.changed.v1", "write"),
        ("topic", "covey.membership-act.recorded.v1", "write"),
        ("topic", "covey.review.approved.v1", "read"),
        ("group", "membership.", "read"),
    }
    assert rights("renewals") == {
        ("topic", "covey.renewal.available.v1", "write"),
        ("topic", "covey.renewal.changed.v1", "write"),
        ("topic", "covey.renewals-act.recorded.v1", "write"),
        ("topic", "covey.group.registered.v1", "read"),
        ("topic", "covey.group.changed.v1", "read"),
        ("topic", "covey.firm.registered.v1", "read"),
        ("topic", "covey.firm.changed.v1", "read"),
        ("topic", "covey.appointment.changed.v1", "read"),
        ("topic", "covey.transaction.opened.v1", "read"),
        ("topic", "covey.transaction.submitted.v1", "read"),
        ("topic", "covey.transaction.withdrawn.v1", "read"),
        ("topic", "covey.review.claimed.v1", "read"),
        ("topic", "covey.review.released.v1", "read"),
        ("topic", "covey.review.returned.v1", "read"),
        ("topic", "covey.review.declined.v1", "read"),
        ("topic", "covey.review.approved.v1", "read"),
        ("group", "renewals.", "read"),
    }


def test_kafkas_users_may_do_what_the_asyncapi_document_says_of_each_party_and_nothing_else(asyncapi: Any) -> None:
    said: dict[str, set[tuple[str, str, str, str]]] = {}
    for operation in asyncapi["operations"].values():
        party, topic = operation["tags"][0]["name"], resolved(asyncapi, operation["channel"]["$ref"])["address"]
        own = said.setdefault(f"covey-{party}", set())
        own.add(("topic", topic, "literal", {"send": "Write", "receive": "Read"}[operation["action"]]))
        if operation["action"] == "receive":
            own.add(("group", f"{party}.", "prefix", "Read"))
    users = {
        user["metadata"]["name"]: user for user in yaml.safe_load_all((CHECKOUT / KAFKA_USERS).read_text()) if user
    }

    assert {
        name: {(*rule["resource"].values(), *rule["operations"]) for rule in user["spec"]["authorization"]["acls"]}
        for name, user in users.items()
    } == said
    for user in users.values():
        assert (user["apiVersion"], user["kind"]) == ("kafka.strimzi.io/v1", "KafkaUser")
        assert user["metadata"]["labels"].keys() == {"strimzi.io/cluster"}
        assert user["spec"]["authentication"] == {"type": "scram-sha-512"}
        assert user["spec"]["authorization"]["type"] == "simple"


def test_the_acls_are_the_same_for_whoever_has_no_strimzi() -> None:
    listed = json.loads((CHECKOUT / GENERATED / "acls.json").read_text())
    users = yaml.safe_load_all((CHECKOUT / KAFKA_USERS).read_text())

    assert {(right["principal"], right["resource"]["name"], right["operation"]) for right in listed} == {
        (f"User:{user['metadata']['name']}", rule["resource"]["name"], rule["operations"][0].lower())
        for user in users
        if user
        for rule in user["spec"]["authorization"]["acls"]
    }


def test_the_same_events_make_the_same_text() -> None:
    assert documents(CHECKOUT) == documents(CHECKOUT)


def test_what_is_committed_is_what_the_events_make(checkout: Path) -> None:
    assert run("check", checkout) == 0


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        pytest.param(
            lambda root: (root / SCHEMAS / f"{TOPIC}.json").write_text("{}"),
            f"{SCHEMAS / TOPIC}.json is stale: run `make contracts`.",
            id="stale schema",
        ),
        pytest.param(
            lambda root: (root / PAGE).unlink(), f"{PAGE} is missing: run `make contracts`.", id="missing page"
        ),
        pytest.param(
            lambda root: (root / SCHEMAS / "covey.old.v1.json").write_text("{}"),
            f"{SCHEMAS}/covey.old.v1.json is made from no event: run `make contracts`.",
            id="left-over schema",
        ),
        pytest.param(
            lambda root: (root / RELEASED / "covey.old.v1.json").write_text("{}"),
            "covey.old.v1: the topic is gone: listeners wait for it, and its history can't be read.",
            id="a released topic is gone",
        ),
        pytest.param(
            lambda root: (root / EXAMPLES / EXAMPLE).unlink(),
            f"{EXAMPLE}: this released example is gone. Bring it back.",
            id="a released example is gone",
        ),
        pytest.param(
            lambda root: (root / EXAMPLES / EXAMPLE).write_text((root / EXAMPLES / EXAMPLE).read_text() + "\n"),
            f"{EXAMPLE}: this released example was edited. Bring it back and add another one instead.",
            id="a released example was edited",
        ),
        pytest.param(
            lambda root: shutil.rmtree(root / EXAMPLES / TOPIC),
            f"{TOPIC}: 0 examples are kept, 2 are needed: a full one and a minimal one.",
            id="no example",
        ),
        pytest.param(
            lambda root: (root / EXAMPLES / TOPIC / "9-odd.json").write_text('{"renewal_id": 1}'),
            f"{TOPIC}/9-odd.json: RenewalAvailable refuses this example: "
            "renewal_id: UUID input should be a string, bytes or UUID object.",
            id="an example that does not parse",
        ),
        pytest.param(
            lambda root: (root / EXAMPLES / TOPIC / "9-odd.json").write_text("{"),
            f"{TOPIC}/9-odd.json: RenewalAvailable refuses this example: the value: "
            "Invalid JSON: EOF while parsing an object at line 1 column 1.",
            id="an example that is not JSON",
        ),
    ],
)
def test_the_check_names_what_is_wrong_and_nothing_is_released(
    checkout: Path, break_it: Any, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    break_it(checkout)

    assert run("check", checkout) == 1
    assert complaint in capsys.readouterr().err.splitlines()
    assert run("release", checkout) == 1


def test_writing_mends_what_is_stale_missing_or_left_over(checkout: Path) -> None:
    (checkout / PAGE).unlink()
    (checkout / SCHEMAS / f"{TOPIC}.json").write_text("{}")
    (checkout / SCHEMAS / "covey.old.v1.json").write_text("{}")

    assert run("write", checkout) == 0
    assert run("check", checkout) == 0


def test_a_new_example_is_kept_for_ever_once_it_is_released(checkout: Path) -> None:
    new = checkout / EXAMPLES / TOPIC / "9-new.json"
    shutil.copy(checkout / EXAMPLES / EXAMPLE, new)
    run("write", checkout)

    assert run("release", checkout) == 0
    new.write_text(new.read_text().replace("2027", "2028"))
    assert run("check", checkout) == 1


def test_a_release_is_what_later_changes_are_compared_with(checkout: Path) -> None:
    shutil.rmtree(checkout / RELEASED)

    assert run("release", checkout) == 0
    assert {file.stem for file in (checkout / RELEASED).iterdir()} == {event.topic.name for event in EVENTS}


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        run("check", tmp_path)
