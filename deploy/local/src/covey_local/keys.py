"""The sealing keys of a local stack: one X25519 pair for each listener of sealed personal data."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from covey_contracts import SealedBody
from joserfc.jwk import OKPKey

from covey_local.processes import write_private

Jwk = Mapping[str, object]


def listeners() -> tuple[str, ...]:
    """Every service that some sealed body is for, by the contracts."""
    return tuple(sorted({kind.sealed_for for kind in _below(SealedBody) if hasattr(kind, "sealed_for")}))


def make_keys(folder: Path, names: Iterable[str]) -> None:
    """A key pair for each listener that has none. A key that is there is never replaced: old events need it."""
    for name in names:
        if not private_file(folder, name).exists():
            key = OKPKey.generate_key(
                "X25519", {"kid": f"{name}-1", "use": "enc", "alg": "ECDH-ES+A256KW"}, private=True
            )
            write_private(private_file(folder, name), _set([key.as_dict(private=True)]))
    own = [_public(key) for path in sorted(folder.glob("*.private.jwks.json")) for key in _keys(path)]
    known = {key["kid"]: key for key in [*own, *_keys(public_file(folder))]}
    text = _set(known.values())
    if not public_file(folder).exists() or public_file(folder).read_text() != text:
        folder.mkdir(parents=True, exist_ok=True)
        public_file(folder).write_text(text)


def public_file(folder: Path) -> Path:
    """Everyone's public keys."""
    return folder / "public.jwks.json"


def private_file(folder: Path, service: str) -> Path:
    """One service's own keys, which only its owner may read."""
    return folder / f"{service}.private.jwks.json"


def _below(kind: type[SealedBody]) -> set[type[SealedBody]]:
    return {kind}.union(*(_below(child) for child in kind.__subclasses__()))


def _public(key: Jwk) -> Jwk:
    return {name: value for name, value in key.items() if name != "d"}


def _keys(path: Path) -> list[Jwk]:
    if not path.exists():
        return []
    keys: list[Jwk] = json.loads(path.read_text())["keys"]
    return keys


def _set(keys: Iterable[Jwk]) -> str:
    return json.dumps({"keys": list(keys)}, indent=1) + "\n"
