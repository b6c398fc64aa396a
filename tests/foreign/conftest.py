"""A Kafka as somebody else runs it: clients have to trust its CA, and to say who they are."""

import ipaddress
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from covey_chassis.settings import KafkaSettings
from covey_chassis.testing.machinery import CACHE
from covey_local import ports, processes
from covey_local.credentials import ADMIN
from covey_local.kafka import Kafka, Listener
from covey_local.principals import set_passwords
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey
from pydantic import SecretStr

USER, PASSWORD = "covey", "the-password-of-covey-at-kafka"
LOGIN = "org.apache.kafka.common.security"


@dataclass(frozen=True)
class Authority:
    """A CA of the test's own."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, folder: Path) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate("ca", key, issuer="ca", signed_with=key, is_ca=True)
        (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(folder, key, certificate)

    @property
    def file(self) -> Path:
        return self.folder / "ca.pem"

    def issue(self, name: str) -> tuple[Path, Path]:
        """Files with a certificate of that name, for 127.0.0.1, and with its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(name, key, issuer="ca", signed_with=self.key, is_ca=False)
        cert_file, key_file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        cert_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cert_file, key_file


def _certificate(
    name: str, key: ec.EllipticCurvePrivateKey, *, issuer: str, signed_with: ec.EllipticCurvePrivateKey, is_ca: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(_name(issuer), _name(name), key.public_key(), x509.random_serial_number())
    return (
        builder.not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .add_extension(address, critical=False)
        .sign(signed_with, hashes.SHA256())
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


@pytest.fixture(scope="session", autouse=True)
def token_keys(signing_key: OKPKey) -> OKPKey:
    """Whose access tokens are good: a service under test is told by a file, and has nobody to ask."""
    return signing_key


@dataclass(frozen=True)
class Foreign:
    """How to sign on to it, in each of the ways that it offers."""

    scram: KafkaSettings
    plain: KafkaSettings
    certificate: KafkaSettings


@pytest.fixture(scope="session")
async def foreign(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Foreign]:
    """A broker that asks for a password at one door, and for a certificate at another."""
    folder = tmp_path_factory.mktemp("foreign")
    authority = Authority.new(folder)
    own_certificate, own_key = authority.issue("broker")
    (folder / "broker.pem").write_text(own_key.read_text() + own_certificate.read_text())
    chosen = ports.choose(folder / "ports.json", dict.fromkeys(("inside", "password", "certificate", "controller")))
    broker = Kafka(
        folder=folder / "kafka",
        cache=(CACHE / "maven").resolve(),
        log=folder / "kafka.log",
        listeners=(
            Listener(name="INSIDE", port=chosen["inside"]),
            Listener(name="PASSWORD", port=chosen["password"], protocol="SASL_SSL"),
            Listener(name="CERTIFICATE", port=chosen["certificate"], protocol="SSL"),
        ),
        controller_port=chosen["controller"],
        password="the-password-of-its-brokers",
        settings={
            "super.users": f"User:{ADMIN};User:{USER};User:CN={USER}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(authority.file),
            "listener.name.password.sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
            "listener.name.password.scram-sha-512.sasl.jaas.config": f"{LOGIN}.scram.ScramLoginModule required;",
            "listener.name.password.plain.sasl.jaas.config": (
                f'{LOGIN}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
            ),
            "listener.name.certificate.ssl.client.auth": "required",
        },
    )
    process = await broker.start()
    try:
        await set_passwords(broker.admin_settings, {USER: PASSWORD})
        scram = KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{chosen['password']}",
            security_protocol="SASL_SSL",
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username=USER,
            sasl_password=SecretStr(PASSWORD),
            ca_file=authority.file,
        )
        cert_file, key_file = authority.issue(USER)
        yield Foreign(
            scram=scram,
            plain=scram.model_copy(update={"sasl_mechanism": "PLAIN"}),
            certificate=KafkaSettings(
                bootstrap_servers=f"127.0.0.1:{chosen['certificate']}",
                security_protocol="SSL",
                ca_file=authority.file,
                cert_file=cert_file,
                key_file=key_file,
            ),
        )
    finally:
        await processes.stop(process)
