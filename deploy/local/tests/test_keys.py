import json

from covey_chassis.sealing import Keyring
from covey_contracts.membership import Contact, GroupContacts
from covey_local import keys

CONTACT = Contact(name="Ann", email="ann@example.com")
CONTACTS = GroupContacts(contract_signer=CONTACT, billing_contact=CONTACT)


def test_what_one_service_seals_its_listener_opens(tmp_path):
    keys.make_keys(tmp_path, keys.listeners())

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
