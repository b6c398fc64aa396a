import asyncio
import json
import time
from uuid import uuid4

from covey_chassis.access.tokens import Verifier, issue
from covey_chassis.sealing import Keyring
from covey_contracts.membership import Contact, GroupContacts
from covey_local import keys
from joserfc.jwk import KeySet, OKPKey

CONTACT = Contact(name="Ann", email="ann@example.com")
CONTACTS = GroupContacts(contract_signer=CONTACT, billing_contact=CONTACT)


def test_what_one_service_seals_its_listener_opens(tmp_path):
    keys.make_keys(tmp_path, keys.holders())

    sealed = Keyring(keys.public_file(tmp_path)).seal(CONTACTS)
    private = keys.private_file(tmp_path, CONTACTS.sealed_for)
    assert Keyring(None, private).open(sealed, GroupContacts) == CONTACTS
    assert private.stat().st_mode & 0o777 == 0o600


def test_public_keys_hold_nothing_private(tmp_path):
    keys.make_keys(tmp_path, ["notifications"])

    (public,) = json.loads(keys.public_file(tmp_path).read_text())["keys"]
    assert public.keys() == {"kty", "crv", "x", "kid", "use", "alg"}
    assert (public["kid"], public["crv"]) == ("notifications-1", "X25519")


def test_a_key_that_is_there_stays(tmp_path):
    keys.make_keys(tmp_path, ["notifications"])
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    keys.make_keys(tmp_path, ["notifications", "billing"])

    kept = keys.private_file(tmp_path, "notifications").read_text()
    assert kept == before["notifications.private.jwks.json"]
    kids = [key["kid"] for key in json.loads(keys.public_file(tmp_path).read_text())["keys"]]
    assert sorted(kids) == ["billing-1", "notifications-1"]


def test_what_is_signed_with_one_key_is_verified_with_its_public_half(tmp_path):
    keys.make_signing_key(tmp_path)
    (key,) = KeySet.import_key_set(json.loads(keys.signing_file(tmp_path).read_text())).keys
    account, session = uuid4(), uuid4()
    token = issue(key, account, session, now=int(time.time()))
    verified = asyncio.run(Verifier(keys.token_file(tmp_path)).verify(f"Bearer {token}"))

    assert (verified.account_id, verified.session_id) == (account, session)
    assert keys.signing_file(tmp_path).stat().st_mode & 0o777 == 0o600
    (public,) = json.loads(keys.token_file(tmp_path).read_text())["keys"]
    assert public.keys() == {"kty", "crv", "x", "kid", "use"}
    assert (public["kid"], public["crv"], public["use"]) == ("tokens-1", "Ed25519", "sig")


def test_the_signing_key_is_none_of_the_sealing_keys(tmp_path):
    keys.make_signing_key(tmp_path)
    keys.make_keys(tmp_path, ["notifications"])
    signing = keys.signing_file(tmp_path).read_text()
    keys.make_signing_key(tmp_path)
    keys.make_keys(tmp_path, ["notifications"])

    assert [key["kid"] for key in json.loads(keys.public_file(tmp_path).read_text())["keys"]] == ["notifications-1"]
    assert keys.signing_file(tmp_path).read_text() == signing


def test_a_second_signing_key_is_published_beside_the_first(tmp_path):
    keys.make_signing_key(tmp_path)
    held = json.loads(keys.signing_file(tmp_path).read_text())["keys"]
    second = OKPKey.generate_key("Ed25519", {"kid": "tokens-2", "use": "sig"}).as_dict(private=True)
    keys.signing_file(tmp_path).write_text(json.dumps({"keys": [*held, second]}))
    keys.make_signing_key(tmp_path)

    public = json.loads(keys.token_file(tmp_path).read_text())["keys"]
    assert [key["kid"] for key in public] == ["tokens-1", "tokens-2"]
    assert all("d" not in key for key in public)
