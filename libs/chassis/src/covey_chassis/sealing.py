"""Personal data on Kafka: a JWE (RFC 7516) that only the listener it is meant for can open.

Each listener has an X25519 key whose ``kid`` is ``<listener>-<number>``; ECDH-ES+A256KW, A256GCM. Public keys of all
listeners come in one JWKS file, a service's own private keys in another; old private keys stay there for old events.
"""

import json
from pathlib import Path
from typing import TypeVar

from covey_contracts import SealedBody
from joserfc import jwe
from joserfc.jwk import GuestProtocol, KeySet, OKPKey

ALGORITHMS = ["ECDH-ES+A256KW", "A256GCM"]
Body = TypeVar("Body", bound=SealedBody)


class NoKey(Exception):
    """There is no key for this listener, or none of ours opens this."""


class Keyring:
    """The keys that this process has: all listeners' public ones to seal with, its own private ones to open with."""

    def __init__(self, public_keys: Path | None = None, private_keys: Path | None = None) -> None:
        self._public = _keys(public_keys)
        self._private = _keys(private_keys)

    def seal(self, body: SealedBody) -> str:
        """The body as a compact JWE, readable by the listener that its class names, with that listener's newest key.

        Raises:
            NoKey: the listener has no public key here.
        """
        kid = self.newest_of(body.sealed_for)
        header = {"alg": ALGORITHMS[0], "enc": ALGORITHMS[1], "kid": kid}
        return jwe.encrypt_compact(header, body.model_dump_json().encode(), self._public[kid], ALGORITHMS)

    def newest_of(self, listener: str) -> str:
        """The ID of the key with which something is sealed for this listener.

        Raises:
            NoKey: the listener has no public key here.
        """
        kids = sorted((kid for kid in self._public if kid.rsplit("-", 1)[0] == listener), key=_number)
        if not kids:
            raise NoKey(f"no public key for {listener}")
        return kids[-1]

    def open(self, sealed: str, kind: type[Body]) -> Body:
        """What was sealed.

        Raises:
            NoKey: it was sealed for somebody else, or with a key that is not here any more.
        """
        opened = jwe.decrypt_compact(sealed, self._own_key, ALGORITHMS)
        return kind.model_validate_json(opened.plaintext or b"")

    def _own_key(self, message: GuestProtocol) -> OKPKey:
        kid = str(message.headers().get("kid"))
        if kid not in self._private:
            raise NoKey(f"no private key {kid}")
        return self._private[kid]


def _number(kid: str) -> int:
    return int(kid.rsplit("-", 1)[1])


def _keys(path: Path | None) -> dict[str, OKPKey]:
    if path is None:
        return {}
    keys = KeySet.import_key_set(json.loads(path.read_text()))
    return {str(key.kid): key for key in keys.keys if isinstance(key, OKPKey)}
