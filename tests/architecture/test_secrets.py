"""No service starts with a secret that is missing, short or anybody's guess, and none shows one."""

import re
import subprocess
import types
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from annotated_types import MinLen
from covey_chassis.settings import KafkaSettings
from covey_portal.settings import PortalSettings
from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from .test_shape import ROOT, SERVICES

KINDS = [*(service.settings for service in SERVICES), KafkaSettings, PortalSettings]
GIVEN_BY_OTHERS = {"database_url", "worker_database_url", "owner_database_url", "sasl_password", "smtp_password"}
"""What PostgreSQL, Kafka and the mail server decide: their own rules say how long it must be."""


def secrets(kind: type[Any]) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in kind.model_fields.items():
        if SecretStr in _parts(field.annotation):
            yield name, field


def _parts(annotation: object) -> set[object]:
    if get_origin(annotation) in (typing.Union, types.UnionType, dict, typing.Annotated):
        return {part for each in get_args(annotation) for part in _parts(each)}
    return {annotation}


EVERY = sorted(
    {(kind, name) for kind in KINDS for name, _ in secrets(kind)}, key=lambda each: (each[0].__module__, each[1])
)
by_secret = pytest.mark.parametrize(("kind", "name"), EVERY, ids=[f"{kind.__module__}-{name}" for kind, name in EVERY])


def test_there_are_secrets_to_look_at() -> None:
    assert {"operator_token", "code_secret", "access_credential", "listener_credentials"} <= {name for _, name in EVERY}


@by_secret
def test_no_secret_has_a_default(kind: type[Any], name: str) -> None:
    field = kind.model_fields[name]

    assert field.is_required() or field.default is None


@by_secret
def test_a_short_secret_is_refused_and_not_shown(kind: type[Any], name: str) -> None:
    if name in GIVEN_BY_OTHERS:
        return
    field = kind.model_fields[name]
    adapter: TypeAdapter[Any] = TypeAdapter(typing.Annotated[(field.annotation, field)])
    of_many = get_origin(field.annotation) is dict
    for short in ("", "secret", "x" * 15):
        with pytest.raises(ValidationError):
            adapter.validate_python({"renewals": short} if of_many else short)
    good = adapter.validate_python({"renewals": "w" * 40} if of_many else "w" * 40)
    assert "wwww" not in repr(good)
    assert "wwww" not in str(good)


def test_the_code_secret_is_as_long_as_a_key() -> None:
    (found,) = {kind.model_fields["code_secret"] for kind in KINDS if "code_secret" in kind.model_fields}

    assert [each.min_length for each in found.metadata if isinstance(each, MinLen)] == [32]


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_without_settings_a_service_does_not_start(service: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        service.settings(kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))

    missing = {each["loc"][0] for each in refused.value.errors() if each["type"] == "missing"}
    assert {"database_url", "worker_database_url", "operator_token"} <= missing


FORMATS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY( BLOCK)?-----",
    "a private JWK": r"""["']d["']\s*:\s*["'][A-Za-z0-9_-]{40,}["']""",
    "a password in an address": r"\b[a-z+]+://[^\s/:@{}$<>]+:[^\s/:@{}$<>]{8,}@(?![\w.-]*\.example(?![\w.-]))",
    "a key of a cloud": r"\b(AKIA|ASIA)[A-Z0-9]{16}\b",
    "a token of a forge": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bglpat-[A-Za-z0-9_-]{20}\b",
}
TEXTS_MAX = 2_000_000


def held(text: str) -> list[str]:
    """Of which kinds it has something that looks like a secret."""
    return [kind for kind, pattern in FORMATS.items() if re.search(pattern, text)]


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN " + "EC PRIVATE KEY-----",
        '{"kty": "OKP", "d": "' + "a" * 43 + '"}',
        "postgresql://covey:" + "0123456789abcdef@db/covey",
        "AKIA" + "A" * 16,
        "ghp_" + "a" * 36,
    ],
)
def test_a_secret_is_known_by_its_form(secret: str) -> None:
    assert len(held(secret)) == 1


def test_no_file_of_the_project_holds_a_secret() -> None:
    """Of those that git knows: what is made while it runs stays outside."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    files = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    assert files
    found = {
        str(file.relative_to(ROOT)): kinds
        for file in files
        if file.is_file() and file.stat().st_size < TEXTS_MAX and (kinds := held(file.read_text(errors="replace")))
    }
    assert found == {}
