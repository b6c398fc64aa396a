"""An authenticator in software: it makes keys and signs as WebAuthn says, and as wrongly as a test wants it to."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PORTAL = "https://portal.carrier.example"
DOMAIN = "portal.carrier.example"
PRESENT, VERIFIED, MAY_SYNC, SYNCED, HAS_KEY = 0x01, 0x04, 0x08, 0x10, 0x40

Key = EllipticCurvePrivateKey | Ed25519PrivateKey
Options = dict[str, Any]
Credential = dict[str, Any]


def es256() -> Key:
    return generate_private_key(SECP256R1())


def eddsa() -> Key:
    return Ed25519PrivateKey.generate()


@dataclass
class Authenticator:
    """A device with one passkey. ``counts`` is 0 for those that do not count, as keepers that sync do not."""

    key: Key = field(default_factory=es256)
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    origin: str = PORTAL
    domain: str = DOMAIN
    flags: int = PRESENT | VERIFIED
    counts: int = 1
    count: int = 0
    handle: str | None = None
    """What it knows the account by, since it was asked to make its key."""

    def make(self, options: Options, **said: Any) -> Credential:
        """What `navigator.credentials.create()` would give."""
        self.handle = options["user"]["id"]
        made = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(self._cose())
        attested = {"fmt": "none", "attStmt": {}, "authData": self._data(HAS_KEY) + made}
        return self._credential(
            clientDataJSON=_text(self._client_data("webauthn.create", options, said)),
            attestationObject=_text(cbor2.dumps(attested)),
            transports=["internal", "hybrid", "by pigeon"],
        )

    def sign(self, options: Options, **said: Any) -> Credential:
        """What `navigator.credentials.get()` would give."""
        self.count += self.counts
        client_data, data = self._client_data("webauthn.get", options, said), self._data()
        signed = data + hashlib.sha256(client_data).digest()
        signature = self.key.sign(signed) if isinstance(self.key, Ed25519PrivateKey) else self._ecdsa(signed)
        return self._credential(
            clientDataJSON=_text(client_data),
            authenticatorData=_text(data),
            signature=_text(signature),
            userHandle=self.handle,
        )

    def _ecdsa(self, signed: bytes) -> bytes:
        assert isinstance(self.key, EllipticCurvePrivateKey)
        return self.key.sign(signed, ECDSA(SHA256()))

    def _credential(self, **response: Any) -> Credential:
        return {
            "id": _text(self.credential_id),
            "rawId": _text(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": response,
        }

    def _client_data(self, kind: str, options: Options, said: dict[str, Any]) -> bytes:
        told = {"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": False}
        return json.dumps(told | said).encode()

    def _data(self, flags: int = 0) -> bytes:
        return (
            hashlib.sha256(self.domain.encode()).digest() + bytes([self.flags | flags]) + self.count.to_bytes(4, "big")
        )

    def _cose(self) -> dict[int, int | bytes]:
        """The public half (RFC 9053)."""
        public = self.key.public_key()
        if isinstance(self.key, Ed25519PrivateKey):
            return {1: 1, 3: -8, -1: 6, -2: public.public_bytes(Encoding.Raw, PublicFormat.Raw)}
        point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]}


def _text(raw: bytes) -> str:
    return bytes_to_base64url(raw)


def bytes_of(text: str) -> bytes:
    return base64url_to_bytes(text)
