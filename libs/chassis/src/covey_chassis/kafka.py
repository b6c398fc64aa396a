"""The connection options that every Kafka client of a service shares."""

import ssl
from typing import TypedDict

from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from covey_chassis.settings import KafkaSettings


class Connection(TypedDict, total=False):
    """Keyword arguments of aiokafka's clients."""

    bootstrap_servers: str
    security_protocol: str
    ssl_context: ssl.SSLContext
    sasl_mechanism: str
    sasl_plain_username: str
    sasl_plain_password: str


def connection(settings: KafkaSettings) -> Connection:
    """How to reach Kafka and sign on to it."""
    options = Connection(bootstrap_servers=settings.bootstrap_servers, security_protocol=settings.security_protocol)
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = _tls(settings)
    if settings.security_protocol.startswith("SASL") and settings.sasl_username and settings.sasl_password:
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def broker_security(settings: KafkaSettings) -> BaseSecurity:
    """The same for FastStream's broker."""
    tls = _tls(settings) if settings.security_protocol.endswith("SSL") else None
    if not settings.security_protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=tls, use_ssl=tls is not None)
    kinds = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
    password = settings.sasl_password.get_secret_value() if settings.sasl_password else ""
    return kinds[settings.sasl_mechanism](
        settings.sasl_username or "", password, ssl_context=tls, use_ssl=tls is not None
    )


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context
