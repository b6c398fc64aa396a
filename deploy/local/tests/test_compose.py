"""The containers' description is held against the platform. It is not run here: that takes a container engine."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml
from covey_local import keys, principals, topology
from covey_local.kafka import AUTHORIZER
from packaging.requirements import Requirement

DEPLOY = Path(__file__).resolve().parents[2]
NAMES = [service.name for service in topology.SERVICES]
SECRET = re.compile(r"PASSWORD|TOKEN|CREDENTIAL|SECRET")


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def filled_in(environment: dict[str, object], variables: dict[str, str] | None = None) -> dict[str, str]:
    """The environment with every variable as somebody would set it."""

    def value_of(found: re.Match[str]) -> str:
        return (variables or {}).get(found[1]) or found[3] or found[1].lower().ljust(40, "x")

    return {
        name: re.sub(r"\$\{(\w+)(:-([^}]*))?(:\?[^}]*)?\}", value_of, str(value)) for name, value in environment.items()
    }


@pytest.fixture
def mounted(compose, tmp_path):
    """``mounted(step, environment)``: where the step's secrets are files of this machine, as `covey keys` makes them."""
    keys.make_keys(tmp_path, keys.holders())
    keys.make_signing_key(tmp_path)
    files = {
        f"/run/secrets/{name}": tmp_path / Path(secret["file"]).name for name, secret in compose["secrets"].items()
    }

    def of(step: str, environment: dict[str, str]) -> dict[str, str]:
        given = {f"/run/secrets/{name}" for name in compose["services"][step].get("secrets", ())}
        return {
            name: str(files[value]) if value in given and files[value].exists() else value
            for name, value in environment.items()
        }

    return of


@pytest.mark.parametrize("name", NAMES)
def test_every_service_has_its_database_its_migration_and_itself(compose, name):
    steps = compose["services"]
    service, migration, database = steps[name], steps[f"{name}-migrate"], steps[f"{name}-database"]

    assert service["depends_on"][f"{name}-migrate"] == {"condition": "service_completed_successfully"}
    assert service["depends_on"]["topics"] == {"condition": "service_completed_successfully"}
    assert migration["depends_on"] == {f"{name}-database": {"condition": "service_completed_successfully"}}
    assert migration["command"] == ["python", "-m", "covey_chassis", "migrate", f"covey_{name}"]
    assert database["command"] == ["covey", "databases", "create"]
    assert service["build"]["args"] == {"SERVICE": name}
    assert service["image"] == migration["image"]
    assert f"{topology.SERVICES[NAMES.index(name)].port}:8000" in service["ports"][0]


@pytest.mark.parametrize("step", [*NAMES, *(f"{name}-migrate" for name in NAMES)])
def test_every_service_starts_with_the_settings_that_it_is_given(compose, mounted, step):
    environment = mounted(step, filled_in(compose["services"][step]["environment"]))
    found = settings_in_a_process_of_its_own(step.removesuffix("-migrate"), environment)

    assert {name.removeprefix("COVEY_").lower() for name in environment} <= set(found["known"])
    assert found["owns"] == step.endswith("-migrate")


