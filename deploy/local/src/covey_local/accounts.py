"""The accounts that a stack has from its first start: somebody has to be there who may do the rest."""

import secrets

from covey_local.attach import Operator
from covey_local.home import Home, RunFile

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
