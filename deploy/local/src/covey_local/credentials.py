"""By which names one signs on to a stack's Kafka, and how. What each may do: ``principals.py``."""

from covey_chassis.settings import KafkaSettings
from pydantic import SecretStr

ADMIN = "admin"
"""The super user: brokers among themselves, and whoever administers them."""
DOWNSTREAM = "covey-downstream"
"""Whoever listens without being named in a contract: reads everything that is published, and writes nothing."""
PROGRAMS = "covey-programs"
"""Programs that decide: the contracts say what they read, and which commands they write."""


def signed_on(bootstrap_servers: str, principal: str, password: str) -> KafkaSettings:
    """How a principal signs on to brokers of ours."""
    return KafkaSettings(
        bootstrap_servers=bootstrap_servers,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username=principal,
        sasl_password=SecretStr(password),
    )
