"""A platform's keys: an X25519 pair for each service that opens what is sealed, and what access tokens are signed with."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from covey_contracts import SealedBody
from joserfc.jwk import KeySet, OKPKey

from covey_local.processes import write_private

Jwk = Mapping[str, object]
SIGNING = "signing"
"""No service has this name: its file lies beside theirs and is no sealing key."""


KEEPERS = ("identity",)
"""Who keeps something sealed for itself: second factors."""


def holders() -> tuple[str, ...]:
    """Every service that opens something: what others seal for it, by the contracts, or what it keeps sealed itself."""
    return tuple(sorted({kind.sealed_for for kind in SealedBody.__subclasses__()} | {*KEEPERS}))


def make_keys(folder: Path, names: Iterable[str]) -> None:
    """A key pair for each service that has none. A key that is there is never replaced: old events need it."""
    for name in names:
        if not private_file(folder, name).exists():
            key = OKPKey.generate_key(
                "X25519", {"kid": f"{name}-1", "use": "enc", "alg": "ECDH-ES+A256KW"}, private=True
            )
            write_private(private_file(folder, name), _set([key.as_dict(private=True)]))
    sealing = sorted(set(folder.glob("*.private.jwks.json")) - {signing_file(folder)})
    own = [_public(key) for path in sealing for key in _keys(path)]
    known = {key["kid"]: key for key in [*own, *_keys(public_file(folder))]}
    _publish(public_file(folder), _set(known.values()))


def make_signing_key(folder: Path) -> None:
    """The key that access tokens are signed with, if there is none, and its public half for whoever verifies them.

    To have another one, add it to the private file as the last: tokens that are out are still good then.
    """
    if not signing_file(folder).exists():
        key = OKPKey.generate_key("Ed25519", {"kid": "tokens-1", "use": "sig"}, private=True)
        write_private(signing_file(folder), _set([key.as_dict(private=True)]))
    signing = KeySet.import_key_set(json.loads(signing_file(folder).read_text()))
    _publish(token_file(folder), _set(key.as_dict(private=False) for key in signing.keys))


def signing_file(folder: Path) -> Path:
    """What access tokens are signed with, which only its owner may read."""
    return private_file(folder, SIGNING)


def token_file(folder: Path) -> Path:
    """What access tokens are verified with."""
    return folder / "tokens.jwks.json"


def public_file(folder: Path) -> Path:
    """Everyone's public sealing keys."""
    return folder / "public.jwks.json"


def private_file(folder: Path, service: str) -> Path:
    """One service's own keys, which only its owner may read."""
    return folder / f"{service}.private.jwks.json"


def _public(key: Jwk) -> Jwk:
    return {name: value for name, value in key.items() if name != "d"}


def _publish(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _keys(path: Path) -> list[Jwk]:
    if not path.exists():
        return []
    keys: list[Jwk] = json.loads(path.read_text())["keys"]
    return keys


def _set(keys: Iterable[Jwk]) -> str:
    return json.dumps({"keys": list(keys)}, indent=1) + "\n"
