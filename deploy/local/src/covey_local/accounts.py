"""Accounts of a stack: the one that is there from its first start, as somebody has to do the rest; and programs'."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from covey_local.attach import Operator
from covey_local.home import Home, RunFile
from covey_local.refused import Refused, why
from covey_local.sign_on import as_staff

STAFF = "staff"
"""The account's name in ``run.json``."""
STAFF_ADDRESS = "staff@covey.example"


def make_staff(home: Home, run: RunFile) -> None:
    """Make a member of the carrier's staff with every staff right, once, and keep by what they sign on."""
    from covey_chassis.access import StaffRight  # noqa: PLC0415 - the routes' libraries come with it

    if STAFF in home.secrets(()).accounts:
        return
    identity = Operator.of(run, "identity")

    def make(address: str) -> str | None:
        made = identity.make_staff(first_name="Sam", last_name="Staff", email=address, rights=list(StaffRight))
        if made.password is not None:
            home.keep_account(STAFF, {"user_id": made.user_id, "password": made.password})
        return made.password

    if make(STAFF_ADDRESS) is None:
        # Its password was told to a run that was killed before it could keep it.
        make(STAFF_ADDRESS.replace("@", f"-{secrets.token_hex(3)}@"))
    identity.wait_until_everywhere()


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program's account: what it signs on with, which is told once, and its key, if one was registered."""

    account_id: str
    client_id: str
    client_secret: str
    key_id: str | None


def make_program(
    run: RunFile, name: str, *, rights: Sequence[str] = (), jwk: Mapping[str, object] | None = None
) -> Program:
    """Let a program sign on, with these staff rights, and sign commands with this key, in every service.

    Raises ``Refused`` with what identity says against it.
    """
    identity = Operator.of(run, "identity")
    with httpx.Client(base_url=run["services"]["identity"], auth=as_staff(run), timeout=15, trust_env=False) as staff:
        made = _answer(staff, "/v1/programs", {"name": name})
        account_id = str(made["account_id"])
        key = jwk and _answer(staff, f"/v1/programs/{account_id}/keys", {"jwk": jwk})
    if rights:
        identity.set_staff_rights(account_id, rights)
    identity.wait_until_everywhere()
    return Program(
        account_id=account_id,
        client_id=str(made["client_id"]),
        client_secret=str(made["client_secret"]),
        key_id=str(key["key_id"]) if key else None,
    )


def _answer(client: httpx.Client, path: str, body: Mapping[str, object]) -> dict[str, object]:
    try:
        answer = client.post(path, json=dict(body), headers={"Idempotency-Key": secrets.token_urlsafe(16)})
    except httpx.HTTPError as error:
        raise Refused(f"identity does not answer: {error}") from error
    if answer.is_error:
        raise Refused(f"identity: {why(answer)}")
    found: dict[str, object] = answer.json()
    return found
