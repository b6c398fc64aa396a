"""What a service is told: shown without its secrets, and refused, before anything runs, where it is not right."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from covey_renewals.app import service
from pydantic import ValidationError

SECRETS = {
    "COVEY_DATABASE_URL": "postgresql://covey:word-of-requests@db.carrier.example/covey",
    "COVEY_WORKER_DATABASE_URL": "postgresql://covey:word-of-workers@db.carrier.example/covey",
    "COVEY_OWNER_DATABASE_URL": "postgresql://covey:word-of-the-owner@db.carrier.example/covey",
    "COVEY_KAFKA_SASL_PASSWORD": "word-of-kafka",
    "COVEY_OPERATOR_TOKEN": "word-of-the-operator",
}
OPEN = {
    "COVEY_KAFKA_BOOTSTRAP_SERVERS": "kafka.carrier.example:9093",
    "COVEY_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "COVEY_KAFKA_SASL_USERNAME": "covey",
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment of right settings, and no others of Covey's."""
    for name in [name for name in os.environ if name.startswith("COVEY_")]:
        monkeypatch.delenv(name)
    for name, value in {**SECRETS, **OPEN}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("told")
def test_no_dump_shows_a_secret() -> None:
    settings = service.settings()

    shown = f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()} {settings.kafka!r}"
    assert "kafka.carrier.example" in shown
    assert "**********" in shown
    assert "word-of" not in shown


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("COVEY_OPERATOR_TOKEN", "word-of-15-char", "operator_token.*at least 16"),
        ("COVEY_OPERATOR_TOKEN", None, "operator_token.*required"),
        ("COVEY_KAFKA_SASL_PASSWORD", None, "SASL_SSL needs sasl_username and sasl_password"),
        ("COVEY_KAFKA_SASL_USERNAME", "", "SASL_SSL needs sasl_username and sasl_password"),
        ("COVEY_KAFKA_SECURITY_PROTOCOL", "word-of-no-protocol", "security_protocol.*SASL_SSL"),
        ("COVEY_KAFKA_CA_FILE", "/nowhere/ca.pem", "ca_file.*not point to a file"),
        ("COVEY_KAFKA_KEY_FILE", __file__, "key_file needs cert_file"),
        ("COVEY_HTTP_PORT", "word-of-a-port", "http_port.*integer"),
    ],
)
def test_what_is_not_right_is_refused_by_its_name_and_not_shown(
    told: pytest.MonkeyPatch, name: str, value: str | None, complaint: str
) -> None:
    if value is None:
        told.delenv(name)
    else:
        told.setenv(name, value)

    with pytest.raises(ValidationError) as refused:
        service.settings()

    assert re.search(complaint, str(refused.value), re.DOTALL | re.IGNORECASE)
    assert "word-of" not in str(refused.value)


def test_a_service_with_a_weak_operators_token_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "covey_operator_token").write_text("word-of-15-char\n")
    given = {name: value for name, value in SECRETS.items() if name != "COVEY_OPERATOR_TOKEN"}

    ended = subprocess.run(
        [sys.executable, "-m", "covey_chassis", "serve", service.package],
        env={**given, **OPEN, "COVEY_SECRETS_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("renewals can't run with the COVEY_... settings that it was given: ")
    assert "operator_token" in ended.stderr
    assert "word-of" not in ended.stdout + ended.stderr