def test_the_portal_starts_with_the_settings_that_it_is_given(compose):
    portal = compose["services"]["portal"]
    environment = filled_in(portal["environment"])
    script = (
        "import json; from covey_portal.settings import PortalSettings as s; print(json.dumps([*s().model_fields]))"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVEY_")}
    known = json.loads(subprocess.check_output([sys.executable, "-c", script], env=clean | environment, text=True))

    assert portal["command"] == ["python", "-m", "covey_portal"]
    assert portal["ports"] == [f"127.0.0.1:{topology.PORTAL}:8000"]
    assert {name.removeprefix("COVEY_").lower() for name in environment} <= set(known)
    for name in topology.ASKED_BY_PORTAL:
        assert environment[f"COVEY_{name.upper()}_URL"] == f"http://{name}:8000"
    same = {
        filled_in(compose["services"][name]["environment"])["COVEY_PORTAL_URL"]
        for name in ("identity", "notifications")
    }
    assert same == {environment["COVEY_PORTAL_URL"]}


def settings_in_a_process_of_its_own(service: str, environment: dict[str, str]) -> dict[str, Any]:
    """As it runs: two services in one process would get in each other's way."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COVEY_")}
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS, service], env=clean | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SETTINGS = """
import importlib, json, sys

settings = importlib.import_module(f"covey_{sys.argv[1]}.app").service.settings()
kafka = [f"kafka_{name}" for name in type(settings.kafka).model_fields]
known = [*type(settings).model_fields, *kafka]
print(json.dumps({"known": known, "owns": settings.owner_database_url is not None}))
"""


def test_identity_knows_every_listener_by_the_credential_that_it_presents(compose):
    variables = {f"COVEY_{name.upper()}_ACCESS_CREDENTIAL": f"credential-of-{name}" for name in topology.LISTENERS}
    steps = compose["services"]
    presented = {}
    for name in topology.LISTENERS:
        environment = filled_in(steps[name]["environment"], variables)
        presented[name] = environment["COVEY_ACCESS_CREDENTIAL"]
        assert environment["COVEY_ACCESS_URL"] == "http://identity:8000"
    known = filled_in(steps["identity"]["environment"], variables)["COVEY_LISTENER_CREDENTIALS"]

    assert json.loads(known) == presented
    assert len(set(presented.values())) == len(topology.LISTENERS)


def test_each_service_signs_on_to_kafka_by_the_password_that_is_set_for_it(compose):
    variables = {f"COVEY_{name.upper()}_KAFKA_PASSWORD": f"password-of-{name}" for name in NAMES}
    steps = compose["services"]
    set_by = filled_in(steps["principals"]["environment"], variables)
    passwords = json.loads(set_by["COVEY_KAFKA_PASSWORDS"])
    presented = {}
    for name in NAMES:
        environment = filled_in(steps[name]["environment"], variables)
        assert environment["COVEY_KAFKA_SECURITY_PROTOCOL"] == "SASL_PLAINTEXT"
        presented[environment["COVEY_KAFKA_SASL_USERNAME"]] = environment["COVEY_KAFKA_SASL_PASSWORD"]

    assert passwords.keys() == set(principals.NAMES)
    assert presented == {f"covey-{name}": f"password-of-{name}" for name in NAMES}
    assert presented.items() < passwords.items()


def test_nobody_is_let_in_to_kafka_who_does_not_sign_on_and_the_super_user_not_from_outside(compose):
    kafka = filled_in(compose["services"]["kafka"]["environment"])
    protocols = dict(each.split(":") for each in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))

    assert protocols == dict.fromkeys(("INSIDE", "OUTSIDE", "CONTROLLER"), "SASL_PLAINTEXT")
    assert kafka["KAFKA_AUTHORIZER_CLASS_NAME"] == AUTHORIZER
    assert kafka["KAFKA_SUPER_USERS"] == "User:admin"
    assert not any("EVERYONE" in name for name in kafka)
    assert kafka["KAFKA_LISTENER_NAME_OUTSIDE_SASL_ENABLED_MECHANISMS"] == "SCRAM-SHA-512"


def test_only_identity_can_sign_access_tokens(compose):
    holders = {name for name, step in compose["services"].items() if "signing-keys" in step.get("secrets", ())}

    assert holders == {"identity", "identity-migrate"}


def test_no_secret_has_a_default_and_each_is_in_the_example(compose):
    text = (DEPLOY / "compose.yaml").read_text()
    variables = re.findall(r"\$\{(\w+)(:[-?])?", text)
    secret = {name for name, _ in variables if SECRET.search(name)}
    example = set(re.findall(r"^(\w+)=$", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))

    assert {how for name, how in variables if name in secret} == {":?"}
    assert secret == example


def test_nothing_is_offered_to_other_machines(compose):
    offered = [port for step in compose["services"].values() for port in step.get("ports", [])]

    assert offered
    assert all(port.startswith("127.0.0.1:") for port in offered)


def test_each_image_is_built_once(compose):
    """Builds run at the same time: two that write one tag get in each other's way."""
    built = [step["image"] for step in compose["services"].values() if "build" in step]
    ours = {step["image"] for step in compose["services"].values() if step["image"].startswith("covey/")}

    assert sorted(built) == sorted(ours)


def test_every_step_that_ends_is_waited_for(compose):
    """Else `up --wait` takes its end for a failure."""
    steps = compose["services"]
    jobs = {name for name, step in steps.items() if step.get("restart") == "no"}
    waited_for = {
        name
        for step in steps.values()
        for name, how in step.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }

    assert jobs
    assert jobs <= waited_for


def test_everything_that_is_waited_for_is_there(compose):
    for step in compose["services"].values():
        assert set(step.get("depends_on", {})) <= compose["services"].keys()
        assert set(step.get("secrets", [])) <= compose["secrets"].keys()


@pytest.mark.parametrize("name", [*NAMES, "local"])
def test_an_image_gets_all_that_its_packages_need_and_no_test_tools(name):
    spec = spec_from_file_location("requirements_of", DEPLOY / "requirements_of.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.requirements(DEPLOY.parent, [name])

    taken = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    assert needed_by(f"covey-{name}", set()) <= taken
    assert not taken & {"pytest", "mypy", "ruff", "hypothesis", "testcontainers"}
    assert text.count("--hash=sha256:") >= len(taken)


def needed_by(name: str, seen: set[str]) -> set[str]:
    """What pip would install here, by what each installed package says of itself."""
    if name in seen:
        return set()
    seen.add(name)
    found = set() if name.startswith("covey-") else {name}
    for line in distribution(name).requires or ():
        wish = Requirement(line)
        if wish.marker is None or wish.marker.evaluate({"extra": "", "python_full_version": sys.version.split()[0]}):
            found |= needed_by(re.sub(r"[-_.]+", "-", wish.name).lower(), seen)
    return found
