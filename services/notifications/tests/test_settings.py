import pytest
from covey_chassis.settings import KafkaSettings
from covey_notifications.settings import Settings, SmtpTls
from pydantic import ValidationError


def settings(**more):
    return Settings(
        **{
            "database_url": "postgresql://a",
            "worker_database_url": "postgresql://b",
            "kafka": KafkaSettings(bootstrap_servers="127.0.0.1:1"),
            "operator_token": "an operator's token of a test",
            "smtp_host": "mail.carrier.example",
            "mail_from": "Covey <no-reply@carrier.example>",
            **more,
        }
    )


def test_mail_is_encrypted_unless_the_opposite_is_said():
    assert settings().smtp_tls is SmtpTls.STARTTLS
    assert settings(smtp_tls="none").smtp_tls is SmtpTls.NONE


def test_empty_credentials_are_none():
    assert settings(smtp_username="", smtp_password="").smtp_username is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"smtp_tls": "none", "smtp_username": "covey", "smtp_password": "secret"},
        {"smtp_username": "covey"},
        {"smtp_password": "secret"},
        {"mail_from": "Covey"},
        {"mail_from": "Covey <no-reply@carrier.example>\r\nBcc: all@carrier.example"},
        {"mail_from": "Covey <nö-reply@carrier.example>"},
        {"smtp_timeout_s": 20},
        {"mail_concurrency": 0},
        {"mail_concurrency": 7, "database_pool_size": 10},
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(wrong):
    with pytest.raises(ValidationError):
        settings(**wrong)
