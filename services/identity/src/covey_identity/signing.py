"""The keys that access tokens are signed with, loaded once. The last one signs; all of them are still good."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covey_chassis.access.tokens import ALGORITHM
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from covey_identity.settings import Settings

UNUSABLE = "signing_keys must have private Ed25519 keys, each with its kid"


@dataclass(frozen=True)
class Signing:
    """The key that signs, and the public half of all, as a JWKS."""

    key: OKPKey
    public: dict[str, Any]


def signing_of(settings: Settings) -> Signing:
    """The keys of this process.

    Raises:
        ValueError: the file has no key, or one that cannot sign, or one without a ``kid``.
    """
    return _load(settings.signing_keys)


@functools.cache
def _load(path: Path) -> Signing:
    try:
        keys = KeySet.import_key_set(json.loads(path.read_text())).keys
    except JoseError as error:
        raise ValueError(UNUSABLE) from error
    able = [
        key for key in keys if isinstance(key, OKPKey) and key.curve_name == ALGORITHM and key.is_private and key.kid
    ]
    if not able or len(able) < len(keys):
        raise ValueError(UNUSABLE)
    return Signing(able[-1], {"keys": [key.as_dict(private=False) for key in able]})
